"""Does what a list of actions says, against the real service: messages, repeats, lost answers, crashes, clock jumps.

An action is plain data, so that a failing list can be printed, cut down and done again: `do` is the act, `m` its
message. In it {"in_min": 5} is a moment from now, and {"ref": "waiver", "reason": "..."} the number of what an earlier
action made; an action whose reference leads nowhere is left out.
"""

import asyncio
import contextvars
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import polars as pl

from mes import clock, db
from mes.actor import Actor, Role
from mes.cells.messages import UnitReceipt
from mes.cells.service import receive_units
from mes.db import Database
from mes.errors import MesError, Unavailable
from mes.execution.articles import sign_first_article
from mes.execution.checks import hold_since_check, record_check
from mes.execution.messages import (
    CheckReport,
    FirstArticleSignature,
    HoldSinceCheck,
    MoveRequest,
    PermitRequest,
    ResultReport,
    WaiverNumber,
    WaiverRequest,
)
from mes.execution.moves import move_stock, open_lot
from mes.execution.permits import request_permit
from mes.execution.reports import report_result
from mes.execution.waivers import grant_waiver, revoke_waiver
from mes.materials.messages import LotOpening, LotReceipt
from mes.materials.service import receive_lot
from mes.message import Message
from mes.orders.messages import OrderEvent, OrderRequest
from mes.orders.service import create_order, move_order
from mes.people.messages import CertificateRequest, CertificateWithdrawal
from mes.people.service import certify, withdraw_certificate
from mes.quality import dispositions
from mes.quality.messages import (
    ContainRequest,
    DisposeLotRequest,
    DisposeRequest,
    ReleaseHoldRequest,
    ReleaseRequest,
    RetestReport,
)
from mes.quality.service import contain, release_containment, release_hold
from tests.simulation.auditor.audit import Auditor
from tests.simulation.auditor.rows import Said
from tests.simulation.auditor.tables import Tables

Action = dict[str, Any]
ACTS: dict[str, tuple[Callable[..., Any], type[Message]]] = {
    "permit": (request_permit, PermitRequest),
    "report": (report_result, ResultReport),
    "contain": (contain, ContainRequest),
    "release_containment": (release_containment, ReleaseRequest),
    "release_hold": (release_hold, ReleaseHoldRequest),
    "dispose": (dispositions.dispose, DisposeRequest),
    "dispose_lot": (dispositions.dispose_lot, DisposeLotRequest),
    "retest": (dispositions.record_retest, RetestReport),
    "check": (record_check, CheckReport),
    "hold_since_check": (hold_since_check, HoldSinceCheck),
    "sign": (sign_first_article, FirstArticleSignature),
    "grant": (grant_waiver, WaiverRequest),
    "revoke": (revoke_waiver, WaiverNumber),
    "move": (move_stock, MoveRequest),
    "receive_lot": (receive_lot, LotReceipt),
    "receive_units": (receive_units, UnitReceipt),
    "open_lot": (open_lot, LotOpening),
    "create_order": (create_order, OrderRequest),
    "move_order": (move_order, OrderEvent),
    "certify": (certify, CertificateRequest),
    "withdraw": (withdraw_certificate, CertificateWithdrawal),
}


@dataclass(slots=True)
class Crash:
    """Ends an act after so many statements: `cancel` while the next one runs, `kill` with the connection cut."""

    after: int
    how: str
    task: asyncio.Task[Any] | None = None
    count: int = 0

    def note(self, driver: asyncpg.Connection) -> None:
        """Count a statement."""
        self.count += 1
        if self.count != self.after or self.task is None:
            return
        if self.how == "kill":
            driver.terminate()
        else:
            asyncio.get_running_loop().call_soon(self.task.cancel)


_crash: contextvars.ContextVar[Crash | None] = contextvars.ContextVar("crash", default=None)


@contextmanager
def crashes() -> Iterator[None]:
    """Let acts be ended between their statements."""
    run, execute = db.ReadSession.run, db.ReadSession.execute

    async def counted_run(self: db.ReadSession, prepared: Any, **values: Any) -> Any:
        rows = await run(self, prepared, **values)
        if (crash := _crash.get()) is not None:
            crash.note(self.driver)
        return rows

    async def counted_execute(self: db.ReadSession, statement: Any, parameters: Any = None) -> Any:
        result = await execute(self, statement, parameters)
        if (crash := _crash.get()) is not None:
            crash.note(self.driver)
        return result

    db.ReadSession.run, db.ReadSession.execute = counted_run, counted_execute  # type: ignore[method-assign]
    try:
        yield
    finally:
        db.ReadSession.run, db.ReadSession.execute = run, execute  # type: ignore[method-assign]


@dataclass(slots=True)
class Shift:
    """One database, its service and its auditor."""

    database: Database
    auditor: Auditor
    sent: dict[int, tuple[str, Message, Actor]] = field(default_factory=dict)

    @property
    def tables(self) -> Tables:
        """What the auditor has read."""
        return self.auditor.book.tables

    async def perform(self, action: Action) -> list[Said]:
        """Do one action; what was said, and heard."""
        clock.advance(timedelta(seconds=action.get("s", 0)))
        if action["do"] == "clock":
            clock.advance(timedelta(minutes=action["minutes"]))
            return []
        if action["do"] == "together":
            prepared = [self._prepare(one) for one in action["actions"]]
            said = await asyncio.gather(*(self._say(one, *what) for one, what in prepared if what is not None))
            return list(said)
        _, what = self._prepare(action)
        return [await self._say(action, *what)] if what is not None else []

    def _prepare(self, action: Action) -> tuple[Action, tuple[str, Message, Actor] | None]:
        if action["do"] == "again":
            return action, self.sent.get(action["of"])
        try:
            message = self._message(action)
        except LookupError:
            return action, None
        name, role = action["by"]
        self.sent[action["n"]] = what = (action["do"], message, Actor(name, Role(role)))
        return action, what

    def _message(self, action: Action) -> Message:
        fields = {name: self._resolve(value) for name, value in action["m"].items()}
        if action["do"] == "receive_units":
            rows = fields.pop("rows")
            named = ("serial", "carton", "date_code")
            read = pl.DataFrame(rows, schema=dict.fromkeys(named, pl.String), orient="row").with_row_index("line", 2)
            fields |= {"file_name": "sim.csv", "file_digest": "0" * 64, "rows": read}
        return ACTS[action["do"]][1].model_validate(fields)

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._resolve(one) for one in value]
        if not isinstance(value, dict):
            return value
        if "in_min" in value:
            return clock.now() + timedelta(minutes=value["in_min"])
        if "ref" in value:
            return self._number(value)
        return {name: self._resolve(one) for name, one in value.items()}

    def _number(self, ref: dict[str, Any]) -> int:
        tables = self.tables
        if ref["ref"] == "containment":
            named = [id_ for id_, told in tables.containments.items() if told.partition(" (")[0] == ref["reason"]]
            open_ = {tables.holds[hold].containment_id for hold in tables.open_holds}
            return next((id_ for id_ in named if id_ in open_), named[0])
        if ref["ref"] == "check":
            return tables.checks[ref["note"]]
        if ref["ref"] == "waiver":
            return next((w.id for w in tables.waivers.values() if w.reason == ref["reason"]), None) or _nowhere()
        unit = tables.by_serial.get(ref["name"])
        lot = tables.lot_numbers.get(ref["name"])
        holds = [tables.holds[id_] for id_ in sorted(tables.open_holds)]
        mine = [h.id for h in holds if (unit and h.unit_id == unit) or (lot and h.lot_id == lot)]
        return mine[ref["nth"]]

    async def _say(self, action: Action, do: str, message: Message, actor: Actor) -> Said:
        act = ACTS[do][0]
        name = f"{act.__module__.split('.')[1]}.{act.__name__}"
        sent = json.loads(message.model_dump_json())
        crash = Crash(**action["crash"]) if "crash" in action else None
        task = asyncio.ensure_future(self._transact(act, message, actor, crash))
        try:
            answer = await task
        except asyncio.CancelledError:
            if crash is None:
                raise
            return Said(name, sent, actor.name, "silence", {})
        except Unavailable as error:
            outcome = "silence" if crash is not None else "error"
            return Said(name, sent, actor.name, outcome, {}, error.code)
        except MesError as error:
            return Said(name, sent, actor.name, "error", {}, error.code)
        except Exception as error:  # noqa: BLE001 - whatever it is, the auditor is told
            return Said(name, sent, actor.name, "error", {}, f"!{type(error).__name__}: {error}")
        if crash is not None or action.get("lose"):
            return Said(name, sent, actor.name, "silence", {})
        heard = json.loads(answer.model_dump_json()) if isinstance(answer, Message) else {"is": answer}
        return Said(name, sent, actor.name, "answer", heard)

    async def _transact(self, act: Any, message: Message, actor: Actor, crash: Crash | None) -> Any:
        if crash is not None:
            crash.task = asyncio.current_task()
            _crash.set(crash)
        return await self.database.transact(act, message, actor)


def _nowhere() -> int:
    raise LookupError("no such number")


@asynccontextmanager
async def shift(database: Database, eyes: asyncpg.Connection, began: datetime) -> AsyncIterator[Shift]:
    """Begin a shift; the clock is held. `eyes`: the auditor's own connection."""
    with clock.held(began), crashes():
        auditor = Auditor(eyes)
        await auditor.begin()
        yield Shift(database, auditor)
        await auditor.settle()
