"""The jobs of the line: a file that another program appends to, a JSON object a line."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

log = structlog.get_logger()
LOOK_EVERY_S = 0.1


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cell(_Said):
    """A cell as the supplier's file says it."""

    serial: str
    ocv_v: float
    acir_mohm: float
    capacity_ah: float
    lot: str


class PackJob(_Said):
    """Build one pack: its module from these cells (in order of position), then the pack."""

    kind: Literal["pack"]
    product: str
    pack: str
    module: str
    cells: list[Cell]
    serials: dict[str, str] = {}
    lots: dict[str, str] = {}


class LotJob(_Said):
    """Inspect a received lot at operation 010."""

    kind: Literal["lot"]
    lot: str


Job = PackJob | LotJob
_JOB: TypeAdapter[Job] = TypeAdapter(Annotated[Job, Field(discriminator="kind")])


async def follow(path: Path) -> AsyncIterator[Job]:
    """Yield the jobs of a file from its beginning, and those appended later; half a line waits for its other half."""
    rest, at = b"", 0
    while True:
        read = await asyncio.to_thread(_tail, path, at)
        at += len(read)
        *lines, rest = (rest + read).split(b"\n")
        for line in filter(None, (one.strip() for one in lines)):
            try:
                yield _JOB.validate_python(json.loads(line))
            except (ValueError, ValidationError) as error:
                log.error("job_unreadable", line=line[:200].decode("utf-8", "replace"), error=str(error))
        if not read:
            await asyncio.sleep(LOOK_EVERY_S)


def _tail(path: Path, at: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(at)
            return file.read(1 << 22)
    except FileNotFoundError:
        return b""
