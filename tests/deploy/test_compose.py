"""compose.yaml, as the composer itself reads it, keeps to what we promise of every service."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.deploy import BIN, DEPLOY, run

ONCE = {"migrate", "keys", "feed", "backup", "restore"}
Config = dict[str, Any]


@pytest.fixture(scope="module")
def config() -> Config:
    """What the composer makes of the file, every profile included."""
    done = composed()
    assert done.returncode == 0, done.stderr
    read: Config = json.loads(done.stdout)
    return read


def composed(**more: str) -> Any:
    """Run `docker-compose config`."""
    profiles = ("--profile", "demo", "--profile", "tools")
    command = (BIN / "docker-compose", "--file", DEPLOY / "compose.yaml", *profiles, "config", "--format", "json")
    return run(*command, **({"MES_UID": "10001", "MES_GID": "10001"} | more))


def faults(config: Config) -> list[str]:
    """Name what a service may do that it shouldn't."""
    found = []
    for name, service in config["services"].items():
        limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
        environment = json.dumps(service.get("environment") or {})
        checks = {
            "runs as root": service.get("user") == "10001:10001",
            "keeps capabilities": service.get("cap_drop") == ["ALL"] and not service.get("cap_add"),
            "may gain privileges": service.get("security_opt") == ["no-new-privileges:true"],
            "may write to its image": service.get("read_only") is True,
            "has no limits": {"cpus", "memory", "pids"} <= limits.keys(),
            "restarts wrongly": service.get("restart") == ("no" if name in ONCE else "unless-stopped"),
            "logs without end": "max-size" in service.get("logging", {}).get("options", {}),
            "has a secret in its environment": 'PASSWORD"' not in environment and "DATABASE_URL" not in environment,
            "has no pinned image": ":" in service["image"] and not service["image"].endswith(":latest"),
            "is open to the world": all(port.get("host_ip") == "127.0.0.1" for port in service.get("ports", ())),
            "is published": name == "mes" or not service.get("ports"),
        }
        found += [f"{name} {fault}" for fault, is_right in checks.items() if not is_right]
    if not config["networks"]["database"].get("internal"):
        found.append("database has a way out")
    with_owner = {n for n, s in config["services"].items() if "mes_owner_database_url" in str(s.get("secrets"))}
    if with_owner != {"migrate", "restore"}:
        found.append("the owner's password is given to others")
    return found


def test_every_service_has_the_least_it_needs(config: Config) -> None:
    assert faults(config) == []
    assert {"postgres", "migrate", "keys", "mes", "gateway", "line"} <= config["services"].keys()
    assert {name for name, service in config["services"].items() if service.get("profiles") == ["demo"]} == {
        "line",
        "feed",
    }


PLANTED: dict[str, Callable[[Config], object]] = {
    "mes runs as root": lambda s: s["mes"].update(user="0"),
    "gateway keeps capabilities": lambda s: s["gateway"].update(cap_drop=[]),
    "postgres may gain privileges": lambda s: s["postgres"].pop("security_opt"),
    "line may write to its image": lambda s: s["line"].pop("read_only"),
    "mes has no limits": lambda s: s["mes"]["deploy"]["resources"]["limits"].pop("memory"),
    "migrate restarts wrongly": lambda s: s["migrate"].update(restart="always"),
    "mes has a secret in its environment": lambda s: s["mes"]["environment"].update(MES_DATABASE_URL="x"),
    "postgres has no pinned image": lambda s: s["postgres"].update(image="postgres:latest"),
    "postgres is published": lambda s: s["postgres"].update(ports=[{"target": 5432, "host_ip": "127.0.0.1"}]),
    "mes is open to the world": lambda s: s["mes"]["ports"][0].pop("host_ip"),
    "the owner's password is given to others": lambda s: s["mes"].update(
        secrets=[{"source": "mes_owner_database_url"}]
    ),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(config: Config, fault: str) -> None:
    changed = copy.deepcopy(config)
    PLANTED[fault](changed["services"])
    assert faults(changed) == [fault]


def test_without_secrets_it_says_what_to_run() -> None:
    done = composed(MES_UID="")
    assert done.returncode != 0
    assert "run ./init-secrets.sh first" in done.stderr


def test_after_init_secrets_nothing_is_missing(tmp_path: Path) -> None:
    names = shutil.ignore_patterns("secrets", "backups", ".env")
    folder = Path(shutil.copytree(DEPLOY, tmp_path / "deploy", ignore=names))
    done = run(folder / "init-secrets.sh")
    assert done.returncode == 0, done.stderr
    command = (BIN / "docker-compose", "--profile", "demo", "--profile", "tools", "config", "--format", "json")
    read = json.loads(run(*command, cwd=folder).stdout)
    assert all(Path(secret["file"]).stat().st_size for secret in read["secrets"].values())
    users = {service["user"] for service in read["services"].values()}
    owner = (folder / "secrets/mes_password").stat()
    assert users == {f"{owner.st_uid}:{owner.st_gid}"}
    assert "0:0" not in users
    bound = [v["source"] for s in read["services"].values() for v in s.get("volumes", ()) if v["type"] == "bind"]
    assert [source for source in bound if "plc_adapters" not in source and not Path(source).exists()] == []
    assert run(folder / "init-secrets.sh").returncode != 0
