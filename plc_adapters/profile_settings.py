"""What a station's mapping says beside its words, a block for each profile: which objects, what counts as what."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

_NODE = re.compile(r"^[isgb]=.+$")


def _node(text: str) -> str:
    if not _NODE.fullmatch(text):
        raise ValueError('expected a node id without its namespace, e.g. "s=GC1-070.ReqSeq" or "i=1017"')
    return text


Node = Annotated[str, AfterValidator(_node)]
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
