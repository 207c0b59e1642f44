"""The program of one simulated PLC: ask, work, report, and what follows from the answers."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from mes import clock
from plc_adapters.simulated.jobs import PackJob
from plc_adapters.simulated.plc_server import PlcServer
from plc_adapters.simulated.process import Process, Work
from plc_adapters.simulated.products import Product

log = structlog.get_logger()
GRANTED = 1
PASSED, FAILED, FINDINGS = 1, 2, 3
MOST_ATTEMPTS = 3
PROGRAM = "2026.11"
# PackML's numbers: a station waits idle, executes, is held by a refusal
IDLE, EXECUTE, HELD = 4, 6, 11


@dataclass
class Unit:
    """A lot, or a pack with its module, on its way along the line."""

    serial: str
    job: PackJob | None = None
    done: dict[str, int] = field(default_factory=dict)
    began_at: float = 0.0
    retry_s: float = 2.0
    last_reason: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """What a station does to a unit: which product's characteristics, under which serial."""

    operation: str
    product: Product
    serial: str


Moves = Callable[[Unit], None]
Fails = Callable[[Unit, str], None]


class Station:
    """One PLC with a queue of units before it; one unit at a time, beside all other stations."""

    def __init__(
        self, code: str, plc: PlcServer, process: Process, *, cycle_s: float, retry_s: float, tool: str, epoch: int
    ) -> None:
        self.code = code
        self.queue: asyncio.Queue[tuple[Unit, Step]] = asyncio.Queue()
        self._plc = plc
        self._process = process
        self._cycle_s = cycle_s
        self._retry_s = retry_s
        self._tool = tool
        self._epoch = epoch
        self._request = self._done = 0

    async def run(self, move_on: Moves, give_up: Fails) -> None:
        """Work off the queue for ever."""
        await self._plc.write({"Epoch": self._epoch, "State": IDLE})
        while True:
            unit, step = await self.queue.get()
            await self._process_unit(unit, step, move_on, give_up)
            await self._plc.write({"State": IDLE})

    async def beat(self, every_s: float = 1.0) -> None:
        """Count the heartbeat, as a PLC's own cycle does, where the station has one."""
        while self._plc.has("Heartbeat"):
            await self._plc.write({"Heartbeat": (self._plc.read("Heartbeat") + 1) % 2**16})
            await asyncio.sleep(every_s)

    async def _process_unit(self, unit: Unit, step: Step, move_on: Moves, give_up: Fails) -> None:
        while unit.done.get(step.operation, 0) < MOST_ATTEMPTS:
            refused = await self._ask(step.serial)
            if refused is not None:
                await self._plc.write({"State": HELD})
                if refused in ("step_passed", "already_finished"):
                    move_on(unit)
                else:
                    self._wait_outside(unit, step, refused)
                return
            unit.last_reason = ""
            attempt = unit.done[step.operation] = unit.done.get(step.operation, 0) + 1
            await self._plc.write({"State": EXECUTE})
            code = await self._work(Work(step.operation, step.serial, attempt, unit.job), step)
            if code == PASSED:
                move_on(unit)
                return
            if code == FINDINGS:
                # The unit is on hold now: whether this step counts shows when it is asked again.
                self._wait_outside(unit, step, "findings")
                return
            if code != FAILED:
                give_up(unit, f"{step.operation}: the MES could not understand the result")
                return
            log.info("rework", station=self.code, serial=step.serial, attempt=attempt)
        give_up(unit, f"{step.operation}: failed {MOST_ATTEMPTS} times: {self._plc.read('AckText')}")

    def _wait_outside(self, unit: Unit, step: Step, reason: str) -> None:
        """Put a refused unit aside, so that it blocks nobody, and bring it back later."""
        if unit.last_reason != reason:
            text = self._plc.read("PermitText") if reason != "findings" else self._plc.read("AckText")
            log.warning("unit_waits", station=self.code, serial=step.serial, reason=reason, text=text)
            unit.last_reason = reason
        asyncio.get_running_loop().call_later(self._retry_s, self.queue.put_nowait, (unit, step))

    async def _ask(self, serial: str) -> str | None:
        """Ask for a permit; None when granted, else the reason."""
        self._request += 1
        await self._plc.write({"ReqSerial": serial, "ReqOperator": "", "ReqSeq": self._request})
        await self._until(lambda: self._answered("Permit", self._request) and self._plc.read("PermitSerial") == serial)
        return None if self._plc.read("PermitCode") == GRANTED else str(self._plc.read("PermitReason") or "refused")

    async def _work(self, work: Work, step: Step) -> int:
        began = clock.now()
        await asyncio.sleep(self._cycle_s)
        characteristics = step.product.steps[step.operation]
        values, curves, drawn = self._process.measure(work, characteristics)
        passed = all(one.accepts(value) for one in characteristics if one.kind != "curve" for value in values[one.name])
        if drawn:
            log.info("defect", station=self.code, serial=work.serial, drawn=drawn)
        self._done += 1
        payload: dict[str, Any] = {
            "DoneReqSeq": self._request,
            "DoneSerial": work.serial,
            "DoneVerdict": PASSED if passed else FAILED,
            "DoneStartedAt": began,
            "DoneEndedAt": clock.now(),
            "DoneOperator": "",
            "DoneTool": self._tool,
            "DoneProgramRevision": PROGRAM,
            "DoneRemovals": [],
            # What this product doesn't have must not be left standing from the last one.
            **{word: [] for word in self._plc.payload_words()},
            **fitted_words(step, work),
            **{f"values.{name}": found for name, found in values.items()},
        }
        for name, found in curves.items():
            for ordinal, (x, y) in enumerate(found, 1):
                payload |= {f"curves.{name}.{ordinal}.x": x, f"curves.{name}.{ordinal}.y": y}
        await self._plc.write({**payload, "DoneSeq": self._done})
        await self._until(lambda: self._answered("Ack", self._done))
        return int(self._plc.read("AckCode"))

    def _answered(self, kind: str, seq: int) -> bool:
        epoch = f"{kind}Epoch"
        ours = not self._plc.has(epoch) or self._plc.read(epoch) == self._epoch
        return bool(ours and self._plc.read(f"{kind}Seq") == seq)

    async def _until(self, holds: Callable[[], bool]) -> None:
        waits: Callable[[], Awaitable[None]] = self._plc.until_written
        while not holds():
            await waits()


def fitted_words(step: Step, work: Work) -> dict[str, list[Any]]:
    """What the step fits: once; at a repeat the parts are in already."""
    parts: list[str] = []
    serials: list[str] = []
    positions: list[int] = []
    lots: list[str] = []
    quantities: list[float] = []
    job = work.job
    for line in step.product.bom.get(step.operation, ()):
        if job is None or work.attempt > 1:
            break
        if line.part in job.lots:
            lots.append(job.lots[line.part])
            quantities.append(float(line.quantity))
            continue
        if line.part in job.serials:
            fitted = [job.serials[line.part]]
        elif int(line.quantity) == len(job.cells):
            fitted = [cell.serial for cell in job.cells]
        else:
            fitted = [job.module]
        parts += [line.part] * len(fitted)
        serials += fitted
        positions += range(1, len(fitted) + 1)
    return {
        "DoneComponentParts": parts,
        "DoneComponentSerials": serials,
        "DoneComponentPositions": positions,
        "DoneLots": lots,
        "DoneLotQuantities": quantities,
    }
