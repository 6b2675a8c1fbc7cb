"""Normal form of Python statements: what is left when everything that cannot change a value is taken away.

Taken away are layout, comments, docstrings, annotations of functions and variables, calls of the logger, messages of
errors and assertions, and where imported things come from: a name that means something of the package becomes a
reference to its definition, a name of another package becomes its full name.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .names import (
    External,
    ModuleNames,
    Neutral,
    Scope,
    Scopes,
    contains,
    external_names,
    is_text,
    neutral_names,
    never_runs,
    root_and_attributes,
    stored_names,
    text_variables,
)

#: Fields of nodes that say nothing about the result.
_SILENT_FIELDS = frozenset(("ctx", "kind", "type_comment", "type_ignores", "type_params"))
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
#: What makes an expression more than a test.
_ACTS = (ast.Call, ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)


@dataclass(frozen=True)
class NormalForm:
    """What in a statement can change values: equal hashes and equal references mean equal results."""

    #: SHA-256 of the text with the references left open; empty where nothing is left of the statement.
    text_hash: str
    #: Definitions that the text refers to, in its order.
    references: tuple[Any, ...]
    #: Modules of the package that the statement imports when it runs.
    loads: tuple[str, ...]
    #: Modules of the package among which an import with a computed name chooses.
    choices: tuple[str, ...]


def normal_form(module: ModuleNames, statements: Sequence[ast.stmt], *, script: bool = False) -> NormalForm:
    """Normal form of a statement at the top of a module, or of all statements of a script."""
    reader = _Reader(module)
    if script:
        reader.function_body(statements, ())
    else:
        reader.block(statements, "module")
    text = "".join(reader.text)
    return NormalForm(
        hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() if text else "",
        tuple(reader.references),
        tuple(dict.fromkeys(reader.loads)),
        tuple(dict.fromkeys(reader.choices)),
    )


class _Reader:
    """Writes the normal form of statements, one token after another."""

    def __init__(self, module: ModuleNames) -> None:
        self.module = module
        self.scopes = Scopes(module)
        self.text: list[str] = []
        self.references: list[Any] = []
        self.loads: list[str] = []
        self.choices: list[str] = []
        self._n_tries = 0

    # Statements; ``place`` is "module", "class" or "function".

    def block(self, statements: Sequence[ast.stmt], place: str) -> None:
        """Write statements."""
        for node in self._kept(statements, place):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._import(node)
                continue
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self._function(node)
            elif isinstance(node, ast.ClassDef):
                self._class(node)
            elif isinstance(node, ast.Raise):
                self._raise(node)
            elif isinstance(node, ast.Assert):
                self.text.append("assert ")
                self.visit(node.test)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                self._assign(node, place)
            else:
                self._node(node, place)
            self.text.append(";")

    def _kept(self, statements: Sequence[ast.stmt], place: str) -> list[ast.stmt]:
        """Statements that can change a value."""
        found: list[ast.stmt] = []
        for node in statements:
            if isinstance(node, ast.If) and never_runs(node):
                found.extend(self._kept(node.orelse, place))
            elif not self._is_silent(node, place):
                found.append(node)
        return found

    def _is_silent(self, node: ast.stmt, place: str) -> bool:
        """Whether a statement cannot change a value: docstrings, log calls, declarations, texts of messages."""
        if isinstance(node, ast.Pass):
            return True
        if isinstance(node, ast.Expr):
            return isinstance(node.value, ast.Constant) or self.scopes.is_log_call(node.value)
        if isinstance(node, ast.If):
            silent = not self._kept(node.body, place) and not self._kept(node.orelse, place)
            return silent and not contains(node.test, _ACTS)
        if place == "class" or not isinstance(node, ast.Assign | ast.AnnAssign):
            return False
        if node.value is None:
            return True
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        unread = self.scopes.stack[-1].only_in_messages if self.scopes.stack else ()
        return isinstance(target, ast.Name) and target.id in unread and is_text(node.value)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        """Note what an import runs; write other packages within ``try``, where it matters that one is absent."""
        self.loads.extend(self.module.loaded(node))
        for _, bound in self.module.imported(node):
            if self._n_tries and isinstance(bound, External):
                self.text.append(f"import {bound.name};")

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        annotated = not all(self.scopes.is_plain_decorator(decorator) for decorator in node.decorator_list)
        self.text.append(f"{type(node).__name__} {node.name} ")
        self._sequence(node.decorator_list)
        parameters = self._parameters(node.args, annotated=annotated)
        self.function_body(node.body, parameters)

    def _parameters(self, arguments: ast.arguments, *, annotated: bool = False) -> list[str]:
        """Write parameters with their defaults, and return their names."""
        found = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        counts = len(arguments.posonlyargs), len(arguments.args), len(arguments.kwonlyargs)
        found += [part for part in (arguments.vararg, arguments.kwarg) if part is not None]
        names = [part.arg for part in found]
        self.text.append(f"{counts} {arguments.vararg is not None} {names}")
        self._sequence(arguments.defaults)
        self._sequence(arguments.kw_defaults)
        if annotated:
            self._sequence([part.annotation for part in found])
        return names

    def function_body(self, statements: Sequence[ast.stmt], parameters: Iterable[str]) -> None:
        """Write the statements of a function, without texts that only messages use."""
        scope = self.scopes.function(statements, parameters)
        texts = {name for name in text_variables(statements) if scope.names.get(name, ()) is None}
        lengths = len(self.text), len(self.references), len(self.loads), len(self.choices)
        self._scoped_block(statements, scope, "function")
        if unread := texts - scope.read:
            for part, length in zip((self.text, self.references, self.loads, self.choices), lengths, strict=True):
                del part[length:]
            scope.only_in_messages = unread
            self._scoped_block(statements, scope, "function")

    def _scoped_block(self, statements: Sequence[ast.stmt], scope: Scope, place: str) -> None:
        self.scopes.stack.append(scope)
        self._braced(statements, place)
        self.scopes.stack.pop()

    def _braced(self, statements: Sequence[ast.stmt], place: str) -> None:
        self.text.append("{")
        self.block(statements, place)
        self.text.append("}")

    def _class(self, node: ast.ClassDef) -> None:
        self.text.append(f"class {node.name} ")
        for part in (node.decorator_list, node.bases, node.keywords):
            self._sequence(part)
        self._scoped_block(node.body, self.scopes.class_imports(node.body), "class")

    def _raise(self, node: ast.Raise) -> None:
        """Write which error is raised, and what it carries besides texts."""
        self.text.append("raise ")
        if not isinstance(node.exc, ast.Call):
            self._sequence([node.exc])
        elif self.scopes.raises_only_message(node.exc.func):
            self._sequence([node.exc.func])
        else:
            self._call(node.exc, texts=False)

    def _assign(self, node: ast.Assign | ast.AnnAssign, place: str) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        self.text.append("assign ")
        # Whatever uses a constant of a module refers to its value, so the name says nothing.
        if place != "module" or not all(isinstance(target, ast.Name) for target in targets):
            self._sequence(targets)
        if place == "class" and isinstance(node, ast.AnnAssign):
            self._sequence([node.annotation])  # it makes a field of a dataclass
        self._sequence([node.value])

    # Expressions

    def visit(self, node: ast.AST) -> None:
        """Write an expression or another part of a statement."""
        if isinstance(node, ast.Name | ast.Attribute):
            self._name(node)
        elif isinstance(node, ast.Constant):
            self.text.append(f"{node.value!r} ")
        elif isinstance(node, ast.Call):
            self._call(node)
        elif isinstance(node, ast.Lambda):
            self.text.append("lambda ")
            self.scopes.stack.append(Scope(dict.fromkeys(self._parameters(node.args))))
            self.visit(node.body)
            self.scopes.stack.pop()
        elif isinstance(node, _COMPREHENSIONS):
            self._comprehension(node)
        else:
            self._node(node, "function")

    def _name(self, node: ast.Name | ast.Attribute) -> None:
        root, attributes = root_and_attributes(node)
        meanings = self.scopes.meanings(node)
        if isinstance(root, ast.Name) and (meanings is None or not isinstance(root.ctx, ast.Load)):
            self.text.append(f"variable {root.id} ")
            if isinstance(root.ctx, ast.Load):
                self.scopes.mark_read(root.id)
        elif meanings is None:
            self.visit(root)
        if meanings is None:
            self._attributes(attributes)
        for meaning, rest in meanings or ():
            if isinstance(meaning, External):
                self.text.append(f"external {meaning.attribute(rest)} ")
                self._read_by_name(meaning.name)
                continue
            if isinstance(meaning, Neutral):
                self.text.append(f"neutral {meaning.name} ")
            else:
                self.text.append("reference ")
                self.references.append(meaning)
            self._attributes(rest)

    def _read_by_name(self, function: str) -> None:
        """Count everything that a builtin can read without that the source names it."""
        if function in ("globals", "eval", "exec"):
            self.references.append(self.module.whole)
        if function in ("locals", "vars", "eval", "exec"):
            for scope in self.scopes.stack:
                scope.read.update(scope.names)

    def _attributes(self, attributes: Iterable[str]) -> None:
        self.text.extend(f".{attribute} " for attribute in attributes)

    def _node(self, node: ast.AST, place: str) -> None:
        """Write any other node: its fields that are not empty, in their order."""
        inner = "function" if place == "module" else place
        self._n_tries += isinstance(node, ast.Try | ast.TryStar)
        self.text.append(f"{type(node).__name__}(")
        for name in node._fields:
            value = getattr(node, name, None)
            if name in _SILENT_FIELDS or value is None or value == []:
                continue
            if isinstance(value, list) and isinstance(value[0], ast.stmt):
                if name == "body" or self._kept(value, inner):
                    self.text.append(f"{name}=")
                    self._braced(value, inner)
                continue
            self.text.append(f"{name}=")
            if isinstance(value, ast.AST):
                self.visit(value)
            elif isinstance(value, list):
                self._sequence(value)
            else:
                self.text.append(f"{value!r} ")
        self._n_tries -= isinstance(node, ast.Try | ast.TryStar)
        self.text.append(")")

    def _sequence(self, values: Sequence[Any]) -> None:
        self.text.append("[")
        for value in values:
            if isinstance(value, ast.AST):
                self.visit(value)
            else:
                self.text.append(repr(value))
            self.text.append(",")
        self.text.append("]")

    def _comprehension(self, node: Any) -> None:
        self.text.append(f"{type(node).__name__}(")
        first, *others = node.generators
        self.visit(first.iter)  # it does not see the variables of the comprehension
        variables = [name for part in node.generators for name in stored_names(part.target)]
        self.scopes.stack.append(Scope(dict.fromkeys(variables)))
        self.text.append(f"{first.is_async}")
        results = [getattr(node, name) for name in node._fields if name != "generators"]
        for parts in ([first.target], first.ifs, others, results):
            self._sequence(parts)
        self.scopes.stack.pop()
        self.text.append(")")

    def _call(self, node: ast.Call, *, texts: bool = True) -> None:
        meanings = self.scopes.meanings(node.func)
        external, neutral = external_names(meanings), neutral_names(meanings)
        if "typing.cast" in external and len(node.args) == 2:
            self.visit(node.args[1])
            return
        if "importlib.import_module" in external or "__import__" in external:
            self._computed_import(node)
        # Labels and messages go. What is written to a file is a value, and stays.
        texts = texts and not (neutral and not neutral[0].startswith("write"))
        self.text.append("call ")
        self.visit(node.func)
        self._sequence([part for part in node.args if texts or not is_text(part)])
        self._sequence([part for part in node.keywords if texts or not is_text(part.value)])

    def _computed_import(self, node: ast.Call) -> None:
        argument = node.args[0] if node.args else None
        first = argument.values[0] if isinstance(argument, ast.JoinedStr) and argument.values else argument
        text = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
        relative = len(node.args) + len(node.keywords) > 1
        self.choices.extend(self.module.importable(text, relative=relative, exact=first is argument and bool(text)))
