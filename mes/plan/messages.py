"""What a plant's files say as a whole, what applying them would change, and the schema editors check them by."""

from typing import Annotated, Any, Literal

from pydantic import Field

from mes.message import Message
from mes.plant.messages import SiteSpec
from mes.products.messages import PartSpec, ProductSpec

Action = Literal["add", "change", "new revision", "none"]


class PlantFiles(Message):
    """A plant and what it makes. A file may hold any of the three lists; several files are read as one."""

    sites: Annotated[list[SiteSpec], Field(max_length=100, description="Sites with their lines and stations.")] = []
    parts: Annotated[list[PartSpec], Field(max_length=20_000, description="Part numbers.")] = []
    products: Annotated[
        list[ProductSpec],
        Field(max_length=5_000, description="What parts are made of and how. A change releases a new revision."),
    ] = []


class Detail(Message):
    """A field, what it is and what it becomes; null: nothing."""

    field: str
    old: str | None
    new: str | None


class Change(Message):
    """What becomes of one thing."""

    kind: Literal["site", "line", "station", "tool", "part", "product"]
    name: str
    action: Action
    revision: Annotated[int | None, Field(description="A product's revision afterwards.")] = None
    details: list[Detail] = []


class PlanAnswer(Message):
    """Everything the files name, and what becomes of it."""

    changes: list[Change]

    @property
    def changed(self) -> list[Change]:
        """The changes without those that change nothing."""
        return [change for change in self.changes if change.action != "none"]


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a plant's files, for editors: names and descriptions appear while typing."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | PlantFiles.model_json_schema()
