"""Propose which variable of an unknown server is which word of the handshake: by name, type and who may write; pure.

Names are cut into parts, and known synonyms put in place of them (also German ones, as PLC programs have them). What a
proposal isn't sure of it says in a comment: a person compares every line with the PLC's program.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from difflib import SequenceMatcher

import yaml

from plc_adapters.mapping import EXTRA_WORDS, OPTIONAL_WORDS, REQUIRED_WORDS
from plc_adapters.opcua.explore import Found
from plc_adapters.opcua.word_kinds import REALS, expected, is_array, is_written, types_of

ENOUGH, SURE = 0.55, 0.85
_MOST_LEFT = 30
_PHRASES = {
    "serial number": "serial",
    "serial no": "serial",
    "serial nr": "serial",
    "part number": "part",
    "boot count": "epoch",
    "start up": "epoch",
    "life bit": "heartbeat",
    "heart beat": "heartbeat",
}
_SYNONYMS = {
    "req": "req request rq ask asks asked enquiry query anfrage anforderung",
    "seq": "seq sequence counter count cnt number no nr num index trigger zaehler",
    "serial": "serial sn serialnumber serialno dmc barcode uid unit seriennummer workpiece",
    "permit": "permit release released grant granted approval approve clearance answer response reply resp freigabe",
    "code": "code status rc",
    "done": "done result res finished complete completed report reported fertig ergebnis",
    "verdict": "verdict judgement judgment ok nok passfail quality evaluation bewertung",
    "started": "started start begin began beginn",
    "ended": "ended end finish stop ende",
    "at": "at time timestamp ts date datetime zeit",
    "ack": "ack acknowledge acknowledged acknowledgement confirm confirmed confirmation quittung",
    "epoch": "epoch boot bootcount restart restarts startup generation era session",
    "text": "text message msg txt meldung",
    "reason": "reason cause grund",
    "heartbeat": "heartbeat alive lifebit watchdog beat life lebenszeichen",
    "mes": "mes host scada leitsystem",
    "state": "state packml mode zustand",
    "operator": "operator user worker badge bediener",
    "recipe": "recipe rezept receipt",
    "parameters": "parameters parameter params settings",
    "tool": "tool werkzeug",
    "program": "program prog programm",
    "revision": "revision rev version",
    "component": "component components comp",
    "lot": "lot lots batch batches charge",
}
_CANONICAL = {said: word for word, many in _SYNONYMS.items() for said in many.split()}
_EMPTY = {
    "of",
    "the",
    "to",
    "from",
    "in",
    "out",
    "plc",
    "db",
    "cycle",
    "var",
    "tag",
    "data",
    "ns",
    "by",
    "last",
    "actual",
}


_GROUPS = {"req", "permit", "done", "ack"}  # what the words of a handshake begin with


@dataclass(frozen=True, slots=True)
class Match:
    """A variable that may be a word: how sure that is, 0 to 1, and what speaks against it."""

    word: str
    variable: Found
    score: float
    doubts: tuple[str, ...]


@dataclass(slots=True)
class Proposal:
    """What was matched, which words weren't, and what is left over."""

    matches: dict[str, Match] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    values: dict[str, Found] = field(default_factory=dict)
    left: list[Found] = field(default_factory=list)


def main_namespace(found: list[Found]) -> str | None:
    """The namespace that most variables are in."""
    counted = Counter(one.namespace for one in found if one.shape is not None)
    return counted.most_common(1)[0][0] if counted else None


def propose(found: list[Found]) -> Proposal:
    """Match the variables of one namespace to words: the best pair first, each variable once."""
    variables = [one for one in found if one.shape is not None]
    pairs = [match for word in (*REQUIRED_WORDS, *OPTIONAL_WORDS, *EXTRA_WORDS) for match in _matches(word, variables)]
    # Of equal ones the word that can't be done without; sorting keeps the order of words.
    pairs.sort(key=lambda one: -one.score)
    proposal, used = Proposal(), set[str]()
    for one in pairs:
        if one.word not in proposal.matches and one.variable.node not in used:
            proposal.matches[one.word] = one
            used.add(one.variable.node)
    proposal.missing = [word for word in REQUIRED_WORDS if word not in proposal.matches]
    for left in variables:
        if left.node in used or left.shape is None:
            continue
        if left.shape.array and left.shape.type in REALS:
            proposal.values[_free_name(left, proposal.values)] = left
        else:
            proposal.left.append(left)
    return proposal


_NOT_PLAIN = " # a log-in goes over an encrypted link alone: without `security: none`"


def mapping_text(
    endpoint: str, station: str, namespace: str, proposal: Proposal, *, plain: bool, user: str | None
) -> str:
    """A mapping file of the proposal, with comments on what a person has to look at."""
    lines = [
        f"# Proposed from the variables of {endpoint}. Compare each line with the PLC's program; then",
        '# `mes opcua check --map` says what is missing. Lines that say "unsure" are guessed by resemblance.',
        *(f"# MISSING {word}: expected {expected(word)}; nothing like it was found" for word in proposal.missing),
        "gateway: gateway-1",
        "stations:",
        f"  - code: {_quoted(station)}",
        f"    endpoint: {_quoted(endpoint)}",
        f"    namespace: {_quoted(namespace)}",
        *(["    security: none # plain text: only where the PLC can't encrypt"] if plain else []),
        *([f"    {'# ' if plain else ''}user: {_quoted(user)}{_NOT_PLAIN if plain else ''}"] if user else []),
    ]
    extras = [word for word in EXTRA_WORDS if word in proposal.matches]
    lines += [f"    extras: [{', '.join(extras)}]"] if extras else []
    lines.append("    words:")
    for word in (*REQUIRED_WORDS, *OPTIONAL_WORDS, *extras):
        if (match := proposal.matches.get(word)) is not None:
            lines.append(f"      {word}: {_quoted(match.variable.node)} # {_comment(match)}")
        elif word in REQUIRED_WORDS:
            lines.append(f"      # {word}: MISSING, expected {expected(word)}")
        else:
            lines.append(f"      {word}: null # optional; nothing like it was found")
    if proposal.values:
        lines.append("    values: # arrays left over: name them as the product file does, or leave them out")
        lines += [
            f"      {_quoted(name)}: {_quoted(one.node)} # {_where(one)}" for name, one in proposal.values.items()
        ]
    left = proposal.left[:_MOST_LEFT]
    lines += [f"# not used: {_where(one)} {one.node}".replace("\n", " ") for one in left]
    if len(proposal.left) > len(left):
        lines.append(f"# and {len(proposal.left) - len(left)} more; `mes opcua browse` shows them")
    return "\n".join(lines) + "\n"


def parts(name: str) -> frozenset[str]:
    """Cut a name into the parts it is made of, each by its canonical word."""
    spaced = re.sub(
        r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+|(?<=[a-z])(?=\d)", " ", name
    ).lower()
    for said, meant in _PHRASES.items():
        spaced = re.sub(rf"\b{said}\b", meant, spaced)
    cut = [_singular(one) for one in spaced.split() if len(one) > 1 and one not in _EMPTY and not one.isdigit()]
    return frozenset(_CANONICAL.get(one, one) for one in cut)


def _matches(word: str, variables: list[Found]) -> list[Match]:
    found = []
    for one in variables:
        shape = one.shape
        if shape is None or shape.type not in types_of(word) or shape.array != is_array(word):
            continue
        score = _likeness(word, one)
        if is_written(word) and not shape.writable:
            score -= 0.2
        elif shape.writable and not is_written(word):
            score -= 0.05
        least = SURE if word in EXTRA_WORDS else ENOUGH
        if score >= least:
            found.append(Match(word, one, round(score, 3), _doubts(word, one, score)))
    return found


def _likeness(word: str, variable: Found) -> float:
    wanted, kind = parts(word), {"at"} if variable.shape and variable.shape.type == "DateTime" else set()
    own = parts(variable.name) | kind
    folder = parts(variable.path[-2] if len(variable.path) > 1 else "")
    within = _dice(wanted, own | folder) - 0.03
    # the request's number that a result repeats is named as the request's own: the folder tells them apart
    is_of_another = bool(folder & _GROUPS - wanted)
    alike = SequenceMatcher(None, word.lower(), variable.name.lower().replace("_", "")).ratio()
    return 0.9 * (within if is_of_another else max(_dice(wanted, own), within)) + 0.1 * alike


def _dice(one: frozenset[str], other: frozenset[str] | set[str]) -> float:
    return 2 * len(one & other) / (len(one) + len(other)) if one and other else 0.0


def _doubts(word: str, variable: Found, score: float) -> tuple[str, ...]:
    doubts = ["unsure"] if score < SURE else []
    if is_written(word) and variable.shape is not None and not variable.shape.writable:
        doubts.append("NOT WRITABLE: the MES must write it, allow that in the PLC")
    return tuple(doubts)


def _comment(match: Match) -> str:
    return "; ".join((*match.doubts, _where(match.variable)))


def _where(one: Found) -> str:
    return f"{'/'.join(one.path)} {one.shape.said if one.shape else ''}".replace("\n", " ").strip()


def _free_name(one: Found, taken: dict[str, Found]) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", one.name).lower()).strip("_") or "value"
    return name if name not in taken else f"{name}_{len(taken) + 1}"


def _singular(part: str) -> str:
    return part[:-1] if len(part) > 3 and part.endswith("s") and part not in _CANONICAL and part[-2] != "s" else part


def _quoted(text: str) -> str:
    return yaml.safe_dump(text, default_style='"', width=10_000, allow_unicode=True).strip()
