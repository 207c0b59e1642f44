"""A backup is restored on another server and compared, row by row and right by right; what is wrong is refused."""

import fcntl
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from mes.db import open_database
from mes.embedded_postgres import scratch_dir
from mes.seal.verify import verify_all
from mes.settings import Settings
from tests.build import line as build
from tests.deploy import run
from tests.deploy.server import Server, deployed, programs

ROWS = """
    SELECT string_agg(format($$
        SELECT %L, md5(coalesce(string_agg(md5(t::text), '' ORDER BY md5(t::text)), '')), count(*) FROM %I t
        $$, relname, relname), ' UNION ALL ') || ' ORDER BY 1'
    FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"""
SEQUENCES = "SELECT sequencename, last_value FROM pg_sequences ORDER BY 1"
GUARDS = """
    SELECT tgrelid::regclass::text, pg_get_triggerdef(oid), tgenabled FROM pg_trigger WHERE NOT tgisinternal
    ORDER BY 1, 2"""
RIGHTS = """
    SELECT oid::regclass::text, relacl::text, relowner::regrole::text FROM pg_class
    WHERE relnamespace = 'public'::regnamespace ORDER BY 1"""


def contents(server: Server, database: str) -> dict[str, str]:
    """Read all that a backup must bring back."""
    rows = server.as_superuser(server.as_superuser(ROWS, database), database)
    assert rows.count("\n") > 40, rows
    others = {"sequences": SEQUENCES, "guards": GUARDS, "rights": RIGHTS}
    return {"rows": rows} | {name: server.as_superuser(sql, database) for name, sql in others.items()}


@pytest.fixture
def spare() -> Iterator[Server]:
    """Another server, with the roles and an empty database."""
    with scratch_dir() as folder, deployed(folder) as server:
        yield server


async def test_restored_database_is_the_same_and_works(filled: Server, dump: Path, spare: Server) -> None:
    done = spare.script("restore.sh", dump)
    assert done.returncode == 0, done.stderr
    assert "schema, triggers and rights: the same" in done.stdout
    assert "DIFFERS" not in done.stdout
    restored = contents(spare, "mes")
    at_backup = contents(filled, "mes")
    told, now = (int(re.findall(r"event_id_seq\|(\d*)", one.pop("sequences"))[0] or 0) for one in (at_backup, restored))
    assert now >= told + 1_000_000_000, "no id of an event that was told since is given again"
    assert restored == at_backup
    assert "law3_rows" in restored["guards"]
    database = open_database(Settings(), spare.url("mes"))
    verdict = await verify_all(database)
    assert (verdict.misfit, verdict.unsealed) == (None, 0), "what was sealed there fits here"
    assert verdict.rows > 500
    await build.receive_file(database, "CELL-L2", "CELL-LFP-15", build.cell_file("L2C", 7))
    await database.close()
    application = await asyncpg.connect(spare.url("mes"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await application.execute("UPDATE cycle SET unit_id = unit_id")
    await application.close()
    owner = await asyncpg.connect(spare.url("mes_owner"))
    with pytest.raises(asyncpg.RestrictViolationError, match="law 3"):
        await owner.execute("DELETE FROM cycle")
    await owner.close()


@pytest.fixture
def trial(filled: Server) -> Iterator[str]:
    """Name an empty database beside the plant's."""
    filled.init_database("--database", "mes_trial")
    yield "mes_trial"
    filled.as_superuser("DROP DATABASE mes_trial WITH (FORCE)")


def refused(done: subprocess.CompletedProcess[str], reason: str) -> None:
    """Check that a script failed and said why."""
    assert done.returncode != 0, done.stdout
    assert reason in done.stderr, done.stderr


def tables(server: Server, database: str) -> str:
    """Count the tables of a database."""
    return server.as_superuser("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", database)


def test_restore_refuses_what_it_should(dump: Path, filled: Server, trial: str, tmp_path: Path) -> None:
    for part in dump.parent.glob(f"{dump.name}*"):
        shutil.copy(part, tmp_path)
    copy = tmp_path / dump.name
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)
    refused(filled.script("restore.sh", "--database", trial, copy), "its checksum differs")
    copy.with_name(f"{dump.name}.rows").unlink()
    refused(filled.script("restore.sh", "--database", trial, copy), ".rows is missing")
    refused(filled.script("restore.sh", "--database", trial, tmp_path / "none.dump"), "none.dump is missing")
    filled.as_superuser("ALTER ROLE mes_app RENAME TO mes_other")
    refused(filled.script("restore.sh", "--database", trial, dump), "role mes_app is missing")
    filled.as_superuser("ALTER ROLE mes_other RENAME TO mes_app")
    assert tables(filled, trial) == "0"
    filled.as_superuser("CREATE TABLE stranger ()", trial)
    refused(filled.script("restore.sh", "--database", trial, dump), "isn't empty: it holds stranger")
    assert tables(filled, trial) == "1"


def test_restore_sees_a_row_too_few(dump: Path, filled: Server, trial: str, tmp_path: Path) -> None:
    for part in dump.parent.glob(f"{dump.name}*"):
        shutil.copy(part, tmp_path)
    rows = tmp_path / f"{dump.name}.rows"
    before = rows.read_text()
    number = next(line.split("\t")[1] for line in before.splitlines() if line.startswith("public.unit\t"))
    rows.write_text(before.replace(f"public.unit\t{number}\n", f"public.unit\t{int(number) + 1}\n"))
    assert rows.read_text() != before
    assert run("sh", "-c", 'sha256sum "$0" "$0.rows" > "$0.sha256"', dump.name, cwd=tmp_path).returncode == 0
    done = filled.script("restore.sh", "--database", trial, tmp_path / dump.name)
    refused(done, "1 tables have other rows")
    assert done.stdout.count("DIFFERS") == 1


FAKES = {
    "is version 15, the server 18": 'echo "pg_dump (PostgreSQL) 15.18"',
    "pg_dump failed": 'echo half > "$dump"; exit 1',
    "lists the data of 0 tables": 'echo "not a dump" > "$dump"',
    "can't be read back": '"$real" "$@" && truncate --size=-20000 "$dump"',
}


@pytest.mark.parametrize("reason", FAKES)
def test_backup_that_fails_leaves_nothing(filled: Server, tmp_path: Path, reason: str) -> None:
    for name in ("psql", "pg_restore"):
        (tmp_path / name).symlink_to(programs() / name)
    fake = tmp_path / "pg_dump"
    asked = "" if "version" in reason else '[ "$1" != --version ] || exec "$real" --version\n'
    fake.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/asked"\n{asked}{FAKES[reason]}\n')
    fake.chmod(0o755)
    place = {"MES_PG_BIN": str(tmp_path), "real": str(programs() / "pg_dump")}
    refused(filled.script("backup.sh", "--to", tmp_path / "backups", **place), reason)
    assert [path.name for path in (tmp_path / "backups").glob("*[!k]")] == []
    assert (filled.secrets / "mes_backup_password").read_text() not in (tmp_path / "asked").read_text()


def test_backup_keeps_the_newest_and_touches_nothing_else(filled: Server, tmp_path: Path) -> None:
    old = [f"mes-2026010{n}T000000Z.dump" for n in (1, 2, 3)]
    for name in [f"{name}{end}" for name in old for end in ("", ".rows", ".sha256")]:
        (tmp_path / name).touch()
    (tmp_path / "mes-letter.dump").touch()
    done = filled.script("backup.sh", MES_BACKUP_DIR=str(tmp_path), MES_BACKUP_KEEP="2")
    assert done.returncode == 0, done.stderr
    left = sorted(path.name for path in tmp_path.glob("mes-*.dump"))
    assert left[0] == old[2]
    assert left[2] == "mes-letter.dump"
    assert len(left) == 3
    assert len(list(tmp_path.glob("mes-2*"))) == 6
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.glob(f"{left[1]}*"))


def test_backup_refuses_a_second_one_and_nonsense(filled: Server, tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused(filled.script("backup.sh", "--to", tmp_path), "is under way")
    refused(filled.script("backup.sh", "--to", tmp_path, "--keep", "0"), "a number from 1 on")
    refused(filled.script("backup.sh"), "say where")
    refused(filled.script("backup.sh", "--to", tmp_path, MES_BACKUP_DATABASE_URL="mysql://me:hush@db"), "no address of")
    unreachable = filled.script(
        "backup.sh", "--to", tmp_path, MES_BACKUP_DATABASE_URL="postgresql://me:hush@/x?host=/no"
    )
    refused(unreachable, "can't be reached")
    assert "hush" not in unreachable.stderr
