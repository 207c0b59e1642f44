"""Anchors: a seal, signed, to be kept where no one who has the database can reach it."""

import json
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from pydantic import SecretStr

from mes.errors import Conflict, Malformed
from mes.seal.messages import Anchor


class NoSealKey(Conflict):
    """Anchors can't be signed: set MES_SEAL_KEY, better as the file mes_seal_key, to 64 random hex digits."""


class AnchorForged(Conflict):
    """The anchor of seal {seal} was not signed with the key that belongs to this public key."""


def find_key(secret: SecretStr | None) -> Ed25519PrivateKey | None:
    """The signing key that a secret of 64 hex digits stands for [RFC 8032: its seed]; None without one.

    Raises NoSealKey for anything else.
    """
    if secret is None:
        return None
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret.get_secret_value().strip()))
    except ValueError as error:
        raise NoSealKey from error


def get_key(secret: SecretStr | None) -> Ed25519PrivateKey:
    """The signing key, or raise NoSealKey."""
    if (key := find_key(secret)) is None:
        raise NoSealKey
    return key


def public_pem(key: Ed25519PrivateKey) -> str:
    """The public key, as others need it to check an anchor."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Read a public key. Raises Malformed."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except ValueError as error:
        raise Malformed(str(path), [{"at": "the file", "read": str(error), "expected": "a PEM public key"}]) from error
    if not isinstance(key, Ed25519PublicKey):
        raise Malformed(str(path), [{"at": "the key", "read": type(key).__name__, "expected": "Ed25519"}])
    return key


def signed(anchor: Anchor, key: Ed25519PrivateKey) -> Anchor:
    """The anchor with its signature."""
    return anchor.model_copy(update={"signature": key.sign(_said(anchor)).hex()})


def require_genuine(anchor: Anchor, key: Ed25519PublicKey) -> None:
    """Raise AnchorForged unless the anchor was signed with the key's other half."""
    try:
        key.verify(bytes.fromhex(anchor.signature), _said(anchor))
    except (InvalidSignature, ValueError) as error:
        raise AnchorForged(seal=anchor.seal) from error


def _said(anchor: Anchor) -> bytes:
    return json.dumps(
        anchor.model_dump(mode="json", exclude={"signature"}), sort_keys=True, separators=(",", ":")
    ).encode()
