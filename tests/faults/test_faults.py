"""Every fault of the table once, then a few at random: each result once, each question answered, nothing stale."""

import random
from pathlib import Path

from rich.console import Console

from tests.faults.auditor import audited
from tests.faults.floor import FIRST
from tests.faults.printing import print_table
from tests.faults.shift import shift
from tests.faults.striking import Striker
from tests.faults.table import FAULTS, named

SEED, AT_RANDOM, LONGEST_S = 20261123, 2, 0.5  # `make faults` strikes more, and longer ones


async def test_a_shift_under_faults_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    async with shift(tmp_path, SEED) as running:
        striker = Striker(running, random.Random(SEED), at_most_s=LONGEST_S)
        await striker.each_once(at_once=True)
        await striker.at_random(AT_RANDOM)
        await running.finish()
        audit = await audited(running, striker.struck)
    print_table(Console(width=140), striker.struck, audit)
    assert audit.wrong == []
    assert len(striker.struck) == len(FAULTS) + AT_RANDOM
    (away,) = (one for one in striker.struck if one.fault is named("MES away ten minutes"))
    gone = [turn for turn in audit.turns if away.began_at < (turn.acked_at or 0) < away.healed_at]
    assert len(gone) > 2 * len(FIRST), "good units went on while the server was away"
    assert sum(not turn.is_legal for turn in audit.turns) > 2 * len(FIRST), "what must be refused was asked for"
