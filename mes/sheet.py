"""Reads a table from a CSV or Excel file: rows with their line numbers, and rows as messages, every bad one named."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from python_calamine import CalamineError, CalamineWorkbook

from mes.errors import Malformed
from mes.workbook import MAX_ROWS, require_bounded

SHOWN_ERRORS = 200
Row = tuple[int, Sequence[Any]]
M = TypeVar("M", bound=BaseModel)


def table(content: bytes, file_name: str) -> Iterator[Row]:
    """The rows of a CSV (comma, semicolon or tab; UTF-8) or of a workbook's (.xlsx) first sheet, with line numbers."""
    if content[:4] in {b"PK\x03\x04", b"\xd0\xcf\x11\xe0"}:
        require_bounded(content, file_name)
        try:
            sheet = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0)
        except CalamineError as error:
            problem = {"at": "file", "read": str(error)[:80], "expected": "an Excel workbook (.xlsx)"}
            raise Malformed(f"File {file_name}", [problem]) from error
        yield from enumerate(sheet.to_python(skip_empty_area=False), start=1)
        return
    # read as it goes: a text of a million quoted rows, whole, would take four times the memory
    lines = io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline="")
    delimiter = max(",;\t", key=content[:4096].decode(errors="replace").count)
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        for row in rows:
            yield rows.line_num, row
    except csv.Error as error:
        problem = {"at": f"line {rows.line_num}", "read": str(error), "expected": "well-formed CSV"}
        raise Malformed(f"File {file_name}", [problem]) from error
    except UnicodeDecodeError:
        raise Malformed(f"File {file_name}", [_not_text(content)]) from None


def _not_text(content: bytes) -> dict[str, str]:
    """Say where a file stops being UTF-8."""
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = error.start + (3 if content.startswith(b"\xef\xbb\xbf") else 0)
        line = content[:at].count(b"\n") + 1
        return {"at": f"line {line}", "read": repr(content[at : at + 8]), "expected": "UTF-8 text"}
    raise AssertionError("unreachable: the reader couldn't read it either")


def messages(content: bytes, file_name: str, model: type[M], headings: Mapping[str, str]) -> list[M]:
    """Each row as a message. `headings`: of the model's fields that differ from their names; others are optional.

    Raises Malformed with every bad row (the first 200), its line and what was expected.
    """
    rows = table(content, file_name)
    first_line, head = next(rows, (1, []))
    places = _places(file_name, first_line, [str(one).strip() for one in head], model, headings)
    found: list[M] = []
    errors: list[dict[str, Any]] = []
    for line, row in rows:
        if not any(str(value).strip() for value in row):
            continue
        if any(str(value).strip() for value in row[len(head) :]):
            read, wanted = f"{len(row)} fields", f"{len(head)}, one for each heading (a decimal comma splits a number)"
            errors.append({"at": f"line {line}", "read": read, "expected": wanted})
            continue
        said = {field: _plain(row[at]) for field, at in places.items() if at < len(row)}
        try:
            found.append(model.model_validate({field: value for field, value in said.items() if value != ""}))
        except ValidationError as error:
            errors += [_problem(line, one, places, head) for one in error.errors(include_url=False)]
        if len(found) > MAX_ROWS:
            errors.append({"at": f"line {line}", "read": "more rows", "expected": f"at most {MAX_ROWS} rows in a file"})
            break
    if not found and not errors:
        errors.append({"at": f"line {first_line}", "read": "no rows", "expected": "a row for each below the headings"})
    if errors:
        hidden = len(errors) - SHOWN_ERRORS
        more = [{"at": "further lines", "read": f"{hidden} more errors", "expected": "mend the first, try again"}]
        raise Malformed(f"File {file_name}", errors[:SHOWN_ERRORS] + (more if hidden > 0 else []))
    return found


def _places(
    file_name: str, line: int, head: Sequence[str], model: type[BaseModel], headings: Mapping[str, str]
) -> dict[str, int]:
    folded = [one.casefold() for one in head]
    places, errors = {}, []
    for field, info in model.model_fields.items():
        heading = headings.get(field, field)
        count = folded.count(heading.casefold())
        if count == 1:
            places[field] = folded.index(heading.casefold())
        elif count or info.is_required() or field in headings:
            read = f"{count} times" if count else f"headings {', '.join(head)}"
            errors.append({"at": f"line {line}", "read": read, "expected": f"one column headed '{heading}'"})
    if errors:
        raise Malformed(f"File {file_name}", errors)
    return places


def _plain(value: Any) -> Any:
    """Excel says 12 as 12.0, and gives dates; a file is text."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value).strip() if not isinstance(value, bool) else value


def _problem(line: int, error: Mapping[str, Any], places: Mapping[str, int], head: Sequence[Any]) -> dict[str, Any]:
    field = str(error["loc"][0]) if error["loc"] else ""
    heading = head[places[field]] if field in places else field
    expected = f"{error['msg']} in '{heading}'"
    return {"at": f"line {line}", "read": str(error["input"])[:80], "expected": expected[0].lower() + expected[1:]}
