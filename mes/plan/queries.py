"""Reads what a plan is compared with, and the lock that lets one plan be applied at a time."""

from collections.abc import Collection

from sqlalchemy import Text, any_, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import ReadSession, Session
from mes.plan.changes import Things, receiving_text
from mes.plan.checks import KnownPart, KnownProduct
from mes.plant.models import Line, Site, Station, Tool
from mes.products.models import Part, ReceivingColumn
from mes.statement import Prepared

_LOCK = Prepared(text("SELECT pg_advisory_xact_lock(hashtext('mes plan'))"))
_PARTS = Prepared(
    text(
        """
        SELECT p.number, p.name, p.trace, p.unit_of_measure, p.serial_pattern,
               EXISTS (SELECT FROM bom_item b WHERE b.part_id = p.id)
               OR EXISTS (SELECT FROM product_revision r WHERE r.part_id = p.id)
               OR EXISTS (SELECT FROM lot l WHERE l.part_id = p.id) AS is_used
        FROM part p WHERE p.number = ANY(:numbers)
        """
    ).bindparams(bindparam("numbers", type_=ARRAY(Text)))
)
_PRODUCTS = Prepared(
    text(
        """
        SELECT n.id, n.revision, p.number AS part,
               ARRAY(SELECT DISTINCT c.number FROM bom_item b JOIN part c ON c.id = b.part_id
                     WHERE b.revision_id = n.id ORDER BY c.number) AS components,
               (SELECT count(*) FROM step s WHERE s.revision_id = n.id) AS steps
        FROM (SELECT DISTINCT ON (part_id) id, part_id, revision FROM product_revision
              ORDER BY part_id, revision DESC) n
        JOIN part p ON p.id = n.part_id
        """
    )
)


async def lock_plan(session: Session) -> None:
    """Wait until no other plan is being applied; held until this act ends."""
    await session.run(_LOCK)


async def known_parts(session: ReadSession, numbers: Collection[str]) -> tuple[dict[str, KnownPart], dict[str, str]]:
    """Read the parts of these numbers that are stored, and their names."""
    rows = await session.run(_PARTS, numbers=sorted(numbers))
    known = {
        row["number"]: KnownPart(row["trace"], row["unit_of_measure"], row["serial_pattern"], row["is_used"])
        for row in rows
    }
    return known, {row["number"]: row["name"] for row in rows}


async def known_products(session: ReadSession) -> tuple[dict[str, KnownProduct], dict[str, tuple[int, int]]]:
    """Read the newest revision of every product, and its (id, revision) by part number."""
    rows = await session.run(_PRODUCTS)
    known = {row["part"]: KnownProduct(tuple(row["components"]), row["steps"]) for row in rows}
    return known, {row["part"]: (row["id"], row["revision"]) for row in rows}


async def stored_plant(session: ReadSession) -> Things:
    """Read sites, lines, stations and tools, field by field."""
    things: Things = {}
    for site in (await session.execute(select(Site.code, Site.name))).mappings():
        things["site", site["code"]] = {"name": site["name"]}
    lines = select(Line.code, Line.name, Site.code.label("site")).join(Site, Site.id == Line.site_id)
    for line in (await session.execute(lines)).mappings():
        things["line", line["code"]] = {"name": line["name"], "site": line["site"]}
    columns = (Station.code, Station.name, Station.ordinal, Station.operations, Line.code.label("line"))
    for station in (await session.execute(select(*columns).join(Line, Line.id == Station.line_id))).mappings():
        things["station", station["code"]] = {
            "name": station["name"],
            "line": station["line"],
            "ordinal": str(station["ordinal"]),
            "operations": ", ".join(station["operations"]),
        }
    fields = (Tool.code, Tool.name, Tool.calibration_due, Station.code.label("station"))
    for tool in (await session.execute(select(*fields).join(Station, Station.id == Tool.station_id))).mappings():
        due = tool["calibration_due"]
        things["tool", tool["code"]] = {
            "name": tool["name"],
            "station": tool["station"],
            "calibration_due": due.isoformat() if due else None,
        }
    return things


async def stored_receiving(session: ReadSession, numbers: Collection[str]) -> dict[str, dict[str, str | None]]:
    """Read how suppliers' files are read for these parts, as the fields of a comparison."""
    columns = (Part.number, ReceivingColumn.field, ReceivingColumn.heading)
    statement = select(*columns, ReceivingColumn.lower, ReceivingColumn.upper).join(
        Part, Part.id == ReceivingColumn.part_id
    )
    listed = bindparam("numbers", sorted(numbers), type_=ARRAY(Text))
    rows = await session.execute(statement.where(Part.number == any_(listed)).order_by(ReceivingColumn.field))
    found: dict[str, dict[str, str | None]] = {number: {} for number in numbers}
    for row in rows.mappings():
        text_ = receiving_text(row["heading"], row["lower"], row["upper"])
        found[row["number"]][f"receiving {row['field']}"] = text_
    return found
