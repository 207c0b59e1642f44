"""Mapping a station of a server that nobody knows: look at it, have a mapping proposed, check it; by the commands."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from asyncua import ua
from asyncua.server.server import Server
from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import CliRunner, Result

from mes import cli as mes_cli
from mes import clock
from plc_adapters.mapping import load_map
from plc_adapters.opcua.checking import check_station
from plc_adapters.opcua.commands import opcua
from plc_adapters.opcua.explore import Found, Shape
from plc_adapters.opcua.pki import Access, Own, Pki
from plc_adapters.opcua.proposing import mapping_text, parts, propose
from plc_adapters.simulated.plc_server import bare_server
from tests.plc_adapters.machine_devices import JoiningDevice

pytestmark = pytest.mark.usefixtures("standard_nodes")
U, S, T, D = ua.VariantType.UInt32, ua.VariantType.String, ua.VariantType.DateTime, ua.VariantType.Double
URI = "urn:machine-builder:press"
# What a machine builder might call our words: name, type, first value, writable, and which word it is.
NAMES: list[tuple[str, ua.VariantType, Any, bool, str | None]] = [
    ("nRequestCounter", U, 0, False, "ReqSeq"),
    ("sRequestSerialNumber", S, "", False, "ReqSerial"),
    ("sRequestUser", S, "", False, "ReqOperator"),
    ("nReleaseCounter", U, 0, True, "PermitSeq"),
    ("sReleaseSerialNumber", S, "", True, "PermitSerial"),
    ("nReleaseStatus", ua.VariantType.Int16, 0, True, "PermitCode"),
    ("sReleaseMessage", S, "", True, "PermitText"),
    ("nResultCounter", U, 0, False, "DoneSeq"),
    ("nResultRequestCounter", U, 0, False, "DoneReqSeq"),
    ("sResultSerialNumber", S, "", False, "DoneSerial"),
    ("nResultJudgement", ua.VariantType.Int16, 0, False, "DoneVerdict"),
    ("dtResultStart", T, ua.get_win_epoch(), False, "DoneStartedAt"),
    ("dtResultEnd", T, ua.get_win_epoch(), False, "DoneEndedAt"),
    ("nConfirmCounter", U, 0, True, "AckSeq"),
    ("nConfirmStatus", ua.VariantType.Int16, 0, True, "AckCode"),
    ("nBootCount", U, 1, False, "Epoch"),
    ("nLifeBit", ua.VariantType.UInt16, 0, False, "Heartbeat"),
    ("aPressForce_kN", D, [], False, None),
    ("rOilTemperature", D, 41.5, False, None),
]


@dataclass
class Press:
    server: Server
    index: int
    endpoint: str
    pki: Path

    def id(self, name: str) -> ua.NodeId:
        return ua.NodeId.from_string(f'ns={self.index};s="DB_MES"."{name}"')

    async def run(self, *arguments: object) -> Result:
        """Run a command beside the server, as it has an event loop of its own."""
        said = [*map(str, arguments), "--pki", str(self.pki)]
        return await asyncio.to_thread(CliRunner().invoke, opcua, said)

    async def beat(self) -> None:
        while True:
            now = clock.now().microsecond % 2**16
            value = ua.DataValue(ua.Variant(now, ua.VariantType.UInt16))
            await self.server.write_attribute_value(self.id("nLifeBit"), value)
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Own:
    return Pki(tmp_path_factory.mktemp("press"), "Press").own()


@pytest_asyncio.fixture
async def press(identity: Own, tmp_path: Path) -> AsyncIterator[Press]:
    server = await bare_server("opc.tcp://127.0.0.1:0", identity)
    index = await server.register_namespace(URI)
    folder = await server.nodes.objects.add_object(ua.NodeId(ua.String("DB_MES"), ua.Int16(index)), "DB_MES")
    made = Press(server, index, "", tmp_path / "pki")
    for name, kind, first, writable, _ in NAMES:
        variable = await folder.add_variable(made.id(name), name, ua.Variant(first, kind, is_array=first == []))
        if writable:
            await variable.set_writable()
    await server.start()
    assert server.bserver is not None
    made.endpoint = f"opc.tcp://127.0.0.1:{server.bserver.port}"
    beating = asyncio.create_task(made.beat())
    yield made
    beating.cancel()
    await server.stop()


async def test_from_an_unknown_server_to_a_mapping_that_passes_its_check(press: Press, tmp_path: Path) -> None:
    out = tmp_path / "line.yaml"
    refused = await press.run("map", press.endpoint, "--station", "S-1", "--out", out)
    (shown,) = [word.strip("`") for word in refused.output.split() if len(word.strip("`")) == 40][:1]
    assert (refused.exit_code, f"mes opcua trust {shown}" in refused.output) == (1, True), refused.output
    assert (await press.run("trust", shown)).exit_code == 0
    mapped = await press.run("map", press.endpoint, "--station", "S-1", "--out", out)
    assert (mapped.exit_code, "0 missing" in mapped.output) == (0, True), mapped.output
    (station,) = load_map(out).stations
    nodes = {word: f's="DB_MES"."{name}"' for name, *_, word in NAMES if word}
    assert station.word_nodes == nodes
    assert station.value_nodes == {"a_press_force_k_n": 's="DB_MES"."aPressForce_kN"'}
    assert "not used: DB_MES/rOilTemperature Double" in out.read_text()
    checked = await press.run("check", "--map", out)
    assert (checked.exit_code, "MISSING" in checked.output) == (0, False), checked.output
    assert "heartbeat  it moves" in checked.output
    again = await press.run("map", press.endpoint, "--station", "S-1", "--out", out)
    assert (again.exit_code, "is there already" in again.output) == (1, True)


def test_a_proposal_for_a_plain_link_logs_nobody_in() -> None:
    nothing = propose([])
    both = mapping_text("opc.tcp://plc:4840", "S-1", "urn:x", nothing, plain=True, user="mes")
    assert "    security: none" in both
    assert '    # user: "mes" # a log-in goes over an encrypted link alone' in both
    assert '    user: "mes"\n' in mapping_text("opc.tcp://plc:4840", "S-1", "urn:x", nothing, plain=False, user="mes")


async def test_browse_shows_node_ids_types_values_and_access(press: Press) -> None:
    Pki(press.pki).add_trusted(Path(await _certificate(press)))
    shown = await press.run("browse", press.endpoint)
    assert shown.exit_code == 0, shown.output
    assert f"namespace {URI}" in shown.output
    assert 's="DB_MES"."nReleaseCounter"  UInt32  rw  0' in shown.output
    assert 's="DB_MES"."aPressForce_kN"  Double[]  r-  []' in shown.output
    bounded = await press.run("browse", press.endpoint, "--most", 3)
    assert "That is not all" in bounded.output


async def test_check_names_each_missing_point_with_what_was_read_and_expected(press: Press, tmp_path: Path) -> None:
    Pki(press.pki).add_trusted(Path(await _certificate(press)))
    out = tmp_path / "line.yaml"
    await press.run("map", press.endpoint, "--station", "S-1", "--out", out)
    said = yaml.safe_load(out.read_text())
    words = said["stations"][0]["words"]
    words |= {
        "ReqSeq": "s=nowhere",
        "DoneVerdict": 's="DB_MES"."rOilTemperature"',
        "PermitText": words["ReqOperator"],
        "ReqOperator": None,
        "Heartbeat": words["DoneSeq"],
        "DoneSeq": words["Heartbeat"],
    }
    said["stations"][0]["heartbeat_dead_s"] = 0.2
    out.write_text(yaml.safe_dump(said))
    checked = await press.run("check", "--map", out, "--json")
    wrong = {point["name"]: point["text"] for point in json.loads(checked.output) if not point["ok"]}
    assert checked.exit_code == 1
    assert sorted(wrong) == ["DoneVerdict", "PermitText", "ReqSeq", "heartbeat"]
    assert "not in the server (BadNodeIdUnknown); `mes opcua browse`" in wrong["ReqSeq"]
    assert "read Double, expected an integer" in wrong["DoneVerdict"]
    assert "read only, expected writable" in wrong["PermitText"]
    assert "stood at 0 for 0.2 s" in wrong["heartbeat"]


async def test_check_says_what_stands_before_the_words(press: Press, tmp_path: Path) -> None:
    out = tmp_path / "line.yaml"
    one = {"code": "S-1", "endpoint": press.endpoint, "namespace": "urn:other"}
    closed = {"code": "S-2", "endpoint": "opc.tcp://127.0.0.1:1", "namespace": URI}
    out.write_text(yaml.safe_dump({"gateway": "g", "stations": [one, closed]}))
    checked = await press.run("check", "--map", out)
    assert checked.exit_code == 1
    assert "MISSING  S-1  trusted" in checked.output
    assert "MISSING  S-2  reachable" in checked.output
    Pki(press.pki).add_trusted(Path(await _certificate(press)))
    checked = await press.run("check", "--map", out, "--station", "S-1")
    assert "MISSING  S-1  namespace  urn:other; the server has" in checked.output
    assert URI in checked.output


async def test_a_machine_without_words_is_checked_by_opening_its_profile(tmp_path: Path) -> None:
    device = JoiningDevice()
    await device.start()
    access = Access(Pki(tmp_path))
    points = await check_station(device.station, access)
    assert [(point.name, point.ok) for point in points] == [
        ("reachable", True),
        ("not encrypted", True),
        ("namespace", True),
        ("joining", True),
    ]
    arrival = device.station.arrival
    assert arrival is not None
    wrong = device.station.model_copy(update={"arrival": arrival.model_copy(update={"serial": "s=Nowhere"})})
    (*_, last) = await check_station(wrong, access)
    assert (last.name, last.ok, "s=Nowhere" in last.text) == ("joining", False, True)
    await device.stop()


async def test_certificates_are_listed_renewed_and_distrusted(press: Press) -> None:
    (own,) = json.loads((await press.run("certificates", "--json")).output)
    assert (own["kind"], own["days_left"] in (729, 730)) == ("own", True)
    key = (press.pki / "own" / "key.pem").read_bytes()
    assert (await press.run("renew")).exit_code == 0
    Pki(press.pki).add_trusted(Path(await _certificate(press)))
    renewed, trusted = json.loads((await press.run("certificates", "--json")).output)
    assert renewed["thumbprint"] != own["thumbprint"]
    assert renewed["uri"] == own["uri"]
    assert (press.pki / "own" / "key.pem").read_bytes() == key
    assert (await press.run("distrust", trusted["thumbprint"])).exit_code == 0
    kinds = [one["kind"] for one in json.loads((await press.run("certificates", "--json")).output)]
    assert kinds == ["own", "rejected"]


def test_names_are_cut_into_canonical_parts() -> None:
    assert parts("nReqSeq") == parts("REQUEST_COUNTER") == {"req", "seq"}
    assert parts("DoneStartedAt") == parts("ResultStartTime") == {"done", "started", "at"}
    assert parts("sResultSerialNumber") == {"done", "serial"}


def test_the_folder_tells_a_request_from_what_a_result_repeats_of_it() -> None:
    names = ("Request.Sequence", "Result.Sequence", "Result.ReqSequence", "Permit.Sequence", "Ack.Sequence")
    found = [
        Found(("MES_IF", *name.split(".")), name, URI, Shape("UInt32", False, True, name[0] in "PA", 0))
        for name in names
    ]
    expected = dict(zip(("ReqSeq", "DoneSeq", "DoneReqSeq", "PermitSeq", "AckSeq"), names, strict=True))
    assert {word: one.variable.node for word, one in propose(found).matches.items()} == expected


def test_what_is_missing_uncertain_or_not_writable_is_said() -> None:
    shapes = [
        ("Anforderung.Zaehler", "UInt32", True),
        ("Freigabe.Zaehler", "UInt32", False),
        ("Freigabe.Code", "Int16", True),
    ]
    shapes += [("Lebenszeichen", "UInt16", False), ("Temperatur", "Float", False), ("Quittung.Zaehler", "DInt", True)]
    found = [Found(tuple(n.split(".")), f"s={n}", URI, Shape(kind, False, True, w, 0)) for n, kind, w in shapes]
    proposal = propose(found)
    assert {word: one.variable.node for word, one in proposal.matches.items()} == {
        "ReqSeq": "s=Anforderung.Zaehler",
        "PermitSeq": "s=Freigabe.Zaehler",
        "PermitCode": "s=Freigabe.Code",
        "Heartbeat": "s=Lebenszeichen",
    }
    assert {"ReqSerial", "AckSeq", "Epoch"} <= set(proposal.missing)
    text = mapping_text("opc.tcp://h:1", "S-1", URI, proposal, plain=True, user="mes")
    assert "# MISSING AckSeq: expected an integer, writable for the MES" in text
    assert 'PermitSeq: "s=Freigabe.Zaehler" # unsure; NOT WRITABLE' in text
    (read,) = yaml.safe_load(text)["stations"]
    assert (read["security"], read.get("user"), read["words"]["PermitText"]) == ("none", None, None)


def test_a_broken_plug_in_is_a_warning(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Broken:
        name, value = "broken", "nowhere:app"

        def load(self) -> Any:
            raise ImportError("no module nowhere")

    monkeypatch.setattr(mes_cli, "entry_points", lambda group: [Broken()])
    mes_cli._add_plugins()
    assert "mes broken is missing: nowhere:app" in " ".join(capsys.readouterr().err.split())


def test_mes_has_the_command() -> None:
    shown = CliRunner().invoke(mes_cli.cli, ["opcua", "--help"])
    assert shown.exit_code == 0
    for command in ("certificates", "trust", "distrust", "renew", "browse", "map", "check"):
        assert command in shown.output


async def _certificate(press: Press) -> str:
    """The file of the server's certificate."""
    found = press.pki.parent / "server.der"
    found.write_bytes(press.server.iserver.certificate.public_bytes(Encoding.DER))
    return str(found)
