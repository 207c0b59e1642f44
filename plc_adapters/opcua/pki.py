"""The gateway's certificates in a folder: its own with its key, the servers it trusts, those it has refused.

A server is trusted by its very certificate, not by who signed it. The thumbprint is the one that PLC tools show
(SHA-1); it names a certificate to people, what is compared is the certificate.
"""

import asyncio
import os
import secrets
import socket
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mes import clock
from mes.errors import MesError, NotFound
from plc_adapters import metrics

log = structlog.get_logger()
VALID_FOR = timedelta(days=730)
WARN_DAYS = 30
LOOK_EVERY_S = 86_400.0
MOST_REJECTED = 100
_SUFFIXES = {".der", ".crt", ".cer", ".pem"}


class NotSecure(MesError):
    """{reason}."""

    status = 503


@dataclass(frozen=True, slots=True)
class Own:
    """A certificate, its key, and the application's URI in it."""

    certificate: Path
    key: Path
    uri: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A certificate of the folder, as it is shown to people."""

    kind: str  # own, trusted, rejected
    thumbprint: str
    subject: str
    uri: str
    expires: str
    days_left: int


class Pki:
    """A folder of certificates: `own/`, `trusted/`, `rejected/`."""

    def __init__(self, folder: Path, name: str = "Pack MES gateway") -> None:
        self.folder = folder
        self._name = name
        self._certificate, self._key = folder / "own" / "certificate.der", folder / "own" / "key.pem"

    def own(self) -> Own:
        """Return the own certificate and key; made when there is none. NotSecure where it may not be used."""
        if not self._certificate.exists():
            self.renew()
        if not self._key.exists():
            raise NotSecure(reason=f"{self._key} is missing, {self._certificate} is of no use without it; remove both")
        if (mode := self._key.stat().st_mode & 0o777) & 0o077:
            raise NotSecure(reason=f"{self._key} has mode {mode:o}, expected 600: others can read it; chmod 600 it")
        certificate = _load(self._certificate)
        if certificate.not_valid_after_utc <= clock.now():
            raise NotSecure(
                reason=f"the gateway's own certificate expired on {certificate.not_valid_after_utc:%Y-%m-%d}; "
                "run `mes opcua renew` and trust the new one in the PLCs"
            )
        return Own(self._certificate, self._key, uri_of(certificate))

    def renew(self) -> x509.Certificate:
        """Make the own certificate anew, with the key that is there or a new one; PLCs must trust it again."""
        for folder in (self.folder, *(self.folder / name for name in ("own", "trusted", "rejected"))):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._key.exists():
            key = serialization.load_pem_private_key(self._key.read_bytes(), None)
            assert isinstance(key, rsa.RSAPrivateKey), self._key  # noqa: S101  none other is made here
        else:
            key = rsa.generate_private_key(65537, 2048)
            form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            _write(self._key, key.private_bytes(*form), 0o600)
        uri = uri_of(_load(self._certificate)) if self._certificate.exists() else ""
        certificate = _signed(
            key, self._name, uri or f"urn:{socket.gethostname()}:{self._name.replace(' ', '-').lower()}"
        )
        _write(self._certificate, certificate.public_bytes(serialization.Encoding.DER), 0o644)
        return certificate

    def check(self, shown: x509.Certificate) -> bytes:
        """Return a server's certificate where it is trusted and in date, else NotSecure; no folder, no trust."""
        found = shown.public_bytes(serialization.Encoding.DER)
        name = thumbprint(shown)
        if all(found != one.public_bytes(serialization.Encoding.DER) for one in self._in("trusted")):
            self._reject(name, found)
            raise NotSecure(
                reason=f"the server's certificate {name} ({shown.subject.rfc4514_string()}) is not trusted; compare "
                f"the thumbprint with what the PLC shows, then run `mes opcua trust {name}`"
            )
        now = clock.now()
        if not shown.not_valid_before_utc <= now < shown.not_valid_after_utc:
            raise NotSecure(
                reason=f"the server's certificate {name} is valid from {shown.not_valid_before_utc:%Y-%m-%d} to "
                f"{shown.not_valid_after_utc:%Y-%m-%d}, not now; renew it in the PLC, then trust the new one"
            )
        return found

    def trust(self, name: str) -> None:
        """Trust a certificate that was rejected, by its thumbprint or the beginning of it."""
        path = self._path("rejected", name)
        _write(self.folder / "trusted" / f"{thumbprint(_load(path))}.der", _der(path), 0o644)
        path.unlink()

    def distrust(self, name: str) -> None:
        """Trust a certificate no more."""
        path = self._path("trusted", name)
        _write(self.folder / "rejected" / f"{thumbprint(_load(path))}.der", _der(path), 0o644)
        path.unlink()

    def add_trusted(self, certificate: Path) -> None:
        """Trust a certificate in a file."""
        _write(self.folder / "trusted" / f"{thumbprint(_load(certificate))}.der", _der(certificate), 0o644)

    def listed(self) -> list[Listed]:
        """Every certificate of the folder."""
        own = [("own", _load(self._certificate))] if self._certificate.exists() else []
        rest = [(kind, one) for kind in ("trusted", "rejected") for one in self._in(kind)]
        return [_listed(kind, one) for kind, one in (*own, *rest)]

    def _reject(self, name: str, found: bytes) -> None:
        folder = self.folder / "rejected"
        path = folder / f"{name}.der"
        if path.exists():
            return
        # Whoever answers at a station's address could fill the disk with ever new ones.
        kept = sorted(folder.glob("*.der"), key=lambda one: one.stat().st_mtime) if folder.exists() else []
        for old in kept[: max(len(kept) - MOST_REJECTED + 1, 0)]:
            old.unlink(missing_ok=True)
        _write(path, found, 0o644)

    def _paths(self, kind: str) -> list[Path]:
        folder = self.folder / kind
        return sorted(one for one in folder.iterdir() if one.suffix in _SUFFIXES) if folder.is_dir() else []

    def _in(self, kind: str) -> list[x509.Certificate]:
        found = []
        for path in self._paths(kind):
            try:
                found.append(_load(path))
            except ValueError:
                log.warning("certificate_unreadable", file=str(path))
        return found

    def _path(self, kind: str, name: str) -> Path:
        wanted = name.replace(":", "").replace(" ", "").upper()
        found = [one for one in self._paths(kind) if wanted and thumbprint(_load(one)).startswith(wanted)]
        if len(found) != 1:
            there = ", ".join(thumbprint(_load(one)) for one in self._paths(kind)) or "none"
            raise NotFound(kind=f"{kind} certificate in {self.folder}", name=f"{name} (there: {there})")
        return found[0]


@dataclass(frozen=True, slots=True)
class Access:
    """What a gateway needs to reach secured servers: its certificates, and the folder of passwords."""

    pki: Pki
    secrets: Path | None = None

    def password(self, station: str) -> str:
        """Read a station's password; NotSecure where it isn't there, or others could read it too."""
        if self.secrets is None:
            raise NotSecure(
                reason=f"expected --secrets FOLDER with the file {station}.password, as the mapping names a user"
            )
        path = self.secrets / f"{station}.password"
        try:
            mode = path.stat().st_mode & 0o777
            text = path.read_text("utf-8")
        except OSError as error:
            raise NotSecure(reason=f"the password is expected in {path}: {error.strerror}") from error
        if mode & 0o077:
            raise NotSecure(reason=f"{path} has mode {mode:o}, expected 600: others can read it; chmod 600 it")
        return text.partition("\n")[0].rstrip("\r")


async def watch_expiry(pki: Pki) -> None:
    """Count the days that certificates have left, and warn once a day from 30 days before, for ever."""
    while True:
        warn_of_expiry(await asyncio.to_thread(pki.listed))
        await asyncio.sleep(LOOK_EVERY_S)


def warn_of_expiry(certificates: list[Listed]) -> None:
    """Count the days that each certificate in use has left, and warn of those that end soon."""
    for one in certificates:
        if one.kind == "rejected":
            continue
        metrics.certificate_days_left.labels("own" if one.kind == "own" else one.thumbprint).set(one.days_left)
        if one.days_left <= WARN_DAYS:
            does = "run `mes opcua renew`, then trust it in the PLCs" if one.kind == "own" else "renew it in the PLC"
            log.warning("certificate_expires", of=one.kind, thumbprint=one.thumbprint, days_left=one.days_left, do=does)


def thumbprint(certificate: x509.Certificate) -> str:
    """Name a certificate as PLC tools do."""
    return certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303  a name, see above


def uri_of(certificate: x509.Certificate) -> str:
    """The application's URI in a certificate; empty where it has none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    return next(iter(names.get_values_for_type(x509.UniformResourceIdentifier)), "")


def _listed(kind: str, one: x509.Certificate) -> Listed:
    left = (one.not_valid_after_utc - clock.now()).days
    subject = one.subject.rfc4514_string()
    return Listed(kind, thumbprint(one), subject, uri_of(one), f"{one.not_valid_after_utc:%Y-%m-%d}", left)


def _signed(key: rsa.RSAPrivateKey, name: str, uri: str) -> x509.Certificate:
    who = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "MES")]
    )
    now = clock.now()
    usage = dict.fromkeys(("key_agreement", "crl_sign", "encipher_only", "decipher_only"), False)
    used = dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"), True)
    builder = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # a PLC's clock may be behind
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.SubjectAlternativeName(_names(uri)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage, **used, key_cert_sign=True), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def _names(uri: str) -> list[x509.GeneralName]:
    return [x509.UniformResourceIdentifier(uri), x509.DNSName(socket.gethostname())]


def _load(path: Path) -> x509.Certificate:
    read = path.read_bytes()
    return x509.load_pem_x509_certificate(read) if b"-----BEGIN" in read else x509.load_der_x509_certificate(read)


def _der(path: Path) -> bytes:
    return _load(path).public_bytes(serialization.Encoding.DER)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file whole or not at all, readable by those it is for from its first byte on."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(path)
