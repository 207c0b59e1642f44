"""Prints the fault table: what became of each fault, and of what was asked and done meanwhile."""

import math
from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from rich.console import Console
from rich.table import Table

from tests.faults.auditor import Audit
from tests.faults.plc import Turn
from tests.faults.striking import Struck
from tests.faults.table import FAULTS


def print_table(console: Console, struck: Sequence[Struck], audit: Audit) -> None:
    """A row for each kind of fault. What a fault met: turns of its stations from its beginning until all was well."""
    table = Table(title="Faults", title_justify="left")
    for heading in ("fault", "times", "lasted s", "over after s", "asked", "offline", "unanswered", "results"):
        table.add_column(heading, justify="left" if heading == "fault" else "right")
    table.add_column("lost", justify="right")
    table.add_column("doubled", justify="right")
    by_name: defaultdict[str, list[Struck]] = defaultdict(list)
    for one in struck:
        by_name[one.fault.name].append(one)
    for fault in FAULTS:
        if ones := by_name[fault.name]:
            met = [turn for turn in audit.turns if any(_met(one, turn) for one in ones)]
            lasted = [one.healed_at - one.began_at for one in ones]
            table.add_row(fault.name, str(len(ones)), _range(lasted), _middle(ones), *_counts(audit, met))
    table.add_section()
    table.add_row("the whole shift", str(len(struck)), "", "", *_counts(audit, audit.turns))
    console.print(table)
    illegal = [turn for turn in audit.turns if not turn.is_legal]
    console.print(
        f"{len(illegal)} asked for what must be refused, {sum(turn.granted for turn in illegal)} granted; "
        f"{sum(turn.is_forgotten for turn in audit.turns)} turns forgotten by a PLC that lost its memory"
    )


def _counts(audit: Audit, met: Sequence[Turn]) -> list[str]:
    offline = sum((turn.station, turn.cycle) in audit.offline for turn in met)
    return [str(count) for count in (len(met), offline, audit.unanswered(met), *audit.results(met))]


def _met(one: Struck, turn: Turn) -> bool:
    ended = turn.ended_at if turn.ended_at is not None else math.inf
    return turn.station in one.stations and turn.asked_at < one.back_at and ended > one.began_at


def _range(values: Sequence[float]) -> str:
    least, most = f"{min(values):.1f}", f"{max(values):.1f}"
    return least if least == most else f"{least}-{most}"


def _middle(ones: Sequence[Struck]) -> str:
    took = [one.back_at - one.healed_at for one in ones]
    return f"{took[0]:.1f}" if len(took) == 1 else f"{median(took):.1f}, at most {max(took):.1f}"
