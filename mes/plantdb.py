"""Finds the plant's database: the one MES_DATABASE_URL names, or the embedded one in the data folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mes.embedded_postgres import DataFolderInUse, EmbeddedPostgres, default_data_dir
from mes.errors import Conflict
from mes.settings import Settings


class NoDatabase(Conflict):
    """There is no database yet: MES_DATABASE_URL is not set, and {folder} holds none. Run `mes migrate` or `make demo`
    first, or name the plant's server."""


def data_folder(settings: Settings) -> Path:
    """Return the folder for the embedded database and the demo's files."""
    return default_data_dir(settings.data_dir.absolute())


@contextmanager
def plant_database(settings: Settings, *, create: bool = False) -> Iterator[str]:
    """Give the address of the plant's database; an embedded one runs as long as somebody uses it.

    A running demo's server is used as it is. Raises NoDatabase when there is none and `create` is not asked for.
    """
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    folder = data_folder(settings)
    address = folder / "address"
    if not create and not (folder / "postgresql").exists():
        raise NoDatabase(folder=folder)
    folder.mkdir(parents=True, exist_ok=True)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        folder.chmod(0o711)  # the server runs as an unprivileged user and must reach its own folder within
    try:
        server = EmbeddedPostgres(folder / "postgresql")
        with server:
            address.write_text(server.url())
            if server.run_sql("SELECT count(*) FROM pg_database WHERE datname = 'mes'").strip() == "0":
                server.run_sql("CREATE DATABASE mes")
            yield server.url()
    except DataFolderInUse:
        if create or not address.exists():
            raise
        yield address.read_text()
