"""Checks how a characteristic is charted: the chart suits its kind of values and its subgroups."""

from collections.abc import Iterator

from mes.plan.problem import Problem, twice
from mes.products.chart_spec import ATTRIBUTES, ChartSpec
from mes.products.messages import CharacteristicSpec

MOST_OF_RANGE = 25  # of larger subgroups the range says little: their standard deviation is charted


def check_chart(at: str, of: CharacteristicSpec, spec: ChartSpec) -> Iterator[Problem]:
    """Find what is wrong in a chart's block."""
    values = spec.size * (1 if spec.by == "position" else of.count)
    if of.kind == "curve" or (spec.chart not in ATTRIBUTES and of.kind != "number"):
        kinds = "none: a curve has none" if of.kind == "curve" else "p or u: only a number has a mean"
        yield Problem(f"{at}/chart", spec.chart, kinds)
    elif spec.chart == "i_mr" and values != 1:
        expected = "one value a cycle: by position, with size 1; or xbar_s, whose subgroup is several"
        yield Problem(f"{at}/chart", f"i_mr of {values} values", expected)
    elif spec.chart in {"xbar_r", "xbar_s"} and values < 2:
        yield Problem(f"{at}/size", f"{values} value a subgroup", "two values a subgroup at least; or i_mr")
    elif spec.chart == "xbar_r" and values > MOST_OF_RANGE:
        yield Problem(
            f"{at}/chart", f"xbar_r of {values} values", f"xbar_s: more than {MOST_OF_RANGE} values a subgroup"
        )
    if isinstance(spec.rules, list):
        yield from twice(f"{at}/rules/{{}}", [str(n) for n in spec.rules], "each rule once")
    if not spec.rule_names():
        yield Problem(f"{at}/rules", str(spec.rules), "rules 1 to 4 of Nelson: the others don't hold for counts")
    yield from twice(f"{at}/on_signal/{{}}", spec.on_signal, "each once")
