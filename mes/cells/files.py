"""Reads a supplier's per-unit file, CSV or Excel, and names every bad row with its line and reason. Pure."""

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

from python_calamine import CalamineError, CalamineWorkbook

from mes.cells.messages import ColumnMap, SupplierRows
from mes.errors import Malformed

MAX_ROWS = 2_000_000
SHOWN_ERRORS = 200
DATA_FIELDS = ("carton", "ocv_v", "acir_mohm", "capacity_ah", "measured_at", "date_code")
_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+#-]{0,79}")
_WITH_UNIT = re.compile(r"\s*([-+]?[\d.,]+(?:[eE][-+]?\d+)?)\s*([A-Za-zµΩ/%]+)\s*")
_UNIT_OF = {"ocv_v": "V", "acir_mohm": "mOhm", "capacity_ah": "Ah"}

Progress = Callable[[int], None]


class _Errors(list[dict[str, Any]]):
    """Errors so far: all are counted, the first ones kept."""

    total = 0

    def add(self, line: int, read: object, expected: str) -> None:
        self.total += 1
        if len(self) < SHOWN_ERRORS:
            self.append({"at": f"line {line}", "read": str(read)[:80], "expected": expected})


def read_rows(
    content: bytes, file_name: str, columns: Sequence[ColumnMap], on_row: Progress = lambda _: None
) -> SupplierRows:
    """Read the whole file, or raise Malformed naming every bad row. A time without a zone is taken as UTC."""
    errors = _Errors()
    table = _table(content, file_name)
    heading_line, headings = next(table, (1, []))
    places = _places(heading_line, [str(h).strip() for h in headings], columns, errors)
    lines: list[int] = []
    serials: list[str] = []
    cells: list[Any] = []
    first_line: dict[str, int] = {}
    if not errors.total:
        readers = [(field, place, _reader(by_field)) for field, place, by_field in places]
        for line, row in table:
            if not any(str(value).strip() for value in row):
                continue
            values = {field: read(row[at] if at < len(row) else "", line, errors) for field, at, read in readers}
            serial = values["serial"]
            if serial is not None and first_line.setdefault(serial, line) != line:
                errors.add(line, serial, f"a serial that is not in the file yet; line {first_line[serial]} has it")
            lines.append(line)
            serials.append(serial or "")
            cells.append(tuple(values.get(field) for field in DATA_FIELDS))
            if len(lines) % 1000 == 0:
                on_row(len(lines))
            if len(lines) > MAX_ROWS:
                errors.add(line, "more rows", f"at most {MAX_ROWS} rows in a file")
                break
        if not lines and not errors.total:
            errors.add(heading_line, "no rows", "a row per unit below the headings")
    if errors.total:
        raise _malformed(file_name, errors)
    on_row(len(lines))
    return SupplierRows(lines, serials, cells, has_data=len(places) > 1)


def _malformed(file_name: str, errors: _Errors) -> Malformed:
    listed = list(errors)
    if errors.total > len(listed):
        more = errors.total - len(listed)
        listed.append({"at": "further lines", "read": f"{more} more errors", "expected": "mend the first, try again"})
    return Malformed(f"File {file_name}", listed)


def _table(content: bytes, file_name: str) -> Iterator[tuple[int, Sequence[Any]]]:
    if content[:4] == b"PK\x03\x04" or content[:4] == b"\xd0\xcf\x11\xe0":
        try:
            sheet = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0)
        except CalamineError as error:
            problem = {"at": "file", "read": str(error)[:80], "expected": "an Excel workbook (.xlsx, .xls)"}
            raise Malformed(f"File {file_name}", [problem]) from error
        yield from enumerate(sheet.to_python(skip_empty_area=False), start=1)
        return
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        problem = {"at": f"line {line}", "read": repr(content[error.start : error.start + 8]), "expected": "UTF-8 text"}
        raise Malformed(f"File {file_name}", [problem]) from error
    head = text[:4096]
    delimiter = max(",;\t", key=head.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in rows:
            yield rows.line_num, row
    except csv.Error as error:
        problem = {"at": f"line {rows.line_num}", "read": str(error), "expected": "well-formed CSV"}
        raise Malformed(f"File {file_name}", [problem]) from error


def _places(
    line: int, headings: Sequence[str], columns: Sequence[ColumnMap], errors: _Errors
) -> list[tuple[str, int, ColumnMap]]:
    places = []
    for column in columns:
        count = headings.count(column.heading)
        if count == 1:
            places.append((column.field, headings.index(column.heading), column))
        else:
            read = f"{count} times" if count else f"headings {', '.join(headings)}"
            errors.add(line, read, f"one column headed '{column.heading}' (for {column.field})")
    return places


def _reader(column: ColumnMap) -> Callable[[Any, int, _Errors], Any]:
    def text(value: Any, line: int, errors: _Errors) -> str | None:
        read = str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()
        if column.field == "serial" and not _SERIAL.fullmatch(read):
            errors.add(line, read, f"a serial in '{column.heading}': letters, digits and . _ : / + # -")
            return None
        return read[:80] or None

    def number(value: Any, line: int, errors: _Errors) -> float | None:
        if value is None or (isinstance(value, str) and not value.strip()):
            errors.add(line, "nothing", f"a number in '{column.heading}'")
            return None
        try:
            result = float(value)
        except (TypeError, ValueError):
            errors.add(line, value, _not_a_number(value, column))
            return None
        least = -math.inf if column.lower is None else column.lower
        most = math.inf if column.upper is None else column.upper
        if not math.isfinite(result) or not least <= result <= most:
            expected = f"{least:g} to {most:g} {_UNIT_OF[column.field]}"
            errors.add(line, value, f"{expected} in '{column.heading}': is it in another unit?")
            return None
        return result

    def moment(value: Any, line: int, errors: _Errors) -> datetime | None:
        try:
            if isinstance(value, datetime):
                result = value
            elif isinstance(value, date):
                result = datetime(value.year, value.month, value.day, tzinfo=UTC)
            else:
                result = datetime.fromisoformat(str(value).strip())
        except ValueError:
            errors.add(line, value, f"a date and time as 2026-11-23T08:30:00 in '{column.heading}'")
            return None
        return result if result.tzinfo else result.replace(tzinfo=UTC)

    return number if column.field in _UNIT_OF else moment if column.field == "measured_at" else text


def _not_a_number(value: Any, column: ColumnMap) -> str:
    unit = _UNIT_OF[column.field]
    found = _WITH_UNIT.fullmatch(str(value))
    if found and found[2] != unit:
        return f"a number in {unit} in '{column.heading}', not in {found[2]}"
    return f"a number in {unit}, without its unit, in '{column.heading}'"
