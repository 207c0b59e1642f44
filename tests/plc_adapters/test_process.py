"""What the simulated stations measure: the same for the same seed, defects about as often as said."""

from importlib.resources import files
from pathlib import Path
from random import Random

import pytest

from plc_adapters.simulated.jobs import Cell, PackJob
from plc_adapters.simulated.process import DEFECT_RATES, Process, Work, rates_with
from plc_adapters.simulated.products import Products, load_products
from plc_adapters.simulated.station import Step, fitted_words

DEMO = Path(str(files("mes"))) / "demo_plant"


@pytest.fixture(scope="module")
def products() -> Products:
    return load_products(sorted(DEMO.glob("gc48-*.yaml")))


def _job(product: str = "GC48-105", cells: int = 112) -> PackJob:
    random = Random(7)
    lots = [
        *("HOLDER-7P", "HOLDER-10P", "ADHESIVE-2K", "BUSBAR-S", "BUSBAR-T", "INSULATION", "FUSE", "CABLE", "CONNECTOR"),
        *("SCREW-M8", "COVER-GC48", "GASKET-GC48", "VENT", "SCREW-M5", "SCREW-M6"),
    ]
    return PackJob(
        kind="pack",
        product=product,
        pack="P-1",
        module="M-1",
        cells=[
            Cell(
                serial=f"C-{place}",
                ocv_v=random.gauss(3.27, 0.003),
                acir_mohm=random.gauss(2.2, 0.066),
                capacity_ah=random.gauss(15.15, 0.12),
                lot="LOT-1",
            )
            for place in range(cells)
        ],
        serials={"BMS-16S": "B-1", "HARNESS-16S": "H-1", "HOUSING-GC48": "HO-1"},
        lots={part: f"L-{part}" for part in lots},
    )


@pytest.mark.parametrize(("product", "cells"), [("GC48-105", 112), ("GC48-150", 160)])
def test_without_defects_every_value_of_every_step_is_within_its_limits(
    products: Products, product: str, cells: int
) -> None:
    process, job = Process(1, rates_with("none")), _job(product, cells)
    for operation, made in products.route(product):
        values, curves, drawn = process.measure(Work(operation, "P-1", 1, job), made.steps[operation])
        assert not drawn
        for one in made.steps[operation]:
            if one.kind == "curve":
                assert [len(x) == len(y) > 2 for x, y in curves[one.name]] == [True] * one.count
                continue
            assert len(values[one.name]) == one.count, one
            assert [value for value in values[one.name] if not one.accepts(value)] == [], one


def test_the_same_seed_measures_the_same_and_another_does_not(products: Products) -> None:
    work, steps = Work("070", "M-1", 1, _job()), products.by_part["M16S7P"].steps["070"]
    first = Process(1, DEFECT_RATES).measure(work, steps)
    assert Process(1, DEFECT_RATES).measure(work, steps) == first
    assert Process(2, DEFECT_RATES).measure(work, steps) != first


@pytest.mark.parametrize(
    ("operation", "part", "characteristic", "units", "share"),
    [
        ("130", "GC48-105", "leak_rate_cc_min", 4000, 0.006),
        ("020", "M16S7P", "ocv_v", 100, 1 - (1 - 0.005) ** 112),
        ("070", "M16S7P", "monitor_index", 200, 1 - (1 - 400e-6) ** 224),
    ],
)
def test_defects_come_about_as_often_as_said_and_rework_is_good(
    products: Products, operation: str, part: str, characteristic: str, units: int, share: float
) -> None:
    process = Process(1, rates_with(""))
    only = [one for one in products.by_part[part].steps[operation] if one.name == characteristic]
    failed = [n for n in range(units) if process.measure(Work(operation, f"U-{n}"), only)[2]]
    deviation = (units * share * (1 - share)) ** 0.5
    assert abs(len(failed) - units * share) < 4 * deviation
    assert not any(process.measure(Work(operation, f"U-{n}", 2), only)[2] for n in failed)


def test_fault_rates_are_read_and_mistakes_named() -> None:
    assert set(rates_with("none").values()) == {0.0}
    assert rates_with("leak=0.5")["leak"] == 0.5
    for wrong in ("leek=0.5", "leak=2", "leak", "leak=x"):
        with pytest.raises(ValueError):
            rates_with(wrong)


def test_the_bill_of_material_is_fitted_once_with_positions_and_lots(products: Products) -> None:
    job, module, pack = _job(), products.by_part["M16S7P"], products.by_part["GC48-105"]
    insert = fitted_words(Step("040", module, "M-1"), Work("040", "M-1", 1, job))
    assert insert["DoneComponentSerials"] == [cell.serial for cell in job.cells]
    assert insert["DoneComponentPositions"] == list(range(1, 113))
    assert insert["DoneLots"] == ["L-HOLDER-7P"]
    assert insert["DoneLotQuantities"] == [2.0]
    flash = fitted_words(Step("100", pack, "P-1"), Work("100", "P-1", 1, job))
    assert list(zip(flash["DoneComponentParts"], flash["DoneComponentSerials"], strict=True)) == [
        ("M16S7P", "M-1"),
        ("BMS-16S", "B-1"),
    ]
    assert not any(fitted_words(Step("040", module, "M-1"), Work("040", "M-1", 2, job)).values())
