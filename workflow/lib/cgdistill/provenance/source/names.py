"""What the names in Python source mean: variables, definitions of the package, things of other packages."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
#: Names of loggers, and their methods that write.
_LOGGERS, _LEVELS = ("log", "logger"), ("debug", "info", "warning", "error", "critical", "exception", "log")
#: Decorators that register nothing and read no annotations, besides the builtin ones.
_PLAIN_DECORATORS = ("abc.", "contextlib.", "dataclasses.", "functools.", "numba.njit", "torch.no_grad", "typing.")
_BUILTINS = frozenset(dir(builtins))


@dataclass(frozen=True)
class Import:
    """A module of the package that an import binds to a name (``name`` None), or something in that module."""

    module: str
    name: str | None = None


@dataclass(frozen=True)
class External:
    """Something of another package, by its full name; a builtin by its bare name."""

    name: str

    def attribute(self, attributes: Iterable[str]) -> str:
        """Full name of an attribute of an attribute ... of it."""
        return ".".join((self.name, *attributes))


@dataclass(frozen=True)
class Neutral:
    """Something of the package that never changes a value."""

    name: str


#: What a name with attributes means (`External`, `Neutral` or a definition), and the attributes left over.
Meaning = tuple[Any, tuple[str, ...]]


class ModuleNames(Protocol):
    """What the names at the top of a module mean."""

    @property
    def bindings(self) -> Mapping[str, Sequence[Any]]:
        """What each name is bound to: imports and definitions, in their order."""

    @property
    def whole(self) -> Any:
        """A definition that stands for everything in the module."""

    def imported(self, node: ast.Import | ast.ImportFrom) -> list[tuple[str, Import | External]]:
        """Names that an import binds, and to what."""

    def loaded(self, node: ast.Import | ast.ImportFrom) -> list[str]:
        """Modules of the package that an import runs."""

    def follow(self, binding: Any, attributes: tuple[str, ...]) -> list[Meaning]:
        """Meanings of a binding with attributes after it."""

    def importable(self, text: str | None, *, relative: bool, exact: bool) -> list[str]:
        """Modules of the package that ``text`` names (``exact``) or whose name begins so (None: any)."""


@dataclass
class Scope:
    """Names of a function: None for a variable, otherwise what imports bind."""

    names: dict[str, list[Any] | None]
    #: Variables that are read.
    read: set[str] = field(default_factory=set)
    #: Variables that hold texts which only messages use.
    only_in_messages: set[str] = field(default_factory=set)


class Scopes:
    """Meanings of names within the functions of a module."""

    def __init__(self, module: ModuleNames) -> None:
        self.module = module
        self.stack: list[Scope] = []

    def function(self, statements: Sequence[ast.stmt], parameters: Iterable[str]) -> Scope:
        """The scope of a function."""
        scope = Scope(dict.fromkeys(parameters))
        outer: set[str] = set()
        for name, node in bound_names(statements):
            if isinstance(node, ast.Global | ast.Nonlocal):
                outer.add(name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                scope.names[name] = [*(scope.names.get(name) or ()), *self._imported(node, name)]
            else:
                scope.names.setdefault(name, None)
        for name in outer:
            if scope.names.get(name) is None:
                scope.names.pop(name, None)
        return scope

    def class_imports(self, statements: Sequence[ast.stmt]) -> Scope:
        """Imports in a class; its methods do not see its variables."""
        scope = self.function(statements, ())
        return Scope({name: found for name, found in scope.names.items() if found is not None})

    def _imported(self, node: ast.Import | ast.ImportFrom, name: str) -> list[Any]:
        return [binding for imported, binding in self.module.imported(node) if imported == name]

    def meanings(self, node: ast.expr) -> list[Meaning] | None:
        """What ``name.attribute...`` means; None for a variable and for any other expression."""
        root, attributes = root_and_attributes(node)
        if not isinstance(root, ast.Name):
            return None
        for scope in reversed(self.stack):
            if root.id in scope.names:
                if (bindings := scope.names[root.id]) is None:
                    return None
                break
        else:
            bindings = list(self.module.bindings.get(root.id) or [External(root.id)])
        return [found for binding in bindings for found in self.module.follow(binding, attributes)]

    def external(self, node: ast.expr) -> list[str]:
        """Full names of what an expression means in other packages."""
        return external_names(self.meanings(node))

    def neutral(self, node: ast.expr) -> list[str]:
        """Names of what an expression means among what never changes a value."""
        return neutral_names(self.meanings(node))

    def mark_read(self, name: str) -> None:
        """Note that a variable is read."""
        for scope in reversed(self.stack):
            if name in scope.names:
                scope.read.add(name)
                return

    def is_log_call(self, call: ast.expr) -> bool:
        """Whether an expression only writes to a log, or sets one up."""
        if not isinstance(call, ast.Call) or contains(call, (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)):
            return False
        root, attributes = root_and_attributes(call.func)
        writes = bool(attributes) and attributes[-1] in _LEVELS
        if writes and isinstance(root, ast.Name) and (root.id, *attributes)[-2] in _LOGGERS:
            return True
        first = call.func
        while isinstance(inner := root_and_attributes(first)[0], ast.Call):
            first = inner.func
        if any(name == "warnings.warn" or name.startswith("logging.") for name in self.external(first)):
            return True
        return writes and bool(self.neutral(call.func))

    def is_plain_decorator(self, decorator: ast.expr) -> bool:
        """Whether a decorator registers nothing and reads no annotations."""
        function = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(function, ast.Attribute) and function.attr in ("setter", "getter", "deleter"):
            return True
        meanings = self.meanings(function) or [(None, ())]
        return all(
            isinstance(meaning, External)
            and ((name := meaning.attribute(rest)) in _BUILTINS or name.startswith(_PLAIN_DECORATORS))
            for meaning, rest in meanings
        )

    def raises_only_message(self, error: ast.expr) -> bool:
        """Whether an error carries nothing but a message: a builtin one, or one of those that are neutral."""
        if self.neutral(error):
            return True
        found = [getattr(builtins, name, None) for name in self.external(error)]
        return any(
            isinstance(kind, type) and issubclass(kind, BaseException) and not issubclass(kind, StopIteration)
            for kind in found
        )


def external_names(meanings: list[Meaning] | None) -> list[str]:
    """Full names of those meanings that are of other packages."""
    return [found.attribute(rest) for found, rest in meanings or () if isinstance(found, External)]


def neutral_names(meanings: list[Meaning] | None) -> list[str]:
    """Names of those meanings that never change a value."""
    return [found.name for found, _ in meanings or () if isinstance(found, Neutral)]


def bound_names(statements: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Names that statements bind in their own scope, each with the statement (imports may bind several).

    Names bound within expressions and patterns are left out: such a variable may be taken for the definition of the
    same name. That adds to what counts and never takes away.
    """
    for node in statements:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name.split(".")[0], node) for alias in node.names)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            yield from ((name, node) for name in node.names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.If) and never_runs(node):
            yield from bound_names(node.orelse)
        else:
            targets = [*getattr(node, "targets", ()), getattr(node, "target", None)]
            targets += [item.optional_vars for item in getattr(node, "items", ())]
            yield from ((name, node) for target in targets if target is not None for name in stored_names(target))
            yield from ((part.name, node) for part in getattr(node, "handlers", ()) if part.name)
            for block in blocks(node):
                yield from bound_names(block)


def blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    """Blocks of statements within one that opens no scope."""
    if not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        for name in ("body", "orelse", "finalbody"):
            yield getattr(node, name, [])
        for part in [*getattr(node, "handlers", ()), *getattr(node, "cases", ())]:
            yield part.body


def text_variables(statements: Sequence[ast.stmt]) -> Iterator[str]:
    """Variables that are assigned texts."""
    for node in statements:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            if is_text(node.value):
                yield node.targets[0].id
        for block in blocks(node):
            yield from text_variables(block)


def never_runs(node: ast.If) -> bool:
    """Whether a statement is ``if TYPE_CHECKING:``."""
    root, attributes = root_and_attributes(node.test)
    return isinstance(root, ast.Name) and (root.id, *attributes)[-1] == "TYPE_CHECKING"


def stored_names(target: ast.expr) -> Iterable[str]:
    """Variables that an assignment to ``target`` sets."""
    if isinstance(target, ast.Name):
        return (target.id,)
    return (part.id for part in ast.walk(target) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store))


def root_and_attributes(node: ast.expr) -> tuple[ast.expr, tuple[str, ...]]:
    """The expression at the beginning of ``a.b.c``, and the attributes after it."""
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return node, tuple(reversed(attributes))


def is_text(node: ast.expr) -> bool:
    """Whether an expression is a text, with or without values in it."""
    if isinstance(node, ast.IfExp):
        return is_text(node.body) and is_text(node.orelse)
    if isinstance(node, ast.BinOp):
        return is_text(node.left) and (isinstance(node.op, ast.Mod) or is_text(node.right))
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def contains(node: ast.AST, kinds: tuple[type, ...]) -> bool:
    """Whether a node of one of these kinds is part of ``node``."""
    return any(isinstance(part, kinds) for part in ast.walk(node))
