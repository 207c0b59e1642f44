"""What the simulated stations measure: the plant's distributions and defects, the same for the same seed.

Every draw hangs on (seed, serial, operation, attempt) alone, so a run can be repeated whatever its timing. Defects are
drawn at the first attempt; a station's rework makes the values good.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from random import Random
from statistics import mean
from typing import Any

from plc_adapters.simulated.jobs import Cell, PackJob
from plc_adapters.simulated.products import Characteristic

Values = dict[str, list[Any]]
Curves = dict[str, list[tuple[list[float], list[float]]]]
POINTS = 60

# Share of first attempts (cells, joints: share of pieces). Engineering defaults of the demo plant.
DEFECT_RATES = {
    "cell": 0.005,
    "polarity": 20e-6,
    "joint": 400e-6,
    "end_of_line": 0.008,
    "flash": 0.004,
    "leak": 0.006,
}

# Where the limits have one side only, or the truth isn't in their middle: mean, standard deviation.
_NORMAL: dict[str, tuple[float, float]] = {
    "acir_mohm": (2.2, 0.066),
    "ambient_c": (23, 1),
    "charge_s": (7400, 60),
    "clean_to_weld_h": (2.5, 0.8),
    "continuity_ohm": (0.03, 0.005),
    "current_ripple_pct": (0.3, 0.05),
    "dcir_spread_pct": (3, 0.6),
    "discharge_s": (7250, 60),
    "drift_mv_h": (0.012, 0.005),
    "efficiency_pct": (96.5, 0.3),
    "end_pressure_mbar": (29.4, 0.15),
    "end_spread_mv": (60, 12),
    "flash_time_s": (70, 4),
    "gap_mm": (0.04, 0.01),
    "hipot_ma": (0.2, 0.04),
    "hipot_time_s": (1.05, 0.005),
    "insulation_mohm": (900, 120),
    "joint_resistance_uohm": (22, 4),
    "k_value_mv_h": (0.012, 0.003),
    "leak_rate_cc_min": (6, 1.5),
    "mass_g": (300, 1),
    "monitor_index": (92, 3),
    "pot_life_min": (12, 3),
    "sleep_current_ua": (120, 12),
    "temperature_max_c": (35, 1.5),
    "temperature_rise_k": (6.5, 0.8),
    "voltage_max_v": (58.4, 0.03),
    "voltage_min_v": (42, 0.4),
    "voltage_spread_mv": (2, 0.5),
}
_EXACT = {"cells_configured": 16.0, "data_matrix_grade": 4.0, "label_prints": 1.0}


@dataclass(frozen=True, slots=True)
class Work:
    """One attempt of one unit at one operation."""

    operation: str
    serial: str
    attempt: int = 1
    job: PackJob | None = None


@dataclass(frozen=True)
class Process:
    """The line's physics under one seed."""

    seed: int
    rates: dict[str, float]

    def measure(self, work: Work, characteristics: Sequence[Characteristic]) -> tuple[Values, Curves, list[str]]:
        """Return values, curves and the names of the defects drawn."""
        random = Random(f"{self.seed}|{work.serial}|{work.operation}|{work.attempt}")  # noqa: S311
        values: Values = {}
        for one in characteristics:
            if one.kind != "curve":
                values[one.name] = _good(one, work, random)
        drawn = self._spoil(work, values, random) if work.attempt == 1 else []
        curves = {one.name: _curves(one, values, random) for one in characteristics if one.kind == "curve"}
        return values, curves, drawn

    def _spoil(self, work: Work, values: Values, random: Random) -> list[str]:
        drawn = []
        for name, rate in self.rates.items():
            operation, characteristic, spoil = _DEFECTS[name]
            if operation != work.operation or characteristic not in values:
                continue
            pieces = values[characteristic]
            for place in range(len(pieces)):
                if random.random() < rate:
                    pieces[place] = spoil(random)
                    drawn.append(f"{name} {place + 1}")
        return drawn


# By defect: where it shows, in which characteristic, and what is measured then.
_DEFECTS: dict[str, tuple[str, str, Callable[[Random], Any]]] = {
    "cell": ("020", "ocv_v", lambda random: round(random.uniform(3.05, 3.22), 4)),
    "polarity": ("040", "polarity_ok", lambda _random: False),
    "joint": ("070", "monitor_index", lambda random: round(random.uniform(40, 68), 1)),
    "end_of_line": ("090", "voltage_spread_mv", lambda random: round(random.uniform(5.5, 12), 2)),
    "flash": ("100", "config_crc", lambda random: f"{random.getrandbits(32):08X}"),
    "leak": ("130", "leak_rate_cc_min", lambda random: round(random.uniform(22, 90), 1)),
}


def rates_with(spec: str) -> dict[str, float]:
    """Change the defect rates: "none" for no defects, or e.g. "leak=0.2,flash=0"; ValueError names what is unknown."""
    if spec in ("", "default"):
        return dict(DEFECT_RATES)
    if spec == "none":
        return dict.fromkeys(DEFECT_RATES, 0.0)
    rates = dict(DEFECT_RATES)
    for one in spec.split(","):
        name, _, rate = one.partition("=")
        if name.strip() not in rates or not 0 <= float(rate or "nan") <= 1:
            raise ValueError(f"fault {one!r}: expected none, or NAME=SHARE with a NAME of {', '.join(rates)}")
        rates[name.strip()] = float(rate)
    return rates


def groups_of(cells: Sequence[Cell], groups: int) -> list[Sequence[Cell]]:
    """Cut the cells into groups by position."""
    size = max(1, len(cells) // max(1, groups))
    return [cells[start : start + size] for start in range(0, size * groups, size)]


def _good(one: Characteristic, work: Work, random: Random) -> list[Any]:
    if one.kind == "boolean":
        return [one.expected is not False] * one.count
    if one.kind == "text":
        return _texts(one, work)
    job = work.job
    found = _of_cells(one, work, job, random) if job and job.cells else None
    if found is None:
        found = [_number(one, random) for _ in range(one.count)]
    return found


def _of_cells(one: Characteristic, work: Work, job: PackJob, random: Random) -> list[float] | None:
    """What the stations measure again of the very cells that a job names."""
    groups = groups_of(job.cells, one.count)
    match work.operation, one.name:
        case "020", "ocv_v":
            return [_within(one, cell.ocv_v + random.gauss(0, 0.0002)) for cell in job.cells]
        case "020", "acir_mohm":
            return [_within(one, cell.acir_mohm + random.gauss(0, 0.005)) for cell in job.cells]
        case "030", "acir_mohm":
            return [cell.acir_mohm for cell in job.cells]
        case "030", "capacity_ah":
            return [cell.capacity_ah for cell in job.cells]
        case "030", "group_capacity_sum_ah":
            return [round(sum(cell.capacity_ah for cell in group), 3) for group in groups]
        case "030", "group_capacity_spread_pct":
            return [_spread_pct([cell.capacity_ah for cell in group]) for group in groups]
        case "030", "group_acir_spread_pct":
            return [_spread_pct([cell.acir_mohm for cell in group]) for group in groups]
        case "030", "group_lots":
            return [float(len({cell.lot for cell in group})) for group in groups]
        case "150", "capacity_ah" | "charge_ah" | "energy_kwh" | "charge_energy_kwh":
            return [_within(one, _pack_energy(one.name, job.cells) * random.gauss(1, 0.0005))]
    return None


def _pack_energy(name: str, cells: Sequence[Cell]) -> float:
    """The weakest group ends the discharge; the groups of a matched module are close, so their mean tells it."""
    charge_ah = mean(sum(cell.capacity_ah for cell in group) for group in groups_of(cells, 16)) * 0.998
    losses = 1.004 if name.startswith("charge") else 1.0
    return charge_ah * losses * (51.1 / 1000 if name.endswith("kwh") else 1.0)


def _number(one: Characteristic, random: Random) -> float:
    if one.name in _EXACT:
        return _EXACT[one.name]
    if one.name == "channel":
        return float(random.randint(1, 24))
    if one.name == "resistance_over_median_sigma":
        return _within(one, abs(random.gauss(0, 1)))
    return _within(one, random.gauss(*_distribution(one)))


def _distribution(one: Characteristic) -> tuple[float, float]:
    """Limits lie six standard deviations from the middle, where nothing better is known."""
    if one.name in _NORMAL and _accepts_mean(one):
        return _NORMAL[one.name]
    if one.lower is not None and one.upper is not None:
        return (one.lower + one.upper) / 2, (one.upper - one.lower) / 12
    if one.upper is not None:
        return one.upper * 0.5, abs(one.upper) * 0.06
    if one.lower is not None:
        return one.lower * 1.1, abs(one.lower) * 0.01
    return 1.0, 0.05


def _accepts_mean(one: Characteristic) -> bool:
    return one.accepts(_NORMAL[one.name][0])


def _within(one: Characteristic, value: float) -> float:
    """Keep a good piece's tail inside the limits: only named defects fail, at the rates they are given."""
    spread = 0.002 * abs((one.upper or 0) - (one.lower or 0)) or 0.001
    if one.lower is not None:
        value = max(value, one.lower + spread)
    if one.upper is not None:
        value = min(value, one.upper - spread)
    return float(f"{value:.6g}")


def _spread_pct(values: Sequence[float]) -> float:
    return round((max(values) - min(values)) / mean(values) * 100, 3)


def _texts(one: Characteristic, work: Work) -> list[Any]:
    job = work.job
    if one.expected is not None:
        return [str(one.expected)] * one.count
    match one.name:
        case "cell":
            return [cell.serial for cell in job.cells] if job else [""] * one.count
        case "label_serial":
            return [work.serial] * one.count
        case "sscc":
            return [_sscc(work.serial)] * one.count
        case "image":
            return [f"images/{work.operation}/{work.serial}-{work.attempt}.jpg"] * one.count
        case "test_summary":
            return ["UN38.3/CELL-LFP-15.pdf"] * one.count
        case _:
            return [f"{one.name}-{work.serial}"[:100]] * one.count


def _sscc(serial: str) -> str:
    """A GS1 serial shipping container code: extension, company prefix, reference, check digit."""
    reference = int.from_bytes(sha256(serial.encode()).digest()[:8], "big") % 10**9
    body = f"0{9521234:07d}{reference:09d}"
    weighted = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(body))
    return f"{body}{-weighted % 10}"


def _curves(one: Characteristic, values: Values, random: Random) -> list[tuple[list[float], list[float]]]:
    finals = values.get(one.name.removesuffix("_curve") + "_nm") or [0.0] * one.count
    angles = values.get(one.name.removesuffix("_torque_curve") + "_angle_deg") or [60.0] * one.count
    if one.name.endswith("torque_curve"):
        return [_torque(final, angle, random) for final, angle in zip(finals, angles, strict=False)]
    start = (values.get("start_pressure_mbar") or [30.0])[0]
    end = (values.get("end_pressure_mbar") or [start - 0.6])[0]
    return [_decay(start, end, random) for _ in range(one.count)]


def _torque(final_nm: float, angle_deg: float, random: Random) -> tuple[list[float], list[float]]:
    """Run down at little torque, then a steep straight rise to the final torque."""
    x = [round(angle_deg * 3 * step / (POINTS - 1), 2) for step in range(POINTS)]
    rise = angle_deg * 2
    y = [0.6 if at < rise else 0.6 + (final_nm - 0.6) * (at - rise) / (x[-1] - rise) for at in x]
    return x, [round(max(0.0, torque + random.gauss(0, 0.02)), 3) for torque in y[:-1]] + [final_nm]


def _decay(start_mbar: float, end_mbar: float, random: Random) -> tuple[list[float], list[float]]:
    x = [round(45.0 * step / (POINTS - 1), 2) for step in range(POINTS)]
    drop = start_mbar - end_mbar
    y = [start_mbar - drop * (1 - math.exp(-at / 15)) / (1 - math.exp(-3)) for at in x]
    return x, [round(pressure + random.gauss(0, 0.01), 3) for pressure in y]
