"""Writes permits, cycles and findings; called by the acts above."""

from sqlalchemy import BigInteger, Boolean, DateTime, LargeBinary, Text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.statement import Clause

ANSWER = Clause(
    """
    answered AS (
        INSERT INTO permit (station_id, cycle, asker, serial, unit_id, lot_id, step_id, granted, refusals, verdicts,
                            facts, waivers, operator, second_operator, asked_at, facts_at)
        VALUES (:station_id, :cycle, :asker, :serial, :unit_id, :lot_id, :step_id, :granted, :refusals,
                CAST(:verdicts AS jsonb), CAST(:facts AS jsonb), :waivers, :operator, :second_operator, :asked_at,
                :facts_at))
    """,
    {
        **dict.fromkeys(("station_id", "unit_id", "lot_id", "step_id"), BigInteger()),
        "granted": Boolean(),
        "refusals": ARRAY(Text),
        "waivers": ARRAY(BigInteger),
        **dict.fromkeys(("asked_at", "facts_at"), DateTime(timezone=True)),
    },
)
# `recorded` gives the cycle's id to the clauses that write its values, parts and lots.
RECORD = Clause(
    """
    recorded AS (
        INSERT INTO cycle (id, station_id, cycle, asker, unit_id, lot_id, step_id, permit_id, tool_id, verdict,
                           station_verdict, answer, program_revision, operator, second_operator, waivers, verdicts,
                           digest, started_at, ended_at, heard_at, reported_at)
        OVERRIDING SYSTEM VALUE
        VALUES (coalesce(:cycle_id, nextval('cycle_id_seq')), :station_id, :cycle, :asker, :unit_id, :lot_id, :step_id,
                :permit_id, :tool_id, :verdict, :station_verdict, CAST(:answer AS jsonb), :program_revision, :operator,
                :second_operator, :waivers, CAST(:report_verdicts AS jsonb), :report_digest, :started_at,
                :ended_at, :heard_at, :at)
        RETURNING id),
    found AS (
        INSERT INTO finding (cycle_id, code, rules_version, facts)
        SELECT recorded.id, f.code, f.version, f.facts::jsonb
        FROM recorded, unnest(:codes, :versions, :facts) AS f (code, version, facts))
    """,
    {
        **dict.fromkeys(("cycle_id", "station_id", "unit_id", "lot_id", "permit_id", "tool_id"), BigInteger()),
        "waivers": ARRAY(BigInteger),
        "report_digest": LargeBinary(),
        "heard_at": DateTime(timezone=True),
        "codes": ARRAY(Text),
        "versions": ARRAY(BigInteger),
        "facts": ARRAY(Text),
    },
)
