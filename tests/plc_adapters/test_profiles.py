"""The profiles' settings: what the guide shows is readable, and a block in the wrong place is named."""

import re
from importlib.resources import files
from typing import Any, get_args

import pytest
import yaml

from plc_adapters.mapping import LineMap
from plc_adapters.opcua.profiles import PROFILES
from plc_adapters.profile_settings import Profile
from plc_adapters.simulated.machine import ARRIVAL
from tests.plc_adapters.conftest import DEVICES
from tests.plc_adapters.device import station_map

GUIDE = (files("plc_adapters.opcua") / "README.md").read_text("utf-8")
JOBS = {"receiver": "s=R", "provider": "s=P"}


def test_every_profile_is_opened_explained_and_must_pass_the_suite() -> None:
    assert set(PROFILES) == set(get_args(Profile)) == {device().station.profile for device in DEVICES}
    assert all(f"`{profile}`" in GUIDE for profile in PROFILES)


def test_what_the_guide_shows_can_be_read() -> None:
    shown = [LineMap.model_validate(yaml.safe_load(one)) for one in re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)]
    assert {line.stations[0].profile for line in shown} == set(PROFILES) - {"tag_handshake"}
    for beside in ("packml", "scanner"):
        (line,) = re.findall(rf"^`({beside}: .*?)`,?$", GUIDE, re.MULTILINE)
        station_map(**yaml.safe_load(line))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"toggle": {"moves": "toggle"}}, "toggle is for profile toggle_handshake, not for tag_handshake"),
        ({"profile": "joining"}, "profile joining needs a block joining"),
        ({"profile": "job_control", "job_control": JOBS}, "needs a block arrival, with answer.cycle"),
        ({"profile": "job_control", "job_control": JOBS, "arrival": ARRIVAL, "scanner": {}}, "scanner"),
        ({"profile": "toggle_handshake", "words": {"ReqSeq": "s=x"}}, "unknown words ReqSeq"),
        ({"profile": "toggle_handshake", "words": {"ReqAt": None}}, "can't do without ReqAt"),
        ({"profile": "telepathy"}, "telepathy"),
    ],
)
def test_a_block_that_does_not_fit_is_named(more: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        station_map(**more)
