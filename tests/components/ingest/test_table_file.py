from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import openpyxl
import pytest

from components.ingest.errors import IngestError
from components.ingest.layouts import table_file

PLAIN = "image_name,target,note\na,1,x\nb,0,y\n"
ROWS = [["a", "1", "x"], ["b", "0", "y"]]


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        PLAIN.encode("utf-16-le"),
        PLAIN.encode("utf-16-be"),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", "\t").encode(),
        PLAIN.replace(",", "|").encode(),
        ("sep=;\n" + PLAIN.replace(",", ";")).encode(),
        ("# made on Monday\n\n" + PLAIN).encode(),
        PLAIN.replace("\n", ",,\n").encode(),
        b'image_name, "target", "note"\na, "1", "x"\nb, 0, "y"\n',
        PLAIN.rstrip().encode(),
    ],
    ids=range(15),
)
def test_tables_as_programs_write_them(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    table = table_file.load(tmp_path / "t.csv")
    assert table.header == ("image_name", "target", "note")
    assert [cells for _, cells in table.lines] == ROWS
    assert table.ragged == []


def test_windows_letters_are_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("image_name,diagnosis\nä,Mélanome\n".encode("cp1252"))
    assert table_file.load(tmp_path / "t.csv").lines == [(2, ["ä", "Mélanome"])]


def test_workbooks_are_read(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["image_name", "target", "age"], ["a", 1, 45.0], [None, None, None], ["b", 0, None]):
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    table = table_file.load(tmp_path / "t.xlsx")
    assert table.lines == [(2, ["a", "1", "45"]), (4, ["b", "0", ""])]
    (tmp_path / "no.xlsx").write_bytes(b"text")
    with pytest.raises(IngestError, match="not a workbook that can be read"):
        table_file.load(tmp_path / "no.xlsx")


def test_an_unclosed_quote_swallows_no_rows(tmp_path: Path) -> None:
    rows = "".join(f"im{n},0,fine\n" for n in range(30))
    (tmp_path / "t.csv").write_text(
        "image_name,target,note\n" + rows.replace("im9,0,fine", 'im9,0,"oval, 3 mm')
    )
    with pytest.raises(IngestError, match=r"line 11: a quote is opened and not closed.*swallows lines 11 to"):
        table_file.load(tmp_path / "t.csv")
    # Closed by the next row's opening quote: one row would become none.
    (tmp_path / "t.csv").write_text('image_name,target,note\na,1,"oval\n"b",0,x\nc,0,y\n')
    with pytest.raises(IngestError, match=r"line 2: a quote is opened .*lines 2 to 3"):
        table_file.load(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text('image_name,target,note\na,1,"two\nlines"\nb,0,\n')
    assert table_file.load(tmp_path / "t.csv").lines == [(2, ["a", "1", "two\nlines"]), (4, ["b", "0", ""])]


def test_ragged_rows_are_told_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image_name,target\na,1\nb\nc,0,x\n")
    table = table_file.load(tmp_path / "t.csv")
    assert table.lines == [(2, ["a", "1"])]
    assert table.ragged == [(3, "1 cells, the header has 2"), (4, "3 cells, the header has 2")]


def test_only_the_wanted_columns_are_kept(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Image_Name,junk,target\na,x,1\nb,0\n")
    table = table_file.load(tmp_path / "t.csv", frozenset({"image_name", "target"}))
    assert (table.header, table.lines) == (("Image_Name", "target"), [(2, ["a", "1"])])
    assert table.ragged == [(3, "2 cells, the header has 3")]
    assert table.all_columns == ("Image_Name", "junk", "target")


def test_a_column_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image_name,target,target\na,1,0\n")
    with pytest.raises(IngestError, match="two columns called 'target'"):
        table_file.load(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("image_name,target,Target\na,1,0\n")
    with pytest.raises(IngestError, match="two columns called 'Target'"):
        table_file.load(tmp_path / "t.csv")


def test_a_workbook_loses_no_row(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["image_name", "target"], ["a", 1], ["b", 0]):
        book.active.append(row)
    book.create_sheet("legend").append(["target 1 is melanoma"])
    book.save(tmp_path / "whole.xlsx")
    # Programs write a size of the sheet that is not its size.
    with ZipFile(tmp_path / "whole.xlsx") as old, ZipFile(tmp_path / "t.xlsx", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'ref="A1:B3"', b'ref="A1"'))
    assert table_file.load(tmp_path / "t.xlsx").lines == [(2, ["a", "1"]), (3, ["b", "0"])]
    book.create_sheet("more").append(["image_name", "target"])
    book.save(tmp_path / "t.xlsx")
    with pytest.raises(IngestError, match="several sheets of one header"):
        table_file.load(tmp_path / "t.xlsx")


def test_sixty_thousand_empty_cells_behind_a_row_are_cut(tmp_path: Path) -> None:
    wide = "," * 60_000
    (tmp_path / "t.csv").write_text(f"image_name,target{wide}\na,1{wide}\n")
    table = table_file.load(tmp_path / "t.csv")
    assert (table.header, table.lines) == (("image_name", "target"), [(2, ["a", "1"])])
