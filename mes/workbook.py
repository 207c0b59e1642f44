"""Whether a workbook from outside may be read at all: its reader lays out every cell up to the farthest one."""

import io
import re
import zipfile
import zlib

from mes.errors import Malformed

MAX_ROWS = 200_000
MAX_COLUMNS = 500
MAX_UNPACKED = 256 * 1024 * 1024
_LONGEST = 1 << 20  # a tag, or the text between two: Excel's own limit is 32,767 characters
_EXPECTED = f"an Excel workbook (.xlsx) of at most {MAX_ROWS} rows and {MAX_COLUMNS} columns"
# A row or a cell begins, or one of them says where it stands ("XFD7", or "7" of a row), however it is written.
_MARK = re.compile(rb"<(?:[\w.-]+:)?(row|c)(?=[\s/>])|\br\s*=\s*[\"']([A-Z]{0,9})([0-9]{1,12})[\"']")
_OTHERS = {"xl/workbook.bin", "content.xml"}  # formats that are not looked through here


class _TooMuch(Exception):
    def __init__(self, at: str, read: str) -> None:
        self.problem = {"at": at, "read": read, "expected": _EXPECTED}
        super().__init__(read)


def require_bounded(content: bytes, file_name: str) -> None:
    """Raise Malformed where a workbook would fill the memory, or is none that can be looked through."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as book:
            names = set(book.namelist())
            if names & _OTHERS or "xl/workbook.xml" not in names:
                raise _TooMuch("file", "another format than .xlsx")
            left = MAX_UNPACKED
            # every part: which of them are sheets is said by a part as well
            for part in book.infolist():
                left -= _unpacked(book, part, left)
    except _TooMuch as error:
        raise Malformed(f"File {file_name}", [error.problem]) from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, EOFError) as error:
        problem = {"at": "file", "read": str(error)[:80], "expected": _EXPECTED}
        raise Malformed(f"File {file_name}", [problem]) from error


def _unpacked(book: zipfile.ZipFile, part: zipfile.ZipInfo, most: int) -> int:
    """Unpack a part in pieces, counting its rows and cells; its size."""
    size, rows, cells, rest = 0, 0, 0, b""
    with book.open(part) as packed:
        while piece := packed.read(1 << 20):
            size += len(piece)
            if size > most:
                raise _TooMuch(part.filename, f"more than {MAX_UNPACKED} bytes unpacked")
            whole, begun, rest = (rest + piece).rpartition(b"<")
            rest = begun + rest
            if len(rest) > _LONGEST:
                raise _TooMuch(part.filename, f"{_LONGEST} bytes without a tag")
            for mark in _MARK.finditer(whole):
                kind, column, row = mark.groups()
                if kind == b"row":
                    rows, cells = rows + 1, 0
                elif kind == b"c":
                    cells += 1
                elif int(row) > MAX_ROWS + 1 or _column(column) > MAX_COLUMNS:
                    raise _TooMuch(part.filename, f"a cell at {(column + row).decode()}")
                if rows > MAX_ROWS + 1 or cells > MAX_COLUMNS:
                    raise _TooMuch(part.filename, f"row {rows} with {cells} cells")
    return size


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number
