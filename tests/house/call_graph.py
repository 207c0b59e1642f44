"""Reads sources as a graph: what each function and module-level name refers to, and the SQL it says itself."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef
_INSERTS = {"sqlalchemy.insert", "sqlalchemy.dialects.postgresql.insert"}
_SET = re.compile(r"\bUPDATE\s+(?:ONLY\s+)?(\w+)\b.*?\bSET\b(.*?)(?:\bFROM\b|\bWHERE\b|\bRETURNING\b|$)", re.I | re.S)
_INSERT = re.compile(r"\b(?:INSERT\s+INTO|MERGE\s+INTO|COPY)\s+(\w+)", re.I)
_COLUMN = re.compile(r"(?<![:\w.])(\w+)\s*=")
Place = tuple[int, int]  # line and column
ANY = "*"  # a column that can't be told from the source


@dataclass(frozen=True)
class Write:
    """Rows of a table added, or columns of them changed: no columns, an insert."""

    table: str
    columns: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Reference:
    """A name used in a body: where, the whole name, the node it leads to, and whether it is called for its answer."""

    at: Place
    name: str
    node: str
    is_asked: bool


def sources(root: Path, package: str) -> dict[str, str]:
    """The sources of a package by module."""
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return found


@dataclass(eq=False)
class Code:
    """Sources by module, as a graph of functions, classes and module-level names, by their whole names."""

    modules: Mapping[str, str]
    nodes: dict[str, ast.AST] = field(default_factory=dict)
    scopes: dict[str, dict[str, str]] = field(default_factory=dict)
    _references: dict[str, list[Reference]] = field(default_factory=dict)
    _reached: dict[str, frozenset[str]] = field(default_factory=dict)
    _writes: dict[str, list[tuple[Place, Write]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read every module."""
        for module, source in self.modules.items():
            tree = _parsed(source)
            scope = self.scopes.setdefault(module, {})
            for node in ast.walk(tree):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    scope |= _imported(node)
            for node in tree.body:
                for name in _defined(node):
                    scope[name] = f"{module}.{name}"
                    self.nodes[scope[name]] = node

    def module_of(self, node: str) -> str:
        """The module a node stands in."""
        return node.rpartition(".")[0]

    def resolve(self, module: str, name: str) -> tuple[str, str]:
        """A name as used in a module: its whole name, and the node it leads to ("": none that was read)."""
        first, *rest = name.split(".")
        whole = self._follow(self.scopes[module].get(first, ""))
        node = whole if whole in self.nodes else ""
        for attribute in rest:
            whole = self._follow(f"{whole}.{attribute}")
            node = whole if whole in self.nodes else node
        return whole, node

    def _follow(self, name: str) -> str:
        """Follow re-exports: a package's name for what another module defines."""
        for _ in range(5):
            module, _, attribute = name.rpartition(".")
            if name in self.nodes or name in self.modules or attribute not in self.scopes.get(module, {}):
                break
            name = self.scopes[module][attribute]
        return name

    def references(self, node: str) -> list[Reference]:
        """What a node's body refers to, in the order of the source; annotations left out."""
        if node not in self._references:
            module, found = self.module_of(node), []
            for place, is_asked in _used(self.nodes[node]):
                whole, target = self.resolve(module, _dotted(place))
                if whole:
                    found.append(Reference((place.lineno, place.col_offset), whole, target, is_asked))
            self._references[node] = sorted(found, key=lambda one: one.at)
        return self._references[node]

    def reached(self, node: str) -> frozenset[str]:
        """A node and every one it leads to."""
        if node not in self._reached:
            seen, waiting = {node}, [node]
            while waiting:
                new = {one.node for one in self.references(waiting.pop()) if one.node} - seen
                seen |= new
                waiting += new
            self._reached[node] = frozenset(seen)
        return self._reached[node]

    def mentions(self, node: str, but: str) -> set[str]:
        """The whole names that a node, and all it leads to but in one module, mention."""
        reached = {one for one in self.reached(node) if self.module_of(one) != but}
        return {reference.name for one in reached for reference in self.references(one)}

    @cached_property
    def tables(self) -> dict[str, str]:
        """The table of each class that has one."""
        found = {}
        for name, node in self.nodes.items():
            for part in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(part, ast.Assign) and _dotted(part.targets[0]) == "__tablename__":
                    found[name] = str(ast.literal_eval(part.value))
        return found

    def writes(self, node: str) -> list[tuple[Place, Write]]:
        """What a node writes by its own text, and where: SQL, SQLAlchemy's insert and update, COPY."""
        if node in self._writes:
            return self._writes[node]
        found, tree = self._writes.setdefault(node, []), self.nodes[node]
        for at, text in _texts(tree):
            found += [(at, Write(table.lower())) for table in _INSERT.findall(text)]
            found += [
                (at, Write(table.lower(), frozenset(_COLUMN.findall(sets)))) for table, sets in _SET.findall(text)
            ]
        for call in ast.walk(tree):
            if isinstance(call, ast.Call):
                written = self._written_by(self.module_of(node), call, tree)
                found += [((call.lineno, call.col_offset), write) for write in written]
        return found

    def _written_by(self, module: str, call: ast.Call, tree: ast.AST) -> set[Write]:
        name, arguments = _dotted(call.func), [_dotted(argument) for argument in call.args]
        function = self.resolve(module, name)[0]
        if name.endswith("copy_records_to_table") and call.args:
            return {Write(str(getattr(call.args[0], "value", ANY)))}
        owner, _, method = name.removesuffix(".__table__").rpartition(".")
        if function in _INSERTS | {"sqlalchemy.update"} and arguments:
            owner, method = arguments[0], "update" if function == "sqlalchemy.update" else "insert"
        table = self.tables.get(self.resolve(module, owner.removesuffix(".__table__"))[1]) if owner else None
        if table is None or method not in {"insert", "update"}:
            return set()
        return {Write(table) if method == "insert" else Write(table, _named_columns(tree))}

    def imported_by(self, module: str) -> set[str]:
        """A module and all it imports."""
        seen, waiting = {module}, [module]
        while waiting:
            targets = {self._module_in(name) for name in self.scopes[waiting.pop()].values()}
            new = targets - seen - {""}
            seen |= new
            waiting += new
        return seen

    def _module_in(self, name: str) -> str:
        while name and name not in self.modules:
            name = name.rpartition(".")[0]
        return name


@cache
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


def _imported(node: ast.Import | ast.ImportFrom) -> dict[str, str]:
    if isinstance(node, ast.ImportFrom):
        return {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return {alias.asname or alias.name.partition(".")[0]: alias.name if alias.asname else alias.name.partition(".")[0]
            for alias in node.names}  # fmt: skip


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, Function | ast.ClassDef):
        yield node.name
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    for target in targets:
        if isinstance(target, ast.Name):
            yield target.id


def _dotted(node: ast.AST | None) -> str:
    """`a.b.c` of a name and its attributes; an attribute of what a call gives is no name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""


def _used(tree: ast.AST, is_dropped: bool = False) -> Iterator[tuple[ast.expr, bool]]:
    """Names and dotted names in a body, and whether they are called and their answer isn't let fall."""
    for name, part in ast.iter_fields(tree):
        if name in {"annotation", "returns"}:
            continue
        for child in part if isinstance(part, list) else [part]:
            if not isinstance(child, ast.AST):
                continue
            falls = isinstance(child, ast.Expr) or (is_dropped and isinstance(child, ast.Await | ast.Call))
            if isinstance(child, ast.Name | ast.Attribute) and _dotted(child):
                yield child, name == "func" and not is_dropped
            else:
                yield from _used(child, falls)


def _texts(tree: ast.AST) -> Iterator[tuple[Place, str]]:
    """Texts in a body, docstrings left out; what is put into an f-string is left open."""
    documented = [node for node in ast.walk(tree) if isinstance(node, Function | ast.ClassDef | ast.Module)]
    docstrings = {id(node.body[0].value) for node in documented if isinstance(node.body[0], ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (str(part.value) if isinstance(part, ast.Constant) else " _ " for part in node.values)
            yield (node.lineno, node.col_offset), "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield (node.lineno, node.col_offset), node.value


def _named_columns(tree: ast.AST) -> frozenset[str]:
    """Columns that a body gives values to: keywords of `values`, and keys of dictionaries; none: any."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "values":
            names |= {keyword.arg for keyword in node.keywords if keyword.arg is not None}
        if isinstance(node, ast.Dict):
            names |= {str(key.value) for key in node.keys if isinstance(key, ast.Constant)}
    return frozenset(names or {ANY})
