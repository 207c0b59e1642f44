"""What all that a plant's file says has in common."""

from typing import Annotated

from pydantic import ConfigDict, Field

from mes.message import Message

Limit = Annotated[float, Field(allow_inf_nan=False, ge=-1e15, le=1e15)]


class Spec(Message):
    """What a plant's file says of one thing. Strict: 010 without quotes is a number to YAML, never an operation."""

    model_config = ConfigDict(strict=True)
