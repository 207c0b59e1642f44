"""The as-built record of a unit, to read and to print."""

from collections.abc import Sequence
from itertools import groupby
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response

from mes.as_built.messages import Values
from mes.as_built.service import as_built, with_seals
from mes.errors import NotFound
from mes.genealogy.messages import TreeNode
from mes.http import DatabaseOf, reads
from mes.web.rendering import PageRoute, number, page
from mes.web.search import is_readable, unknown

router = APIRouter(route_class=PageRoute)


@router.get("/record/{serial:path}", dependencies=[reads])
async def show_record(
    request: Request, database: DatabaseOf, serial: str, seals: Annotated[bool, Query()] = False
) -> Response:
    """Show a unit's as-built record; `seals`: verify them too, which takes longer."""
    if not is_readable(serial):
        return unknown(request, serial, "unit")
    try:
        async with database.reading() as session:
            record = await as_built(session, serial)
    except NotFound:
        return unknown(request, serial, "unit")
    if seals:
        record = await with_seals(database, record)
    shows: dict[str, Any] = {"groups": groups_of, "limits": limits_of, "measured": measured, "paper_path": paper_path}
    return page(request, "record.html", record=record, **shows)


def paper_path(serial: str) -> str:
    """Where the record is as JSON; with `.pdf` behind it, on paper."""
    return f"/api/records/{quote(serial, safe='')}"


def groups_of(node: TreeNode) -> list[Sequence[TreeNode]]:
    """What is inside a unit and has nothing inside itself, by part and lot."""
    leaves = sorted((one for one in node.inside if not one.inside), key=lambda one: (one.part, one.lot or ""))
    return [list(group) for _, group in groupby(leaves, key=lambda one: (one.part, one.lot))]


def limits_of(one: Values) -> str:
    """What passes, in words."""
    if one.kind == "boolean":
        return "yes" if one.lower == 1 else "no" if one.upper == 0 else ""
    if one.expected is not None:
        return one.expected
    if one.lower is not None and one.upper is not None:
        return f"{number(one.lower)} to {number(one.upper)}"
    if one.lower is not None:
        return f"at least {number(one.lower)}"
    return f"at most {number(one.upper)}" if one.upper is not None else ""


def measured(one: Values) -> list[tuple[str, bool]]:
    """Values in words, each with whether it is wrong or missing; runs of right ones in one piece."""
    wrong = set(one.failed)
    said = [(_said(one, value), value is None or n in wrong) for n, value in enumerate(one.values, 1)]
    if len(said) > 1 and len(set(said)) == 1:
        return [(f"{said[0][0]} (all {len(said)})", said[0][1])]
    runs = [(is_wrong, [text for text, _ in run]) for is_wrong, run in groupby(said, key=lambda pair: pair[1])]
    return [(" ".join(texts), is_wrong) for is_wrong, texts in runs]


def _said(one: Values, value: float | str | None) -> str:
    if value is None:
        return "missing"
    if isinstance(value, str):
        return value
    return ("yes" if value else "no") if one.kind == "boolean" else number(value)
