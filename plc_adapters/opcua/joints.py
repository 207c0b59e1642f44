"""The joints of a unit as one report: values and curves by position, from the results of a joining system; pure."""

from collections.abc import Sequence
from typing import Any

from plc_adapters.opcua.documents import NotADocument, at, moment, one_at, report_or_letter, value
from plc_adapters.port import ASKER, Reported, Unreadable
from plc_adapters.profile_settings import JoiningSettings

OK, NOT_OK = 1, 2  # ResultEvaluation
TORQUE, ANGLE = 2, 3  # PhysicalQuantity


def joint_report(
    station: str, settings: JoiningSettings, cycle: str, serial: str, documents: Sequence[dict[str, Any]]
) -> Reported | Unreadable:
    """Gather results into a report; a joint done again counts as it was last, one not done has no values.

    The report passed when every joint is there and every last result of a joint is OK.
    """

    def build() -> dict[str, Any]:
        last: dict[str, dict[str, Any]] = {}
        times = []
        for document in documents:
            times += _times(document)
            joint = _entity(document, settings.joint_entity)
            if joint is None and (one_at(document, "ResultMetaData.Classification") or 1) > 1:
                continue
            if joint not in settings.joints:
                raise NotADocument(settings.joint_entity, joint, f"one of {', '.join(settings.joints)}")
            last[joint] = document
        good = [_is_ok(last[joint]) if joint in last else False for joint in settings.joints]
        some = list(last.values())
        return {
            "asker": ASKER,
            "serial": serial,
            "verdict": "passed" if all(good) else "failed",
            "started_at": min(times),
            "ended_at": max(times),
            "tool": _shared(some, settings.tool_entity),
            "program_revision": _shared(some, settings.program_entity),
            "values": _values(settings, last, good),
            "curves": _curves(settings, last),
        }

    return report_or_letter(station, cycle, {"results": list(documents)}, build)


def _values(settings: JoiningSettings, last: dict[str, dict[str, Any]], good: list[bool]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {
        name: [_measured(last.get(joint), of) for joint in settings.joints] for name, of in settings.values.items()
    }
    if settings.evaluation:
        found[settings.evaluation] = [
            ok if joint in last else None for joint, ok in zip(settings.joints, good, strict=True)
        ]
    return found


def _measured(document: dict[str, Any] | None, name: str) -> Any:
    for one in at(document, "ResultContent.*.OverallResultValues.*"):
        if isinstance(one, dict) and one.get("Name") == name:
            return value(name, one.get("MeasuredValue"))
    return None


def _curves(settings: JoiningSettings, last: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    if settings.curve is None:
        return []
    found = []
    for ordinal, joint in enumerate(settings.joints, 1):
        traces = at(last.get(joint), "ResultContent.*.Trace.StepTraces.*")
        x, y = (_points(traces, quantity) for quantity in (ANGLE, TORQUE))
        if x or y:
            found.append({"characteristic": settings.curve, "ordinal": ordinal, "x": x, "y": y})
    return found


def _points(traces: list[Any], quantity: int) -> list[Any]:
    """The points of all steps, one after the other."""
    return [
        point
        for trace in traces
        for content in at(trace, "StepTraceContent.*")
        if isinstance(content, dict) and content.get("PhysicalQuantity") == quantity
        for point in content.get("Values", [])
    ]


def _times(document: dict[str, Any]) -> list[Any]:
    paths = ("ResultMetaData.ProcessingTimes.StartTime", "ResultMetaData.ProcessingTimes.EndTime")
    return [moment(path, one_at(document, path)) for path in paths]


def _is_ok(document: dict[str, Any]) -> bool:
    read = one_at(document, "ResultMetaData.ResultEvaluation")
    if read not in (OK, NOT_OK):
        raise NotADocument("ResultMetaData.ResultEvaluation", read, "1 (OK) or 2 (not OK)")
    return bool(read == OK)


def _entity(document: dict[str, Any], name: str) -> str | None:
    for one in at(document, "ResultMetaData.AssociatedEntities.*"):
        if isinstance(one, dict) and one.get("Name") == name and one.get("EntityId"):
            return str(one["EntityId"])
    return None


def _shared(documents: list[dict[str, Any]], name: str) -> str | None:
    """What all joints were done with; where they differ, a report can name none."""
    found = {_entity(document, name) for document in documents}
    return found.pop() if len(found) == 1 else None
