"""The mapping file: which stations there are, where they are reached and how their words are named."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit, urlunsplit

import yaml
from pydantic import Field, ValidationError, model_validator

from mes.errors import Malformed
from mes.message import Code, Name
from plc_adapters.profile_settings import (
    ArrivalSettings,
    Endpoint,
    JobSettings,
    JoiningSettings,
    Node,
    PackmlSettings,
    Part,
    Profile,
    ResultSettings,
    ScannerSettings,
    ToggleSettings,
)

REQUIRED_WORDS = (
    *("ReqSeq", "ReqSerial", "PermitSeq", "PermitSerial", "PermitCode"),
    *("DoneSeq", "DoneReqSeq", "DoneSerial", "DoneVerdict", "DoneStartedAt", "DoneEndedAt", "AckSeq", "AckCode"),
    "Epoch",
)
OPTIONAL_WORDS = (
    *("ReqOperator", "PermitEpoch", "PermitText", "PermitReason", "RecipeId", "RecipeParameters"),
    *("DoneOperator", "DoneTool", "DoneProgramRevision", "DoneComponentParts", "DoneComponentSerials"),
    *("DoneComponentPositions", "DoneLots", "DoneLotQuantities", "DoneRemovals", "AckEpoch", "AckText"),
    *("Heartbeat", "MesHeartbeat", "State"),
)
# What lets the MES judge before the work what it could only find afterwards. A station has those its file names.
EXTRA_WORDS = (
    *("ReqOperation", "ReqSecondOperator", "ReqTool", "ReqProgramRevision", "ReqRecipeId", "ReqLots"),
    *("ReqComponentParts", "ReqComponentSerials", "ReqComponentPositions", "ReqRemovals", "ReqRemovalsTo"),
    *("DoneOperation", "DoneSecondOperator", "DoneRecipeId", "DoneRemovalsTo"),
)
WORDS = REQUIRED_WORDS + OPTIONAL_WORDS + EXTRA_WORDS
# A PLC that has bits instead of counters says by its clock which request is which.
TOGGLE_WORDS = (
    *("Req", "ReqAt", "ReqSerial", "Permit", "PermitSerial", "PermitCode"),
    *("Done", "DoneReqAt", "DoneSerial", "DoneVerdict", "DoneStartedAt", "DoneEndedAt", "Ack", "AckCode"),
)
_REQUIRED: dict[Profile, tuple[str, ...]] = {"tag_handshake": REQUIRED_WORDS, "toggle_handshake": TOGGLE_WORDS}
_OPTIONAL: dict[Profile, tuple[str, ...]] = {
    "tag_handshake": OPTIONAL_WORDS,
    "toggle_handshake": tuple(word for word in OPTIONAL_WORDS if not word.endswith("Epoch")),
}
_SCANNED = ("ReqSerial", "DoneSerial")  # a PLC beside a scanner need not have these
_COMPANIONS: tuple[Profile, ...] = ("joining", "machinery_result", "job_control")
# The blocks of settings: for which profiles each is.
_BLOCKS: dict[str, tuple[Profile, ...]] = {
    "toggle": ("toggle_handshake",),
    "scanner": ("tag_handshake",),
    "arrival": _COMPANIONS,
    **{profile: (profile,) for profile in _COMPANIONS},
}


class Patterns(Part):
    """How node ids are made from names, where a station doesn't give them one by one."""

    word: Node = "s={station}.{name}"
    value: Node = "s={station}.Done.{name}"
    curve: Node = "s={station}.Done.{name}.{ordinal}.{axis}"


class StationMap(Part):
    """One station: an OPC UA server's address and the names of its words.

    `words` replaces single node ids of the pattern; null says that the PLC does not have this (optional) word.
    `extras` names the further words that it has: its parts, tool, program and recipe, said before the work.
    `security: none` is for PLCs that can't encrypt; `user` logs in with the password in `<code>.password` of --secrets.
    `values` names the arrays of the result, as a list or as name: node id; `curves` gives the count of each curve.
    """

    code: Code
    endpoint: Endpoint
    namespace: Name
    security: Literal["encrypted", "none"] = "encrypted"
    user: Name | None = None
    profile: Profile = "tag_handshake"
    toggle: ToggleSettings | None = None
    arrival: ArrivalSettings | None = None
    joining: JoiningSettings | None = None
    machinery_result: ResultSettings | None = None
    job_control: JobSettings | None = None
    packml: PackmlSettings | None = None
    scanner: ScannerSettings | None = None
    patterns: Patterns = Patterns()
    words: dict[str, Node | None] = {}
    extras: list[Literal[EXTRA_WORDS]] = []  # type: ignore[valid-type]
    values: dict[Name, Node | None] = {}
    curves: dict[Name, Annotated[int, Field(ge=1, le=100)]] = {}
    publishing_ms: Annotated[int, Field(ge=10, le=10_000)] = 50
    heartbeat_dead_s: Annotated[float, Field(gt=0.1, le=60)] = 5.0
    timeout_s: Annotated[float, Field(gt=0.1, le=60)] = 4.0

    @model_validator(mode="before")
    @classmethod
    def _list_of_values(cls, read: Any) -> Any:
        if isinstance(read, dict) and isinstance(read.get("values"), list):
            return {**read, "values": {str(name): None for name in read["values"]}}
        return read

    @model_validator(mode="after")
    def _words_known(self) -> Self:
        required, optional = _REQUIRED.get(self.profile, ()), _OPTIONAL.get(self.profile, ())
        words = (*required, *optional, *EXTRA_WORDS) if required else ()
        if unknown := sorted(set(self.words) - set(words)):
            raise ValueError(f"unknown words {', '.join(unknown)}; expected some of {', '.join(words)}")
        spared = _SCANNED if self.scanner else ()
        missing = [word for word in required if word in self.words and self.words[word] is None and word not in spared]
        if missing:
            raise ValueError(f"the handshake can't do without {', '.join(missing)}")
        nodes = [*self.word_nodes.values(), *self.value_nodes.values()]
        if twice := sorted(node for node, times in Counter(nodes).items() if times > 1):
            raise ValueError(f"these node ids are used for more than one word: {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _password_is_encrypted(self) -> Self:
        if self.user is not None and self.security == "none":
            raise ValueError("a user's password would go in plain text; encrypt the link, or log nobody in")
        return self

    @model_validator(mode="after")
    def _blocks_of_the_profile(self) -> Self:
        for block, profiles in _BLOCKS.items():
            if getattr(self, block) is not None and self.profile not in profiles:
                raise ValueError(f"{block} is for profile {' and '.join(profiles)}, not for {self.profile}")
        if self.profile in _COMPANIONS and getattr(self, self.profile) is None:
            raise ValueError(f"profile {self.profile} needs a block {self.profile}")
        if self.profile == "job_control" and not (self.arrival and self.arrival.answer.cycle):
            raise ValueError("profile job_control needs a block arrival, with answer.cycle: which order was given")
        return self

    @property
    def word_nodes(self) -> dict[str, str]:
        """The node id of each word the PLC has."""
        required, optional = _REQUIRED.get(self.profile, ()), _OPTIONAL.get(self.profile, ())
        has = (*required, *optional, *self.extras)
        named = {word: self._filled(self.patterns.word, name=word) for word in has} | self.words
        return {word: node for word, node in named.items() if node is not None}

    @property
    def value_nodes(self) -> dict[str, str]:
        """The node id of each array of values."""
        return {name: node or self._filled(self.patterns.value, name=name) for name, node in self.values.items()}

    def curve_nodes(self, name: str, ordinal: int) -> tuple[str, str]:
        """The node ids of one curve's x and y."""
        x, y = (self._filled(self.patterns.curve, name=name, ordinal=str(ordinal), axis=axis) for axis in "xy")
        return x, y

    def _filled(self, pattern: str, **names: str) -> str:
        for key, text in {"station": self.code, **names}.items():
            pattern = pattern.replace("{" + key + "}", text)
        return pattern


class LineMap(Part):
    """A mapping file: the gateway's name and its stations.

    `offline_for_s`: how old what the gateway knows may be when it answers permits without the MES; 0: it never does.
    `refuses_after_s`: while the MES has been away for less, a permit that would be refused waits for it to come back.
    """

    gateway: Name
    offline_for_s: Annotated[float, Field(ge=0, le=86_400)] = 900
    refuses_after_s: Annotated[float, Field(ge=0, le=60)] = 10
    stations: Annotated[list[StationMap], Field(min_length=1, max_length=500)]

    @model_validator(mode="before")
    @classmethod
    def _fill_defaults(cls, read: Any) -> Any:
        if not isinstance(read, dict) or not isinstance(read.get("defaults", {}), dict):
            return read
        defaults, stations = read.get("defaults", {}), read.get("stations")
        if isinstance(stations, list):
            stations = [{**defaults, **one} if isinstance(one, dict) else one for one in stations]
        return {key: value for key, value in read.items() if key != "defaults"} | {"stations": stations}

    @model_validator(mode="after")
    def _stations_once(self) -> Self:
        if twice := sorted(code for code, times in Counter(one.code for one in self.stations).items() if times > 1):
            raise ValueError(f"stations named twice: {', '.join(twice)}")
        return self

    def at_ports(self, ports: list[int]) -> "LineMap":
        """Return the same stations at other ports of their hosts."""
        moved = [
            one.model_copy(update={"endpoint": _with_port(one.endpoint, port)})
            for one, port in zip(self.stations, ports, strict=True)
        ]
        return self.model_copy(update={"stations": moved})

    def from_port(self, base: int) -> "LineMap":
        """Return the same stations with the lowest port moved to `base`, the others as far above it as before."""
        ports = [urlsplit(one.endpoint).port or 0 for one in self.stations]
        return self.at_ports([base + port - min(ports) for port in ports])


def load_map(path: Path) -> LineMap:
    """Read a mapping file, or raise Malformed with every error at once."""
    try:
        return LineMap.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except yaml.YAMLError as error:
        raise Malformed(str(path), [{"at": "", "read": "", "expected": f"YAML: {error}"}]) from error
    except ValidationError as error:
        raise Malformed(str(path), described(error)) from error


def described(error: ValidationError) -> list[dict[str, Any]]:
    """Name each error of a message or a file by place, what was read and what is expected."""
    return [
        {
            "at": ".".join(str(part) for part in one["loc"]),
            "read": repr(one["input"])[:200],
            "expected": one["msg"].removeprefix("Value error, "),
        }
        for one in error.errors(include_url=False)
    ]


def _with_port(endpoint: str, port: int) -> str:
    parts = urlsplit(endpoint)
    return urlunsplit(parts._replace(netloc=f"{parts.hostname}:{port}"))
