"""The house's rules on files: sizes, names, and that commits, locks and the clock stay in their places."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = sorted(p for folder in ("mes", "plc_adapters") for p in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MAX_FILE, MAX_FUNCTION = 400, 50
VAGUE = {"utils", "util", "core", "common", "helpers", "helper", "base", "manager", "misc", "service2"}
LOCK = re.compile(r"FOR (NO KEY )?UPDATE|FOR (KEY )?SHARE|with_for_update|pg_advisory", re.IGNORECASE)
ENDS_TRANSACTION = re.compile(r"\.(commit|rollback|begin|begin_nested)\(")
CLOCK = re.compile(r"datetime\.(now|utcnow|today)\(|date\.today\(|\btime\.time\(|func\.now\(|\bnow\(\) AT\b")
SECTIONS = re.compile(r"^\s*#\s*[-=*#]{4,}", re.MULTILINE)


def name(path: Path) -> str:
    """Name a file as seen from the project's folder."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", CODE + TESTS, ids=name)
def test_a_file_is_small_and_says_what_it_is_for(path: Path) -> None:
    source = path.read_text()
    tree = ast.parse(source)
    assert len(source.splitlines()) <= MAX_FILE, f"{name(path)}: split it by noun"
    assert path.stem not in VAGUE, f"{name(path)}: name it by what it holds"
    if source:
        assert ast.get_docstring(tree), f"{name(path)} opens without saying what it is for"
    assert not SECTIONS.search(source), f"{name(path)}: no banners"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= MAX_FUNCTION, f"{name(path)}:{node.lineno} {node.name} has {length} lines"


@pytest.mark.parametrize("path", CODE, ids=name)
def test_transactions_locks_and_time_have_one_place_each(path: Path) -> None:
    source = path.read_text()
    if path.name != "db.py":
        assert not ENDS_TRANSACTION.search(source), "only db.py begins and ends transactions"
    # the outbox takes its own rows; the SQL written by hand is what the bench measures against
    if path.name not in {"queries.py", "outbox.py", "by_hand.py"}:
        assert not LOCK.search(source), "locks stand in queries.py"
    if path.name != "clock.py":
        assert not CLOCK.search(source), "time comes from clock.py"


def test_every_lock_is_a_lock_query_in_the_order_of_ids() -> None:
    for path in CODE:
        if path.name == "queries.py":
            for statement in re.findall(r'"""(.*?)"""', path.read_text(), re.DOTALL):
                if re.search(r"FOR (NO KEY UPDATE|UPDATE|SHARE)", statement):
                    assert re.search(r"ORDER BY (\w\.)?id\b", statement), f"{name(path)}: {statement}"


def test_the_checks_can_fail() -> None:
    assert LOCK.search("SELECT 1 FOR NO KEY UPDATE")
    assert LOCK.search("select(x).with_for_update()")
    assert ENDS_TRANSACTION.search("await session.commit()")
    assert CLOCK.search("datetime.now(UTC)")
    assert SECTIONS.search("# ------- helpers")
