"""Which films are meant: folders, patterns, links, and what results must not be mixed with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydicom import uid

from detector.io.find_films import ResultsAmongFilms, list_films
from tests.support import odd_films as odd


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """a.png, below/b.png and, for pictures that are written, below/pictures/c.png."""
    for name in ("a.png", "below/b.png", "below/pictures/c.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


def names(folder: Path, found: list[str]) -> list[str]:
    return [os.path.relpath(film, folder) for film in found]


def test_links_to_folders_make_no_films_of_films(folder):
    for number in range(3):  # a walk that follows them never ends
        (folder / f"loop{number}").symlink_to(folder, target_is_directory=True)
    (folder / "link.png").symlink_to(folder / "a.png")
    expected = ["a.png", "below/b.png", "below/pictures/c.png", "link.png"]
    for pattern in ("**/*.png", "**"):
        assert sorted(names(folder, list_films([str(folder / pattern)]))) == expected
    assert sorted(names(folder, list_films([str(folder)]))) == expected
    assert list_films([str(folder / "loop0")])[0] == str(folder / "loop0" / "a.png")


def test_a_pattern_leaves_hidden_folders_unless_it_names_them(folder):
    (folder / ".trash").mkdir()
    (folder / ".trash" / "d.png").write_bytes(b"")
    found = names(folder, list_films([str(folder / "**" / "*.png")]))
    assert found == ["a.png", "below/b.png", "below/pictures/c.png"]
    assert names(folder, list_films([str(folder / ".t*" / "**" / "*.png")])) == [".trash/d.png"]


def test_a_link_to_nothing_is_named_as_it_is(folder):
    (folder / "gone.png").symlink_to(folder / "nothing.png")
    assert list_films([str(folder / "gone.png")]) == [str(folder / "gone.png")]
    assert str(folder / "gone.png") in list_films([str(folder / "*.png")])


def test_a_folder_that_may_not_be_entered_is_not_passed_over(folder, monkeypatch):
    plain = os.scandir

    def guarded(path):
        if Path(path).name == "below":
            raise PermissionError(13, "Permission denied", path)
        return plain(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert names(folder, list_films([str(folder)])) == ["a.png", "below"]


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (".", ["a.png", "below/b.png"]),
        ("**/*.png", ["a.png", "below/b.png"]),
        ("below", ["below/b.png"]),
        ("below/*", ["below/b.png"]),
    ],
)
def test_pictures_written_below_are_no_films_of_the_next_run(folder, named, expected):
    apart_from = [None, folder / "below" / "pictures"]
    found = list_films([str(folder / named)], apart_from=apart_from)
    assert names(folder, found) == expected
    one = str(folder / "below" / "pictures" / "c.png")
    assert list_films([one], apart_from=apart_from) == [one]


@pytest.mark.parametrize("named", ["below/pictures", "below", "below/*.png", "below/**/*.png"])
def test_pictures_are_not_written_into_a_folder_that_is_read(folder, named):
    with pytest.raises(ResultsAmongFilms, match="another folder"):
        list_films([str(folder / named)], apart_from=[folder / "below"])


def test_what_lies_beside_films_on_a_disc_is_no_film(tmp_path):
    """A directory, whatever its name, text and a viewer; each patient's film has the same name."""
    directory = odd.dicom(odd.grey(), SOPClassUID=uid.MediaStorageDirectoryStorage)
    for name, data in {
        "DICOMDIR": directory, "dicomdir.dcm": directory, "INDEX": directory,
        "LIESMICH": b"Open VIEWER", "readme.txt": b"text", "VIEWER.EXE": b"MZ" + bytes(600),
        "PAT_A/IM0001": odd.dicom(odd.grey()), "PAT_B/IM0001": odd.dicom(odd.grey()),
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    films = ["PAT_A/IM0001", "PAT_B/IM0001"]
    for named in (tmp_path, tmp_path / "*", tmp_path / "**"):
        assert names(tmp_path, list_films([str(named)])) == films
    one = str(tmp_path / "DICOMDIR")
    assert list_films([one]) == [one]  # named by itself it gets its answer: it is no film
