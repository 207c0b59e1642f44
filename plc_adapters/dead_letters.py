"""Results that the MES can't understand, kept as files until a person has mended and sent them; never dropped."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, ValidationError

from mes import clock
from mes.errors import Malformed
from mes.execution.messages import ResultReport
from plc_adapters.mapping import described
from plc_adapters.port import Problem, Reported, Unreadable


class Letter(BaseModel):
    """A dead letter: the report as sent (or the words as read, where they made no report), and what was wrong."""

    model_config = ConfigDict(extra="forbid")

    station: str
    cycle: str
    written_at: str
    problem: dict[str, Any]
    report: dict[str, Any] | None = None
    words: dict[str, Any] | None = None


class DeadLetters:
    """The folder of dead letters of one gateway; sent ones move to its folder `sent`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, heard: Reported | Unreadable, problem: Problem) -> Path:
        """Write a letter to disk for good before anyone hears of it; the same of a turn has the same file."""
        if isinstance(heard, Reported):
            station, cycle = heard.report.station, heard.report.cycle
            report, words = heard.report.model_dump(mode="json"), None
        else:
            station, cycle, report, words = heard.station, heard.cycle, None, heard.words
        letter = Letter(
            station=station,
            cycle=cycle,
            written_at=clock.iso_now(),
            problem=asdict(problem),
            report=report,
            words=words,
        )
        name, again = f"{station}.{quote(heard.turn.epoch, safe='')}-{heard.turn.seq}", 1
        path = self.folder / f"{name}.json"
        while path.exists() and not _says_the_same(path, letter):  # counters may begin anew: no letter replaces another
            again += 1
            path = self.folder / f"{name}~{again}.json"
        write_for_good(path, letter.model_dump_json(indent=2))
        return path

    def paths(self) -> list[Path]:
        """Every letter not yet sent, oldest name first."""
        return sorted(self.folder.glob("*.json"))

    def count(self, station: str) -> int:
        """Tell how many letters of a station wait."""
        return sum(1 for path in self.paths() if path.name.startswith(f"{station}."))

    def sent(self, path: Path) -> Path:
        """Move a letter that the MES has taken to the folder of sent ones; one of the same name is kept beside it."""
        folder = path.parent / "sent"
        folder.mkdir(exist_ok=True)
        target, again = folder / path.name, 1
        while target.exists():
            again += 1
            target = folder / f"{path.stem}~{again}.json"
        path.rename(target)
        return target


def _says_the_same(path: Path, letter: Letter) -> bool:
    try:
        other = read_letter(path)
    except (OSError, Malformed):
        return False
    return (other.cycle, other.report, other.words) == (letter.cycle, letter.report, letter.words)


def read_letter(path: Path) -> Letter:
    """Read one letter, or raise Malformed."""
    try:
        return Letter.model_validate(json.loads(path.read_text("utf-8")))
    except (json.JSONDecodeError, ValidationError) as error:
        raise Malformed(str(path), [{"at": "", "read": "", "expected": str(error)}]) from error


def report_of(path: Path) -> ResultReport:
    """Return the report of a letter as a person has mended it, or raise Malformed with what is still wrong."""
    letter = read_letter(path)
    if letter.report is None:
        wanted = 'the report under "report", made from what "words" shows'
        raise Malformed(str(path), [{"at": "report", "read": "null", "expected": wanted}])
    try:
        return ResultReport.model_validate(letter.report)
    except ValidationError as error:
        raise Malformed(str(path), described(error)) from error


def write_for_good(path: Path, text: str) -> None:
    """Write a file whole or not at all, and have it on the disk before returning."""
    draft = path.with_suffix(".draft")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
