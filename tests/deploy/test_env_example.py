"""mes.env.example names every setting there is, with its true default, and nothing that nobody reads."""

import re

from mes.settings import Settings
from tests.deploy import DEPLOY, ROOT

LINES = dict(re.findall(r"^#(MES_[A-Z_]+)=(.*)$", (DEPLOY / "mes.env.example").read_text(), re.MULTILINE))
PYTHON = [*(ROOT / "plc_adapters").rglob("*.py"), DEPLOY / "healthcheck.py", ROOT / "mes/settings.py"]
OTHERS = [*DEPLOY.glob("*.sh"), *DEPLOY.glob("systemd/*.service")]
FIELDS = {f"MES_{name.upper()}": name for name in Settings.model_fields}
# Compose's own, which init-secrets.sh writes to deploy/.env and explains there.
COMPOSE = set(re.findall(r"^(MES_[A-Z_]+)=", (DEPLOY / "init-secrets.sh").read_text(), re.MULTILINE))


def test_every_setting_is_explained_and_nothing_else() -> None:
    read = {name for path in PYTHON for name in re.findall(r'"(MES_[A-Z_]*[A-Z])"', path.read_text())}
    read |= {name for path in OTHERS for name in re.findall(r"\bMES_[A-Z_]*[A-Z]\b", path.read_text())}
    named = set(FIELDS) | read - (COMPOSE - {"MES_WORKERS", "MES_BACKUP_DIR"})
    assert set(LINES) == named


def test_each_shown_value_is_the_default() -> None:
    shown = {FIELDS[name]: value for name, value in LINES.items() if name in FIELDS and value}
    assert Settings(**shown) == Settings()
    missing = {name for name, field in Settings.model_fields.items() if field.default is not None} - set(shown)
    assert not missing


def test_compose_asks_for_no_more_than_its_env_file_has() -> None:
    asked = set(re.findall(r"(?<!\$)\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    assert asked == COMPOSE


def test_it_is_an_environment_file_without_a_secret() -> None:
    lines = (DEPLOY / "mes.env.example").read_text().splitlines()
    assert all(not line or line.startswith("#") for line in lines)
    assert [name for name, value in LINES.items() if value and ("KEY" in name or "URL" in name)] == ["MES_URL"]
