"""A supplier's file is read whole, or every bad row is named with its line and reason."""

import io
import zipfile
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mes.cells import files
from mes.cells.files import read_rows
from mes.cells.messages import ColumnMap
from mes.errors import Malformed

COLUMNS = [
    ColumnMap("serial", "Cell ID", None, None),
    ColumnMap("carton", "Carton", None, None),
    ColumnMap("ocv_v", "OCV (V)", 2.0, 3.7),
    ColumnMap("measured_at", "Measured at", None, None),
]
HEAD = "Cell ID,Carton,OCV (V),Measured at\n"
GOOD = "C1,K1,3.27,2026-10-01T08:00:00Z\n"
TWO = [("C1", "K1", 3.27), ("C2", "K1", 3.26)]


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (HEAD + GOOD + GOOD, "line 3", "line 2 has it"),
        (HEAD + "C1,K1,three,2026-10-01\n", "line 2", "a number in V"),
        (HEAD + "C1,K1,3270 mV,2026-10-01\n", "line 2", "not in mV"),
        (HEAD + "C1,K1,3.27 V,2026-10-01\n", "line 2", "without its unit"),
        (HEAD + "C1,K1,3270,2026-10-01\n", "line 2", "is it in another unit?"),
        (HEAD + "C1,K1,nan,2026-10-01\n", "line 2", "2 to 3.7 V"),
        (HEAD + "C1,K1,,2026-10-01\n", "line 2", "a number in 'OCV (V)'"),
        (HEAD + "C1,K1,3.27,yesterday\n", "line 2", "a date and time"),
        (HEAD + "C 1,K1,3.27,2026-10-01\n", "line 2", "a serial in 'Cell ID'"),
        (HEAD + "C1\n", "line 2", "a number in 'OCV (V)'"),
        ("Cell ID,Carton,Measured at\nC1,K1,2026-10-01\n", "line 1", "one column headed 'OCV (V)'"),
        ("Cell ID,Carton,OCV (V),OCV (V),Measured at\n", "line 1", "one column headed 'OCV (V)'"),
        (HEAD + "C1,K1,3,27,2026-10-01T08:00:00Z\n", "line 2", "a point for decimals"),
        (HEAD + '"C1",K1,3,27,2026-10-01T08:00:00Z\n', "line 2", "a point for decimals"),
        (HEAD, "line 1", "a row per unit"),
        ("", "line 1", "one column headed"),
        (HEAD + '"C1,K1\n', "line 2", "well-formed CSV"),
    ],
)
def test_a_bad_file_names_line_and_reason(content: str, line: str, said: str) -> None:
    with pytest.raises(Malformed) as caught:
        read_rows(content.encode(), "cells.csv", COLUMNS)
    assert any(error["at"] == line and said in error["expected"] for error in caught.value.errors), caught.value.errors


def test_every_bad_row_is_named_at_once() -> None:
    rows = "".join(f"C{n},K1,{'x' if n % 2 else 3.27},2026-10-01\n" for n in range(1000))
    with pytest.raises(Malformed) as caught:
        read_rows((HEAD + rows).encode(), "cells.csv", COLUMNS)
    assert len(caught.value.errors) == 201
    assert caught.value.errors[-1]["read"] == "300 more errors"


def test_text_that_is_no_utf8_is_named_by_its_line() -> None:
    with pytest.raises(Malformed) as caught:
        read_rows((HEAD + GOOD).encode() + b"C2,\xff\n", "cells.csv", COLUMNS)
    assert caught.value.errors[0]["at"] == "line 3"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_good_file_is_read_in_order_whatever_its_separator(separator: str) -> None:
    content = "\ufeff" + (HEAD + GOOD + "\nC2,,3.26,2026-10-02 09:00\n").replace(",", separator)
    seen: list[int] = []
    rows = read_rows(content.encode(), "cells.csv", COLUMNS, seen.append)
    assert (rows.columns, seen) == (["line", "serial", "carton", "ocv_v", "measured_at"], [2])
    assert rows.rows() == [
        (2, "C1", "K1", 3.27, datetime(2026, 10, 1, 8, tzinfo=UTC)),
        (4, "C2", None, 3.26, datetime(2026, 10, 2, 9, tzinfo=UTC)),
    ]


FIELDS = st.sampled_from(
    ["C1", "C2", "C 3", "", " ", "x" * 81, "3.27", "3270", "3.2 V", "nan", "2026-10-01", "é", "00106141412345678908"]
)


@settings(deadline=None)
@given(
    rows=st.lists(st.lists(FIELDS, max_size=5), max_size=12),
    separator=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_a_file_is_read_the_same_with_its_fields_in_quotes_and_in_whatever_chunks(
    rows: list[list[str]], separator: str, end: str
) -> None:
    head = HEAD.strip().split(",")
    plain = end.join(separator.join(row) for row in [head, *rows])
    quoted = end.join(separator.join(f'"{field}"' for field in row) for row in [head, *rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "CHUNK_BYTES", 20)
        patch.setattr(files, "BATCH_ROWS", 3)
        assert _outcome(plain) == _outcome(quoted)


def _outcome(content: str) -> object:
    try:
        return read_rows(content.encode(), "cells.csv", COLUMNS).rows()
    except Malformed as error:
        return error.errors


def test_a_field_of_several_lines_shifts_the_lines_below_it() -> None:
    content = HEAD + 'C1,"K\n\n1",3.27,2026-10-01\n\nC2,K1,x,2026-10-01\nC1,K1,3.27,2026-10-01\n'
    with pytest.raises(Malformed) as caught:
        read_rows(content.encode(), "cells.csv", COLUMNS)
    assert [(error["at"], error["read"]) for error in caught.value.errors] == [("line 6", "x"), ("line 7", "C1")]
    assert "line 4 has it" in caught.value.errors[1]["expected"]


def test_errors_stand_in_the_order_of_the_file_and_the_first_are_shown() -> None:
    rows = "".join(f"C{n % 1000},K1,3.27,{'x' if n % 2 else '2026-10-01'}\n" for n in range(5000))
    with pytest.raises(Malformed) as caught:
        read_rows((HEAD + rows).encode(), "cells.csv", COLUMNS)
    lines = [error["at"] for error in caught.value.errors[:-1]]
    assert lines == [f"line {n + 2}" for n in range(1, 400, 2)]
    assert caught.value.errors[-1]["read"] == f"{2500 + 4000 - 200} more errors"


def test_a_file_has_at_most_so_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_ROWS", 3)
    rows = "".join(f"C{n},K1,3.27,2026-10-01\n" for n in range(5))
    assert read_rows((HEAD + "\n".join(rows.splitlines()[:3])).encode(), "cells.csv", COLUMNS).height == 3
    with pytest.raises(Malformed) as caught:
        read_rows((HEAD + "\n" + rows).encode(), "cells.csv", COLUMNS)
    assert caught.value.errors == [{"at": "line 6", "read": "more rows", "expected": "at most 3 rows in a file"}]


def test_an_excel_workbook_is_read() -> None:
    def row(n: int, cells: list[str]) -> str:
        return f'<row r="{n}">{"".join(cells)}</row>'

    def words(*texts: str) -> list[str]:
        return [f'<c t="inlineStr"><is><t>{text}</t></is></c>' for text in texts]

    rows = row(1, words("Cell ID", "Carton", "OCV (V)", "Measured at"))
    for n, (serial, carton, ocv) in enumerate(TWO, start=2):
        rows += row(n, [*words(serial, carton), f"<c><v>{ocv}</v></c>", *words("2026-10-01")])
    found = read_rows(_workbook(f"<sheetData>{rows}</sheetData>"), "cells.xlsx", COLUMNS)
    assert found.select("serial", "carton", "ocv_v").rows() == TWO


def test_a_torn_workbook_is_refused() -> None:
    with pytest.raises(Malformed, match="could not be understood"):
        read_rows(b"PK\x03\x04 torn", "cells.xlsx", COLUMNS)


def _workbook(sheet: str) -> bytes:
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as book:
        book.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{package}/content-types"><Default Extension="rels" '
            f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{kinds}.sheet.main+xml"/>'
            f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kinds}.worksheet+xml"/></Types>',
        )
        book.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
            f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        book.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
            f'<sheet name="Cells" sheetId="1" r:id="r1"/></sheets></workbook>',
        )
        book.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{office}/worksheet" '
            f'Target="worksheets/sheet1.xml"/></Relationships>',
        )
        book.writestr("xl/worksheets/sheet1.xml", f'<worksheet xmlns="{main}">{sheet}</worksheet>')
    return out.getvalue()


def test_a_carton_is_named_as_its_label_is_scanned() -> None:
    cartons = ["00106141412345678908", "00106141412345678909", "", "B1", "00-7"]
    content = "Cell ID,Carton\n" + "".join(f"C{n},{carton}\n" for n, carton in enumerate(cartons))
    found = read_rows(content.encode(), "f.csv", COLUMNS[:2])
    assert found["carton"].to_list() == ["106141412345678908", "00106141412345678909", None, "B1", "00-7"]
