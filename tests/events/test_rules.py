"""How events are named to the outside, and where they may be sent."""

import base64
from datetime import UTC, datetime

import pytest

from mes.events.rules import (
    EventRow,
    address_fault,
    mqtt_topic,
    source_of,
    state_topic,
    subject_of,
    webhook_secret,
)

AT = datetime(2026, 11, 23, tzinfo=UTC)


def event(topic: str, path: str | None) -> EventRow:
    return EventRow(1, AT, topic, path, {})


def test_places_in_the_namespace() -> None:
    cycle = event("cycle", "austin/gc1/GC1-040")
    assert mqtt_topic("acme", cycle) == "acme/austin/gc1/GC1-040/cycle"
    assert state_topic("acme", cycle) == "acme/austin/gc1/GC1-040/state/cycle"
    assert mqtt_topic("acme", event("order", None)) == "acme/order"
    assert state_topic("acme", event("order", "austin/gc1/GC1-040")) is None
    assert state_topic("acme", event("cycle", None)) is None
    assert source_of("acme", "austin/gc1/GC1-040") == "/acme/austin/gc1/GC1-040"
    assert source_of("acme", None) == "/acme"


@pytest.mark.parametrize(
    ("payload", "subject"),
    [
        ({"station": "S1", "serial": "U1"}, "U1"),
        ({"station": "S1", "lot": "L1"}, "L1"),
        ({"station": "S1"}, "S1"),
        ({"job": 7}, None),
        ({"serial": None}, None),
    ],
)
def test_what_an_event_is_about(payload: dict[str, object], subject: str | None) -> None:
    assert subject_of(payload) == subject


@pytest.mark.parametrize(
    ("address", "is_good"),
    [
        ("https://example.org/x?y=1", True),
        ("http://localhost:8080/x", True),
        ("http://[::1]:8080/x", True),
        ("http://127.0.0.1/x", True),
        ("http://localhost.example.org/x", False),
        ("http://10.0.0.1/x", False),
        ("https:///x", False),
        ("https://example.org/x#y", False),
        ("https://:secret@example.org/", False),
        ("https://[::1/x", False),
    ],
)
def test_where_a_webhook_may_be(address: str, is_good: bool) -> None:
    assert (address_fault(address, "https", "http") is None) is is_good


def test_secrets_are_32_bytes_and_each_its_own() -> None:
    one, other = webhook_secret("k" * 40, b"a" * 16), webhook_secret("k" * 40, b"b" * 16)
    assert one != other
    assert one == webhook_secret("k" * 40, b"a" * 16)
    assert len(base64.b64decode(one.removeprefix("whsec_"))) == 32
