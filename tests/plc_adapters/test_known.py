"""What a gateway knows, and what events say of it. Pure."""

from typing import Any

import pytest

from plc_adapters.known import touched


def told(topic: str, **data: Any) -> dict[str, Any]:
    return {"type": f"com.packmes.{topic}", "data": data}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], set()),
        ([told("permit", serial="U1"), told("link", station="ST-1"), told("hold", state="signed")], set()),
        ([told("cycle", serial="U1"), told("move", serial="U2"), told("cycle", serial="U1")], {"U1", "U2"}),
        ([told("hold", serial="U1", held=1)], {"U1"}),
        ([told("hold", serial="U1", held=2)], None),  # what it is in, too
        ([told("hold", containment=1, serial="U1", held=1)], None),
        ([told("hold", lot="L1")], None),
        ([told("hold", state="released", serials=["U1"], lots=[])], None),
        ([told("cycle", serial="U1"), told("order", order="WO-1")], None),
        ([told("something new")], None),
        ([told("cycle", serial=f"U{n}") for n in range(101)], None),
    ],
)
def test_events_say_what_changed(events: list[dict[str, Any]], expected: set[str] | None) -> None:
    assert touched(events) == expected
