"""The modules of a package as statements at their top, and where the names in them lead."""

from __future__ import annotations

import ast
from functools import cached_property
from pathlib import Path
from typing import Any

from .names import External, Import, Meaning, Neutral, Scopes, bound_names
from .normal_form import NormalForm, normal_form

#: Modules, packages and single names, relative to the package, in which nothing may change a value: they are left out.
#: Whoever adds code there promises that no result depends on it.
NEUTRAL = ("runtime", "provenance", "core.errors", "__version__")


class Definition:
    """A statement at the top of a module, or all statements of a script."""

    def __init__(self, module: Module, label: str, statements: list[ast.stmt]) -> None:
        self.module, self.label, self.statements = module, label, statements
        self.hashes: dict[int, str] = {}

    @cached_property
    def form(self) -> NormalForm:
        """What counts of it."""
        return normal_form(self.module, self.statements, script=self.module.is_script)

    @property
    def node(self) -> ast.stmt | None:
        """The statement, where it is one."""
        return self.statements[0] if len(self.statements) == 1 else None


class Whole(Definition):
    """All that counts in a module, in any order."""

    def __init__(self, module: Module) -> None:
        super().__init__(module, f"{module.name}:", [])

    @cached_property
    def form(self) -> NormalForm:
        """References to all definitions."""
        found = [part for part in self.module.definitions if part.form.text_hash]
        return NormalForm("whole", tuple(sorted(found, key=lambda part: part.form.text_hash)), (), ())


class Actions(Definition):
    """What acts when a module is imported, in its order."""

    def __init__(self, module: Module) -> None:
        super().__init__(module, f"{module.name}:", [])

    @cached_property
    def form(self) -> NormalForm:
        """References to the statements that act."""
        acting = [part for part in self.module.definitions if part.form.text_hash and _acts(part)]
        return NormalForm("actions", tuple(acting), (), ())


class Package:
    """The modules of a package, read once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._modules: dict[str, Module | None] = {}
        self._scripts: dict[Path, Module] = {}

    def module(self, name: str) -> Module | None:
        """A module by its name relative to the package; None where there is none."""
        if name not in self._modules:
            stem = self.root.joinpath(*name.split(".")) if name else self.root
            paths = [path for path in (stem / "__init__.py", stem.with_suffix(".py")) if path.is_file()]
            self._modules[name] = Module(self, name, paths[0]) if paths else None
        return self._modules[name]

    def entry(self, entry: str | Path) -> Module:
        """The module, or the script, that an entry names."""
        if str(entry).endswith(".py"):
            path = Path(entry).resolve()
            if path not in self._scripts:
                if not path.is_file():
                    raise ValueError(f"{path}: no such script")
                self._scripts[path] = Module(self, "", path, is_script=True)
            return self._scripts[path]
        if (found := self.module(str(entry))) is None:
            raise ValueError(f"{entry}: no such module in {self.root}")
        return found

    def find(self, module: str, name: str | None, seen: frozenset[tuple[str, str | None]] = frozenset()) -> list[Any]:
        """What ``from module import name`` means: definitions, a module, something neutral or of another package."""
        full = _join(module, name)
        if is_neutral(full):
            return [Neutral(name or full.rpartition(".")[2])]
        found = self.module(module)
        if found is None or name is None:
            return [found or External(f"missing {full}")]
        if name in found.bindings and (module, name) not in seen:
            meanings: list[Any] = []
            for binding in found.bindings[name]:
                if isinstance(binding, Import):
                    meanings.extend(self.find(binding.module, binding.name, seen | {(module, name)}))
                else:
                    meanings.append(binding)
            return meanings
        if (below := self.module(full)) is not None:
            return [below]
        return [found.whole, External(name)]

    def names(self) -> list[str]:
        """All modules, relative to the package."""
        parts = [path.relative_to(self.root).with_suffix("").parts for path in sorted(self.root.rglob("*.py"))]
        return [".".join(part[:-1] if part[-1] == "__init__" else part) for part in parts]


class Module:
    """A module of the package, or a script; the names in it and what they mean (`names.ModuleNames`)."""

    def __init__(self, package: Package, name: str, path: Path, *, is_script: bool = False) -> None:
        self.package, self.name, self.path, self.is_script = package, name, path, is_script
        self.tree = ast.parse(path.read_bytes(), str(path))
        #: The package that relative imports begin in.
        self.home = name if path.name == "__init__.py" else name.rpartition(".")[0]
        self.definitions: list[Definition] = []
        self.bindings: dict[str, list[Any]] = {}
        self.whole, self.actions = Whole(self), Actions(self)
        if is_script:
            self.definitions.append(Definition(self, f"{path.name}:", self.tree.body))
            return
        for node in self.tree.body:
            self._add(node)

    def _add(self, node: ast.stmt) -> None:
        bound = list(bound_names([node]))
        definition = None
        if not isinstance(node, ast.Import | ast.ImportFrom):
            names = ", ".join(dict.fromkeys(name for name, _ in bound)) or f"line {node.lineno}"
            definition = Definition(self, f"{self.name}:{names}", [node])
            self.definitions.append(definition)
        for name, source in bound:
            meanings = self.bindings.setdefault(name, [])
            if definition is not None and definition not in meanings:
                meanings.append(definition)
            if isinstance(source, ast.Import | ast.ImportFrom):
                meanings.extend(binding for imported, binding in self.imported(source) if imported == name)

    @cached_property
    def loads(self) -> list[str]:
        """Modules that are imported with this one: packages around it, and imports at its top."""
        parents = self.name.split(".")[:-1] if self.name else []
        found = ["", *(".".join(parents[: n + 1]) for n in range(len(parents)))]
        for node in self.tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                found.extend(self.loaded(node))
        return found

    def imported(self, node: ast.Import | ast.ImportFrom) -> list[tuple[str, Import | External]]:
        """Names that an import binds, and to what."""
        if isinstance(node, ast.ImportFrom):
            base = self._source(node)
            if base is None:
                return [(alias.asname or alias.name, External(f"{node.module}.{alias.name}")) for alias in node.names]
            if node.names[0].name == "*":
                raise ValueError(f"{self.path}:{node.lineno}: names that * imports cannot be followed")
            return [(alias.asname or alias.name, Import(base, alias.name)) for alias in node.names]
        found: list[tuple[str, Import | External]] = []
        for alias in node.names:
            top, _, rest = alias.name.partition(".")
            name = alias.asname or top
            if top == self.package.root.name:
                found.append((name, Import(rest if alias.asname else "")))
            else:
                found.append((name, External(alias.name if alias.asname else top)))
        return found

    def _source(self, node: ast.ImportFrom) -> str | None:
        """Module of the package that ``from ... import`` names; None for another package."""
        if node.level:
            parts = self.home.split(".") if self.home else []
            return _join(".".join(parts[: len(parts) - node.level + 1]), node.module)
        top, _, rest = (node.module or "").partition(".")
        return rest if top == self.package.root.name else None

    def loaded(self, node: ast.Import | ast.ImportFrom) -> list[str]:
        """Modules of the package that an import runs."""
        if isinstance(node, ast.ImportFrom):
            base = self._source(node)
            return [] if base is None else [base, *(_join(base, alias.name) for alias in node.names)]
        names = [alias.name.partition(".") for alias in node.names]
        return [rest for top, _, rest in names if top == self.package.root.name]

    def follow(self, binding: Any, attributes: tuple[str, ...]) -> list[Meaning]:
        """Meanings of a binding with attributes after it."""
        if not isinstance(binding, Import):
            return [(binding, attributes)]
        meanings: list[Meaning] = []
        for found in self.package.find(binding.module, binding.name):
            if not isinstance(found, Module):
                meanings.append((found, attributes))
            elif attributes:
                meanings.extend(self.follow(Import(found.name, attributes[0]), attributes[1:]))
            else:
                meanings.append((found.whole, ()))
        return meanings

    def importable(self, text: str | None, *, relative: bool, exact: bool) -> list[str]:
        """Modules of the package that ``text`` names (``exact``) or whose name begins so (None: any)."""
        top = f"{self.package.root.name}."
        if text is None:
            prefix = _join(self.home, "") if relative else ""
        elif text.startswith("."):
            level = len(text) - len(text.lstrip("."))
            parts = self.home.split(".") if self.home else []
            prefix = _join(".".join(parts[: len(parts) - level + 1]), text[level:])
        elif text.startswith(top):
            prefix = text[len(top) :]
        else:
            return []
        return [name for name in self.package.names() if (name == prefix if exact else name.startswith(prefix))]


def is_neutral(name: str) -> bool:
    """Whether a module, or a name in one, never changes a value by declaration (`NEUTRAL`)."""
    return any(name == neutral or name.startswith(f"{neutral}.") for neutral in NEUTRAL)


def _join(module: str, name: str | None) -> str:
    return ".".join(part for part in (module, name) if part)


def _acts(definition: Definition) -> bool:
    """Whether a statement can do more than give a meaning to a name."""
    node, scopes = definition.node, Scopes(definition.module)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        if not all(scopes.is_plain_decorator(decorator) for decorator in node.decorator_list):
            return True
        return isinstance(node, ast.ClassDef) and (bool(node.keywords) or _tells_its_bases(definition))
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if not all(isinstance(target, ast.Name | ast.Tuple) for target in targets):
            return True
        calls = [part.func for part in ast.walk(node) if isinstance(part, ast.Call)]
        return any(_acts_when_called(found) for call in calls for found, _ in scopes.meanings(call) or ())
    return not _runs_as_program(node)


def _runs_as_program(node: ast.stmt | None) -> bool:
    """Whether a statement is ``if __name__ == "__main__":``, which importing the module does not run."""
    test = node.test if isinstance(node, ast.If) else None
    names = (
        {part.id for part in ast.walk(test) if isinstance(part, ast.Name)} if isinstance(test, ast.Compare) else set()
    )
    return names == {"__name__"} and isinstance(node, ast.If) and not node.orelse


def _acts_when_called(found: Any) -> bool:
    """Whether a call may register something: not that of a plain class, nor of what other packages offer."""
    if not isinstance(found, Definition):
        return False
    if not isinstance(found.node, ast.ClassDef):
        return True
    return bool(_methods(found.node) & {"__init__", "__new__", "__post_init__"}) or any(
        _acts_when_called(base) for base in _bases(found)
    )


def _tells_its_bases(found: Definition) -> bool:
    """Whether a base of a class, of this package, learns of the class when it is defined."""
    return any(
        isinstance(base.node, ast.ClassDef) and ("__init_subclass__" in _methods(base.node) or _tells_its_bases(base))
        for base in _bases(found)
    )


def _bases(found: Definition) -> list[Definition]:
    """Bases of a class that are of this package."""
    scopes = Scopes(found.module)
    bases = found.node.bases if isinstance(found.node, ast.ClassDef) else []
    return [base for node in bases for base, _ in scopes.meanings(node) or () if isinstance(base, Definition)]


def _methods(node: ast.ClassDef) -> set[str]:
    return {part.name for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)}
