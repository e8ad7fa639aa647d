"""`detector.bulk.resumable`, `rows`, `scoring`: parts as files, resumption, the same lines."""

from __future__ import annotations

import csv
import io

import cv2
import pytest
from pyarrow import parquet

from detector.bulk import InProcess, list_archive, score_archive
from detector.bulk.resumable import PartFolder
from detector.bulk.rows import FORMATS
from detector.bulk.scoring import THUMBNAIL
from detector.report.results import COLUMNS, ContinueError
from tests.support.archive_stand_ins import lines_of, one_process, phantom_file

pytest_plugins = "tests.support.archive_fixtures"


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_each_film_has_the_line_of_the_one_process_path(archive, reader, tmp_path, form):
    names = list_archive([str(archive)])
    parts = list(score_archive(names, tmp_path / "out", InProcess(reader), form=form, part_films=4))
    assert [(part.films, part.unread) for part in parts] == [(4, 0), (4, 1), (2, 0)]
    whole = one_process(reader, names, form).splitlines()
    assert lines_of(tmp_path / "out", form) == whole[form == "csv" :]


def test_parquet_has_the_columns_of_the_csv_with_types(archive, reader, tmp_path):
    names = list_archive([str(archive)])
    list(score_archive(names, tmp_path, InProcess(reader), part_films=99))
    table = parquet.read_table(tmp_path / "part-000000.parquet")
    assert tuple(table.column_names) == COLUMNS
    assert str(table.schema.field("probability").type) == "double"
    rows = csv.DictReader(io.StringIO(one_process(reader, names, "csv"), newline=""))
    for typed, row in zip(table.to_pylist(), rows, strict=True):
        as_text = {name: "" if value is None else str(value) for name, value in typed.items()}
        assert as_text == row


@pytest.mark.parametrize("form", FORMATS)
def test_a_stopped_run_goes_on_and_reads_no_film_twice(archive, reader, tmp_path, form):
    names = list_archive([str(archive)])
    out = tmp_path / "out"
    running = score_archive(names, out, InProcess(reader), form=form, part_films=3)
    next(running)
    next(running)
    running.close()
    asked: list[str] = []

    class Counting(InProcess):
        def score(self, parts, order):
            parts = list(parts)
            asked.extend(film for part in parts for film in part.films)
            return super().score(parts, order)

    # Another part size and one film more: what counts is which films have a row.
    more = [phantom_file(tmp_path / "more.png", 11), *names]
    list(score_archive(more, out, Counting(reader), form=form, part_films=2))
    assert asked == [more[0], *names[6:]]
    finished = PartFolder(out, form).finished(reader.model.digest[:12])
    assert finished == {name: "broken" not in name for name in more}
    assert list(score_archive(more, out, Counting(reader), form=form)) == []
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("form", FORMATS)
def test_two_models_or_formats_do_not_share_a_folder(archive, reader, tmp_path, form):
    list(score_archive([str(archive / "0.png")], tmp_path, InProcess(reader), form=form))
    with pytest.raises(ContinueError, match="other weights"):
        PartFolder(tmp_path, form).finished("0" * 12)
    other = FORMATS[FORMATS.index(form) - 1]
    with pytest.raises(ContinueError, match=f"format {form}"):
        PartFolder(tmp_path, other).finished(reader.model.digest[:12])
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"something else\n")
    with pytest.raises(ContinueError, match="cannot be continued"):
        PartFolder(tmp_path, form).finished(reader.model.digest[:12])


def test_a_part_that_cannot_be_written_leaves_nothing(archive, reader, tmp_path, monkeypatch):
    def full(handle):
        raise OSError("no space left on device")

    monkeypatch.setattr("detector.bulk.resumable.os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        list(score_archive([str(archive / "0.png")], tmp_path, InProcess(reader)))
    assert list(tmp_path.iterdir()) == []


def test_two_runs_into_one_folder_do_not_overwrite_each_other(archive, reader, tmp_path):
    first = score_archive([str(archive / "0.png")], tmp_path, InProcess(reader), form="csv")
    folder = PartFolder(tmp_path, "csv")
    scored = next(first)
    before = (tmp_path / "part-000000.csv").read_bytes()
    with pytest.raises(FileExistsError, match="another run"):
        folder.write(scored)
    assert (tmp_path / "part-000000.csv").read_bytes() == before


def test_thumbnails_on_request(reader, tmp_path):
    names = [phantom_file(tmp_path / "a" / "x.png", 0, (700, 300)),
             phantom_file(tmp_path / "b" / "x.png", 1, (300, 320)),
             phantom_file(tmp_path / "b" / "X.png", 2, (300, 320))]  # fmt: skip
    overlays = tmp_path / "overlays"
    list(score_archive(names, tmp_path / "out", InProcess(reader), overlays=overlays))
    painted = sorted((overlays / "part-000000").iterdir())
    assert len({path.name.lower() for path in painted}) == 3
    sizes = {path.name: cv2.imread(str(path)).shape for path in painted}
    assert sizes["x.jpg"] == (THUMBNAIL, round(300 * THUMBNAIL / 700), 3)
    assert sorted(sizes.values())[:2] == [(300, 320, 3)] * 2
    list(score_archive(names, tmp_path / "plain", InProcess(reader)))
    assert [path.name for path in (tmp_path / "plain").iterdir()] == ["part-000000.parquet"]


def test_a_thumbnail_has_a_name_that_every_disk_takes(archive, reader, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "detector.bulk.scoring.fetched",
        lambda names, *_, **__: [str(archive / "0.png") for _ in names],
    )
    names = [f"s3://films/{'0' * 400}.png", "https://store/9.dcm?X-Amz-Signature=" + "f" * 300,
             "1.2.840.1", "1.2.840.2"]  # fmt: skip
    overlays = tmp_path / "overlays"
    list(score_archive(names, tmp_path / "out", InProcess(reader), overlays=overlays))
    painted = sorted(path.name for path in (overlays / "part-000000").iterdir())
    assert painted == ["0" * 200 + ".jpg", "1.2.840.1.jpg", "1.2.840.2.jpg", "9.jpg"]


def test_parts_are_counted_by_number_and_copies_are_none(archive, reader, tmp_path):
    for name in ("part-999999", "part-1000000", "part-000000 (copy)", "part-x"):
        (tmp_path / f"{name}.csv").write_text("")
    folder = PartFolder(tmp_path, "csv")
    assert [path.stem for path in folder.files()] == ["part-999999", "part-1000000"]
    assert folder.next_number() == 1_000_001
