"""How cells are tested, graded and matched: as a plant's file says it, and as the rules read it. Frozen."""

from typing import Annotated, Literal

from pydantic import Field

from mes.message import Code
from mes.products.spec import Limit, Spec

Reading = Literal["ocv_v", "acir_mohm", "capacity_ah", "mass_g", "diameter_mm", "height_mm"]
Positive = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]


class ReadingSpec(Spec):
    """What one reading of a cell must keep: limits of its own, beside its lot, and beside the certificate."""

    name: Annotated[Reading, Field(description="What is measured; its unit is the end of its name.")]
    min: Annotated[Limit | None, Field(description="Least value that passes.")] = None
    max: Annotated[Limit | None, Field(description="Greatest value that passes.")] = None
    from_median: Annotated[
        Positive | None, Field(description="How far it may lie from the median of its lot, in its own unit.")
    ] = None
    from_median_pct: Annotated[
        Positive | None, Field(description="How far it may lie from the median of its lot, in % of that.")
    ] = None
    gauge_error: Annotated[
        Positive | None,
        Field(description="How far it may lie from what the certificate says of the cell, in its own unit."),
    ] = None
    is_sampled: Annotated[
        bool, Field(description="Measured on a sample of the lot by ISO 2859-1, not on each cell.")
    ] = False


class KValueSpec(Spec):
    """Self-discharge between two readings of the open-circuit voltage: K = (OCV1 - OCV2) / (t2 - t1), signed."""

    max_mv_h: Annotated[Positive, Field(description="Greatest K that passes, in mV/h.")]
    min_h: Annotated[Positive, Field(description="Hours between the two readings, at least.")] = 24
    max_h: Annotated[Positive, Field(description="Hours between the two readings, at most.")] = 72
    max_difference_c: Annotated[Positive, Field(description="How much the temperatures may differ, in K.")] = 2
    is_required: Annotated[bool, Field(description="A cell without a second reading isn't graded.")] = True


class SamplingSpec(Spec):
    """Single sampling for normal inspection, ISO 2859-1."""

    aql: Annotated[
        Literal["0.065", "0.10", "0.15", "0.25", "0.40", "0.65", "1.0", "1.5", "2.5", "4.0", "6.5"],
        Field(description="Acceptance quality limit, in % nonconforming, in quotes."),
    ] = "0.65"
    level: Annotated[Literal["I", "II", "III"], Field(description="General inspection level.")] = "II"


class IncomingSpec(Spec):
    """How received cells are tested and graded."""

    readings: Annotated[list[ReadingSpec], Field(max_length=6, description="What is measured, and its limits.")] = []
    visual: Annotated[bool, Field(description="Each cell is looked at; what isn't is not graded.")] = False
    k_value: Annotated[KValueSpec | None, Field(description="Limits of self-discharge.")] = None
    retest_after_h: Annotated[
        Positive, Field(description="Hours of rest before a cell that failed is tested again; once.")
    ] = 24
    sampling: Annotated[SamplingSpec | None, Field(description="The plan by which is_sampled readings are taken.")] = (
        None
    )
    capacity_bin_ah: Annotated[Positive | None, Field(description="Width of the grades' capacity bins.")] = None
    acir_bin_mohm: Annotated[Positive | None, Field(description="Width of the grades' impedance bins.")] = None
    k_bin_mv_h: Annotated[Positive | None, Field(description="Width of the grades' K-value bins.")] = None


class MatchingSpec(Spec):
    """How cells are matched into the groups of one piece. Spreads: (greatest - least) / mean."""

    part: Annotated[Code, Field(description="The cell's part: a component in equal groups.")]
    grades: Annotated[
        list[Code], Field(max_length=100, description="Grades that may be used; none named: every grade.")
    ] = []
    one_grade: Annotated[bool, Field(description="All cells of one piece have the same grade.")] = False
    lots_per_group: Annotated[int, Field(ge=1, le=1000, description="Lots in one group, at most.")] = 1
    lots_per_kit: Annotated[int, Field(ge=1, le=1000, description="Lots in one piece, at most.")] = 2
    max_age_d: Annotated[Positive | None, Field(description="Days since the cell was last tested, at most.")] = None
    capacity_spread_pct: Annotated[Positive, Field(description="Spread of capacity in a group, at most.")] = 1.5
    acir_spread_pct: Annotated[Positive, Field(description="Spread of impedance in a group, at most.")] = 8
    group_spread_pct: Annotated[Positive, Field(description="Spread of the groups' capacity sums, at most.")] = 0.3
    swap: Annotated[
        Literal["none", "group", "stock"],
        Field(
            description="What else may sit at a position: none; another cell of the same group; or any graded cell "
            "in stock with which the group still keeps its limits."
        ),
    ] = "group"
