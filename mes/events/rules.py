"""How an event is named to the outside, and where it may be sent. Pure."""

import base64
import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

TYPES = "com.packmes."  # CloudEvents asks for a reverse-DNS name before a type
# What an event is about: the first of these that its payload names.
SUBJECTS = ("serial", "lot", "crate", "order", "kit", "delivery", "station", "name")
STATEFUL = ("link", "cycle")  # topics of which a station's last event is its state


class State(StrEnum):
    """How a subscription is: taking events, tried again and again, or ended by its receiver."""

    ACTIVE = "active"
    FAILING = "failing"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as it is kept. `path`: site/line/station, where it is of one station."""

    id: int
    at: datetime
    topic: str
    path: str | None
    payload: Mapping[str, Any]


def type_of(topic: str) -> str:
    """The CloudEvents type of a topic."""
    return f"{TYPES}{topic}"


def subject_of(payload: Mapping[str, Any]) -> str | None:
    """What an event is about: a serial, a lot ... or nothing that has a name."""
    return next((str(payload[name]) for name in SUBJECTS if payload.get(name)), None)


def source_of(enterprise: str, path: str | None) -> str:
    """Where it happened, as a path of the ISA-95 hierarchy: /enterprise/site/line/station."""
    return f"/{enterprise}/{path}" if path else f"/{enterprise}"


def mqtt_topic(prefix: str, event: EventRow) -> str:
    """Where it stands in the unified namespace: prefix/site/line/station/topic."""
    return "/".join(part for part in (prefix, event.path, event.topic) if part)


def state_topic(prefix: str, event: EventRow) -> str | None:
    """Where it is retained as its station's state; None: it is no state."""
    if event.path is None or event.topic not in STATEFUL:
        return None
    return f"{prefix}/{event.path}/state/{event.topic}"


def address_fault(address: str, secure: str, plain: str) -> str | None:
    """Why events can't be sent there; None: they can. In plain text only to this machine itself."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return str(error)
    if parts.scheme not in {secure, plain} or not host:
        return f"expected {secure}://HOST"
    if parts.username is not None or parts.password is not None:
        return "a password doesn't belong in an address: it would be stored and shown"
    if parts.fragment:
        return "expected no #"
    if parts.scheme == plain and not is_loopback(host):
        return f"expected {secure}://: {plain}:// is for this machine itself"
    return None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def webhook_secret(key: str, salt: bytes) -> str:
    """A webhook's signing secret [Standard Webhooks], derived from the installation's key: nothing stores it."""
    made = hmac.digest(key.encode(), b"packmes webhook\0" + salt, "sha256")
    return "whsec_" + base64.b64encode(made).decode()


def digest_of(secret: str) -> bytes:
    """What is kept of a secret, to tell another from it."""
    return hashlib.sha256(secret.encode()).digest()
