"""Every setting, read from the environment (prefix MES_); deploy/mes.env.example explains each."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The MES's settings. A secret never appears in a log: it is a SecretStr."""

    model_config = SettingsConfigDict(env_prefix="MES_", extra="ignore", frozen=True)

    database_url: SecretStr | None = Field(
        None, description="The application's PostgreSQL, e.g. postgresql://mes:SECRET@db/mes; empty: an embedded one."
    )
    owner_database_url: SecretStr | None = Field(
        None, description="The same database as the owner of its tables; used by `mes migrate` alone."
    )
    database_pool: Annotated[int, Field(ge=1, le=64)] = Field(8, description="Connections per worker; 4-16 per core.")
    statement_timeout_s: Annotated[float, Field(gt=0, le=600)] = Field(30, description="Longest single statement.")
    lock_timeout_s: Annotated[float, Field(gt=0, le=600)] = Field(10, description="Longest wait for a lock.")
    data_dir: Path = Field(Path(".data"), description="Where the embedded database and the demo keep their files.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8000, description="Port to listen on.")
    max_body_bytes: Annotated[int, Field(ge=1024)] = Field(4_000_000, description="Largest request body.")
    max_upload_bytes: Annotated[int, Field(ge=1024)] = Field(64_000_000, description="Largest file received.")
    secure_cookie: bool = Field(True, description="Send the log-in cookie over HTTPS only; loopback is exempt.")
    session_h: Annotated[float, Field(gt=0, le=24)] = Field(12, description="Hours until a log-in ends.")
    sscc_prefix: Annotated[str | None, Field(pattern=r"^[0-9]{7,12}$")] = Field(
        None, description="The plant's GS1 company prefix, with which crates are numbered."
    )
    enterprise: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = Field(
        "plant", description="First part of every event's source: /ENTERPRISE/site/line/station."
    )
    event_days: Annotated[float, Field(gt=0, le=3650)] = Field(30, description="Days for which events are kept.")
    event_days_untaken: Annotated[float, Field(gt=0, le=3650)] = Field(
        90, description="Days after which events go even if a subscriber hasn't taken them."
    )
    event_key: SecretStr | None = Field(None, description="From which the signing secrets of webhooks are derived.")
    seal_key: SecretStr | None = Field(None, description="With which anchors of the record's seals are signed.")
    mqtt_logins: Annotated[
        dict[str, SecretStr], BeforeValidator(lambda told: json.loads(told) if isinstance(told, str) else told)
    ] = Field({}, description='Log-ins at brokers by name of the subscription, as JSON: {"cloud": "user:password"}.')
    log_format: Literal["json", "text"] = Field("json", description="Log lines for machines or for people.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")


@cache
def get_settings() -> Settings:
    """Return the process's settings, read once.

    What the environment doesn't say may lie in the folder MES_SECRETS_DIR, a file each (mes_database_url): containers
    and systemd hand secrets over as files, so that no process list or unit shows them.
    """
    return Settings(_secrets_dir=os.environ.get("MES_SECRETS_DIR"))
