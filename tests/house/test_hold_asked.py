"""Whatever begins or records work, fits, uses up, moves, finishes or ships asks the hold rule first: found, not listed.

The sources are read as a graph. A *use* is a write to the tables that such a thing leaves its mark in (`USES`); a unit
brought to another state is one too, unless every way there goes by the table of states and none of its events
finishes what is being made (scrap, rework and re-test take out of use; receiving and issuing add what nobody holds).

Every act and every route that leads to a use must ask before it: by `stopping`, or by `see` and the library of rules
(`judge`, `findings`), which holds the hold rule. The asking must come before the writing in the source, and what it
answers must not be let fall. A new act is found by its signature, a new route by its decorator, a new statement by its
text; no name is exempt. What the answer is used for, and that the locks are held, `test_hold_load.py` and
`test_illegal.py` try.
"""

import ast
from collections.abc import Mapping, Set
from functools import cache
from pathlib import Path
from typing import Any

from mes import permissions
from mes.app import make_app
from mes.execution import rules
from mes.execution.rules import route
from mes.settings import Settings
from mes.units.rules import NEXT, Event, State
from tests.house.call_graph import ANY, Code, Function, Place, Reference, Write, sources

SOURCES = sources(Path(__file__).parents[2], "mes")
CODE = Code(SOURCES)
# table -> the columns whose change is a use; nothing: its new rows are
USES: Mapping[str, set[str]] = {
    "permit": set(),
    "cycle": set(),
    "installation": set(),
    "lot": {"quantity_left", "location"},
    "unit": {"location"},
    "crate_unit": set(),
    "crate": {"shipped_at", "shipped_to"},
}
CLOSED_BY_TAKING_OUT = {"removed_at", "removed_cycle_id"}
FINISHING = {
    f"mes.units.rules.Event.{event.name}"
    for event in Event
    if State.FINISHED in {NEXT[state, event] for state in (State.ISSUED, State.IN_PROCESS)}
}
SEES, STOPPING = "mes.execution.seen.see", "mes.quality.queries.stopping"
JUDGES = {"mes.execution.rules.judge", "mes.execution.rules.findings"}
VERBS = {"get", "post", "put", "patch", "delete", "websocket", "api_route", "route"}


def is_use(write: Write) -> bool:
    """Whether a write leaves the mark of work, fitting, using up or moving."""
    if write.table not in USES:
        return False
    if not write.columns:
        return not USES[write.table]
    if write.table == "installation":
        return not write.columns <= CLOSED_BY_TAKING_OUT
    return bool(write.columns & (USES[write.table] | {ANY}))


def changes_state(write: Write) -> bool:
    """Whether a write brings a unit to another state."""
    return write.table == "unit" and bool(write.columns & {"state", ANY})


def own_uses(code: Code, node: str, entry: str) -> list[Place]:
    """Where a node's own text is a use, on behalf of an act or route."""
    finishes = may_finish(code, entry)
    return [at for at, write in code.writes(node) if is_use(write) or (finishes and changes_state(write))]


def uses(code: Code, node: str, entry: str) -> set[str]:
    """The nodes with a use that a node leads to."""
    return {one for one in code.reached(node) if own_uses(code, one, entry)}


@cache
def may_finish(code: Code, entry: str) -> bool:
    """Whether a unit could be finished: an event that does so is named, or the table of states isn't gone by."""
    mentioned = code.mentions(entry, but="mes.units.rules")
    return bool(mentioned & FINISHING) or "mes.units.rules.NEXT" not in mentioned


def asks(reached: Set[str]) -> bool:
    """Whether holds are asked by what was reached."""
    return STOPPING in reached or (SEES in reached and bool(JUDGES & reached))


def slips(code: Code, node: str, entry: str, asked: frozenset[str] = frozenset()) -> list[str]:
    """Uses that a function comes to, in the order of its source, before it has asked."""
    found: list[str] = []
    steps: list[tuple[Place, Reference | None]] = [(at, None) for at in own_uses(code, node, entry)]
    steps += [(one.at, one) for one in code.references(node) if one.node and one.node != node]
    for _, one in sorted(steps, key=lambda step: step[0]):
        if one is None:
            found += [] if asks(asked) else [node]
            continue
        if not asks(asked) and uses(code, one.node, entry):
            is_function = isinstance(code.nodes[one.node], Function)
            found += slips(code, one.node, entry, asked) if is_function else [one.node]
        if one.is_asked:
            asked |= code.reached(one.node)
    return found


def acts(code: Code) -> set[str]:
    """Async functions of a session and a message, wherever they stand."""
    return {name for name, node in code.nodes.items() if isinstance(node, ast.AsyncFunctionDef) and _is_act(code, name)}


def _is_act(code: Code, name: str) -> bool:
    node = code.nodes[name]
    assert isinstance(node, ast.AsyncFunctionDef)
    given = [*node.args.posonlyargs, *node.args.args]
    if len(given) != 2 or any(one.annotation is None for one in given):
        return False
    session, message = (code.resolve(code.module_of(name), ast.unparse(one.annotation))[1] for one in given)  # type: ignore[arg-type]
    return session == "mes.db.Session" and _is_message(code, message)


def _is_message(code: Code, name: str) -> bool:
    node = code.nodes.get(name)
    bases = node.bases if isinstance(node, ast.ClassDef) else []
    return name == "mes.message.Message" or any(
        _is_message(code, code.resolve(code.module_of(name), ast.unparse(base))[1]) for base in bases
    )


def routes(code: Code) -> set[str]:
    """Functions with a route's decorator, and all others that run acts, in what the server imports."""
    served = code.imported_by("mes.app") if "mes.app" in code.modules else set(code.modules)
    return {
        name
        for name, node in code.nodes.items()
        if isinstance(node, Function) and code.module_of(name) in served and (_is_routed(node) or _runs(code, name))
    }


def _is_routed(node: Function) -> bool:
    calls = [decorator.func for decorator in node.decorator_list if isinstance(decorator, ast.Call)]
    return any(isinstance(call, ast.Attribute) and call.attr in VERBS for call in calls)


def _runs(code: Code, name: str) -> bool:
    calls = [node.func for node in ast.walk(code.nodes[name]) if isinstance(node, ast.Call)]
    is_run = any(one.name == "mes.http.run" for one in code.references(name))
    return is_run or any(isinstance(call, ast.Attribute) and call.attr == "transact" for call in calls)


def problems(code: Code) -> dict[str, list[str]]:
    """Acts that come to a use before they have asked, and routes that lead to one and never ask."""
    found = {act: slips(code, act, act) for act in acts(code)}
    asking_routes = {name for name in routes(code) if asks(code.reached(name))}
    found |= {name: sorted(uses(code, name, name)) for name in routes(code) - acts(code) - asking_routes}
    return {name: told for name, told in found.items() if told}


def with_module(source: str, module: str = "mes.execution.new") -> Code:
    """The sources with one more module, or one that says more."""
    return Code({**SOURCES, module: SOURCES.get(module, "") + HEAD + source})


def test_whatever_uses_a_unit_or_a_lot_asks_the_hold_rule_first() -> None:
    assert problems(CODE) == {}


def test_what_uses_was_found() -> None:
    using = {name for name in acts(CODE) | routes(CODE) if uses(CODE, name, name)}
    assert using >= {
        "mes.execution.reports.report_result",
        "mes.execution.permits.record_offline_permit",
        "mes.execution.permits.request_permit",
        "mes.execution.moves.move_stock",
        "mes.shipping.service.pack_unit",
        "mes.shipping.service.ship_crate",
        "mes.execution.routes.report_result",
        "mes.execution.routes.request_permit",
        "mes.execution.routes.move_stock",
        "mes.shipping.routes.pack_unit",
        "mes.shipping.routes.ship_crate",
    }
    harmless = {f"mes.shipping.service.{act}" for act in ("open_crate", "unpack_unit", "close_crate")}
    assert not using & {"mes.materials.service.receive_lot", "mes.quality.dispositions.dispose", *harmless}


def test_no_use_no_act_and_no_route_is_out_of_sight() -> None:
    """What the graph can't follow would be missed in silence: so every use must be reached, and every route known."""
    found = acts(CODE) | routes(CODE)
    reached = set().union(*(CODE.reached(name) for name in found))
    served = CODE.imported_by("mes.app")
    writing = {
        name
        for name in CODE.nodes
        if CODE.module_of(name) in served and any(is_use(write) for _, write in CODE.writes(name))
    }
    assert {"mes.genealogy.service.INSTALL", "mes.materials.service.USE_UP", "mes.units.service._PLACE"} <= writing
    assert writing <= reached, "nothing seems to run these: how are they run?"
    endpoints = {f"{one.__module__}.{one.__qualname__}" for one in _endpoints() if one.__module__.startswith("mes.")}
    assert endpoints
    assert endpoints <= found
    named = {name.rpartition(".")[2] for name in acts(CODE)}
    assert set(permissions.ALLOWED) - {"read", "read_events", "read_metrics", "read_standing"} <= named


def _endpoints() -> list[Any]:
    gate: Any = make_app(Settings(), "postgresql://nowhere/nothing")
    return [one.endpoint for one in gate.app.app.routes if hasattr(one, "endpoint")] + list(gate.app.routes.values())


def test_the_hold_rule_is_in_the_library_and_nobody_waives_it() -> None:
    mine = [rule for rule in rules.LIBRARY if rule.judge is route.on_hold]
    assert [(rule.reason, rule.waived_by) for rule in mine] == [(rules.Reason.ON_HOLD, frozenset())]
    fitted = [rule for rule in rules.LIBRARY if rule.reason is rules.Reason.COMPONENT_ON_HOLD]
    assert [(rule.waived_by, rule.is_covered) for rule in fitted] == [(frozenset(), False)]
    assert {one.node for one in CODE.references("mes.execution.rules.judge")} >= {"mes.execution.rules.LIBRARY"}
    assert {event.rpartition(".")[2] for event in FINISHING} == {"FINISH"}


HEAD = """
from sqlalchemy import insert, text, update
from mes.db import Session
from mes.execution.messages import MoveRequest
from mes.genealogy import service as genealogy
from mes.genealogy.models import Installation
from mes.materials.models import Lot
from mes.quality.queries import stopping
from mes.shipping.models import Crate, CrateUnit
from mes.statement import Prepared, compose
from mes.units import service as units
from mes.units.models import Unit
from mes.units.rules import NEXT, Event, State
"""
ACT = """
async def {name}(session: Session, message: MoveRequest) -> None:
    {body}
"""
ASKED = 'if await stopping(session, "consume", unit_id=1):\n        return\n    '
IN_VAIN = 'await stopping(session, "consume", unit_id=1)\n    '
NAMED = "rule = stopping\n    "
FITS = {
    "a_clause": "await session.run(compose(genealogy.INSTALL, answer=''))",
    "clauses": "session.write_last(*CLAUSES)\nCLAUSES = (genealogy.INSTALL,)",
    "a_helper": "await helper(session)\nasync def helper(session):\n    await units.place(session, 1, 'here')",
    "an_insert": "await session.execute(insert(Installation).values(child_id=1))",
    "an_update": "await session.execute(update(Lot).values(quantity_left=0))",
    "by_names": "values = {'location': 'dock'}; await session.execute(update(Unit).values(values))",
    "who_knows": "await session.execute(update(Lot).values(**message.values))",
    "in_place": "await session.driver.execute('insert into installation (child_id) values (1)')",
    "filled_in": "await session.driver.execute(f'UPDATE lot SET location = {message.location} WHERE id = 1')",
    "a_copy": "await session.driver.copy_records_to_table('installation', records=[])",
    "an_edge_altered": "await session.driver.execute('UPDATE installation SET removed_at = NULL, parent_id = 3')",
    "a_permit": "await session.run(Prepared(text('INSERT INTO permit (granted) VALUES (true)')))",
    "a_finish": "await units.move(session, [(1, NEXT[State.IN_PROCESS, Event.FINISH])])",
    "a_packing": "await session.execute(insert(CrateUnit).values(crate_id=1, unit_id=1))",
    "a_departure": "await session.execute(update(Crate).values(state='shipped', shipped_at=session.at))",
    "a_state": "await units.move(session, [(1, State.FINISHED)])",
}
HARMLESS = {
    "scrap": "await units.move(session, [(1, NEXT[State.FINISHED, Event.SCRAP])])",
    "removal": "await genealogy.remove(session, 1, [2])",
    "receipt": "await session.execute(insert(Lot).values(quantity_left=5, location='dock'))",
    "opening": "await session.execute(update(Lot).values(opened_at=session.at))",
    "an_empty_crate": "await session.execute(insert(Crate).values(sscc='0', state='open'))",
    "taking_out": "await session.execute(update(CrateUnit).values(taken_out_at=session.at))",
}


def test_a_new_act_that_does_not_ask_is_found_and_one_that_asks_is_not() -> None:
    source, silent = "", set()
    for name, use in FITS.items():
        first = use.partition("\n")[0]
        silent |= {f"mes.execution.new.{name}{how}" for how in ("", "_late", "_in_vain", "_named")}
        tried = {"": use, "_late": f"{first}\n    {ASKED}", "_in_vain": IN_VAIN + first, "_asked": ASKED + first}
        tried["_named"] = f"{NAMED}{first}"
        for how, body in tried.items():
            source += ACT.format(name=name + how, body=body)
    for name, body in HARMLESS.items():
        source += ACT.format(name=name, body=body)
    code = with_module(source)
    assert {f"mes.execution.new.{name}_asked" for name in FITS} < acts(code)
    assert set(problems(code)) == silent


def test_a_new_route_that_writes_by_itself_is_found() -> None:
    source = """
@router.post("/ship")
async def ship(request):
    await units.place(request.state.session, 1, "truck")
async def sell(request):
    await request.app.state.database.transact(lambda session, message: units.place(session, 1, message), 1)
async def lend(request):
    await run(request, partial(units.place, 1), 1)
"""
    code = with_module(source, "mes.execution.routes")
    assert {name.rpartition(".")[2] for name in problems(code)} == {"ship", "sell", "lend"}


def test_a_hold_rule_that_is_no_longer_asked_is_found() -> None:
    """The acts as they are, each with its asking cut out."""
    cuts = {
        "mes.execution.moves": ("await stopping(session, ", "await nothing(session, "),
        "mes.execution.permits": ("rules.judge(facts", "rules.nothing(facts"),
        "mes.execution.reports": ("judge_report(facts", "nothing(facts"),
        "mes.shipping.service": ("await stopping(session, ", "await nothing(session, "),
    }
    changed = {}
    for module, (asking, nothing) in cuts.items():
        assert asking in SOURCES[module]
        changed[module] = SOURCES[module].replace(asking, nothing)
    found = problems(Code(SOURCES | changed))
    assert {name for name in found if name.rpartition(".")[0] in cuts} == {
        "mes.execution.moves.move_stock",
        "mes.execution.permits.record_offline_permit",
        "mes.execution.permits.request_permit",
        "mes.execution.reports.report_result",
        "mes.shipping.service.pack_unit",
        "mes.shipping.service.ship_crate",
    }
