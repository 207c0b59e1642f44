"""What one may say about the event stream and its subscribers, and hear back."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from mes.events.rules import State, address_fault
from mes.message import Code, Message, Moment

Topic = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,63}$")]
Topics = Annotated[
    list[Topic], AfterValidator(lambda topics: sorted(set(topics))), Field(max_length=50, description="Empty: all.")
]
Address = Annotated[str, StringConstraints(min_length=8, max_length=500, pattern=r"^[\x21-\x7e]+$")]
Hexadecimal = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2}){16,64}$")]
# MQTT 5, 4.7: + and # are wildcards, a leading $ is the broker's own
Prefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)*$", max_length=200)]


class WebhookRequest(Message):
    """Events are to be posted to an address, one at a time, signed by Standard Webhooks."""

    name: Code
    address: Annotated[Address, Field(description="https://...; http:// to this machine itself.")]
    topics: Topics = []
    after: Annotated[int | None, Field(ge=0, description="Begin after this event; left out: with the next one.")] = None

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if fault := address_fault(self.address, "https", "http"):
            raise ValueError(fault)
        return self


class WebhookSubscription(WebhookRequest):
    """A webhook with what its secret is derived from, and what tells whether the key is still the same."""

    salt: Hexadecimal
    secret_digest: Hexadecimal


class BrokerRequest(Message):
    """Events are to be published at an MQTT 5 broker, by ISA-95 path below a prefix."""

    name: Code
    address: Annotated[Address, Field(description="mqtts://HOST[:8883]; mqtt:// to this machine itself.")]
    prefix: Annotated[Prefix, Field(description="First level of every topic, e.g. the enterprise's name.")]
    topics: Topics = []
    after: Annotated[int | None, Field(ge=0, description="Begin after this event; left out: with the next one.")] = None

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if fault := address_fault(self.address, "mqtts", "mqtt"):
            raise ValueError(fault)
        return self


class SubscriptionName(Message):
    """One subscription."""

    name: Code


class SubscriptionAnswer(Message):
    """A subscription as it stands."""

    name: str
    kind: Literal["webhook", "mqtt"]
    address: str
    prefix: str | None
    topics: list[str]
    position: Annotated[int, Field(description="The last event that was taken, or passed over by its topic.")]
    state: State
    last_error: str | None
    failing_since: Moment | None
    missed: Annotated[int, Field(description="Events that were purged before they were taken.")]
    waiting: Annotated[int, Field(description="Events still to be taken, counted up to 100,000.")]
    waiting_s: Annotated[float, Field(description="Age of the oldest of them; 0: none.")]
    created_at: Moment
    created_by: str


class WebhookAnswer(SubscriptionAnswer):
    """A webhook just made. This is the only time its secret is shown; nothing keeps it."""

    secret: str


class Delivery(Message):
    """How far a subscriber has taken events, and what stopped it."""

    name: str
    position: int
    error: Annotated[str | None, Field(max_length=500)] = None
    is_gone: Annotated[bool, Field(description="It wants no more.")] = False


class Turn(Message):
    """One turn of the relay: at most so many events."""

    batch: Annotated[int, Field(ge=1, le=100_000)] = 1000


class Purge(Message):
    """What is older than `before` goes once all have taken it; what is older than `untaken_before` goes anyway."""

    before: Moment
    untaken_before: Moment
    batch: Annotated[int, Field(ge=1, le=100_000)] = 5000


class PurgeAnswer(Message):
    """How many events went, and who had not taken how many of them."""

    purged: int
    missed: dict[str, int]
