"""What a station's mapping says beside its words, a block for each profile: which objects, what counts as what."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mes.message import Name

_NODE = re.compile(r"^[isgb]=.+$")


def _node(text: str) -> str:
    if not _NODE.fullmatch(text):
        raise ValueError('expected a node id without its namespace, e.g. "s=GC1-070.ReqSeq" or "i=1017"')
    return text


def _endpoint(text: str) -> str:
    parts = urlsplit(text)
    try:
        complete = parts.scheme == "opc.tcp" and parts.hostname and parts.port
    except ValueError:
        complete = False
    if not complete:
        raise ValueError('expected "opc.tcp://HOST:PORT"')
    return text


Node = Annotated[str, AfterValidator(_node)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
Profile = Literal["tag_handshake", "toggle_handshake", "joining", "machinery_result", "job_control"]


class Part(BaseModel):
    """A part of the mapping file: nothing in it may be misspelt."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ToggleSettings(Part):
    """How a PLC without counters moves its bits.

    `four_phase`: it sets the bit, sees the answer's bit, clears its own, sees the answer's bit fall. `toggle`: it turns
    its bit over, and the answer's bit follows.
    """

    moves: Literal["four_phase", "toggle"] = "four_phase"


class AnswerNodes(Part):
    """Where the MES writes its answer for a machine that reads it there."""

    granted: Node | None = None
    serial: Node | None = None
    cycle: Node | None = None
    text: Node | None = None
    recipe: Node | None = None


class ArrivalSettings(Part):
    """How a machine without the handshake's words says that a unit is there: its serial, and what tells visits apart.

    `since` changes with every unit that comes (a time, a count); it must be kept as long as the unit is there.
    """

    serial: Node
    since: Node
    operator: Node | None = None
    answer: AnswerNodes = AnswerNodes()


class CurvePaths(Part):
    """Where the curves of a result stand: `each` leads to the parts that have one, x and y lead on from there."""

    each: str = ""
    x: str
    y: str


class ResultSettings(Part):
    """Machinery Result Transfer: the ResultManagement object, and where in a result its values and curves stand.

    Paths are names with dots between; `*` stands for every element of an array: `ResultContent.*.Torque`.
    `acknowledges: false` is for a machine without `AcknowledgeResults` (edition 1.00): what it lists is fetched again
    after each reconnect.
    """

    results: Node
    acknowledges: bool = True
    values: dict[Name, str] = {}
    curves: dict[Name, CurvePaths] = {}
    components: dict[Name, str] = {}
    tool: str | None = None
    program_revision: str | None = None


class JoiningSettings(Part):
    """Industrial Joining: the objects, the joints of a unit in order of position, and what is taken of each result.

    `closes` says when a unit's joints make one report: when each of them has a result (`count`), or when the system
    sends the result of the whole job or batch (`job`). Entities are found by their names.
    """

    results: Node
    assets: Node | None = None
    asset_uri: str = ""
    joints: Annotated[list[Name], Field(min_length=1, max_length=100)]
    closes: Literal["count", "job"] = "count"
    values: dict[Name, Name] = {}
    evaluation: Name | None = None
    curve: Name | None = None
    serial_entity: Name = "Serial"
    joint_entity: Name = "Joint"
    tool_entity: Name = "Tool"
    program_entity: Name = "Program"


class JobSettings(Part):
    """ISA-95 Job Control: the objects that take orders and give responses, and where a response has its values."""

    receiver: Node
    provider: Node
    work_master: Name | None = None
    values: dict[Name, Name] = {}
    curves: dict[Name, CurvePaths] = {}


class PackmlSettings(Part):
    """Where a machine shows its PackML state (its number or its name) and its counts, which only grow or start anew."""

    state: Node
    produced: Node | None = None
    defective: Node | None = None


class ScannerSettings(Part):
    """A scanner that reads the serial for a PLC that has none: what it read last, and when.

    `endpoint` and `namespace` where the scanner is a server of its own.
    """

    endpoint: Endpoint | None = None
    namespace: Name | None = None
    last_scan: Node
    scanned_at: Node
