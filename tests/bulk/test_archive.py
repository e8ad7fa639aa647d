"""`detector.bulk.archive`: folders and films behind URLs, and what comes of them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.arrow import ArrowFSWrapper

from detector.bulk import StorageError, list_archive
from detector.bulk import archive as films
from detector.bulk.rows import Rows
from detector.bulk.scoring import Order, divide, score_part
from detector.errors import UnreadableFilm
from detector.io.limits import Limits
from detector.report.file_names import written_name
from tests.support.archive_stand_ins import one_process, phantom_file
from tests.support.bucket_stand_in import bucket

pytest_plugins = "tests.support.archive_fixtures"


@pytest.fixture
def only_pyarrow(monkeypatch) -> Iterator[None]:
    """fsspec lacks the package for every protocol."""

    def lacking(url: str):
        raise ImportError("install the package")

    films._storage.cache_clear()
    monkeypatch.setattr(fsspec, "url_to_fs", lacking)
    yield
    films._storage.cache_clear()


def test_a_folder_behind_a_url_has_the_films_of_the_folder(archive, tmp_path):
    for name in ("notes.txt", "DICOMDIR"):
        (tmp_path / name).write_text("no film")
    phantom_file(tmp_path / "a.png", 0)
    phantom_file(tmp_path / ".hidden" / "b.png", 0)
    (tmp_path / "1.2.840").write_bytes(bytes(128) + b"DICM")  # DICOM files often have no suffix
    by_path = list_archive([str(tmp_path), str(archive)])
    by_url = list_archive([f"file://{tmp_path}", f"file://{archive}/"])
    assert [Path(name).name for name in by_path[:2]] == ["1.2.840", "a.png"]
    assert set(by_url) == {f"file://{name}" for name in by_path}
    assert len(by_url) == len(by_path) == 12


def test_urls_of_films_patterns_and_what_is_not_there(archive):
    url = f"file://{archive}"
    assert list_archive([f"{url}/*.png"]) == [f"{url}/{seed}.png" for seed in range(6)]
    names = [f"{url}/0.png", f"{url}/nothing.png", f"{archive}/0.png"]
    assert list_archive([*names, names[0]]) == names


def test_a_kind_of_url_that_nothing_opens():
    with pytest.raises(StorageError, match="nowhere://host"):
        list_archive(["nowhere://host/films"])


def test_films_within_a_zip_file(archive, reader, tmp_path):
    packed = tmp_path / "year.zip"
    with zipfile.ZipFile(packed, "w") as file:
        for seed in range(3):
            file.write(archive / f"{seed}.png", f"films/{seed}.png")
    urls = list_archive([f"zip://films/*.png::file://{packed}"])
    assert urls == [f"zip://films/{seed}.png::file://{packed}" for seed in range(3)]
    (part,) = divide(urls, 9)
    scored = score_part(reader, part, Order("jsonl", "."))
    same = one_process(reader, [str(archive / f"{seed}.png") for seed in range(3)], "jsonl")
    for line, plain in zip(scored.data.decode().splitlines(), same.splitlines(), strict=True):
        assert json.loads(line) == {**json.loads(plain), "file": json.loads(line)["file"]}


def test_pyarrow_opens_what_fsspec_has_no_package_for(archive, tmp_path, only_pyarrow):
    url = f"file://{archive}"
    found = list_archive([url])
    assert len(found) == 10 and found[0] == f"{url}/0.png"
    (tmp_path / "1.2.840").write_bytes(bytes(128) + b"DICM")
    assert list_archive([f"file://{tmp_path}/*"]) == [f"file://{tmp_path}/1.2.840"]
    (data,) = films.fetched(found[:1], Limits())
    assert data == (archive / "0.png").read_bytes()
    (error,) = films.fetched([f"{url}/nothing.png"], Limits())
    assert "no such file" in str(error)


def test_films_in_object_storage(archive, only_pyarrow, monkeypatch):
    """S3 as pyarrow speaks it, from a store on this machine."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "reader")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    film = (archive / "0.png").read_bytes()
    objects = {"films/a.png": film, "films/year one/b.png": film, "films/notes.txt": b"no film",
               "films/1.2.840": bytes(128) + b"DICM", "other/c.png": film}  # fmt: skip
    with bucket("archive", objects) as (address, asked):
        tail = f"?scheme=http&endpoint_override={address}&region=us-east-1"
        found = list_archive([f"s3://archive/films{tail}"])
        names = ("1.2.840", "a.png", "year one/b.png")
        assert found == [f"s3://archive/films/{name}{tail}" for name in names]
        assert list_archive([found[1]]) == [found[1]]
        missing = f"s3://archive/films/d.png{tail}"
        dicom, first, second, error = films.fetched([*found, missing], Limits())
        assert dicom == objects["films/1.2.840"] and first == second == film
        assert "no such file" in str(error)
        assert not [line for line in asked if "c.png" in line]


def test_a_request_that_fails_is_repeated(archive, reader, monkeypatch):
    url, asked = f"file://{archive}/0.png", []
    plain = fsspec.filesystem("file").cat_file

    def flaky(self, path, start=None, end=None):
        asked.append(path)
        if len(asked) < 3:
            raise OSError("connection reset")
        return plain(path, start=start, end=end)

    monkeypatch.setattr(type(fsspec.filesystem("file")), "cat_file", flaky)
    monkeypatch.setattr(films.time, "sleep", lambda seconds: None)
    (got,) = films.fetched([url], reader.limits)
    assert got == (archive / "0.png").read_bytes() and len(asked) == 3


def test_errors_keep_their_place_among_readings(archive, reader):
    url = f"file://{archive}"
    names = [f"{url}/no.png", f"{url}/0.png", f"{url}/no.png", f"{url}/no.png",
             f"{archive}/1.png", f"{archive}/no.png", f"{url}/broken.jpg", f"{url}/no.png"]
    (part,) = divide(names, 99)
    scored = score_part(reader, part, Order("jsonl", "."))
    entries = [json.loads(line) for line in scored.data.decode().splitlines()]
    assert [entry["file"] for entry in entries] == names
    kinds = [entry.get("error", {}).get("kind") for entry in entries]
    assert kinds == ["unreadable", None, "unreadable", "unreadable", None, *["unreadable"] * 3]
    assert "no such file" in entries[0]["error"]["message"]
    assert "looks like text" in entries[6]["error"]["message"]
    assert scored.unread == 6 and scored.films == 8


def test_passwords_and_signatures_are_not_written_down(reader, tmp_path, only_pyarrow):
    urls = ["s3://AKIA7:wJalr%2FXUt@year/a.png", "https://store/a.dcm?id=5&X-Amz-Signature=f00ba5e",
            "https://store/a.dcm?id=5&X-Amz-Signature=f00ba6e", "abfs://c@store/a.png?sv=1&sig=9a9b",
            "zip://a:b@1.png::sftp://me:pw@host/x.zip"]  # fmt: skip
    rows = Rows("csv")
    for url in urls:
        rows.add(url, UnreadableFilm("The storage did not deliver the file."))
    text = rows.data().decode()
    for secret in ("AKIA7", "wJalr", "f00ba", "9a9b", "me:pw"):
        assert secret not in text
    # Each film has a name of its own all the same, and one can be found by it.
    assert len({written_name(url) for url in urls}) == len(urls)
    assert "s3://year/a.png" in text and "zip://a:b@1.png::sftp://host/x.zip" in text
    with pytest.raises(StorageError) as refused:
        list_archive(["nowhere://me:secret@host/films"])
    assert "secret" not in str(refused.value) and "nowhere://host" in str(refused.value)


def test_a_url_with_a_query_is_that_of_a_film_not_a_pattern(archive, monkeypatch):
    asked = []
    storage = type(fsspec.filesystem("file"))
    monkeypatch.setattr(storage, "isfile", lambda self, path: asked.append(path) or True)
    url = f"file://{archive}/0.png?version=2"
    assert list_archive([url]) == [url] and asked


def test_links_to_films_count_in_a_pattern(archive, tmp_path):
    (tmp_path / "link.png").symlink_to(archive / "0.png")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert list_archive([f"file://{tmp_path}/*"]) == [f"file://{tmp_path}/link.png"]


@pytest.mark.parametrize("by_arrow", [False, True])
def test_a_folder_that_cannot_be_listed_is_not_passed_over(
    archive, monkeypatch, by_arrow, request
):
    if by_arrow:
        request.getfixturevalue("only_pyarrow")
    storage = ArrowFSWrapper if by_arrow else type(fsspec.filesystem("file"))
    plain = storage.ls

    def flaky(self, path, detail=False, **more):
        if path.endswith("below"):
            raise OSError("connection reset")
        return plain(self, path, detail=detail, **more)

    monkeypatch.setattr(storage, "ls", flaky)
    with pytest.raises(StorageError, match="cannot be listed"):
        list_archive([f"file://{archive}"])
