"""A pack is built through the acts, and what a report breaks is found."""

from mes.db import Database
from mes.genealogy.trace import trace, where_used
from mes.orders.queries import get_order
from tests.build import line as build


async def test_a_pack_is_built_and_traces_back_to_every_cell_and_lot(plant: Database) -> None:
    shelf = await build.stock(plant)
    cells = list(shelf.cells)
    serials = await build.order(plant)
    module, pack = serials["M16S7P"][0], serials["GC48-105"][0]
    await build.module(plant, shelf, module)
    await build.pack(plant, shelf, pack, module)
    async with plant.reading() as session:
        traced = await trace(session, pack)
        used = await where_used(session, "CELL-L1")
        order = await get_order(session, "WO-1")
    inside = {node.serial: node for node in traced.tree.inside if node.serial}
    fitted = {node.position: node.serial for node in inside[module].inside if node.part == "CELL-LFP-15"}
    assert fitted == dict(enumerate(cells, start=1))
    assert traced.tree.gaps == inside[module].gaps == []
    assert traced.tree.state == "finished"
    assert [(p.serial, p.quantity) for p in used.packs] == [(pack, 112)]
    assert used.loose == 0
    assert (order.state, order.finished) == ("completed", 1)
    assert set(shelf.lots.values()) - {"HOLDER-10P-L1"} <= set(traced.lots)
