"""What people do besides: holds and releases, waivers, checks, signatures, lots, orders, scrap, rework, re-tests."""

from typing import Any

from mes.execution.rules import waivable
from tests.simulation.auditor.rows import Hold
from tests.simulation.choosing import QUALITY, SUPERVISOR, Chance
from tests.simulation.plant import STATIONS
from tests.simulation.shift import Action

OLGA, SUE, ROOT, CLERK = ("olga", "quality"), ("sue", "supervisor"), ("root", "admin"), ("otto", "operator")
SIGNERS = (QUALITY, QUALITY, SUPERVISOR, OLGA, SUE, ROOT)
OPERATIONS = ("10", "20", "21", "30", "40", "50", "60", "70", "80", "90")
PERSON = {"quality": QUALITY, "supervisor": SUPERVISOR, "admin": ROOT}
WAIVABLE = {rule.value: PERSON[max(roles)] for rule, roles in waivable().items()}


class Incidents:
    """Plays quality, supervisors and the store."""

    def __init__(self, chance: Chance) -> None:
        self.chance = chance
        self.tables = chance.book.tables

    def contain(self) -> Action:
        """Hold something, and all that contains it."""
        chance, tables = self.chance, self.tables
        made = chance.action("contain", QUALITY, reason="")
        made["m"] |= self._named()
        made["m"]["reason"] = f"hold {made['n']}"
        made["m"]["stops"] = chance.one(
            (["consume", "ship"], ["consume"], ["ship"], ["move"], ["move", "consume", "ship"])
        )
        roles = (["quality", "supervisor"], ["quality"], ["quality", "supervisor"], ["quality", "supervisor", "admin"])
        made["m"]["release_roles"] = chance.one(roles)
        if chance.is_so(0.25):
            made["m"]["at_operation"] = chance.one((*OPERATIONS, "71", "22", "99"))
        chance.names.append(made["m"]["reason"])
        assert tables.units
        return made

    def contain_part(self, report: Action) -> Action:
        """Hold a part that a report names, or what is in it, or its lot."""
        chance, tables = self.chance, self.tables
        made = self.contain()
        named = [tables.by_serial.get(c["serial"], 0) for c in report["m"].get("components", [])]
        named = [unit for unit in named if unit in tables.units]
        if not named:
            return made
        unit = chance.one(named)
        cells = [tables.edges[id_].child_id for id_ in sorted(tables.inside[unit])]
        inner = chance.one([unit, *(cell for cell in cells if cell is not None)])
        lot = tables.lots.get(tables.lot_of.get(inner) or 0)
        way = {"lot": lot.number} if lot is not None and chance.is_so(0.4) else {"serial": chance.serial(inner)}
        shared = ("reason", "stops", "release_roles")
        made["m"] = way | {name: made["m"][name] for name in shared}
        return made

    def _named(self) -> dict[str, Any]:
        """What is held: units most often, since a lot's hold stops so much."""
        chance, tables = self.chance, self.tables
        fitted = list(tables.parent) or list(tables.units)
        ways: dict[str, float] = {
            "serial": 4,
            "serials": 2,
            "lot": 3,
            "carton": 2,
            "date_code": 1,
            "order": 1,
            "window": 2,
        }
        way = chance.rng.choices(list(ways), list(ways.values()))[0]
        if way == "serial":
            return {"serial": chance.serial(chance.one(fitted if chance.is_so(0.7) else tables.units))}
        if way == "serials":
            return {"serials": sorted({chance.serial(chance.one(fitted)) for _ in range(3)})}
        if way == "lot":
            return {"lot": chance.one(sorted(tables.lot_numbers))}
        if way == "carton":
            return {"carton": f"C1-K{chance.rng.randrange(10)}"}
        if way == "date_code":
            return {"date_code": chance.one(("X1", "X2", "D1", "D2", "D9"))}
        if way == "order":
            return {"order": chance.one([order.number for order in tables.orders.values()])}
        since = -chance.one((10, 60))
        return {"window": {"station": chance.one(STATIONS), "since": {"in_min": since}, "until": {"in_min": 5}}}

    def release(self) -> Action | None:
        """Sign for the release of a hold that a report or a rework opened, or of a containment."""
        chance, tables = self.chance, self.tables
        if not tables.open_holds:
            return None
        hold = tables.holds[chance.one(sorted(tables.open_holds)[:6])]
        by = self._signer(hold)
        if hold.containment_id is None or chance.is_so(0.15):
            name = (
                chance.serial(hold.unit_id) if hold.unit_id else tables.lots[hold.lot_id].number if hold.lot_id else ""
            )
            ref = {"ref": "hold", "name": name, "nth": 0}
            return chance.action("release_hold", by, hold=ref, reason="looked at")
        # the reason names it whatever its number; what is added to it in brackets tells of the check
        ref = {"ref": "containment", "reason": tables.containments[hold.containment_id].partition(" (")[0]}
        return chance.action("release_containment", by, containment=ref, reason="all is well")

    def _signer(self, hold: Hold) -> tuple[str, str]:
        """Somebody whose signature is owed, mostly."""
        signed = self.tables.signed[hold.id]
        owed = [one for one in SIGNERS if one[1] in set(hold.release_roles) - set(signed)]
        owed = [one for one in owed if one[0] not in signed.values()]
        return self.chance.one(owed if owed and self.chance.is_so(0.85) else SIGNERS)

    def dispose(self) -> Action | None:
        """Decide about a unit: the rework of a finished pack, of a unit at work; seldom scrap."""
        chance = self.chance
        if chance.is_so(0.25):
            part = chance.one(("CELL", "MOD", "MOD", "PACK", "BMS"))
            serial = chance.serial(chance.one(chance.units(part)))
            return chance.action("dispose", QUALITY, serial=serial, decision="scrap", reason="dropped")
        part, operations = chance.one(
            (("PACK", ("70", "70", "60", "80")), ("MOD", ("40", "20", "21", "30", "30", "41")))
        )
        found = chance.units(part, "finished") or chance.units(part, "in_process", "removed")
        if not found or chance.is_so(0.3):
            found = (chance.units(part, "scrapped") if chance.is_so(0.6) else []) or chance.units(part)
        serial = chance.serial(chance.one(found))
        operation = chance.one(operations)
        return chance.action("dispose", QUALITY, serial=serial, decision="rework", operation=operation, reason="weak")

    def retest(self) -> Action | None:
        """Test what came out of a unit."""
        chance = self.chance
        out = [u for part in ("CELL", "CELL-B", "MOD", "BMS") for u in chance.units(part, "removed", "scrapped")]
        if not out:
            return None
        verdict = "passed" if chance.is_so(0.8) else "failed"
        return chance.action("retest", QUALITY, serial=chance.serial(chance.one(out)), verdict=verdict, reason="tested")

    def check(self) -> Action:
        """Check a station; one that failed is mended, mostly."""
        chance = self.chance
        kind = chance.one(("daily", "daily", "known_good", "known_bad"))
        failed = chance.is_so(0.2)
        station = chance.one(("W-80", "W-40", "W-40", "W-70", "W-20", "W-10A"))
        made = chance.action("check", SUPERVISOR, station=station, kind=kind, note="")
        made["m"]["note"] = f"check {made['n']}"
        made["m"]["verdict"] = "failed" if failed != (kind == "known_bad") else "passed"
        chance.checks.append(made["m"]["note"])
        if failed:
            chance.failed.append((station, kind))
        return made

    def mend(self) -> Action | None:
        """Pass the check that a station failed, or owes."""
        chance = self.chance
        station, kind = chance.failed.pop(0) if chance.failed else ("W-80", "daily")
        made = chance.action("check", SUPERVISOR, station=station, kind=kind, note="")
        made["m"] |= {"note": f"check {made['n']}", "verdict": "failed" if kind == "known_bad" else "passed"}
        return made

    def hold_since(self) -> Action | None:
        """Confirm a failed check."""
        if not self.chance.checks:
            return None
        ref = {"ref": "check", "note": self.chance.one(self.chance.checks)}
        made = self.chance.action("hold_since_check", QUALITY, check=ref, reason="")
        made["m"]["reason"] = f"since {made['n']}"
        return made

    def sign(self) -> Action | None:
        """Sign a first article."""
        chance = self.chance
        waiting = [a.station_id for a in self.tables.articles.values() if a.signed_by is None]
        station = self.tables.stations[chance.one(waiting)] if waiting else "W-40"
        if not waiting and chance.is_so(0.9):
            return None
        verdict = "passed" if chance.is_so(0.9) else "failed"
        by = QUALITY if chance.is_so(0.9) else ("ann", "supervisor")
        return chance.action("sign", by, station=station, verdict=verdict)

    def grant(self) -> Action:
        """Allow a deviation."""
        chance = self.chance
        if chance.is_so(0.6) and (made := self._grant_refused()) is not None:
            return made
        rule = chance.one(WAIVABLE) if chance.is_so(0.95) else "on_hold"
        made = chance.action("grant", WAIVABLE.get(rule, QUALITY), rule=rule, reason="")
        made["m"] |= {"reason": f"waiver {made['n']}", "ends_at": {"in_min": chance.one((5, 30, 120))}}
        units = [u for part in ("MOD", "PACK") for u in chance.loose(part)]
        if chance.is_so(0.5):
            made["m"]["serials"] = sorted({chance.serial(chance.one(units)) for _ in range(3)})
        else:
            made["m"] |= chance.one(({"operation": chance.one(OPERATIONS)}, {"station": chance.one(STATIONS)}))
        if chance.is_so(0.2):
            made["m"]["starts_at"] = {"in_min": chance.one((-30, 3))}
        chance.waivers.append(made["m"]["reason"])
        return made

    def _grant_refused(self) -> Action | None:
        """Allow what was refused lately, and have it asked again."""
        chance = self.chance
        lately = [p for p in list(self.tables.permits.values())[-12:] if p.cycle in chance.asked and p.unit_id]
        found = [(p, rule) for p in lately for rule in p.refusals if rule in WAIVABLE]
        if not found:
            return None
        permit, rule = chance.one(found)
        made = chance.action("grant", WAIVABLE[rule], rule=rule, serials=[permit.serial], reason="")
        made["m"] |= {"reason": f"waiver {made['n']}", "ends_at": {"in_min": chance.one((1, 5, 30))}}
        chance.again += [chance.asked[permit.cycle]] * chance.one((1, 1, 2))
        chance.waivers.append(made["m"]["reason"])
        return made

    def revoke(self) -> Action | None:
        """Take a deviation back."""
        if not self.chance.waivers:
            return None
        ref = {"ref": "waiver", "reason": self.chance.one(self.chance.waivers)}
        return self.chance.action("revoke", QUALITY, waiver=ref, reason="no longer needed")

    def people(self) -> Action:
        """Certify people, or withdraw it."""
        chance = self.chance
        person = chance.one(("ann", "bob", "ann", "bob", "cid"))
        if chance.is_so(0.1):
            return chance.action("withdraw", SUPERVISOR, person=person, certificate="HV", reason="failed the exam")
        until = {"in_min": chance.one((-5, 20, 9000, 9000))}
        return chance.action("certify", SUPERVISOR, person=person, certificate="HV", expires_at=until)

    def move(self) -> Action:
        """Bring something to another place."""
        chance, tables = self.chance, self.tables
        held = [h.unit_id for h in map(tables.holds.__getitem__, sorted(tables.open_holds)) if h.unit_id]
        serial = (
            chance.serial(chance.one(held)) if held and chance.is_so(0.5) else chance.one(sorted(tables.lot_numbers))
        )
        return chance.action("move", CLERK, serial=serial, location=chance.one(("A1", "B2", "CAGE")))

    def order(self) -> Action:
        """Move an order on, or make one."""
        chance = self.chance
        if chance.is_so(0.15):
            number = f"WO-S{chance.number}"
            part = chance.one(("PACK", "MOD"))
            return chance.action("create_order", SUPERVISOR, order=number, part=part, quantity=chance.one((1, 2)))
        orders = list(self.tables.orders.values())
        held = [order.number for order in orders if order.state in {"on_hold", "created"}]
        if held and chance.is_so(0.7):
            number = chance.one(held)
            state = next(order.state for order in orders if order.number == number)
            return chance.action(
                "move_order", SUPERVISOR, order=number, event="resume" if state == "on_hold" else "release"
            )
        event = chance.one((*["hold"] * 8, "complete", "close", "cancel", "start", "start"))
        return chance.action("move_order", SUPERVISOR, order=chance.one([o.number for o in orders]), event=event)
