"""What a label of a unit or a crate says, and what its code holds."""

from collections import Counter
from dataclasses import dataclass

from mes.codes import gbt34014, gs1, iso15434
from mes.db import ReadSession
from mes.errors import Conflict
from mes.labels.layout import Layout, crate_label, nameplate
from mes.labels.messages import BatteryCode, LabelSubject
from mes.labels.queries import Nameplate, crate_id, get_nameplate, last_copy
from mes.shipping.queries import get_crate
from mes.shipping.rules import State as CrateState


class CrateOpen(Conflict):
    """Crate {crate} is open: close it, then print what is in it."""


@dataclass(frozen=True, slots=True)
class Design:
    """A label, the bytes of its code, whose it is, and how many copies were asked for before."""

    layout: Layout
    payload: bytes
    unit_id: int | None
    crate_id: int | None
    copies: int


async def design(session: ReadSession, message: LabelSubject, battery: BatteryCode | None = None) -> Design:
    """Design the label of a unit or a closed crate. A reprint's code holds what the first one's did."""
    if message.kind == "crate":
        return await _crate(session, gs1.find_sscc(message.subject) or message.subject)
    unit = await get_nameplate(session, message.subject)
    former = await last_copy(session, unit_id=unit.id, crate_id=None)
    payload = former.payload if former else _payload(unit, battery)
    layout = nameplate(unit.part, unit.name, unit.serial, payload)
    return Design(layout, payload, unit.id, None, former.copy if former else 0)


async def _crate(session: ReadSession, sscc: str) -> Design:
    crate = await get_crate(session, sscc)
    if crate.state is CrateState.OPEN:
        raise CrateOpen(crate=sscc)
    counted = Counter(unit.part for unit in crate.units)
    contents = [f"{count} x {part}" for part, count in sorted(counted.items())]
    id_ = await crate_id(session, sscc)
    former = await last_copy(session, unit_id=None, crate_id=id_)
    payload = f"00{sscc}".encode()
    return Design(crate_label(sscc, contents), payload, None, id_, former.copy if former else 0)


def _payload(unit: Nameplate, battery: BatteryCode | None) -> bytes:
    if battery is None:
        return iso15434.encode([("1P", unit.part), ("S", unit.serial)])
    return gbt34014.encode(
        maker=battery.maker,
        kind=battery.kind,
        chemistry=battery.chemistry,
        spec=battery.spec,
        traceability=battery.traceability,
        made_on=unit.made_on,
        serial=gbt34014.serial(unit.id),  # the unit's own number is counted with others of its product alone
    ).encode()
