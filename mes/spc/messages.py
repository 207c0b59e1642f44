"""What one may say about charts and signals, and hear back."""

from typing import Annotated, Any

from pydantic import Field

from mes.message import Code, Message, Moment, Name, Reason


class BaselineSaid(Message):
    """What a line is compared with."""

    center: float
    sigma: float
    df: float
    subgroups: int


class SignalSaid(Message):
    """A point that broke rules; `cycles`: those of the pattern that it completes, the last one naming it."""

    position: int
    rules: Annotated[list[str], Field(min_length=1)]
    value: float
    center: float
    lower: float
    upper: float
    cycles: Annotated[list[int], Field(min_length=1)]


class ChartJudged(Message):
    """How far a chart was judged, and what was found. `baselines`: None while it has too few subgroups."""

    part: Name
    operation: Code
    characteristic: Code
    station: Code
    tool: Code | None
    shape: str
    since: int
    upto: int
    baselines: list[BaselineSaid] | None
    signals: list[SignalSaid] = []


class ChartKept(Message):
    """The chart, and its signals that are new. `is_news`: False, another had kept as much, or the plan is another."""

    chart: int
    signals: list[int] = []
    is_news: bool = True


class CloseSignal(Message):
    """Say that a signal was looked into, and what was found."""

    signal: int
    reason: Reason


class RestartChart(Message):
    """Let a chart's limits be made anew, from the next cycle on, because the process was changed."""

    chart: int
    reason: Reason


class SignalAnswer(Message):
    """A signal as it stands."""

    signal: int
    chart: int
    part: str
    operation: str
    characteristic: str
    station: str
    tool: str | None
    position: Annotated[int, Field(description="0 where the chart has one line.")]
    cycle: str
    subject: Annotated[str, Field(description="The unit or lot of the last cycle of the point.")]
    rules: list[str]
    facts: dict[str, Any]
    blocks: bool
    containment: int | None
    opened_at: Moment
    closed_at: Moment | None
    closed_by: str | None
    close_reason: str | None


class ChartAnswer(Message):
    """A chart as it stands. `subgroups`: of the baseline; None while it has too few."""

    chart: int
    part: str
    operation: str
    step: str
    characteristic: str
    unit: str
    station: str
    tool: str | None
    kind: str
    lines: Annotated[int, Field(description="One, or one for each position.")]
    subgroups: int | None
    set_at: Moment | None
    open_signals: int
    blocks: Annotated[bool, Field(description="Whether an open signal stops the operation at the station.")]
    last_signal_at: Moment | None


class PointAnswer(Message):
    """A point: its subgroup by its last cycle, where it stands, its limits, and the rules it breaks."""

    cycle_id: int
    at: Moment
    subjects: list[str]
    value: float
    lower: float
    upper: float
    spread: float | None
    rules: list[str]


class IndexAnswer(Message):
    """An index with its interval of 95 % confidence."""

    value: float
    low: float
    high: float


class CapabilityAnswer(Message):
    """Capability of the values shown. `normality`: a p-value; below 0.05 the indices mean little."""

    values: int
    mean: float
    sigma_within: float
    sigma_overall: float
    cp: IndexAnswer | None
    cpk: IndexAnswer | None
    pp: IndexAnswer | None
    ppk: IndexAnswer | None
    normality: float | None
    is_normal: bool


class ChartDrawn(Message):
    """One line of a chart as numbers. Limits that aren't set yet are those of the subgroups so far."""

    chart: ChartAnswer
    position: int
    name: str
    center: float | None
    points: list[PointAnswer]
    spread_name: str | None
    spread_center: float | None
    spread_lower: float | None
    spread_upper: float | None
    lower_limit: float | None
    upper_limit: float | None
    capability: CapabilityAnswer | None
    signals: list[SignalAnswer]
