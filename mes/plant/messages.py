"""What one may say about the plant. The descriptions are what an editor shows beside a plant's files."""

from datetime import date
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints, field_validator

from mes.message import Code, Message, Moment, Name

ZONE = r"^[A-Za-z][A-Za-z0-9_+-]{0,30}(/[A-Za-z0-9_+-]{1,30}){0,3}$"
TIME_OF_DAY = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
TimeOfDay = Annotated[str, StringConstraints(pattern=TIME_OF_DAY)]
Hours = Annotated[float | None, Field(gt=0, le=10_000)]


class Spec(Message):
    """What a plant's file says of one thing. Strict: 010 without quotes is a number to YAML, never an operation."""

    model_config = ConfigDict(strict=True)


class ToolSpec(Spec):
    """A tool at a station."""

    code: Annotated[Code, Field(description="The tool's code, unique in the plant.")]
    name: Annotated[Name, Field(description="What people call it.")]
    calibration_due: Annotated[
        date | None, Field(description="Day its calibration ends, e.g. 2027-06-30; left out: it needs none.")
    ] = None


class StationSpec(Spec):
    """A place where work is done."""

    code: Annotated[Code, Field(description="The station's code, unique in the plant: what PLCs and scanners say.")]
    name: Annotated[Name, Field(description="What people call it.")]
    operations: Annotated[
        list[Code], Field(min_length=1, max_length=50, description='Operations it can do, in quotes: ["040"].')
    ]
    known_good_h: Annotated[
        Hours, Field(description="Hours within which a known-good master must pass again; left out: none is asked for.")
    ] = None
    known_bad_h: Annotated[
        Hours, Field(description="Hours within which a known-bad master must be caught again; left out: none.")
    ] = None
    daily_h: Annotated[
        Hours, Field(description="Hours within which its daily check is due again; left out: none is asked for.")
    ] = None
    tools: Annotated[list[ToolSpec], Field(max_length=200, description="Tools that belong to it.")] = []


class LineSpec(Spec):
    """A production line."""

    code: Annotated[Code, Field(description="The line's code, unique in the plant.")]
    name: Annotated[Name, Field(description="What people call it.")]
    shift_starts: Annotated[
        list[TimeOfDay],
        Field(max_length=24, description='When its shifts start, in the site\'s time, in quotes: ["06:00", "14:00"].'),
    ] = []
    stations: Annotated[
        list[StationSpec], Field(max_length=1_000, description="Its stations, in the order of the line.")
    ] = []


class SiteSpec(Spec):
    """A plant at one address."""

    code: Annotated[Code, Field(description="The site's code.")]
    name: Annotated[Name, Field(description="What people call it.")]
    timezone: Annotated[
        str,
        StringConstraints(pattern=ZONE),
        Field(description="Its time zone by its IANA name, e.g. America/Chicago; default UTC."),
    ] = "UTC"
    lines: Annotated[list[LineSpec], Field(max_length=200, description="Its production lines.")] = []


class StationLinkReport(Message):
    """How a gateway's link to one station is."""

    station: Code
    state: Literal["connected", "lost"]
    since: Moment
    dead_letters: Annotated[int, Field(ge=0, le=2**53, description="Reports of it that wait for a person.")]
    kept: Annotated[int, Field(ge=0, le=2**53, description="Results and answers of it that wait for the MES.")] = 0
    skew_s: Annotated[
        float | None, Field(allow_inf_nan=False, description="How far its clock is ahead of the gateway's, seconds.")
    ] = None
    encrypted: Annotated[bool, Field(description="Whether what is said on it is encrypted.")] = True


class LinkReport(Message):
    """A gateway says how its links are, on every change and as a heartbeat."""

    gateway: Name
    stations: Annotated[list[StationLinkReport], Field(max_length=1_000)]

    @field_validator("stations")
    @classmethod
    def _once(cls, value: list[StationLinkReport]) -> list[StationLinkReport]:
        if len({link.station for link in value}) < len(value):
            raise ValueError("expected each station once")
        return value
