"""Seals what is settled, and tells others of it."""

from sqlalchemy import BigInteger, LargeBinary, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes import outbox
from mes.db import Session
from mes.seal.messages import Anchor, Sealed, Settled
from mes.seal.queries import GENESIS, HASH, ROOT, digests, in_force, lock_seals, newest_seal, sealed_to, streams
from mes.seal.rules import Part, cut
from mes.statement import Prepared, compose

TOPIC = "seal"
_IDS, _BYTES = ARRAY(BigInteger), ARRAY(LargeBinary)
_SEAL = Prepared(
    text(
        f"""
        WITH newest AS (SELECT id, hash FROM seal ORDER BY id DESC LIMIT 1),
             p AS MATERIALIZED (
                 SELECT * FROM unnest(:streams, :from_ids, :to_ids, :rows, :digests, :marks)
                               AS u (stream_id, from_id, to_id, rows, digest, marks)),
             made AS (
                 SELECT coalesce((SELECT id FROM newest), 0) + 1 AS id, CAST(:at AS timestamptz) AS at, {ROOT} AS root,
                        coalesce((SELECT hash FROM newest), {GENESIS}) AS previous
                 FROM p JOIN seal_stream s ON s.id = p.stream_id),
             sealed AS (
                 INSERT INTO seal (id, at, root, previous, hash)
                 SELECT id, at, root, previous, {HASH.format(id="id", at="at", root="root", previous="previous")}
                 FROM made RETURNING id, at, hash),
             parted AS (
                 INSERT INTO seal_part (seal_id, stream_id, from_id, to_id, rows, digest, marks)
                 SELECT sealed.id, p.* FROM p, sealed)
        SELECT id, at, hash FROM sealed
        """  # noqa: S608
    ).bindparams(
        *(bindparam(name, type_=_IDS) for name in ("streams", "from_ids", "to_ids", "rows")),
        *(bindparam(name, type_=_BYTES) for name in ("digests", "marks")),
    )
)


async def seal_rows(session: Session, message: Settled) -> Sealed | None:
    """Seal what is settled and isn't sealed yet; None where there is nothing, or another process does it."""
    session.repeated()  # no act of anyone's: what it seals is journaled already
    if not await lock_seals(session):
        return None
    known = await streams(session)
    already, newest = await sealed_to(session, known), await newest_seal(session)
    parts: list[Part] = []
    is_full = False
    for stream in in_force(known):
        upto, sealed = message.upto.get(stream.drawn_by, 0), already.get(stream.name)
        if runs := list(cut(sealed, upto, message.most)):
            parts += await digests(session, stream, runs)
            is_full |= runs[-1][1] < upto
    rows = sum(part.rows for part in parts)
    if not rows and not is_full:
        return None
    made = (
        await session.run(
            _SEAL,
            streams=[part.stream for part in parts],
            **{f"{name}s": [getattr(part, name) for part in parts] for name in ("from_id", "to_id", "digest")},
            **{name: [getattr(part, name) for part in parts] for name in ("rows", "marks")},
        )
    )[0]
    is_new = newest is None or newest.at.replace(second=0, microsecond=0) < made["at"].replace(second=0, microsecond=0)
    return Sealed(
        id=made["id"], at=made["at"], hash=made["hash"].hex(), rows=rows, is_full=is_full, is_new_minute=is_new
    )


async def tell_anchor(session: Session, message: Anchor) -> None:
    """Tell others of a seal, so that it is kept outside."""
    session.repeated()  # to journal it would give the sealer something to seal, without end
    await session.run(compose(outbox.TELL, answer="SELECT 1"), topics=[TOPIC], payloads=[message.model_dump_json()])
