"""A client connected as a station's mapping says: encrypted, with a server that is trusted; or in plain text."""

from asyncio import timeout, to_thread
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from asyncua import ua
from asyncua.client.client import Client
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.crypto.uacrypto import CertProperties
from asyncua.ua.uaerrors import UaError
from cryptography import x509

from plc_adapters.mapping import StationMap
from plc_adapters.opcua.pki import Access, NotSecure
from plc_adapters.port import LinkLost

SESSION_MS = 30_000  # frees a crashed client's session: PLCs have few
WATCHDOG_S = 5.0  # a second would declare healthy slow PLCs dead; their heartbeat is the fast signal
GONE = (OSError, TimeoutError, UaError)
_ENCRYPTED = ua.MessageSecurityMode.SignAndEncrypt


@asynccontextmanager
async def connected(station: StationMap, access: Access | None) -> AsyncIterator[Client]:
    """Connect for as long as the context lasts; LinkLost says what is in the way, and what to do."""
    client = Client(station.endpoint, timeout=station.timeout_s, watchdog_intervall=WATCHDOG_S)
    client.session_timeout = SESSION_MS
    client.name = f"gateway {station.code}"
    try:
        async with timeout(station.timeout_s * 2):
            await _secure(client, station, access)
            await client.connect()
    except NotSecure as error:
        client.disconnect_socket()
        raise LinkLost(station=station.code, reason=f"{station.endpoint}: {error}") from error
    except GONE as error:
        client.disconnect_socket()
        raise LinkLost(station=station.code, reason=f"{station.endpoint}: {_sentence(error, station)}") from error
    except BaseException:
        client.disconnect_socket()
        raise
    try:
        yield client
    finally:
        with suppress(*GONE):
            async with timeout(1.0):
                await client.disconnect()
        client.disconnect_socket()


async def _secure(client: Client, station: StationMap, access: Access | None) -> None:
    if station.user is not None:
        if access is None:
            raise NotSecure(reason=f"its user {station.user} has a password, but no --secrets folder was given")
        client.set_user(station.user)
        client.set_password(await to_thread(access.password, station.code))
    if station.security == "none":
        return
    if access is None:
        raise NotSecure(reason="it is to be encrypted, but no --pki folder was given")
    own = await to_thread(access.pki.own)
    client.application_uri = own.uri
    offered = await client.connect_and_get_server_endpoints()
    server = await to_thread(access.pki.check, _certificate(offered))

    async def validate(shown: x509.Certificate, _described: Any) -> None:
        await to_thread(access.pki.check, shown)

    client.certificate_validator = validate
    await client.set_security(
        SecurityPolicyBasic256Sha256,
        CertProperties(own.certificate, "der"),
        CertProperties(own.key, "pem"),
        server_certificate=CertProperties(server, "der"),
        mode=_ENCRYPTED,
    )


def _certificate(offered: list[ua.EndpointDescription]) -> x509.Certificate:
    """The certificate of the endpoint that encrypts as we do."""
    for one in offered:
        fits = one.SecurityMode == _ENCRYPTED and one.SecurityPolicyUri == SecurityPolicyBasic256Sha256.URI
        if fits and one.ServerCertificate:
            # a chain may follow; the first one is the server's own
            return x509.load_der_x509_certificate(_first_of(one.ServerCertificate))
    have = sorted({f"{str(one.SecurityPolicyUri).rpartition('#')[2]} {one.SecurityMode.name}" for one in offered})
    raise NotSecure(
        reason=f"expected the server to offer Basic256Sha256 SignAndEncrypt, it offers {', '.join(have) or 'nothing'}; "
        "switch it on in the PLC, or write security: none in the mapping where it can't"
    )


def _first_of(chain: bytes) -> bytes:
    """Cut the first certificate off a chain of them: DER says its own length."""
    size = chain[1]
    if size < 0x80:
        return chain[: 2 + size]
    octets = size & 0x7F
    return chain[: 2 + octets + int.from_bytes(chain[2 : 2 + octets], "big")]


def _sentence(error: Exception, station: StationMap) -> str:
    name = f"{type(error).__name__} {error}".strip()
    if "UserAccessDenied" in name or "IdentityToken" in name:
        who = f"user {station.user}, password from {station.code}.password" if station.user else "nobody logged in"
        return f"the server refused the log-in ({who}): {name}"
    if "CertificateUntrusted" in name or "SecurityChecksFailed" in name:
        return f"the server doesn't trust the gateway's certificate ({name}); trust it in the PLC"
    return name
