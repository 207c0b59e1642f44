"""The mapping file: readable for a whole line, and every error told at once."""

from importlib.resources import files
from pathlib import Path

import pytest

from mes.errors import Malformed
from plc_adapters.mapping import load_map

SHIPPED = Path(str(files("plc_adapters.simulated"))) / "gc1.yaml"


def _written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "map.yaml"
    path.write_text(text, "utf-8")
    return path


def test_the_shipped_mapping_names_a_station_for_every_operation() -> None:
    line = load_map(SHIPPED)
    assert [station.code for station in line.stations] == [f"GC1-{operation:03}" for operation in range(10, 190, 10)]
    weld = next(station for station in line.stations if station.code == "GC1-070")
    assert weld.word_nodes["ReqSeq"] == "s=GC1-070.ReqSeq"
    assert weld.value_nodes["power_w"] == "s=GC1-070.Done.power_w"


def test_words_patterns_and_values_can_be_named_one_by_one(tmp_path: Path) -> None:
    text = """
        gateway: g
        defaults: {namespace: "urn:x", patterns: {word: "s=PLC.{station}.{name}", curve: "s={name}_{axis}_{ordinal}"}}
        stations:
          - code: S1
            endpoint: opc.tcp://h:4840
            words: {ReqSeq: "i=17", AckEpoch: null}
            values: {torque_nm: "s=DB7.Torque", angle_deg: null}
            curves: {torque: 2}
    """
    (station,) = load_map(_written(tmp_path, text)).stations
    assert station.word_nodes["ReqSeq"] == "i=17"
    assert station.word_nodes["DoneSeq"] == "s=PLC.S1.DoneSeq"
    assert "AckEpoch" not in station.word_nodes
    assert station.value_nodes == {"torque_nm": "s=DB7.Torque", "angle_deg": "s=S1.Done.angle_deg"}
    assert station.curve_nodes("torque", 2) == ("s=torque_x_2", "s=torque_y_2")


def test_every_error_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    text = """
        gateway: g
        stations:
          - {code: S1, endpoint: "http://h", namespace: "urn:x"}
          - {code: "bad code", endpoint: "opc.tcp://h:1", namespace: "urn:x", profil: other}
          - {code: S3, endpoint: "opc.tcp://h:1", namespace: "urn:x", words: {ReqSeq: ReqSeq}}
    """
    with pytest.raises(Malformed) as caught:
        load_map(_written(tmp_path, text))
    places = {error["at"] for error in caught.value.errors}
    assert {"stations.0.endpoint", "stations.1.code", "stations.1.profil", "stations.2.words.ReqSeq"} <= places


@pytest.mark.parametrize(
    ("station", "expected"),
    [
        ('words: {Nonsense: "s=x"}', "unknown words Nonsense"),
        ("words: {ReqSeq: null}", "can't do without ReqSeq"),
        ('words: {ReqSeq: "s=a", DoneSeq: "s=a"}', "more than one word: s=a"),
    ],
)
def test_words_that_make_no_handshake(tmp_path: Path, station: str, expected: str) -> None:
    text = f'gateway: g\nstations:\n  - code: S\n    endpoint: opc.tcp://h:1\n    namespace: "urn:x"\n    {station}\n'
    with pytest.raises(Malformed) as caught:
        load_map(_written(tmp_path, text))
    assert expected in caught.value.errors[0]["expected"]


def test_no_yaml_and_stations_named_twice(tmp_path: Path) -> None:
    with pytest.raises(Malformed) as caught:
        load_map(_written(tmp_path, "a: [1"))
    assert "YAML" in caught.value.errors[0]["expected"]
    one = '{code: S, endpoint: "opc.tcp://h:1", namespace: "urn:x"}'
    with pytest.raises(Malformed) as caught:
        load_map(_written(tmp_path, f"gateway: g\nstations: [{one}, {one}]"))
    assert "stations named twice: S" in caught.value.errors[0]["expected"]


def test_ports_move_together() -> None:
    moved = load_map(SHIPPED).from_port(50_000)
    assert [station.endpoint.rpartition(":")[2] for station in moved.stations][:2] == ["50000", "50001"]
