"""Files from outside: what would fill the memory or be read wrongly is refused, with what was read."""

import io
import zipfile

import pytest
from pydantic import BaseModel

from mes.errors import Malformed
from mes.sheet import messages, table


class Row(BaseModel):
    serial: str
    ocv_v: float


def workbook(cell: str, size: int = 0) -> bytes:
    """A workbook of one sheet whose farthest cell lies there."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as book:
        sheet = f'<worksheet><sheetData><row r="1"><c r="A1"/><c r="{cell}"/></row></sheetData></worksheet>'
        book.writestr("xl/worksheets/sheet1.xml", sheet + " " * size)
    return out.getvalue()


@pytest.mark.parametrize("content", [workbook("XFD1048576"), workbook("A300000"), workbook("ZZ2"), workbook("B2")[:60]])
def test_a_workbook_that_would_fill_the_memory_is_refused(content: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        list(table(content, "bomb.xlsx"))
    assert "200000 rows" in caught.value.errors[0]["expected"]


def test_a_workbook_that_unpacks_to_too_much_is_refused() -> None:
    with pytest.raises(Malformed, match="bomb"):
        list(table(workbook("B2", 300 * 1024 * 1024), "bomb.xlsx"))


def test_a_decimal_comma_is_not_read_as_another_number() -> None:
    with pytest.raises(Malformed) as caught:
        messages(b"serial,ocv_v\nC1,3,265\nC2,3.2\n", "lot.csv", Row, {})
    (error,) = caught.value.errors
    assert (error["at"], error["read"]) == ("line 2", "3 fields")
