"""Reads YAML into plain data and keeps where each piece stood, so that an error can name its file and line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

MAX_BYTES = 5_000_000
MAX_NODES = 500_000  # of all files together; an alias counts as often as it is used
MAX_DEPTH = 30
_UNSTORABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


class Place(NamedTuple):
    """Where a piece of data stood, and how it was written there."""

    file: str
    line: int
    text: str


@dataclass
class Tree:
    """The files' data as one, the place of each piece by its JSON pointer, and what couldn't be read."""

    data: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    problems: list[tuple[Place, str]] = field(default_factory=list)  # what was read, what was expected
    nodes: int = 0


class _TooLarge(Exception):
    """The files hold more than is ever needed."""


def read_tree(paths: Iterable[Path]) -> Tree:
    """Read YAML files, or the *.yaml files of folders, as one: lists of the same name are joined. Never raises."""
    tree = Tree()
    for path in _files(paths):
        _read_file(tree, path)
    return tree


def _files(paths: Iterable[Path]) -> list[Path]:
    named = [sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path] for path in paths]
    return list(dict.fromkeys(file for files in named for file in files))


def _read_file(tree: Tree, path: Path) -> None:
    start = Place(str(path), 1, path.name)
    try:
        if path.stat().st_size > MAX_BYTES:
            size = f"{path.stat().st_size} bytes"
            tree.problems.append((start._replace(text=size), f"at most {MAX_BYTES} bytes; split the file"))
            return
        loader = yaml.SafeLoader(path.read_text("utf-8"))
        while loader.check_node() and (root := loader.get_node()):
            _read_document(tree, loader, root, start.file)
    except OSError as error:
        tree.problems.append((start, f"a file that can be read ({error.strerror})"))
    except UnicodeDecodeError as error:
        tree.problems.append((start, f"UTF-8 text (byte {error.start} is not)"))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = start._replace(line=mark.line + 1, text=_snippet(path, mark.line)) if mark else start
        tree.problems.append((place, f"YAML: {' '.join(str(part) for part in (error.context, error.problem) if part)}"))
    except yaml.YAMLError as error:
        tree.problems.append((start, f"YAML: {' '.join(str(error).split())}"))
    except (_TooLarge, RecursionError):
        expected = f"at most {MAX_NODES} values, nested at most {MAX_DEPTH} deep, in all files together"
        tree.problems.append((start, expected))


def _snippet(path: Path, line: int) -> str:
    lines = path.read_text("utf-8").splitlines()
    return lines[line].strip()[:80] if line < len(lines) else "the end of the file"


def _read_document(tree: Tree, loader: yaml.SafeLoader, root: yaml.Node, file: str) -> None:
    place = Place(file, root.start_mark.line + 1, _text(root))
    if isinstance(root, yaml.ScalarNode) and root.tag == "tag:yaml.org,2002:null":
        return
    if not isinstance(root, yaml.MappingNode):
        tree.problems.append((place, "the lists sites, parts or products at the top of the file"))
        return
    for name, key, node in _entries(tree, root, file):
        pointer = f"/{_escape(name)}"
        if isinstance(node, yaml.SequenceNode) and isinstance(tree.data.get(name, []), list):
            joined = tree.data.setdefault(name, [])
            tree.places.setdefault(pointer, Place(file, key.start_mark.line + 1, "a list"))
            for item in node.value:
                joined.append(_build(tree, loader, item, f"{pointer}/{len(joined)}", file, item))
        else:
            tree.data[name] = _build(tree, loader, node, pointer, file, key)


def _build(tree: Tree, loader: yaml.SafeLoader, node: yaml.Node, pointer: str, file: str, mark: yaml.Node) -> Any:
    tree.nodes += 1
    if tree.nodes > MAX_NODES or pointer.count("/") > MAX_DEPTH:
        raise _TooLarge
    place = Place(file, mark.start_mark.line + 1, _text(node))
    tree.places[pointer] = place
    if isinstance(node, yaml.MappingNode):
        return {
            name: _build(tree, loader, value, f"{pointer}/{_escape(name)}", file, key)
            for name, key, value in _entries(tree, node, file)
        }
    if isinstance(node, yaml.SequenceNode):
        return [_build(tree, loader, item, f"{pointer}/{index}", file, item) for index, item in enumerate(node.value)]
    try:
        value = loader.construct_object(node)
    except (yaml.YAMLError, ValueError, OverflowError, KeyError):
        tree.problems.append((place, "a plain value: a text, a number, true or false, or a date such as 2027-06-30"))
        return None
    if isinstance(value, str) and _UNSTORABLE.search(value):
        tree.problems.append((place._replace(text=ascii(value)[:80]), "a text without control characters"))
        return None
    return value


def _entries(tree: Tree, node: yaml.MappingNode, file: str) -> list[tuple[str, yaml.Node, yaml.Node]]:
    entries: dict[str, tuple[str, yaml.Node, yaml.Node]] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else None
        place = Place(file, key.start_mark.line + 1, _text(key))
        if name is None:
            tree.problems.append((place, "a name before the colon"))
        elif name in entries:
            first = entries[name][1].start_mark.line + 1
            tree.problems.append((place, f"each name once: {name} is given on line {first} already"))
        else:
            entries[name] = (name, key, value)
    return list(entries.values())


def _text(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)[:80] if node.value else "nothing"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
