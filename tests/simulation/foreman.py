"""Says what happens at each step of a shift, by the seed."""

from tests.simulation.choosing import Chance
from tests.simulation.incidents import Incidents
from tests.simulation.shift import Action
from tests.simulation.stations import Stations
from tests.simulation.store import Store

CRASHING, LOSING, TOGETHER, AGAIN, JUMPING = 0.025, 0.02, 0.07, 0.045, 0.02


class Foreman:
    """Chooses the next step."""

    def __init__(self, chance: Chance, *, is_alone: bool = False) -> None:
        self.chance = chance
        self.is_alone = is_alone  # no races, no crashes: the same each time
        self.owed: list[Action] = []  # what is sent again at once, since nobody heard the answer
        stations, incidents, store = Stations(chance), Incidents(chance), Store(chance)
        self.stations, self.incidents = stations, incidents
        self.weights = {
            stations.ask: 36,
            stations.tell: 38,
            stations.tell_unasked: 2.5,
            incidents.contain: 2.2,
            incidents.release: 10,
            incidents.sign: 5,
            incidents.dispose: 2.2,
            incidents.retest: 2,
            incidents.check: 0.8,
            incidents.mend: 1.5,
            incidents.hold_since: 0.4,
            incidents.grant: 2.5,
            incidents.revoke: 0.7,
            incidents.people: 1,
            incidents.move: 1,
            incidents.order: 2,
            store.receive: 1.6,
            store.open: 0.5,
            store.decide: 0.6,
        }

    def next(self) -> Action:
        """The next step."""
        chance = self.chance
        if self.owed:
            return self._timed(self.owed.pop(0))
        if chance.is_so(JUMPING):
            chance.number += 1
            return {"n": chance.number, "do": "clock", "minutes": chance.one((-90, -45, -45, -10, -1, 15, 60, 300))}
        if chance.is_so(AGAIN) and chance.sent:
            return self._timed(self._again(chance.one(chance.sent[-4:] if chance.is_so(0.5) else chance.sent)))
        if chance.is_so(TOGETHER) and not self.is_alone:
            return self._timed(self._together())
        action = self._some()
        if len(chance.book.tables.open_holds) > 2 and chance.is_so(0.15):
            action = self.incidents.release() or action
        if chance.is_so(CRASHING) and not self.is_alone:
            # how many statements an act takes is its own affair: past the last one, the answer alone is lost
            action["crash"] = {"after": chance.one((1, 1, 2, 2, 3, 4, 5, 6, 8)), "how": chance.one(("cancel", "kill"))}
            self.owed.append(self._again(action["n"]))
        elif chance.is_so(LOSING):
            action["lose"] = True
            self.owed.append(self._again(action["n"]))
        return self._timed(action)

    def _some(self) -> Action:
        while True:
            action = self.chance.pick(self.weights)
            if action is not None:
                return action

    def _again(self, of: int) -> Action:
        self.chance.number += 1
        return {"n": self.chance.number, "do": "again", "of": of}

    def _together(self) -> Action:
        """Several messages at once: twins at two stations, or whatever comes, or one message twice."""
        chance = self.chance
        if chance.is_so(0.3) and (report := self.stations.tell()) is not None:
            # what is fitted, or what is in it, is held at the same moment
            actions = [report, self.incidents.contain_part(report)]
        else:
            actions = self.stations.twins() if chance.is_so(0.5) else [self._some()]
        while len(actions) < 2 or (len(actions) < 4 and chance.is_so(0.35)):
            actions.append(self._again(actions[0]["n"]) if chance.is_so(0.3) and actions else self._some())
        chance.number += 1
        return {"n": chance.number, "do": "together", "actions": actions}

    def _timed(self, action: Action) -> Action:
        return action | {"s": self.chance.one((1, 20, 45, 90))}
