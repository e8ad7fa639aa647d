"""`archive`: where films lie, parts as files, going on, and the same results from two machines."""

from __future__ import annotations

import csv
import io
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import fsspec
import numpy as np
import psutil
import pytest
from bucket_stand_in import bucket
from pyarrow import parquet

from archive import InProcess, OnRay, StorageError, connected, films, list_archive, score_archive
from archive.cluster import stay_on_this_machine
from archive.parts import PartFolder
from archive.rows import FORMATS
from archive.scoring import THUMBNAIL, Order, divide, score_part
from detector import FractureDetector, cli
from detector.cli_options import BAD_USAGE, SOME_UNREAD
from detector.limits import Limits
from detector.output import COLUMNS, ContinueError, ResultFile
from detector.phantom import random_phantom


def phantom_file(path: Path, seed: int, size: tuple[int, int] = (96, 72)) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = random_phantom(seed, size=size).pixels
    cv2.imwrite(str(path), (pixels * 255).astype(np.uint8))
    return str(path)


@pytest.fixture(scope="module")
def reader(tiny_weights) -> FractureDetector:
    return FractureDetector.from_pretrained(tiny_weights)


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """Ten films: nine phantoms, below/ among them, and broken.jpg, which is none."""
    folder = tmp_path_factory.mktemp("archive")
    for seed in range(9):
        phantom_file(folder / ("below" if seed > 5 else "") / f"{seed}.png", seed)
    (folder / "broken.jpg").write_text("no film")
    return folder


def one_process(reader: FractureDetector, names: list[str], form: str) -> str:
    """What `fracture-detector predict` writes without Ray."""
    out = io.StringIO(newline="")
    results = ResultFile(out, form)
    for name, reading in zip(names, reader.predict_batch(names), strict=True):
        results.write(name, reading)
    return out.getvalue()


def lines_of(out: Path, form: str) -> list[str]:
    """The lines of all parts, without the heads of CSV files."""
    texts = [path.read_text() for path in sorted(out.glob(f"part-*.{form}"))]
    return [line for text in texts for line in text.splitlines()[form == "csv" :]]


# Where the films lie


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


# Parts as files


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
    finished = PartFolder(out, form).finished(reader.model.sha256[:12])
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
        PartFolder(tmp_path, other).finished(reader.model.sha256[:12])
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"something else\n")
    with pytest.raises(ContinueError, match="cannot be continued"):
        PartFolder(tmp_path, form).finished(reader.model.sha256[:12])


def test_a_part_that_cannot_be_written_leaves_nothing(archive, reader, tmp_path, monkeypatch):
    def full(handle):
        raise OSError("no space left on device")

    monkeypatch.setattr("archive.parts.os.fsync", full)
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


# On Ray


def listeners(process: psutil.Process) -> list[tuple[str, int]]:
    found = []
    for one in [process, *process.children(recursive=True)]:
        try:
            found += [c.laddr for c in one.net_connections("inet") if c.status == "LISTEN"]
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return [(place.ip.removeprefix("::ffff:"), place.port) for place in found]


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[tuple]:
    """A cluster of two nodes of one core on this machine, and its second node."""
    stay_on_this_machine()
    from ray.cluster_utils import Cluster

    each = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "node_ip_address": "127.0.0.1"}
    before = set(listeners(psutil.Process()))
    cluster = Cluster(initialize_head=True, head_node_args={**each, "include_dashboard": False})
    second = cluster.add_node(**each)
    yield cluster, second, before
    cluster.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_node_lost_half_way_loses_no_film(two_nodes, reader, tiny_weights, tmp_path):
    from ray._common.usage.usage_lib import usage_stats_enabled

    cluster, second, before = two_nodes
    names = [phantom_file(tmp_path / "films" / f"{seed:02d}.png", seed) for seed in range(39)]
    names.insert(20, str(tmp_path / "films" / "missing.png"))
    out = tmp_path / "out"
    with connected(cluster.address):
        running = score_archive(names, out, OnRay(str(tiny_weights)), form="jsonl", part_films=2)
        unread = 0
        for done, part in enumerate(running, start=1):
            unread += part.unread
            if done == 10:
                here = {ip for ip, _ in set(listeners(psutil.Process())) - before}
                cluster.remove_node(second, allow_graceful=False)
    assert unread == 1
    whole = one_process(reader, names, "jsonl").splitlines()
    assert sorted(lines_of(out, "jsonl")) == sorted(whole)
    assert lines_of(out, "jsonl") == whole  # parts keep the order of the films
    assert here == {"127.0.0.1"}, "Ray listens to others than this machine"
    assert not usage_stats_enabled()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_command_with_and_without_ray(archive, tiny_weights, tmp_path, capsys):
    common = ["predict", str(archive), "--model", str(tiny_weights), "--format", "csv"]
    assert cli.main([*common, "--out", str(tmp_path / "one.csv")]) == SOME_UNREAD
    on_ray = [*common, "--engine", "ray", "--workers", "1", "--out", str(tmp_path / "out")]
    assert cli.main(on_ray) == SOME_UNREAD
    assert "10 of 10 films done, 1 could not be read" in capsys.readouterr().err
    (part,) = (tmp_path / "out").iterdir()
    assert part.read_bytes() == (tmp_path / "one.csv").read_bytes()
    assert cli.main(on_ray) == BAD_USAGE  # the folder is there
    assert "--continue" in capsys.readouterr().err
    assert cli.main([*on_ray, "--continue"]) == SOME_UNREAD
    assert "10 of 10 films are in the folder already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--engine", "ray", "--format", "csv"], "--out FOLDER"),
        (["--engine", "ray", "--out", "out"], "--format parquet"),
        (["--engine", "ray", "--format", "csv", "--out", "film.png"], "is a file"),
        (["--engine", "ray", "--workers", "0"], "1 or more"),
        (["--engine", "ray", "--dicom-out", "objects"], "one process"),
        (["--format", "parquet", "--out", "out"], "--engine ray"),
        (["--workers", "2"], "--engine ray"),
        (["--cluster", "127.0.0.1:1"], "--engine ray"),
    ],
)
def test_options_that_do_not_fit_are_refused(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    phantom_file(tmp_path / "film.png", 0)
    assert cli.main(["predict", "film.png", *arguments]) == BAD_USAGE
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["film.png"]


def test_a_missing_package_is_named_with_the_command_that_brings_it(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.partition(".")[0] == "archive"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert cli.main(["predict", "film.png", "--engine", "ray"]) == BAD_USAGE
    said = capsys.readouterr().err
    assert "pyarrow" in said and "pip install 'fracture-detector[cluster]'" in said


# The page of figures


def made_up(rate: float, cores: int = 1) -> dict:
    return {
        "films": 2000, "cores": cores, "films_per_second": rate, "start_seconds": 5.0,
        "driver_cpu_ms_per_film": 2.0, "driver_memory": [100.0, 110.0, 110.0, 111.0],
        "worker_memory": [0.0] * 4 if cores == 1 else [500.0] * 4,
    }  # fmt: skip


def test_the_page_is_written_from_the_figures_between_its_marks(tmp_path, monkeypatch):
    root = Path(__file__).resolve().parent.parent
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    import scale_page

    figures = {
        "machine": "| machine | |", "part_films": 16, "name_bytes": 200.0, "row_bytes": 500,
        "legs": {"predict_batch": made_up(10.0), "one worker": made_up(8.0),
                 "two workers": made_up(12.0, 2), "a node lost": made_up(7.0, 2)},
    }  # fmt: skip
    before = (root / "docs" / "scale.md").read_text()
    page = tmp_path / "scale.md"
    page.write_text(before)
    scale_page.write_page(page, figures)
    scale_page.write_page(page, figures)  # again: nothing is doubled
    text = page.read_text()
    for mark, side in ((scale_page.BEGIN, 0), (scale_page.END, 2)):
        assert text.partition(mark)[side] == before.partition(mark)[side]
    assert "+25.0 % time per film" in text and "reach 75 % of twice" in text
    films_per_hour = 12.0 / 2 * scale_page.ASSUMED["cores"] * 3600
    assert f"| 1 | 16 | {10_000_000 / films_per_hour:,.1f} |" in text
    assert "| two workers: worker | 500 | 500 | 500 | 500 |" in text
    assert "predict_batch: worker" not in text
    page.write_text("no marks")
    with pytest.raises(ValueError, match="lacks the marks"):
        scale_page.write_page(page, figures)
