"""The commands `mes cells`, `mes kits`, `mes deliveries` and `mes lots`: from a supplier's truck to a kit."""

import hashlib
from base64 import b64encode
from pathlib import Path
from typing import Annotated, Any

import typer

from mes.commands import AsJson, Commands, Why, show
from mes.db import Database
from mes.render_cells import show_delivery, show_grading, show_kit, show_lot, show_lot_state, show_matching

File = Annotated[Path, typer.Argument(help="CSV or Excel.", exists=True, dir_okay=False)]
Columns = Annotated[
    list[str] | None, typer.Option("--column", help="FIELD=HEADING where the file's heading differs; may be repeated.")
]


def headings(columns: list[str] | None) -> dict[str, str]:
    """Read FIELD=HEADING."""
    found = {}
    for column in columns or []:
        field, _, heading = column.partition("=")
        if not heading:
            raise typer.BadParameter(f"read {column!r}, expected FIELD=HEADING, as in ocv_v='OCV (V)'")
        found[field.strip()] = heading.strip()
    return found


def document(said: str) -> dict[str, str]:
    """Read KIND=FILE into a document."""
    kind, _, name = said.partition("=")
    if not name:
        raise typer.BadParameter(f"read {said!r}, expected KIND=FILE, as in un383_test_summary=summary.pdf")
    return {"kind": kind, "file_name": Path(name).name, "content": b64encode(Path(name).read_bytes()).decode()}


def cells(use: Commands) -> typer.Typer:
    """Make `mes cells`."""
    app = typer.Typer(help="Cells: incoming tests and grades.", no_args_is_help=True)

    @app.command("test")
    def record(file: File, column: Columns = None, as_json: AsJson = False) -> None:
        """Record the readings of cells in a file.

        Columns: serial, tested_at; as measured ocv_v, acir_mohm, capacity_ah, mass_g, diameter_mm, height_mm,
        temperature_c, visual_ok, is_retest. Whole, or refused with every bad row named.
        """
        from mes.cells.grading import record_tests
        from mes.cells.messages import CellReading, TestAnswer, TestReport
        from mes.sheet import messages

        def said(answer: TestAnswer) -> str:
            return f"{answer.recorded} readings recorded, {answer.repeated} were recorded before."

        readings = messages(file.read_bytes(), file.name, CellReading, headings(column))
        use.act(record_tests, TestReport, said, as_json, source=file.name, readings=readings)

    @app.command("grade")
    def grade(lot: Annotated[str, typer.Argument(help="The plant's lot number.")], as_json: AsJson = False) -> None:
        """Grade every cell of a lot by its readings and the newest rules of its part; earlier grades are kept."""
        from mes.cells.grading import grade_lot
        from mes.cells.messages import GradeRequest

        use.act(grade_lot, GradeRequest, show_grading, as_json, lot=lot)

    @app.command("histogram")
    def histogram(
        lot: Annotated[str, typer.Argument(help="The plant's lot number.")],
        reading: Annotated[str, typer.Argument(help="ocv_v, acir_mohm, capacity_ah or k_mv_h.")],
        file: Annotated[Path, typer.Argument(help="Where to draw it: .png or .svg.")],
    ) -> None:
        """Draw the distribution of a value over a lot's cells, with its limits."""
        from mes.records.histogram import draw, lot_values

        async def work(database: Database) -> Any:
            async with database.reading() as session:
                return await lot_values(session, lot, reading)

        file.write_bytes(draw(use.with_database(work), file.suffix.lstrip(".")))

    return app


def kits(use: Commands) -> typer.Typer:
    """Make `mes kits`."""
    app = typer.Typer(help="Kits: cells matched into groups.", no_args_is_help=True)

    @app.command("match")
    def match(
        order: Annotated[str | None, typer.Argument(help="Kits for the pieces of this order.")] = None,
        part: Annotated[str | None, typer.Option(help="Kits for stock, of this part.")] = None,
        count: Annotated[int | None, typer.Option("--kits", help="How many, at most.")] = None,
        lot: Annotated[list[str] | None, typer.Option(help="A lot to choose from; may be given again.")] = None,
        together: Annotated[int, typer.Option(help="Kits matched at once: narrower groups, more cartons mixed.")] = 9,
        as_json: AsJson = False,
    ) -> None:
        """Choose graded cells and reserve them in kits, for an order or for stock; show what each goal came to."""
        from mes.kits.messages import MatchRequest
        from mes.kits.service import match_cells

        said = {"order": order, "part": part, "kits": count, "lots": lot, "together": together}
        use.act(match_cells, MatchRequest, show_matching, as_json, **said)

    @app.command("show")
    def read(name: Annotated[str, typer.Argument(help="A kit, or a unit's serial.")], as_json: AsJson = False) -> None:
        """Show a kit's cells by position, to fill a holder by."""
        from mes.kits.queries import read_kit

        async def work(database: Database) -> Any:
            async with database.reading() as session:
                return await read_kit(session, name)

        show(use.with_database(work), show_kit, as_json)

    @app.command("release")
    def release(kit: str, reason: Why, as_json: AsJson = False) -> None:
        """Give a kit's cells back to the pool."""
        from mes.kits.messages import KitRelease
        from mes.kits.service import release_kit

        use.act(release_kit, KitRelease, show_kit, as_json, kit=kit, reason=reason)

    @app.command("assign")
    def assign(kit: str, position: int, serial: str, reason: Why, as_json: AsJson = False) -> None:
        """Put another free cell at a position of a kit, if the kit still keeps its rules."""
        from mes.kits.messages import CellAssignment
        from mes.kits.service import assign_cell

        said = {"kit": kit, "position": position, "serial": serial, "reason": reason}
        use.act(assign_cell, CellAssignment, show_kit, as_json, **said)

    return app


def deliveries(use: Commands) -> typer.Typer:
    """Make `mes deliveries`."""
    app = typer.Typer(help="Deliveries: announced, arrived, short.", no_args_is_help=True)

    _announce(app, use)

    @app.command("scan")
    def scan(
        code: Annotated[str, typer.Argument(help="What the carton's label says.")],
        damaged: Annotated[
            bool, typer.Option("--damaged", help="It arrived damaged: its cells go into no kit.")
        ] = False,
        note: Annotated[str | None, typer.Option(help="What is wrong with it.")] = None,
        as_json: AsJson = False,
    ) -> None:
        """Note that a carton has arrived."""
        from mes.materials.deliveries import scan_carton
        from mes.materials.messages import CartonAnswer, CartonArrival

        def said(answer: CartonAnswer) -> str:
            of = f"{answer.arrived} of {answer.arrived + answer.awaited} cartons of {answer.delivery}"
            return f"{answer.code}: {answer.quantity:g} x {answer.part} of lot {answer.supplier_lot}. {of} are here."

        use.act(scan_carton, CartonArrival, said, as_json, code=code, is_damaged=damaged, note=note)

    @app.command("close")
    def close(delivery: str, as_json: AsJson = False) -> None:
        """Close a delivery: what hasn't arrived is a short receipt."""
        from mes.materials.deliveries import close_delivery
        from mes.materials.messages import DeliveryClosing

        use.act(close_delivery, DeliveryClosing, show_delivery, as_json, delivery=delivery)

    @app.command("show")
    def read(delivery: str, as_json: AsJson = False) -> None:
        """Show what of a delivery was announced, has arrived and was received."""
        from mes.materials.queries import read_delivery

        async def work(database: Database) -> Any:
            async with database.reading() as session:
                return await read_delivery(session, delivery)

        show(use.with_database(work), show_delivery, as_json)

    return app


def _announce(app: typer.Typer, use: Commands) -> None:
    @app.command("announce")
    def announce(
        file: File,
        number: Annotated[str, typer.Option("--delivery", help="The notice's number.")],
        supplier: Annotated[str, typer.Option(help="Who delivers.")],
        column: Columns = None,
        as_json: AsJson = False,
    ) -> None:
        """Take an advance notice: a row per carton with code, part, supplier_lot, quantity."""
        from mes.materials.deliveries import announce_delivery
        from mes.materials.messages import CartonLine, DeliveryNotice
        from mes.sheet import messages

        content = file.read_bytes()
        said = {"file_name": file.name, "file_digest": hashlib.sha256(content).hexdigest()}
        cartons = messages(content, file.name, CartonLine, headings(column))
        said |= {"delivery": number, "supplier": supplier}
        use.act(announce_delivery, DeliveryNotice, show_delivery, as_json, cartons=cartons, **said)


def lots(use: Commands) -> typer.Typer:
    """Make `mes lots`."""
    app = typer.Typer(help="Lots: documents, released or rejected, split, put together.", no_args_is_help=True)

    @app.command("document")
    def add(
        lot: str,
        said: Annotated[list[str], typer.Argument(metavar="KIND=FILE...", help="un383_test_summary, certificate ...")],
        as_json: AsJson = False,
    ) -> None:
        """Keep documents of a lot, each with its hash."""
        from mes.materials.messages import DocumentReceipt
        from mes.materials.service import add_documents

        use.act(add_documents, DocumentReceipt, show_lot, as_json, lot=lot, documents=[document(one) for one in said])

    @app.command("split")
    def split(
        lot: str,
        new_lot: str,
        reason: Why,
        serial: Annotated[list[str] | None, typer.Option(help="A unit; may be given again.")] = None,
        carton: Annotated[list[str] | None, typer.Option(help="A carton; may be given again.")] = None,
        quantity: Annotated[float | None, typer.Option(help="Of a lot-traced part.")] = None,
        as_json: AsJson = False,
    ) -> None:
        """Make a part of a lot a lot of its own; holds come along, and the lot's trace leads to it."""
        from mes.materials.messages import LotSplit
        from mes.quality.lots import split_lot

        said = {"serials": serial, "cartons": carton, "quantity": quantity, "reason": reason}
        use.act(split_lot, LotSplit, show_lot, as_json, lot=lot, new_lot=new_lot, **said)

    @app.command("merge")
    def merge(
        into: Annotated[str, typer.Argument(help="The new lot's number.")],
        lot: Annotated[list[str], typer.Argument(help="Lots that are put together.")],
        reason: Why,
        as_json: AsJson = False,
    ) -> None:
        """Put what is left of lots of one part into one."""
        from mes.materials.messages import LotMerge
        from mes.quality.lots import merge_lots

        use.act(merge_lots, LotMerge, show_lot, as_json, into=into, lots=lot, reason=reason)

    _add_decisions(app, use)
    return app


def _add_decisions(app: typer.Typer, use: Commands) -> None:
    def decide(decision: str, lot: str, reason: str, as_json: bool) -> None:
        from mes.quality.dispositions import dispose_lot
        from mes.quality.messages import DisposeLotRequest

        use.act(dispose_lot, DisposeLotRequest, show_lot_state, as_json, lot=lot, decision=decision, reason=reason)

    @app.command("release")
    def release(lot: str, reason: Why, as_json: AsJson = False) -> None:
        """Release a lot for use, whatever its receiving found; its holds stay until they are signed off."""
        decide("release", lot, reason, as_json)

    @app.command("reject")
    def reject(lot: str, reason: Why, as_json: AsJson = False) -> None:
        """Reject a lot: sent back or purged, used no more."""
        decide("reject", lot, reason, as_json)
