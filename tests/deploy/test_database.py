"""The roles that init-database.sh makes have the rights they need and no more; secrets lie in closed files."""

from pathlib import Path

import asyncpg
import pytest

from tests.deploy import BIN, DEPLOY, run
from tests.deploy.server import Server


async def test_each_role_may_do_its_own_and_no_more(filled: Server) -> None:
    attempts = {
        "mes": (
            "CREATE TABLE mine ()",
            "DELETE FROM unit",
            "TRUNCATE outbox",
            "CREATE ROLE mine",
            "CREATE SCHEMA mine",
        ),
        "mes_backup": ("DELETE FROM outbox", "UPDATE unit SET state = state", "CREATE TABLE mine ()"),
        "mes_owner": ("CREATE ROLE mine", "CREATE DATABASE mine", "COPY (SELECT 1) TO PROGRAM 'true'"),
    }
    for role, statements in attempts.items():
        connection = await asyncpg.connect(filled.url(role), server_settings={"default_transaction_read_only": "off"})
        assert await connection.fetchval("SELECT count(*) FROM unit") > 0
        for statement in statements:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        await connection.close()


async def test_passwords_are_asked_for_and_stored_as_scram(filled: Server) -> None:
    for role in ("postgres", "mes", "mes_owner", "mes_backup"):
        right = (filled.secrets / f"{role}_password").read_text()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(filled.url(role).replace(right, "f" * 64))
    kept = filled.as_superuser("SELECT count(*) FROM pg_authid WHERE rolpassword LIKE 'SCRAM-SHA-256$%'")
    assert kept == "4"
    assert right not in filled.embedded.log.read_text()


async def test_a_password_is_renewed(filled: Server) -> None:
    before = filled.url("mes")
    for name in ("mes_password", "mes_database_url"):
        (filled.secrets / name).unlink()
    socket = filled.embedded.socket_dir
    again = run(DEPLOY / "init-secrets.sh", "--dir", filled.secrets, "--host", socket, "--add-missing")
    assert again.returncode == 0, again.stderr
    filled.init_database()
    assert filled.url("mes") == (filled.secrets / "mes_database_url").read_text() != before
    await (await asyncpg.connect(filled.url("mes"))).close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(before)


def test_keys_are_made_once_in_closed_files(filled: Server, tmp_path: Path) -> None:
    for name in ("gateway", "admin"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "key").write_text("made before")
    place = {"MES": str(BIN / "mes"), "MES_SECRETS_DIR": str(filled.secrets)}
    done = run(DEPLOY / "create-keys.sh", "--to", tmp_path, **place)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is there already") == 2
    assert (tmp_path / "admin/key").read_text() == "made before"
    key = tmp_path / "health/key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_text().strip()) > 20
    assert key.read_text().strip() not in done.stdout + done.stderr


def test_secrets_are_random_closed_and_never_overwritten(tmp_path: Path) -> None:
    for name in ("first", "second"):
        done = run(DEPLOY / "init-secrets.sh", "--dir", tmp_path / name, "--host", "db.example:6543")
        assert done.returncode == 0, done.stderr
    files = {path.name: path.read_text() for path in (tmp_path / "first").glob("*_*")}
    assert len(files) == 10
    assert files.pop("mes_mqtt_logins") == "{}"
    assert len(files["mes_event_key"]) == len(files["mes_seal_key"]) == 64
    assert len({text for name, text in files.items() if name.endswith("password")}) == 4
    assert all((tmp_path / "second" / name).read_text() != text for name, text in files.items())
    assert files["mes_database_url"] == f"postgresql://mes:{files['mes_password']}@db.example:6543/mes"
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "first").rglob("*"))
    again = run(DEPLOY / "init-secrets.sh", "--dir", tmp_path / "first")
    assert again.returncode != 0
    assert "nothing was changed" in again.stderr
    assert {path.name: path.read_text() for path in (tmp_path / "first").glob("*_*")} == files | {
        "mes_mqtt_logins": "{}"
    }
