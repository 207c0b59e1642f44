"""Says what a plant's files would change, and applies them: all of it in one transaction, or nothing."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from mes.actor import Actor
from mes.db import Database, ReadSession, Session
from mes.errors import Malformed
from mes.plan.changes import Things, compare, compare_product, wanted_parts, wanted_plant
from mes.plan.checks import Known, check
from mes.plan.files import FilesRead, read_files
from mes.plan.messages import Change, PlanAnswer, PlantFiles
from mes.plan.problem import Problem
from mes.plan.queries import known_parts, known_products, known_zones, lock_plan, stored_plant, stored_receiving
from mes.plant import service as plant
from mes.products import service as products
from mes.products.messages import ProductSpec, spec_of
from mes.products.queries import get_plan

SUBJECT = "The plan"


async def plan_files(database: Database, paths: Iterable[Path]) -> PlanAnswer:
    """Say what applying these files would change. Malformed lists everything wrong in them, by file and line."""
    read = read_files(paths)
    async with database.reading() as session:
        stored = await _read_stored(session, read.files)
        problems = check(read.files, stored.known(read.broken))
        _raise_unless_right(read, problems)
        return await _compare(session, read.files, stored)


async def apply_files(database: Database, paths: Iterable[Path], actor: Actor) -> PlanAnswer:
    """Apply these files. Malformed lists everything wrong in them, by file and line; nothing is stored then."""
    read = read_files(paths)
    if read.problems:
        async with database.reading() as session:
            stored = await _read_stored(session, read.files)
        _raise_unless_right(read, check(read.files, stored.known(read.broken)))
    try:
        return await database.transact(apply_plan, read.files, actor)
    except Malformed as error:
        problems = [Problem(**problem) for problem in error.errors]
        raise Malformed(SUBJECT, read.errors(problems)) from None


async def plan_changes(session: ReadSession, files: PlantFiles) -> PlanAnswer:
    """Say what applying this would change. Malformed lists everything wrong in it, by JSON pointer."""
    stored = await _read_stored(session, files)
    if problems := check(files, stored.known()):
        raise Malformed(SUBJECT, [problem._asdict() for problem in problems])
    return await _compare(session, files, stored)


async def apply_plan(session: Session, message: PlantFiles) -> PlanAnswer:
    """Apply a plan: what is new is added, what differs is changed, products that differ get their next revision."""
    await lock_plan(session)
    answer = await plan_changes(session, message)
    if not answer.changed:
        session.repeated()
        return answer
    changed = {change.kind for change in answer.changed}
    if changed & {"site", "line", "station", "tool"}:
        await plant.put_sites(session, message.sites)
    if "part" in changed:
        await products.put_parts(session, message.parts)
    if "product" in changed:
        await products.release_revisions(session, _to_release(message, answer.changed))
        session.tell("plan", products=[change.name for change in answer.changed if change.kind == "product"])
    return answer


def _to_release(files: PlantFiles, changed: Iterable[Change]) -> dict[int, list[ProductSpec]]:
    specs = {product.part: product for product in files.products}
    released: dict[int, list[ProductSpec]] = defaultdict(list)
    for change in changed:
        if change.kind == "product" and change.revision is not None:
            released[change.revision].append(specs[change.name])
    return released


@dataclass(frozen=True)
class _Stored:
    """What is stored of the things that the files name."""

    base: Known
    parts: Things
    newest: dict[str, tuple[int, int]]  # part number -> id and number of its newest revision

    def known(self, broken: Iterable[str] = ()) -> Known:
        return replace(self.base, broken=frozenset(broken))


async def _read_stored(session: ReadSession, files: PlantFiles) -> _Stored:
    numbers = {part.number for part in files.parts} | {product.part for product in files.products}
    for item in (item for product in files.products for item in product.bom):
        numbers |= {item.part, *item.alternates}
    parts, things = await known_parts(session, numbers)
    for number, fields in (await stored_receiving(session, parts)).items():
        things["part", number] |= fields
    products, newest = await known_products(session)
    zones = await known_zones(session, {site.timezone for site in files.sites} - {"UTC"})
    return _Stored(Known(parts, products, zones=zones), things, newest)


async def _compare(session: ReadSession, files: PlantFiles, stored: _Stored) -> PlanAnswer:
    changes = compare(wanted_plant(files), await stored_plant(session) if files.sites else {})
    changes += compare(wanted_parts(files), stored.parts)
    for product in files.products:
        revision_id, revision = stored.newest.get(product.part, (None, 0))
        before = spec_of(await get_plan(session, revision_id)) if revision_id is not None else None
        changes.append(compare_product(product, before, revision))
    return PlanAnswer(changes=changes)


def _raise_unless_right(read: FilesRead, problems: list[Problem]) -> None:
    if errors := read.errors(problems):
        raise Malformed(SUBJECT, errors)
