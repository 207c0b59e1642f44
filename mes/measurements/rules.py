"""Judges reported values against a step's characteristics."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mes.products.rules import CharacteristicPlan, StepPlan

Reported = bool | float | str | None


@dataclass(frozen=True, slots=True)
class OutOfLimits:
    """One value that fails; `index` counts from 1."""

    characteristic: CharacteristicPlan
    index: int
    value: Reported


@dataclass(frozen=True, slots=True)
class Judged:
    """A cycle's values in the order they are stored, and what fails."""

    numbers: list[float | None]
    texts: list[str | None]
    failed: list[int]
    failures: list[OutOfLimits]


def judge(
    step: StepPlan, values: Mapping[str, Sequence[Reported]], drawn: Mapping[str, Collection[int]] = {}
) -> Judged:
    """Lay the values out as the step's set says and judge each. A value or curve that is missing fails.

    `drawn`: the ordinals of the curves that came, by characteristic.
    """
    numbers: list[float | None] = [None] * step.number_count
    texts: list[str | None] = [None] * step.text_count
    failed: list[int] = []
    failures: list[OutOfLimits] = []
    for characteristic in step.characteristics:
        if characteristic.kind == "curve":
            came = drawn.get(characteristic.name, ())
            missing = [n for n in range(1, characteristic.count + 1) if n not in came]
            failures += [OutOfLimits(characteristic, n, None) for n in missing]
            continue
        reported = values.get(characteristic.name, ())
        is_text = characteristic.kind == "text"
        shift = characteristic.offset + (step.number_count if is_text else 0)
        target: list[Any] = texts if is_text else numbers
        target[characteristic.offset : characteristic.offset + len(reported)] = (
            reported if is_text else [None if value is None else float(value) for value in reported]
        )
        if (bad := _outside(characteristic, reported)) or len(reported) < characteristic.count:
            bad += range(len(reported), characteristic.count)
            failed += [shift + index for index in bad]
            failures += [
                OutOfLimits(characteristic, index + 1, reported[index] if index < len(reported) else None)
                for index in bad
            ]
    return Judged(numbers, texts, failed, failures)


def _outside(characteristic: CharacteristicPlan, reported: Sequence[Any]) -> list[int]:
    lower, upper, expected = characteristic.lower, characteristic.upper, characteristic.expected
    if characteristic.kind == "text":
        return [i for i, v in enumerate(reported) if v is None or not v or (expected is not None and v != expected)]
    return [
        i
        for i, v in enumerate(reported)
        if v is None or (lower is not None and v < lower) or (upper is not None and v > upper)
    ]


def expectation(characteristic: CharacteristicPlan) -> str:
    """Say what a value should be, for a reader."""
    lower, upper, unit = characteristic.lower, characteristic.upper, characteristic.unit
    if characteristic.kind == "text":
        return f"'{characteristic.expected}'" if characteristic.expected is not None else "a text"
    if characteristic.kind == "curve":
        return "a curve"
    if characteristic.kind == "boolean":
        return "a boolean" if lower is None else ("true" if lower == 1 else "false")
    if lower is None and upper is None:
        return f"a number {unit}".strip()
    if lower is None:
        return f"at most {upper:g} {unit}".strip()
    if upper is None:
        return f"at least {lower:g} {unit}".strip()
    return f"{lower:g} to {upper:g} {unit}".strip()


def misunderstandings(step: StepPlan, values: Mapping[str, Sequence[Reported]]) -> list[dict[str, Any]]:
    """List all that keeps the values from being understood: unknown names, too many values, a value of another kind."""
    known = {c.name: c for c in step.characteristics if c.kind != "curve"}
    errors: list[dict[str, Any]] = []
    for name, reported in values.items():
        characteristic = known.get(name)
        if characteristic is None:
            expected = f"a characteristic of step {step.operation}: {', '.join(known) or 'it has none'}"
            errors.append({"at": f"values.{name}", "read": name, "expected": expected})
            continue
        if len(reported) > characteristic.count:
            expected = f"at most {characteristic.count} values"
            errors.append({"at": f"values.{name}", "read": f"{len(reported)} values", "expected": expected})
        kinds = _KINDS[characteristic.kind]
        errors += [
            {"at": f"values.{name}.{i + 1}", "read": repr(v)[:80], "expected": f"a {characteristic.kind}"}
            for i, v in enumerate(reported)
            if v.__class__ not in kinds
        ]
    return errors


def misunderstood_curves(step: StepPlan, curves: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    """List the curves (characteristic, ordinal) that the step doesn't have, or that came twice."""
    counts = {c.name: c.count for c in step.characteristics if c.kind == "curve"}
    errors: list[dict[str, Any]] = []
    for n, (name, ordinal) in enumerate(curves):
        at = f"curves.{n + 1}"
        if name not in counts:
            errors.append({"at": at, "read": name, "expected": f"one of {', '.join(counts) or 'none'}"})
        elif ordinal > counts[name]:
            errors.append({"at": at, "read": f"{name} {ordinal}", "expected": f"at most {counts[name]} of them"})
        elif (name, ordinal) in curves[:n]:
            errors.append({"at": at, "read": f"{name} {ordinal} again", "expected": "each curve once"})
    return errors


# exact classes: a bool is no number here, though Python takes it for one
_KINDS: dict[str, tuple[type, ...]] = {
    "number": (float, int, type(None)),
    "boolean": (bool, type(None)),
    "text": (str, type(None)),
}
