"""How a characteristic is charted, as the plant's file says it; frozen with the revision."""

from typing import Annotated, Literal

from pydantic import Field

from mes.products.spec import Spec

RuleSet = Literal["nelson", "western_electric"]
ATTRIBUTES = ("p", "u")
NELSON = 8
_NUMBERS = {"nelson": range(1, 1 + NELSON), "western_electric": range(1, 5)}
_OF_COUNTS: dict[str, tuple[int, ...]] = {"nelson": (1, 2, 3, 4), "western_electric": (1, 4)}  # zones aren't even


class ChartSpec(Spec):
    """A control chart: its kind, rational subgroups, rules, and what a signal leads to."""

    chart: Annotated[
        Literal["i_mr", "xbar_r", "xbar_s", "p", "u"],
        Field(
            description="i_mr: single values and moving ranges; xbar_r, xbar_s: means of subgroups with their ranges "
            "or standard deviations; p: fraction of values that fail; u: values that fail for each cycle."
        ),
    ]
    size: Annotated[
        int, Field(ge=1, le=1_000, description="The rational subgroup: so many cycles in a row, with all their values.")
    ] = 1
    by: Annotated[
        Literal["station", "tool", "position"],
        Field(description="What has a chart of its own: each station, each of its tools, or each position at it."),
    ] = "station"
    rules: Annotated[
        RuleSet | Annotated[list[Annotated[int, Field(ge=1, le=NELSON)]], Field(min_length=1, max_length=NELSON)],
        Field(description="nelson, western_electric, or the numbers of some of Nelson's rules."),
    ] = "western_electric"
    baseline: Annotated[
        int, Field(ge=5, le=200, description="The first so many subgroups set the limits, which stay then.")
    ] = 25
    on_signal: Annotated[
        list[Literal["hold", "block"]],
        Field(
            max_length=2,
            description="Besides being shown: hold: the units of the points that signalled; block: the station's "
            "operation, until quality has closed the signal.",
        ),
    ] = []

    def rule_names(self) -> list[str]:
        """The rules by name; of a p or u chart those that hold for counts."""
        chosen, numbers = (
            ("nelson", self.rules) if isinstance(self.rules, list) else (self.rules, list(_NUMBERS[self.rules]))
        )
        return [f"{chosen}_{n}" for n in numbers if self.chart not in ATTRIBUTES or n in _OF_COUNTS[chosen]]
