"""Reads what a plan is compared with, and the lock that lets one plan be applied at a time."""

from collections.abc import Collection

from sqlalchemy import Text, any_, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import ReadSession, Session
from mes.plan.changes import CHECKS, Things, receiving_text, said
from mes.plan.checks import KnownPart, KnownProduct
from mes.plant.models import Line, Site, Station, Tool
from mes.products.models import Part, ReceivingColumn
from mes.statement import Prepared

_LOCK = Prepared(text("SELECT pg_advisory_xact_lock(hashtext('mes plan'))"))
_PARTS = Prepared(
    text(
        """
        SELECT p.number, p.name, p.trace, p.unit_of_measure, p.serial_pattern, p.pot_life_min, p.fefo,
               EXISTS (SELECT FROM bom_item b WHERE b.part_id = p.id OR p.number = ANY(b.alternates))
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
               ARRAY(SELECT c.number FROM bom_item b JOIN part c ON c.id = b.part_id WHERE b.revision_id = n.id
                     UNION SELECT a FROM bom_item b, unnest(b.alternates) AS a WHERE b.revision_id = n.id
                     ORDER BY 1) AS components,
               (SELECT count(*) FROM step s WHERE s.revision_id = n.id) AS steps
        FROM (SELECT DISTINCT ON (part_id) id, part_id, revision FROM product_revision
              ORDER BY part_id, revision DESC) n
        JOIN part p ON p.id = n.part_id
        """
    )
)


_ZONES = Prepared(
    text("SELECT name FROM pg_timezone_names WHERE name = ANY(:names)").bindparams(
        bindparam("names", type_=ARRAY(Text))
    )
)


async def lock_plan(session: Session) -> None:
    """Wait until no other plan is being applied; held until this act ends."""
    await session.run(_LOCK)


async def known_parts(session: ReadSession, numbers: Collection[str]) -> tuple[dict[str, KnownPart], Things]:
    """Read the parts of these numbers that are stored, and the same as the fields of a comparison."""
    rows = await session.run(_PARTS, numbers=sorted(numbers))
    known = {
        row["number"]: KnownPart(row["trace"], row["unit_of_measure"], row["serial_pattern"], row["is_used"])
        for row in rows
    }
    things: Things = {
        ("part", row["number"]): {
            "name": row["name"],
            "trace": row["trace"],
            "unit": row["unit_of_measure"],
            "serial_pattern": row["serial_pattern"],
            "pot_life_min": said(row["pot_life_min"]),
            "fefo": said(row["fefo"]),
        }
        for row in rows
    }
    return known, things


async def known_zones(session: ReadSession, names: Collection[str]) -> frozenset[str]:
    """Find which of these time zones the database knows."""
    # the database reads some 600 files for its list of them
    rows = await session.run(_ZONES, names=sorted(names)) if names else []
    return frozenset(row["name"] for row in rows)


async def known_products(session: ReadSession) -> tuple[dict[str, KnownProduct], dict[str, tuple[int, int]]]:
    """Read the newest revision of every product, and its (id, revision) by part number."""
    rows = await session.run(_PRODUCTS)
    known = {row["part"]: KnownProduct(tuple(row["components"]), row["steps"]) for row in rows}
    return known, {row["part"]: (row["id"], row["revision"]) for row in rows}


async def stored_plant(session: ReadSession) -> Things:
    """Read sites, lines, stations and tools, field by field."""
    things: Things = {}
    for site in (await session.execute(select(Site.code, Site.name, Site.timezone))).mappings():
        things["site", site["code"]] = {"name": site["name"], "timezone": site["timezone"]}
    lines = select(Line.code, Line.name, Line.shift_starts, Site.code.label("site"))
    for line in (await session.execute(lines.join(Site, Site.id == Line.site_id))).mappings():
        shifts = said(line["shift_starts"])
        things["line", line["code"]] = {"name": line["name"], "site": line["site"], "shift_starts": shifts}
    checks = (Station.known_good_h, Station.known_bad_h, Station.daily_h)
    stations = select(Station.code, Station.name, Station.ordinal, Station.operations, Line.code.label("line"), *checks)
    for station in (await session.execute(stations.join(Line, Line.id == Station.line_id))).mappings():
        things["station", station["code"]] = {
            "name": station["name"],
            "line": station["line"],
            "ordinal": str(station["ordinal"]),
            "operations": said(station["operations"]),
            **{check: said(station[check]) for check in CHECKS},
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
