"""Encrypted links: who is trusted, who is refused and what the refusal says; passwords; who may read what."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from asyncua import ua
from asyncua.crypto.permission_rules import User, UserRole
from cryptography import x509

from mes import clock
from mes.errors import NotFound
from plc_adapters import metrics
from plc_adapters.dead_letters import DeadLetters
from plc_adapters.links import Links
from plc_adapters.mapping import StationMap
from plc_adapters.opcua import pki as pki_module
from plc_adapters.opcua.pki import Access, NotSecure, Own, Pki, thumbprint, uri_of, warn_of_expiry
from plc_adapters.opcua.session import open_session
from plc_adapters.port import LinkLost
from plc_adapters.simulated.line import replace_port
from plc_adapters.simulated.plc_server import bare_server, plc_server
from tests.plc_adapters.device import KINDS, station_map

pytestmark = pytest.mark.usefixtures("standard_nodes")


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Own:
    return Pki(tmp_path_factory.mktemp("line"), "Line").own()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gateway's folder; making a key takes a while."""
    folder = tmp_path_factory.mktemp("gateway")
    Pki(folder).own()
    return folder


@pytest.fixture
def pki(made: Path) -> Pki:
    for path in [*(made / "trusted").iterdir(), *(made / "rejected").iterdir()]:
        path.unlink()
    return Pki(made)


@asynccontextmanager
async def served(identity: Own | None, **more: Any) -> AsyncIterator[StationMap]:
    station = replace_port(station_map(**{"security": "encrypted" if identity else "none", **more}), 0)
    async with plc_server(station, KINDS, identity) as plc:
        yield replace_port(station, plc.port)


async def read_once(station: StationMap, access: Access | None) -> Any:
    async with open_session(station, access) as session:
        (reading,) = await session.read([station.word_nodes["ReqSeq"]])
        return reading.value


def of(own: Own) -> str:
    return thumbprint(x509.load_der_x509_certificate(own.certificate.read_bytes()))


async def test_a_trusted_server_is_spoken_to_encrypted(pki: Pki, line: Own) -> None:
    pki.add_trusted(line.certificate)
    async with served(line) as station, open_session(station, Access(pki)) as session:
        (reading,) = await session.read([station.word_nodes["ReqSeq"]])
        assert reading.value == 0
        policy = session._client.security_policy
        assert (policy.URI.rpartition("#")[2], policy.Mode) == ("Basic256Sha256", ua.MessageSecurityMode.SignAndEncrypt)


async def test_an_unknown_server_is_refused_by_thumbprint_until_it_is_trusted(pki: Pki, line: Own) -> None:
    async with served(line) as station:
        with pytest.raises(LinkLost, match=f"{of(line)}.* is not trusted.*`mes opcua trust {of(line)}`"):
            await read_once(station, Access(pki))
        assert [(one.kind, one.thumbprint) for one in pki.listed()[1:]] == [("rejected", of(line))]
        pki.trust(of(line)[:8].lower())
        assert await read_once(station, Access(pki)) == 0
        pki.distrust(of(line))
        with pytest.raises(LinkLost, match="is not trusted"):
            await read_once(station, Access(pki))


async def test_nothing_is_said_to_a_server_that_is_not_trusted(
    pki: Pki, line: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(line) as station:
        monkeypatch.setattr("asyncua.client.client.Client.connect", None)
        with pytest.raises(LinkLost, match="is not trusted"):
            await read_once(station, Access(pki))


async def test_another_certificate_than_the_trusted_one_is_refused(pki: Pki, line: Own, made: Path) -> None:
    pki.add_trusted(made / "own" / "certificate.der")
    async with served(line) as station:
        with pytest.raises(LinkLost, match="is not trusted"):
            await read_once(station, Access(pki))


async def test_an_expired_server_is_refused_though_trusted(
    pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pki_module, "VALID_FOR", timedelta(minutes=-1))
    old = Pki(tmp_path / "old", "Old")
    old.renew()
    expired = Own(tmp_path / "old" / "own" / "certificate.der", tmp_path / "old" / "own" / "key.pem", "urn:old")
    pki.add_trusted(expired.certificate)
    async with served(expired) as station:
        with pytest.raises(LinkLost, match="not now; renew it in the PLC"):
            await read_once(station, Access(pki))
    with pytest.raises(NotSecure, match=r"own certificate expired .*`mes opcua renew`"):
        old.own()
    monkeypatch.undo()
    old.renew()
    assert old.own().uri == uri_of(x509.load_der_x509_certificate(expired.certificate.read_bytes()))


async def test_plain_text_only_where_the_mapping_says_so(pki: Pki, line: Own) -> None:
    async with served(None) as station:
        assert await read_once(station, None) == 0
        encrypted = station.model_copy(update={"security": "encrypted"})
        with pytest.raises(LinkLost, match=r"expected .*SignAndEncrypt, it offers None None_; .*security: none"):
            await read_once(encrypted, Access(pki))
        with pytest.raises(LinkLost, match="no --pki folder"):
            await read_once(encrypted, None)
    async with served(line) as station:
        with pytest.raises(LinkLost):
            await read_once(station.model_copy(update={"security": "none"}), None)
    assert station_map(security="encrypted") == station_map().model_copy(update={"security": "encrypted"})
    assert StationMap(code="S", endpoint="opc.tcp://h:1", namespace="urn:x").security == "encrypted"


class _OneUser:
    def get_user(self, _server: object, username: str | None = None, password: Any = None, **_: object) -> User | None:
        password = password.decode() if isinstance(password, bytes) else password
        return User(role=UserRole.User) if (username, password) == ("mes", "right") else None


async def test_a_password_opens_and_a_wrong_one_does_not(pki: Pki, line: Own, tmp_path: Path) -> None:
    pki.add_trusted(line.certificate)
    server = await bare_server("opc.tcp://127.0.0.1:0", line)
    server.set_identity_tokens([ua.UserNameIdentityToken])
    server.iserver.user_manager = _OneUser()
    await server.register_namespace("urn:test")
    await server.start()
    try:
        mapped = station_map(f"opc.tcp://127.0.0.1:{server.bserver.port}", security="encrypted", user="mes")
        access, file = Access(pki, tmp_path), tmp_path / f"{mapped.code}.password"
        file.write_text("right\n")
        file.chmod(0o600)
        async with open_session(mapped, access):
            pass
        file.write_text("wrong\n")
        with pytest.raises(LinkLost, match=r"refused the log-in \(user mes, password from S-070.password\)"):
            await read_once(mapped, access)
        with pytest.raises(LinkLost, match=r"expected --secrets FOLDER with the file S-070.password"):
            await read_once(mapped, Access(pki))
        file.chmod(0o644)
        with pytest.raises(LinkLost, match=r"mode 644, expected 600"):
            await read_once(mapped, access)
        file.unlink()
        with pytest.raises(LinkLost, match=r"password is expected in .*S-070.password"):
            await read_once(mapped, access)
    finally:
        await server.stop()


def test_the_key_is_for_its_owner_alone_and_the_uri_is_the_certificates(pki: Pki) -> None:
    own = pki.own()
    assert own.key.stat().st_mode & 0o777 == 0o600
    certificate = x509.load_der_x509_certificate(own.certificate.read_bytes())
    assert own.uri == uri_of(certificate)
    assert own.uri.startswith("urn:")
    assert certificate.not_valid_after_utc - clock.now() > timedelta(days=729)
    own.key.chmod(0o640)
    with pytest.raises(NotSecure, match="mode 640, expected 600"):
        pki.own()
    own.key.chmod(0o600)
    with pytest.raises(NotFound, match=r"there: none"):
        pki.trust("AB")


def test_expiry_is_counted_and_warned_of_a_month_ahead(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    now = clock.now()
    with structlog.testing.capture_logs() as logs:
        warn_of_expiry(pki.listed())
        assert logs == []
        monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=701))
        warn_of_expiry(pki.listed())
    assert [(one["event"], one["of"], one["days_left"]) for one in logs] == [("certificate_expires", "own", 28)]
    assert metrics.certificate_days_left.labels("own")._value.get() == 28


def test_the_rejected_do_not_fill_the_disk(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pki_module, "MOST_REJECTED", 3)
    for number in range(5):
        pki._reject(f"{number:040X}", b"")
    assert len(list((pki.folder / "rejected").iterdir())) == 3


def test_the_mes_is_told_which_links_are_plain(tmp_path: Path) -> None:
    links = Links("g", ["S1", "S2"], DeadLetters(tmp_path), plain=["S2"])
    assert {one["station"]: one["encrypted"] for one in links.told()} == {"S1": True, "S2": False}
