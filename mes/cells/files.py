"""Reads a supplier's per-unit file, CSV or Excel, and names every bad row with its line and reason. Pure."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from heapq import nsmallest
from itertools import islice
from typing import Any

import polars as pl

from mes.cells.messages import ColumnMap
from mes.codes.gs1 import find_sscc
from mes.errors import Malformed
from mes.sheet import SHOWN_ERRORS, Row, table

MAX_ROWS = 2_000_000
CHUNK_BYTES = 1_000_000
BATCH_ROWS = 10_000
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_BOM = b"\xef\xbb\xbf"
_SERIAL = r"[A-Za-z0-9][A-Za-z0-9._:/+#-]{0,79}"
_MOMENT = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:[0-5]\dZ?"
_WITH_UNIT = re.compile(r"\s*([-+]?[\d.,]+(?:[eE][-+]?\d+)?)\s*([A-Za-zµΩ/%]+)\s*")
_UNIT_OF = {"ocv_v": "V", "acir_mohm": "mOhm", "capacity_ah": "Ah"}

Progress = Callable[[int], None]
Opened = tuple[int, list[str], Iterator[pl.DataFrame]]


class _Unreadable(Exception):
    """What was expected instead of a value."""


class _Errors:
    """Errors so far: all are counted, the first ones of the file kept."""

    def __init__(self) -> None:
        self.total = 0
        self._kept: list[tuple[int, int, str, str]] = []

    def add(self, line: int, place: int, read: str, expected: str) -> None:
        self.total += 1
        self._kept.append((line, place, read[:80], expected))
        if len(self._kept) >= 20 * SHOWN_ERRORS:
            self._kept = nsmallest(SHOWN_ERRORS, self._kept)

    def refuse(self, file_name: str) -> None:
        """Raise Malformed if there are any."""
        if not self.total:
            return
        first = nsmallest(SHOWN_ERRORS, self._kept)
        listed = [{"at": f"line {line}", "read": read, "expected": expected} for line, _, read, expected in first]
        if more := self.total - len(listed):
            rest = {"at": "further lines", "read": f"{more} more errors", "expected": "mend the first, try again"}
            listed.append(rest)
        raise Malformed(f"File {file_name}", listed)


def read_rows(
    content: bytes, file_name: str, columns: Sequence[ColumnMap], on_row: Progress = lambda _: None
) -> pl.DataFrame:
    """Read the whole file: `line`, `serial` and the fields that are mapped, a row per unit in the order of the file.

    Raises Malformed naming every bad row. A time without a zone is taken as UTC.
    """
    errors = _Errors()
    heading_line, headings, frames = _open(content, file_name)
    places = _places(heading_line, headings, columns, errors)
    errors.refuse(file_name)
    read: list[pl.DataFrame] = []
    count = 0
    for frame in frames:
        whole = frame.with_columns(pl.exclude("line").str.strip_chars().fill_null(""))
        filled = whole.filter(pl.any_horizontal(pl.exclude("line") != ""))
        fits = filled.head(MAX_ROWS - count)
        _find_long(fits, len(headings), errors)
        read.append(_judge(fits, places, errors))
        count += fits.height
        on_row(count)
        if fits.height < filled.height:
            errors.add(filled["line"][fits.height], 0, "more rows", f"at most {MAX_ROWS} rows in a file")
            break
    if not count:
        errors.add(heading_line, 0, "no rows", "a row per unit below the headings")
        errors.refuse(file_name)
    rows = pl.concat(read)
    _find_repeated(rows, len(places), errors)
    errors.refuse(file_name)
    return rows


def _find_long(rows: pl.DataFrame, width: int, errors: _Errors) -> None:
    """Name the rows with more fields than headings: a number with a decimal comma would be read as two."""
    for line in rows.filter(pl.col(_name(width)) != "")["line"]:
        errors.add(line, 0, f"more than {width} fields", f"{width} fields, one for each heading; a point for decimals")


def _open(content: bytes, file_name: str) -> Opened:
    """The headings with their line, and what is below them in frames of text: `line`, then a column per heading."""
    start = len(_BOM) if content.startswith(_BOM) else 0
    is_workbook = content.startswith(_WORKBOOKS)
    if not is_workbook and all(map(_is_plain, _chunks(content, start))):
        return _open_plain(content, start)
    rows = table(content, file_name)
    if is_workbook:
        rows = ((line, [_as_text(value) for value in row]) for line, row in rows)
    line, headings = next(rows, (1, []))
    return line, [heading.strip() for heading in headings], _batches(rows, len(headings))


def _is_plain(chunk: bytes) -> bool:
    """Tell whether each line is a row and each separator ends a field, so that nothing is left to interpret."""
    try:
        chunk.decode()
    except UnicodeDecodeError:
        return False
    return b'"' not in chunk and chunk.count(b"\r") == chunk.count(b"\r\n")


def _chunks(content: bytes, start: int) -> Iterator[bytes]:
    while start < len(content):
        end = content.find(b"\n", start + CHUNK_BYTES) + 1 or len(content)
        yield content[start:end]
        start = end


def _open_plain(content: bytes, start: int) -> Opened:
    body = content.find(b"\n", start) + 1 or len(content)
    head = content[start:body].rstrip(b"\r\n")
    separator = max(",;\t", key=content[start : start + 4096].decode(errors="replace").count)
    headings = [heading.strip() for heading in head.decode().split(separator)]

    def frames() -> Iterator[pl.DataFrame]:
        line = 1
        for chunk in _chunks(content, body):
            # below the headings, so that they say how many columns there are, whatever the chunk begins with
            frame = pl.read_csv(
                head + separator.encode() + b"\n" + chunk,
                has_header=False,
                separator=separator,
                quote_char=None,
                schema=_schema(len(headings) + 1),
                truncate_ragged_lines=True,
                row_index_name="line",
                row_index_offset=line,
            )
            line += frame.height - 1
            yield frame[1:]

    return 1, headings, frames()


def _batches(rows: Iterator[Row], width: int) -> Iterator[pl.DataFrame]:
    schema = {"line": pl.UInt32} | _schema(width + 1)
    empty = [""] * (width + 1)
    while batch := list(islice(rows, BATCH_ROWS)):
        filled = [(line, *[*row, *empty][: width + 1]) for line, row in batch]
        yield pl.DataFrame(filled, schema=schema, orient="row")


def _schema(width: int) -> dict[str, type[pl.String]]:
    return {_name(place): pl.String for place in range(width)}


def _name(place: int) -> str:
    return f"column {place}"


def _as_text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat() if isinstance(value, date) else str(value)


def _places(
    line: int, headings: Sequence[str], columns: Sequence[ColumnMap], errors: _Errors
) -> list[tuple[ColumnMap, str]]:
    places = []
    for place, column in enumerate(columns):
        count = headings.count(column.heading)
        if count == 1:
            places.append((column, _name(headings.index(column.heading))))
        else:
            read = f"{count} times" if count else f"headings {', '.join(headings)}"
            errors.add(line, place, read, f"one column headed '{column.heading}' (for {column.field})")
    return places


def _judge(frame: pl.DataFrame, places: Sequence[tuple[ColumnMap, str]], errors: _Errors) -> pl.DataFrame:
    """Read all that is plainly right at once; what is left, value by value."""
    judged = frame.select("line", *(_plainly(column, pl.col(name)).alias(column.field) for column, name in places))
    for place, (column, name) in enumerate(places):
        if (read := _reader(column)) is None:
            continue
        left = judged[column.field].is_null().arg_true()
        found = []
        for line, value in zip(frame["line"].gather(left), frame[name].gather(left), strict=True):
            try:
                found.append(read(value, column))
            except _Unreadable as error:
                errors.add(line, place, value or "nothing", str(error))
                found.append(None)
        if found:
            values = judged[column.field]
            judged = judged.with_columns(values.scatter(left, pl.Series(found, dtype=values.dtype)))
    return judged


def _plainly(column: ColumnMap, read: pl.Expr) -> pl.Expr:
    """What is right in the plainest form; null for all else. It accepts nothing that `_reader` would not."""
    if column.field == "serial":
        return pl.when(read.str.contains(f"^{_SERIAL}$")).then(read)
    if column.field in _UNIT_OF:
        number = read.cast(pl.Float64, strict=False)
        return pl.when(number.is_finite() & number.is_between(*_limits(column))).then(number)
    if column.field == "measured_at":
        plain = pl.when(read.str.contains(f"^{_MOMENT}$")).then(read.str.head(19).str.replace(" ", "T", literal=True))
        moment = plain.str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False)
        return moment.dt.replace_time_zone("UTC")
    is_code = read.str.starts_with("00") if column.field == "carton" else pl.lit(value=False)
    return pl.when((read != "") & ~is_code).then(read.str.head(80))


def _reader(column: ColumnMap) -> Callable[[str, ColumnMap], Any] | None:
    """Who reads, or refuses, what isn't plainly right; no one: any text is right."""
    named = {"serial": _read_serial, "carton": _read_carton, "measured_at": _read_moment} | dict.fromkeys(
        _UNIT_OF, _read_number
    )
    return named.get(column.field)


def _limits(column: ColumnMap) -> tuple[float, float]:
    return (
        -math.inf if column.lower is None else column.lower,
        math.inf if column.upper is None else column.upper,
    )


def _read_serial(read: str, column: ColumnMap) -> str:
    if not re.fullmatch(_SERIAL, read):
        raise _Unreadable(f"a serial in '{column.heading}': letters, digits and . _ : / + # -")
    return read


def _read_carton(read: str, _: ColumnMap) -> str | None:
    """As its label is scanned: an SSCC without its application identifier."""
    return find_sscc(read) or read[:80] or None


def _read_number(read: str, column: ColumnMap) -> float:
    if not read:
        raise _Unreadable(f"a number in '{column.heading}'")
    unit = _UNIT_OF[column.field]
    try:
        number = float(read)
    except ValueError:
        found = _WITH_UNIT.fullmatch(read)
        if found and found[2] != unit:
            raise _Unreadable(f"a number in {unit} in '{column.heading}', not in {found[2]}") from None
        raise _Unreadable(f"a number in {unit}, without its unit, in '{column.heading}'") from None
    least, most = _limits(column)
    if not math.isfinite(number) or not least <= number <= most:
        raise _Unreadable(f"{least:g} to {most:g} {unit} in '{column.heading}': is it in another unit?")
    return number


def _read_moment(read: str, column: ColumnMap) -> datetime:
    try:
        moment = datetime.fromisoformat(read)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise _Unreadable(f"a date and time as 2026-11-23T08:30:00 in '{column.heading}'") from None


def _find_repeated(rows: pl.DataFrame, place: int, errors: _Errors) -> None:
    if rows["serial"].hash().n_unique() == rows.height:
        return  # other hashes, other serials: found out in a quarter of the memory
    serials = rows.select("line", "serial").drop_nulls()
    repeated = serials.filter(~pl.col("serial").is_first_distinct())
    if repeated.height:
        first = serials.filter(pl.col("serial").is_first_distinct()).rename({"line": "first"})
        for line, serial, before in repeated.join(first, on="serial", maintain_order="left").rows():
            errors.add(line, place, serial, f"a serial that is not in the file yet; line {before} has it")
