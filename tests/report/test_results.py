"""How readings and film names are written down, and what may be cut off a torn file."""

from __future__ import annotations

import csv
import io

import pytest

from detector.errors import UnreadableFilm
from detector.report.file_names import picture_stem, written_name
from detector.report.results import ContinueError, OverlayFolder, ResultFile, read_finished, text

ERROR = UnreadableFilm("There is no such file.")
SHA = "0" * 12
# Line ends of both kinds, what a spreadsheet computes, what a terminal obeys, bytes of another
# encoding, a path of Windows.
ODD = ["Icon\r", "a\nb.png", "a\r\nb.png", '=HYPERLINK("x")', "+1.png", "@a.png", "-a.png",
       "\x1b[2J.png", "h\udcf6he.png", "C:\\films\\a,b.png", "höhe.png"]  # fmt: skip


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_names_of_every_kind_are_found_again(tmp_path, form):
    out = tmp_path / "out"
    with out.open("w", encoding="utf-8", newline="") as stream:
        results = ResultFile(stream, form)
        for name in ODD:
            results.write(name, ERROR)
    whole = out.read_bytes()
    assert read_finished(out, form, SHA) == {written_name(name): False for name in ODD}
    for size in range(len(whole) - 40, len(whole)):
        out.write_bytes(whole[:size])
        assert list(read_finished(out, form, SHA)) == [written_name(name) for name in ODD[:-1]]
        assert whole.startswith(out.read_bytes())


def test_no_cell_is_a_formula():
    out = io.StringIO(newline="")
    results = ResultFile(out, "csv")
    for name in ODD:
        results.write(name, ERROR)
    rows = list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))
    assert len(rows) == len(ODD)
    assert not [row["file"] for row in rows if row["file"].startswith(("=", "+", "-", "@", "\t"))]
    assert "./+1.png" in [row["file"] for row in rows]


def test_a_name_is_one_line_on_a_terminal_and_commands_nothing():
    for name in ODD:
        said = text(name, ERROR)
        assert len(said.splitlines()) == 2 and "\x1b" not in said and "\r" not in said
    assert text("höhe.png", ERROR).startswith("höhe.png: not read\n")


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("content", ["my notes", "file;label", '{"name": "x"', "\ufefffile"])
def test_a_line_that_is_none_of_ours_is_not_cut_off(tmp_path, form, content):
    out = tmp_path / "out"
    out.write_text(content)
    with pytest.raises(ContinueError, match="cannot be continued"):
        read_finished(out, form, SHA)
    assert out.read_text() == content


def test_an_overlay_never_takes_the_place_of_a_film(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    for name in ("a.png", "store/b.png"):
        (tmp_path / name).write_bytes(b"a film")
    (tmp_path / "b.png").symlink_to(store / "b.png")
    films = [str(tmp_path / "a.png"), str(store / "b.png"), str(tmp_path / "c.jpg")]
    folder = OverlayFolder(tmp_path, films)
    assert [path.name for path in folder._paths.values()] == ["a-2.png", "b-2.png", "c.png"]


def test_a_picture_is_called_as_its_film():
    # Files named by a UID have no suffix, and differ in what looks like one.
    assert picture_stem("films/1.2.840.10008.7") == "1.2.840.10008.7"
    assert picture_stem("films/a.b.PNG") == "a.b"
    assert picture_stem("s3://bucket/a.dcm?region=x.y") == "a"
    assert len(picture_stem("ö" * 255).encode()) <= 200
