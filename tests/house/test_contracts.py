"""The import contracts hold, and the state machines are total."""

import subprocess
import sys
from itertools import product

from mes.materials import rules as lots
from mes.orders import rules as orders
from mes.units import rules as units


def test_the_import_contracts_hold() -> None:
    found = subprocess.run(
        [f"{sys.prefix}/bin/lint-imports", "--no-cache"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout[-3000:]


def test_every_state_machine_is_total() -> None:
    for machine in (lots, orders, units):
        assert set(machine.NEXT) == set(product(machine.State, machine.Event)), machine.__name__
