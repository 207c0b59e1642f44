"""Stores sites, lines, stations and tools (called by the plan's act), and how the gateways' links are."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import DateTime, Double, Text, bindparam, text

from mes.db import Session
from mes.errors import NotFound
from mes.plant.messages import LinkReport, SiteSpec
from mes.statement import Prepared

MOST_SKEW_S = 2.0  # of a station's clock against its gateway's; more is told
# One statement each, however many rows: they go as one JSON array.
_SITES = Prepared(
    text(
        """
        INSERT INTO site (code, name, timezone)
        SELECT code, name, timezone
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (code text, name text, timezone text)
        ON CONFLICT (code) DO UPDATE SET name = EXCLUDED.name, timezone = EXCLUDED.timezone
        """
    )
)
_LINES = Prepared(
    text(
        """
        INSERT INTO line (site_id, code, name, shift_starts)
        SELECT s.id, r.code, r.name, r.shift_starts
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (site text, code text, name text, shift_starts text[])
        JOIN site s ON s.code = r.site
        ON CONFLICT (code) DO UPDATE SET site_id = EXCLUDED.site_id, name = EXCLUDED.name,
               shift_starts = EXCLUDED.shift_starts
        """
    )
)
_STATIONS = Prepared(
    text(
        """
        INSERT INTO station (line_id, code, name, ordinal, operations, known_good_h, known_bad_h, daily_h)
        SELECT l.id, r.code, r.name, r.ordinal, r.operations, r.known_good_h, r.known_bad_h, r.daily_h
        FROM jsonb_to_recordset(CAST(:rows AS jsonb))
             AS r (line text, code text, name text, ordinal bigint, operations text[], known_good_h float8,
                   known_bad_h float8, daily_h float8)
        JOIN line l ON l.code = r.line ORDER BY l.id, r.ordinal
        ON CONFLICT (code) DO UPDATE SET line_id = EXCLUDED.line_id, name = EXCLUDED.name,
               ordinal = EXCLUDED.ordinal, operations = EXCLUDED.operations, known_good_h = EXCLUDED.known_good_h,
               known_bad_h = EXCLUDED.known_bad_h, daily_h = EXCLUDED.daily_h
        """
    )
)
_TOOLS = Prepared(
    text(
        """
        INSERT INTO tool (station_id, code, name, calibration_due)
        SELECT s.id, r.code, r.name, r.calibration_due
        FROM jsonb_to_recordset(CAST(:rows AS jsonb))
             AS r (station text, code text, name text, calibration_due date)
        JOIN station s ON s.code = r.station
        ON CONFLICT (code) DO UPDATE SET station_id = EXCLUDED.station_id, name = EXCLUDED.name,
               calibration_due = EXCLUDED.calibration_due
        """
    )
)
_LINKS = Prepared(
    text(
        """
        WITH told AS MATERIALIZED (
            SELECT t.*, s.id
            FROM jsonb_to_recordset(CAST(:rows AS jsonb))
                 AS t (station text, state text, since timestamptz, dead_letters bigint, kept bigint, skew_s float8,
                       encrypted boolean)
            LEFT JOIN station s ON s.code = t.station),
        written AS (
            INSERT INTO station_link (station_id, gateway, state, since, heard_at, dead_letters, kept, skew_s,
                                      encrypted)
            SELECT id, :gateway, state, since, :at, dead_letters, kept, skew_s, encrypted
            FROM told WHERE id IS NOT NULL ORDER BY id
            ON CONFLICT (station_id) DO UPDATE SET gateway = EXCLUDED.gateway, state = EXCLUDED.state,
                   since = EXCLUDED.since, heard_at = EXCLUDED.heard_at, dead_letters = EXCLUDED.dead_letters,
                   kept = EXCLUDED.kept, skew_s = EXCLUDED.skew_s, encrypted = EXCLUDED.encrypted)
        SELECT told.station, told.id IS NOT NULL AS known, abs(told.skew_s) > :most_skew AS skewed,
               coalesce(abs(l.skew_s) > :most_skew, false) AS was_skewed,
               (l.gateway, l.state, l.since, l.dead_letters, l.kept, l.encrypted) IS DISTINCT FROM
               (:gateway, told.state, told.since, told.dead_letters, told.kept, told.encrypted) AS changed
        FROM told LEFT JOIN station_link l ON l.station_id = told.id
        """
    ).bindparams(
        bindparam("rows", type_=Text),
        bindparam("gateway", type_=Text),
        bindparam("most_skew", type_=Double),
        bindparam("at", type_=DateTime(timezone=True)),
    )
)


async def record_links(session: Session, message: LinkReport) -> None:
    """Note how a gateway's links are, in one statement; NotFound names the stations that don't exist.

    A heartbeat that changes nothing moves `heard_at` alone and isn't journaled.
    """
    rows = await session.run(
        _LINKS,
        rows=json.dumps([link.model_dump(mode="json") for link in message.stations]),
        gateway=message.gateway,
        most_skew=MOST_SKEW_S,
    )
    if unknown := [row["station"] for row in rows if not row["known"]]:
        raise NotFound(kind="station", name=", ".join(unknown))
    skewed = [row["station"] for row in rows if row["skewed"] and not row["was_skewed"]]
    if skewed:
        session.tell("clock", gateway=message.gateway, stations=skewed, most_skew_s=MOST_SKEW_S)
    changed = {row["station"] for row in rows if row["changed"]}
    for link in message.stations:
        if link.station in changed:
            session.tell("link", gateway=message.gateway, **link.model_dump(mode="json"))
    if not changed and not skewed:
        session.repeated()


async def put_sites(session: Session, sites: Sequence[SiteSpec]) -> None:
    """Add the sites, lines, stations and tools that are new and change the others, by code. Four statements in all."""
    tables: Mapping[Prepared, list[dict[str, Any]]] = {_SITES: [], _LINES: [], _STATIONS: [], _TOOLS: []}
    for site in sites:
        tables[_SITES].append(site.model_dump(exclude={"lines"}))
        for line in site.lines:
            tables[_LINES].append(line.model_dump(exclude={"stations"}) | {"site": site.code})
            for ordinal, station in enumerate(line.stations, 1):
                row = station.model_dump(exclude={"tools"}) | {"line": line.code, "ordinal": ordinal}
                tables[_STATIONS].append(row)
                tables[_TOOLS] += [tool.model_dump(mode="json") | {"station": station.code} for tool in station.tools]
    for statement, rows in tables.items():
        await session.run(statement, rows=json.dumps(rows))
