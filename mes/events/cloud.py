"""Events in the form of CloudEvents 1.0."""

import json
from collections.abc import Iterable

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from mes.events.rules import EventRow, source_of, subject_of, type_of

ONE = JSONFormat.CONTENT_TYPE
MANY = "application/cloudevents-batch+json"
MAX_BYTES = 256 * 1024
_FORMAT = JSONFormat()


def to_json(event: EventRow, enterprise: str) -> bytes:
    """An event as structured JSON. One larger than 256 KiB is told without its data: how large they were instead."""
    whole = _FORMAT.write(_cloud_event(event, enterprise))
    if len(whole) <= MAX_BYTES:
        return whole
    omitted = {"omitted_bytes": len(json.dumps(dict(event.payload)))}
    return _FORMAT.write(_cloud_event(EventRow(event.id, event.at, event.topic, event.path, omitted), enterprise))


def to_batch(events: Iterable[EventRow], enterprise: str) -> bytes:
    """Events as a JSON batch, each whole [CloudEvents JSON event format, 4]."""
    return b"[" + b",".join(_FORMAT.write(_cloud_event(event, enterprise)) for event in events) + b"]"


def _cloud_event(event: EventRow, enterprise: str) -> CloudEvent:
    attributes = {
        "specversion": "1.0",
        "id": str(event.id),
        "source": source_of(enterprise, event.path),
        "type": type_of(event.topic),
        "time": event.at,
        "datacontenttype": "application/json",
    }
    if subject := subject_of(event.payload):
        attributes["subject"] = subject
    return CloudEvent(attributes, dict(event.payload))
