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


def workbook(sheet: str, name: str = "xl/worksheets/sheet1.xml", size: int = 0, also: str = "") -> bytes:
    """A workbook with these rows in a part of its own."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/workbook.xml", "<workbook/>")
        book.writestr(name, f"<worksheet><sheetData>{sheet}</sheetData></worksheet>" + "<filler/>" * (size // 9))
        if also:
            book.writestr(also, "")
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        workbook('<row r="1"><c r="A1"/><c r="XFD1048576"/></row>'),
        workbook('<row r="1"><c r="A300000"/></row>'),
        workbook('<row r="1"><c r="ZZ2"/></row>'),
        workbook("<row r='1'><c r = 'XFD1'/></row>"),
        workbook('<row r="1048576"><c><v>1</v></c></row>'),
        workbook("<row>" + "<c/>" * 501 + "</row>"),
        workbook("<x:row/>" * 200_002),
        workbook('<c r="XFD1048576"/>', name="xl/elsewhere"),
        workbook("<row/>", also="content.xml"),
        workbook("<row/>", also="xl/workbook.bin"),
        workbook("<row/>")[:60],
        b"\xd0\xcf\x11\xe0 an old workbook",
    ],
    ids=lambda content: f"{len(content)}-bytes",  # a zip file holds the time it was made
)
def test_a_workbook_that_would_fill_the_memory_is_refused(content: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        list(table(content, "bomb.xlsx"))
    assert "200000 rows" in caught.value.errors[0]["expected"]


def test_a_workbook_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mes.workbook.MAX_UNPACKED", 4 * 1024 * 1024)
    with pytest.raises(Malformed) as caught:
        list(table(workbook("<row/>", size=5 * 1024 * 1024), "bomb.xlsx"))
    assert caught.value.errors[0]["read"] == "more than 4194304 bytes unpacked"


def test_a_decimal_comma_is_not_read_as_another_number() -> None:
    with pytest.raises(Malformed) as caught:
        messages(b"serial,ocv_v\nC1,3,265\nC2,3.2\n", "lot.csv", Row, {})
    (error,) = caught.value.errors
    assert (error["at"], error["read"]) == ("line 2", "3 fields")
