"""The films of a run: split, checked for leakage, in memory, and said where they come from."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.training.data.layouts import read_manifest
from detector.training.evaluation.predictions import films_of, without_seen
from detector.training.sources import draw_phantoms, phantom_data, real_data

SIZE = (96, 80)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "drawn"
    draw_phantoms(folder, {"train": 16, "val": 6, "test": 4}, 0, SIZE)
    return folder


def as_classes(drawn: Path, folder: Path, splits: bool) -> Path:
    """The films without their manifest: one subfolder per class, of each split or of all."""
    for record in read_manifest(drawn):
        name = "fractured" if record.fractured else "not fractured"
        target = folder / record.split / name if splits else folder / name
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(record.path, target)
    return folder


def test_phantoms_are_a_folder_like_any_other(drawn: Path) -> None:
    data = real_data([drawn], 80, 0)
    assert data.sentence == "films: train 16 (8 fractured), val 6 (3 fractured); 0 MiB in memory"
    assert all(max(film.pixels.shape) == 80 for film in (*data.train, *data.val))
    assert all(bool(f.outlines.polygons) == f.record.fractured for f in data.train)
    assert data.provenance["films"] == {"drawn": {"train": 16, "val": 6}}
    assert not data.provenance["leakage"]["leaks"] and data.provenance["unreadable"] == []


def test_phantoms_are_drawn_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detector.training.sources.PHANTOMS", {"train": 4, "val": 2})
    monkeypatch.setattr("detector.training.sources.PHANTOM_SIZE", SIZE)
    first = phantom_data(tmp_path / "phantoms", 96, 0)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    again = phantom_data(tmp_path / "phantoms", 96, 0)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")} == times
    assert first.provenance == again.provenance and len(times) == 6
    assert all(path.name.startswith("synthetic") for path in times)
    other = phantom_data(tmp_path / "others", 96, 1)
    assert other.provenance["data_sha256"] != first.provenance["data_sha256"]


def test_films_without_a_split_are_divided_by_picture(drawn: Path, tmp_path: Path) -> None:
    folder = as_classes(drawn, tmp_path / "classes", splits=False)
    film = next((folder / "fractured").iterdir())
    turned = cv2.rotate(cv2.imread(str(film), cv2.IMREAD_GRAYSCALE), cv2.ROTATE_90_CLOCKWISE)
    for number in range(3):
        cv2.imwrite(str(film.with_name(f"turned_{number}.png")), turned)
    data = real_data([folder], 96, 0)
    assert not data.provenance["leakage"]["leaks"]
    sides = {
        split for split in ("train", "val") for f in getattr(data, split)
        if f.record.path.name == film.name or f.record.path.name.startswith("turned")
    }
    assert len(sides) <= 1
    again = real_data([folder], 96, 0)
    assert [f.record.key for f in again.val] == [f.record.key for f in data.val]
    assert again.provenance == data.provenance


def test_what_a_run_used_of_a_folder_without_a_split_is_never_tested_on(
    drawn: Path, tmp_path: Path
) -> None:
    """The split was the run's own: a later evaluation takes the folder whole and must know."""
    folder = as_classes(drawn, tmp_path / "classes", splits=False)
    data = real_data([folder], 96, 0)
    used = {f.record.path for f in (*data.train, *data.val)}
    left = without_seen(films_of([folder], "test"), data.provenance)
    assert 2 <= len(left) <= 4 and not used & {record.path for record in left}
    with pytest.raises(ValueError, match="every one of these films"):
        without_seen([film.record for film in data.train], data.provenance)
    assert real_data([drawn], 96, 0).provenance["used_without_split"] == []


def test_a_split_without_val_gives_a_tenth_of_train(drawn: Path, tmp_path: Path) -> None:
    folder = as_classes(drawn, tmp_path / "split", splits=True)
    for film in (folder / "val").rglob("*.png"):
        film.rename(folder / "train" / film.parent.name / film.name)
    (folder / "val" / "fractured").rmdir()
    (folder / "val" / "not fractured").rmdir()
    data = real_data([folder], 96, 0)
    test = {path.name for path in (folder / "test").rglob("*.png")}
    assert len(data.train) + len(data.val) == 22 and 2 <= len(data.val) <= 4
    assert not test & {f.record.path.name for f in (*data.train, *data.val)}


def test_a_leaking_split_is_refused_unless_allowed(drawn: Path, tmp_path: Path) -> None:
    folder = as_classes(drawn, tmp_path / "leaks", splits=True)
    for film in sorted((folder / "train" / "fractured").iterdir())[:3]:
        shutil.copy(film, folder / "test" / "fractured" / f"copy_of_{film.name}")
    with pytest.raises(ValueError, match=r"3 of 7 test films show.*--allow-leakage"):
        real_data([folder], 96, 0)
    data = real_data([folder], 96, 0, allow_leakage=True)
    assert data.provenance["leakage"]["leaks"] and len(data.train) == 16
    assert data.provenance["left_out_of_training"] == []


def test_a_few_shared_pictures_are_left_out_of_train(drawn: Path, tmp_path: Path) -> None:
    """A picture that is held out is never trained on, turned or not."""
    folder = as_classes(drawn, tmp_path / "leaks", splits=True)
    film = min((folder / "train" / "fractured").iterdir())
    turned = cv2.rotate(cv2.imread(str(film), cv2.IMREAD_GRAYSCALE), cv2.ROTATE_180)
    cv2.imwrite(str(folder / "val" / "fractured" / "turned.png"), turned)
    data = real_data([folder], 96, 0)
    assert data.provenance["left_out_of_training"] == [f"leaks/train/fractured/{film.name}"]
    assert film.name not in {f.record.path.name for f in data.train}
    assert len(data.train) == 15 and len(data.val) == 7 == len(data.unseen_val)


def test_val_films_that_were_trained_on_are_not_calibrated_on(
    drawn: Path, tmp_path: Path
) -> None:
    folder = as_classes(drawn, tmp_path / "leaks", splits=True)
    film = min((folder / "train" / "fractured").iterdir())
    shutil.copy(film, folder / "val" / "fractured" / "copy.png")
    data = real_data([folder], 96, 0, allow_leakage=True)
    assert len(data.val) == 7 and len(data.unseen_val) == 6
    assert "copy.png" not in {record.path.name for record in data.unseen_val}


def test_outlines_come_from_a_file_where_a_folder_has_none(drawn: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(drawn, tmp_path / "bare")
    (folder / "annotations.json").unlink()
    known = json.loads((drawn / "annotations.json").read_text())
    for image in known["images"]:
        image["file_name"] = f"bare/{image['file_name']}"
    outlines = tmp_path / "outlines.json"
    outlines.write_text(json.dumps(known))
    bare, outlined = real_data([folder], 80, 0), real_data([folder], 80, 0, outlines=outlines)
    assert not any(film.outlines.polygons for film in bare.train)
    assert "outlines_added" not in bare.provenance
    assert all(bool(f.outlines.polygons) == f.record.fractured for f in outlined.train)
    # Val says what its folder says: an outline from elsewhere is no yardstick.
    assert not any(film.outlines.polygons for film in outlined.val)
    assert len(outlined.provenance["outlines_added"]) == 8
    with pytest.raises(ValueError, match="names no fractured film without an outline"):
        real_data([drawn], 80, 0, outlines=outlines)
    outlines.write_text("[]")
    with pytest.raises(ValueError, match="is no COCO file"):
        real_data([folder], 80, 0, outlines=outlines)


def test_broken_films_are_named_and_left_out(drawn: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(drawn, tmp_path / "broken"))
    films = sorted((folder / "images").iterdir())
    broken = [p for p in films if "train" in p.name][:2]
    broken[0].write_bytes(b"")
    broken[1].write_bytes(broken[1].read_bytes()[:60])
    data = real_data([folder], 96, 0)
    assert data.provenance["unreadable"] == [p.name for p in broken] and len(data.train) == 14


def test_one_class_cannot_be_trained_on(drawn: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(drawn, tmp_path / "one"))
    with (folder / "manifest.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] != "val" or r["fractured"] == "1"]
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(ValueError, match="val needs fractured and normal films; it has 3"):
        real_data([folder], 96, 0)


def test_the_digest_follows_contents_labels_and_splits(drawn: Path, tmp_path: Path) -> None:
    def digest(folder: Path) -> str:
        return real_data([folder], 96, 0).provenance["data_sha256"]

    folder = Path(shutil.copytree(drawn, tmp_path / "drawn"))
    before = digest(drawn)
    assert digest(folder) == before
    film = sorted((folder / "images").iterdir())[-1]
    cv2.imwrite(str(film), np.full(SIZE, 9, np.uint8))
    assert digest(folder) != before
