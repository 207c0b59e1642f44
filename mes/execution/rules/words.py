"""The rules' names, gravest first, and what each says: why it refuses, what clears it, who may, what a report broke."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """Why a permit is refused, or what a report broke; gravest first."""

    STATION_UNKNOWN = "station_unknown"
    UNIT_UNKNOWN = "unit_unknown"
    SCRAPPED = "scrapped"
    ON_HOLD = "on_hold"
    COMPONENT_ON_HOLD = "component_on_hold"
    COMPONENT_SCRAPPED = "component_scrapped"
    COMPONENT_ELSEWHERE = "component_elsewhere"
    POSITION_TAKEN = "position_taken"
    COMPONENT_UNKNOWN = "component_unknown"
    COMPONENT_WRONG = "component_wrong"
    COMPONENT_REVISION = "component_revision"
    COMPONENT_UNFINISHED = "component_unfinished"
    COMPONENT_UNTESTED = "component_untested"
    KIT_MISSING = "kit_missing"
    NOT_FROM_KIT = "not_from_kit"
    SLOT_WRONG = "slot_wrong"
    POLARITY_REVERSED = "polarity_reversed"
    COMPONENT_MISSING = "component_missing"
    LOT_UNKNOWN = "lot_unknown"
    LOT_WRONG = "lot_wrong"
    LOT_NOT_RELEASED = "lot_not_released"
    LOT_EXPIRED = "lot_expired"
    LOT_NOT_FIRST = "lot_not_first"
    LOT_OVERDRAWN = "lot_overdrawn"
    REMOVAL_UNKNOWN = "removal_unknown"
    REMOVAL_WRONG = "removal_wrong"
    UNIT_REMOVED = "unit_removed"
    ORDER_NOT_RELEASED = "order_not_released"
    CHECK_FAILED = "check_failed"
    CHECK_DUE = "check_due"
    CALIBRATION_DUE = "calibration_due"
    SIGNAL_OPEN = "signal_open"
    FIRST_ARTICLE_OPEN = "first_article_open"
    RECIPE_WRONG = "recipe_wrong"
    PROGRAM_WRONG = "program_wrong"
    PERSON_MISSING = "person_missing"
    NOT_CERTIFIED = "not_certified"
    ALREADY_FINISHED = "already_finished"
    NOT_IN_ROUTE = "not_in_route"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    REWORK_NOT_OPEN = "rework_not_open"
    REWORK_OPEN = "rework_open"
    STEP_PASSED = "step_passed"
    PREDECESSOR_MISSING = "predecessor_missing"
    TOO_EARLY = "too_early"
    TOO_LATE = "too_late"
    INCOMPLETE = "incomplete"
    DOCUMENT_MISSING = "document_missing"
    OFFLINE = "offline"
    PERMIT_MISSING = "permit_missing"
    PERMIT_REFUSED = "permit_refused"


class Words(NamedTuple):
    """What a rule says, filled with the facts and the rule's own `detail`; `who` may clear it."""

    refused: str
    clears: str
    who: tuple[str, ...]
    found: str


_QUALITY, _SUPERVISOR, _OPERATOR = ("quality",), ("supervisor",), ("operator",)
_BOARD = ("quality", "supervisor")
_ALL = ("operator", "supervisor", "quality")

WORDS: dict[Reason, Words] = {
    Reason.STATION_UNKNOWN: Words(
        "There is no station {station}.",
        "Name the station in the plant's files and run `mes apply`, or mend the gateway's mapping.",
        _SUPERVISOR,
        "There is no station {station}.",
    ),
    Reason.UNIT_UNKNOWN: Words(
        "No unit or lot {serial} is known.",
        "Scan again; if it is right, receive or order it first.",
        _ALL,
        "No unit or lot {serial} is known.",
    ),
    Reason.SCRAPPED: Words(
        "{serial} is scrap.",
        "Nothing clears it: take it to the scrap cage.",
        (),
        "{serial} was worked on though it is scrap.",
    ),
    Reason.ON_HOLD: Words(
        "{serial} is on hold: {detail}.",
        "The roles that the hold names sign its release.",
        _BOARD,
        "{serial} was worked on while on hold: {detail}.",
    ),
    Reason.COMPONENT_ON_HOLD: Words(
        "On hold: {detail}.",
        "Take other parts, or have the holds released.",
        _BOARD,
        "Held parts were fitted: {detail}.",
    ),
    Reason.COMPONENT_SCRAPPED: Words("Scrap: {detail}.", "Take other parts.", _ALL, "Scrap was fitted: {detail}."),
    Reason.COMPONENT_ELSEWHERE: Words(
        "Recorded in another unit: {detail}.",
        "Scan again; report the removal from where it is recorded, or find out what is there.",
        _ALL,
        "Reported as fitted, but recorded in another unit: {detail}. They stay where they were recorded.",
    ),
    Reason.POSITION_TAKEN: Words(
        "Positions that hold another unit already, or were named twice: {detail}.",
        "Read the positions back; report the removal of what came out.",
        _ALL,
        "Positions that hold another unit already, or were named twice: {detail}. Nothing was changed there.",
    ),
    Reason.COMPONENT_UNKNOWN: Words(
        "Not known: {detail}.",
        "Receive them with their lot.",
        _ALL,
        "Serials first heard of here: {detail}. Their lot is not known.",
    ),
    Reason.COMPONENT_WRONG: Words(
        "Not what this step's bill of material names: {detail}.",
        "Take the right parts; an alternate is named in the product's file.",
        _ALL,
        "Fitted, but not what this step's bill of material names: {detail}.",
    ),
    Reason.COMPONENT_REVISION: Words(
        "Built to another revision than this order's: {detail}.",
        "Take parts of the order's revision, or have the deviation approved.",
        _QUALITY,
        "Fitted, but built to another revision than this order's: {detail}.",
    ),
    Reason.COMPONENT_UNFINISHED: Words(
        "Their own route isn't finished: {detail}.", "Finish them first.", _ALL, "Fitted unfinished: {detail}."
    ),
    Reason.COMPONENT_UNTESTED: Words(
        "Taken out of another unit and not tested since: {detail}.",
        "Record their re-test, or take other parts.",
        _QUALITY,
        "Fitted without a re-test after they came out of another unit: {detail}.",
    ),
    Reason.KIT_MISSING: Words(
        "{serial} has no kit of matched cells: {detail}.",
        "Match cells for its order, then ask again.",
        _QUALITY,
        "Cells were fitted without a kit: {detail}.",
    ),
    Reason.NOT_FROM_KIT: Words(
        "Not the cell that the kit has for the position: {detail}.",
        "Put the kit's cell there, or have another one assigned.",
        _QUALITY,
        "Other cells than the kit's were fitted: {detail}.",
    ),
    Reason.SLOT_WRONG: Words(
        "The station reads another slot than was meant: {detail}.",
        "Put each cell where its position says.",
        _ALL,
        "Cells sit in other slots than was reported: {detail}.",
    ),
    Reason.POLARITY_REVERSED: Words(
        "Cells stand the wrong way up: {detail}.",
        "Turn them before anything is welded.",
        _ALL,
        "Cells were left the wrong way up: {detail}.",
    ),
    Reason.COMPONENT_MISSING: Words("Missing: {detail}.", "Fit it.", _ALL, "Passed without {detail}."),
    Reason.LOT_UNKNOWN: Words(
        "No lot {detail} is known.", "Receive the lot.", _ALL, "No lot {detail} is known; nothing was counted down."
    ),
    Reason.LOT_WRONG: Words(
        "Not what this step's bill of material names: {detail}.",
        "Take the right lot; an alternate is named in the product's file.",
        _ALL,
        "Used up, but not what this step's bill of material names: {detail}.",
    ),
    Reason.LOT_NOT_RELEASED: Words(
        "Not released: {detail}.",
        "Finish their receiving.",
        _QUALITY,
        "Lots used before receiving released them: {detail}.",
    ),
    Reason.LOT_EXPIRED: Words(
        "Expired: {detail}.",
        "Take another lot; purge what is mixed.",
        _QUALITY,
        "Lots used after they expired: {detail}.",
    ),
    Reason.LOT_NOT_FIRST: Words(
        "Another lot expires earlier: {detail}.",
        "Take that one first.",
        _QUALITY,
        "Not the lot that expires first: {detail}.",
    ),
    Reason.LOT_OVERDRAWN: Words(
        "Less is left than is needed: {detail}.",
        "Count the lot and correct its receipt.",
        _QUALITY,
        "More was used than was left: {detail}.",
    ),
    Reason.REMOVAL_UNKNOWN: Words(
        "Not recorded in it: {detail}.",
        "Find the parts.",
        _QUALITY,
        "Reported as taken out, but not recorded in it: {detail}.",
    ),
    Reason.REMOVAL_WRONG: Words(
        "This step takes nothing of that out: {detail}.",
        "Have the rework opened that does.",
        _QUALITY,
        "Taken out at a step that doesn't: {detail}.",
    ),
    Reason.UNIT_REMOVED: Words(
        "{serial} was taken out of another unit and waits for its re-test.",
        "Record its re-test, or open its rework.",
        _QUALITY,
        "{serial} was worked on though it waits for a re-test.",
    ),
    Reason.ORDER_NOT_RELEASED: Words(
        "Order {order} is {order_state}.",
        "Release or resume it; one that is completed, closed or cancelled takes no more work.",
        _SUPERVISOR,
        "Worked on while order {order} was {order_state}.",
    ),
    Reason.CHECK_FAILED: Words(
        "Station {station} failed its last check: {detail}.",
        "Mend the station, and record a check that it passes.",
        _BOARD,
        "Worked at a station that had failed its last check: {detail}.",
    ),
    Reason.CHECK_DUE: Words(
        "Station {station} owes a check: {detail}.",
        "Run the check and record it.",
        _ALL,
        "Worked at a station that owed a check: {detail}.",
    ),
    Reason.CALIBRATION_DUE: Words(
        "Out of calibration: {detail}.",
        "Calibrate the tool and write its next date into the plant's file.",
        _SUPERVISOR,
        "Worked with a tool out of calibration: {detail}.",
    ),
    Reason.SIGNAL_OPEN: Words(
        "A control chart of {station} signalled: {detail}.",
        "Look for the cause, and close the signal.",
        _BOARD,
        "Worked at a station whose control chart had signalled: {detail}.",
    ),
    Reason.FIRST_ARTICLE_OPEN: Words(
        "The first article waits for its signature: {detail}.",
        "A second person checks it and signs.",
        _BOARD,
        "Worked while a first article waited for its signature: {detail}.",
    ),
    Reason.RECIPE_WRONG: Words(
        "The machine holds another recipe: {detail}.",
        "Load the recipe of this revision and read it back.",
        _OPERATOR,
        "Worked with another recipe: {detail}.",
    ),
    Reason.PROGRAM_WRONG: Words(
        "The machine runs another program: {detail}.",
        "Load the program that the route names.",
        _OPERATOR,
        "Worked with another program: {detail}.",
    ),
    Reason.PERSON_MISSING: Words(
        "This step needs {detail}.", "Scan the badges.", _OPERATOR, "Worked without {detail}."
    ),
    Reason.NOT_CERTIFIED: Words(
        "Not certified: {detail}.",
        "Take someone who is, or certify them.",
        _SUPERVISOR,
        "Worked by people without a valid certificate: {detail}.",
    ),
    Reason.ALREADY_FINISHED: Words(
        "{serial} is finished.",
        "Nothing is left to do here; scan another unit, or have its rework opened.",
        _QUALITY,
        "{serial} was finished before.",
    ),
    Reason.NOT_IN_ROUTE: Words(
        "The route of {part} has no step for station {station} ({operations}).",
        "Bring it to the station of its next step: {next_step}.",
        _ALL,
        "The route of {part} has no step for station {station}.",
    ),
    Reason.ATTEMPTS_EXHAUSTED: Words(
        "Step {operation} was tried often enough: {detail}.",
        "The review board decides: rework, scrap, or a waiver.",
        _BOARD,
        "Tried more often than allowed: {detail}.",
    ),
    Reason.REWORK_NOT_OPEN: Words(
        "Rework {operation} isn't open: {detail}.",
        "Nothing is to be mended; its next step is {next_step}. Quality can open a rework.",
        _QUALITY,
        "Reworked though nothing was to be mended: {detail}.",
    ),
    Reason.REWORK_OPEN: Words(
        "Step {operation} failed; its rework comes first: {detail}.",
        "Do the rework.",
        _ALL,
        "Tried again before its rework {detail}.",
    ),
    Reason.STEP_PASSED: Words(
        "Step {operation} has passed already.",
        "Bring it to its next step: {next_step}.",
        _ALL,
        "Step {operation} had passed before.",
    ),
    Reason.PREDECESSOR_MISSING: Words(
        "Step {operation} needs {detail} passed first.",
        "Do the missing step; next is {next_step}.",
        _ALL,
        "Done without its predecessors {detail}.",
    ),
    Reason.TOO_EARLY: Words("Too early: {detail}.", "Wait.", _ALL, "Begun too early: {detail}."),
    Reason.TOO_LATE: Words(
        "Too late: {detail}.", "Quality decides: rework, scrap, or a waiver.", _QUALITY, "Begun too late: {detail}."
    ),
    Reason.INCOMPLETE: Words(
        "Its record has gaps: {detail}.",
        "Close the gaps; quality reviews the findings.",
        _QUALITY,
        "Passed with gaps: {detail}.",
    ),
    Reason.DOCUMENT_MISSING: Words(
        "Documents are missing: {detail}.",
        "Add them to their lots.",
        _QUALITY,
        "Done though documents were missing: {detail}.",
    ),
    Reason.OFFLINE: Words(
        "The MES can't be reached: {detail}.",
        "Ask again when the MES is back.",
        _SUPERVISOR,
        "Answered without the MES: {detail}.",
    ),
    Reason.PERMIT_MISSING: Words(
        "Cycle {cycle} was not asked for.",
        "Quality reviews the unit.",
        _QUALITY,
        "Cycle {cycle} was worked without asking.",
    ),
    Reason.PERMIT_REFUSED: Words(
        "Cycle {cycle} was refused.",
        "Quality reviews the unit.",
        _QUALITY,
        "Cycle {cycle} was worked against a refusal.",
    ),
}
SHOWN = 400  # letters of a detail in a sentence; it is stored whole
REVIEWED = "Quality reviews the unit."


@dataclass(frozen=True, slots=True)
class Said:
    """One reason or finding: the rule that spoke, its version, what it saw, and the facts around it."""

    code: Reason
    version: int
    detail: str
    facts: Mapping[str, str]

    @property
    def text(self) -> str:
        """Why it is refused, in a sentence."""
        return self._filled(WORDS[self.code].refused)

    @property
    def found(self) -> str:
        """What a report broke, in a sentence."""
        return self._filled(WORDS[self.code].found)

    @property
    def clears(self) -> str:
        """What clears a refusal."""
        return self._filled(WORDS[self.code].clears)

    def _filled(self, sentence: str) -> str:
        detail = self.detail if len(self.detail) <= SHOWN else f"{self.detail[:SHOWN]} ..."
        return sentence.format_map({**self.facts, "detail": detail})
