from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import detector.training
from detector.training.data.annotations import with_outlines
from detector.training.data.layouts import read_films


def draw(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 32), np.uint8)
    cv2.imwrite(str(path), pixels)
    return path


def coco(name: str) -> dict:
    return {
        "images": [{"id": 7, "file_name": name}],
        "annotations": [
            {"image_id": 7, "bbox": [3, 4, 5, 6], "segmentation": [[3, 4, 8, 4, 8, 10]]}
        ],
    }


def test_multiregion(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        for i, label in enumerate(("fractured", "not fractured")):
            draw(tmp_path / split / label / "1 (1).png", i)
    films = read_films(tmp_path)
    assert films.layout == "multi-region"
    found = {(r.split, r.fractured) for r in films.records}
    assert found == {(s, f) for s in ("train", "val", "test") for f in (True, False)}
    assert len({r.path for r in films.records}) == len(films.records) == 6


def test_two_classes_have_no_split(tmp_path: Path) -> None:
    draw(tmp_path / "positive" / "deeper" / "a.PNG")
    draw(tmp_path / "normal" / "b.jpg")
    films = read_films(tmp_path)
    assert {(r.path.name, r.fractured, r.split) for r in films.records} == {
        ("a.PNG", True, None), ("b.jpg", False, None),
    }  # fmt: skip


def test_films_whose_file_names_repeat_are_told_apart(tmp_path: Path) -> None:
    """Else two classes' 1.png, or the patients' image1.png, would be one unit of every interval."""
    for i, place in enumerate(("fractured/p1", "fractured/p2", "normal/p1")):
        draw(tmp_path / "own" / place / "image1.png", i)
    for split in ("train", "test"):
        for label in ("fractured", "normal"):
            draw(tmp_path / "split" / split / label / "1.png")
    for name, count in (("own", 3), ("split", 4)):
        records = read_films(tmp_path / name).records
        assert len({r.key for r in records}) == len({r.cluster for r in records}) == count
        assert {r.source for r in records} == {name}
    assert "own/fractured/p1/image1.png" in {r.key for r in read_films(tmp_path / "own").records}


def test_fracatlas_as_published(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "Fractured" / "IMG1.jpg")
    draw(tmp_path / "images" / "Non_fractured" / "IMG2.jpg")
    with (tmp_path / "dataset.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image_id", "hand", "hardware", "fractured"])
        rows.writerows([["IMG1.jpg", 1, 0, 1], ["IMG2.jpg", 0, 1, 0], ["IMG3.jpg", 0, 0, 0]])
    folder = tmp_path / "Annotations" / "COCO JSON"
    folder.mkdir(parents=True)
    (folder / "COCO_fracture_masks.json").write_text(json.dumps(coco("IMG1.jpg")))
    films = read_films(tmp_path)
    assert films.layout == "FracAtlas as published"
    first, second = films.records
    assert first.key == f"{tmp_path.name}/IMG1.jpg"
    assert first.fractured and not second.fractured
    np.testing.assert_array_equal(first.boxes, [[3, 4, 5, 6]])
    np.testing.assert_array_equal(first.outlines[0], [[3, 4], [8, 4], [8, 10]])
    assert first.attributes == {"hand": "1", "hardware": "0"}
    assert second.attributes["hardware"] == "1" and len(second.boxes) == 0
    assert [u.path.name for u in films.unreadable] == ["IMG3.jpg"]


def test_manifest_and_broken_files(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "good.jpg")
    (tmp_path / "images" / "empty.jpg").write_bytes(b"")
    (tmp_path / "images" / "text.jpg").write_text("not a picture at all")
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "split", "fractured", "duplicate_group", "hand"])
        for name in ("good.jpg", "empty.jpg", "text.jpg", "absent.jpg"):
            rows.writerow([name, "train", 1, "3", 1])
    (tmp_path / "annotations.json").write_text(json.dumps(coco("good.jpg")))
    films = read_films(tmp_path)
    (record,) = films.records
    assert (record.split, record.group, len(record.boxes)) == ("train", "3", 1)
    reasons = {u.path.name: u.reason for u in films.unreadable}
    assert set(reasons) == {"empty.jpg", "text.jpg", "absent.jpg"}
    assert "empty" in reasons["empty.jpg"] and "not a picture" in reasons["text.jpg"]


def test_unknown_layout_says_what_there_is(tmp_path: Path) -> None:
    draw(tmp_path / "pictures" / "a.png")
    with pytest.raises(ValueError, match="manifest.csv.*FracAtlas.*train,val,test.*subfolder"):
        read_films(tmp_path)


def test_a_folder_of_an_unknown_class_is_refused_with_the_names(tmp_path: Path) -> None:
    for i, name in enumerate(("fractured", "normal", "healed fracture", "notes")):
        draw(tmp_path / name / "a.png", i)
    (tmp_path / "notes" / "a.png").rename(tmp_path / "notes" / "a.txt")
    with pytest.raises(ValueError, match="healed fracture beside the class folders.*broken") as no:
        read_films(tmp_path)
    assert "notes" not in str(no.value)  # it holds no film


def test_classes_are_not_guessed_from_a_word_in_a_name(tmp_path: Path) -> None:
    draw(tmp_path / "fracture clinic, all films" / "a.png")
    draw(tmp_path / "normal" / "b.png")
    with pytest.raises(ValueError, match="no layout that is known"):
        read_films(tmp_path)


def manifest(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    for i in range(4):
        draw(folder / "images" / f"{i}.png", i)
    (folder / "manifest.csv").write_text(text, encoding=encoding)
    return folder


@pytest.mark.parametrize(
    ("yes", "no"), [("1", "0"), ("1.0", "0.0"), ("True", "False"), ("YES", "no"), (" 1", "0 ")]
)
@pytest.mark.parametrize(("comma", "encoding"), [(",", "utf-8"), (";", "utf-8-sig")])
def test_labels_in_every_known_word(
    tmp_path: Path, yes: str, no: str, comma: str, encoding: str
) -> None:
    rows = ["file,split,fractured", f"0.png,train,{yes}", f"1.png, Val ,{no}", f"2.png,,{yes}"]
    text = "\n".join(rows).replace(",", comma)
    records = read_films(manifest(tmp_path, text, encoding)).records
    assert [(r.split, r.fractured) for r in records] == [
        ("train", True), ("val", False), (None, True)
    ]


@pytest.mark.parametrize("word", ["", "2", "fractured", "maybe", "nan", "Jane Doe"])
def test_any_other_label_is_refused_by_row_and_column(tmp_path: Path, word: str) -> None:
    text = f"file,split,fractured\n0.png,train,1\n1.png,train,{word}\n"
    with pytest.raises(ValueError, match="manifest.csv, row 3, column fractured") as refused:
        read_films(manifest(tmp_path, text))
    assert "Jane" not in str(refused.value)


def test_an_unknown_split_is_refused_by_row_and_column(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="manifest.csv, row 2, column split"):
        read_films(manifest(tmp_path, "file,split,fractured\n0.png,fold 3,1\n"))


def test_a_table_without_its_columns_is_named(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "a.png")
    (tmp_path / "manifest.csv").write_text("name,split\na.png,train\n")
    with pytest.raises(ValueError, match="lacks the column 'file'"):
        read_films(tmp_path)


def test_outlines_are_scaled_from_the_size_that_they_were_drawn_at(tmp_path: Path) -> None:
    draw(tmp_path / "set" / "images" / "a.png")  # 32 x 40
    (tmp_path / "set" / "manifest.csv").write_text("file,split,fractured\na.png,train,1\n")
    records = read_films(tmp_path / "set").records
    drawn = coco("set/a.png")
    drawn["images"][0] |= {"width": 16, "height": 10}
    for images, factor in ((drawn["images"], (2, 4)), (coco("set/a.png")["images"], (1, 1))):
        (tmp_path / "own.json").write_text(json.dumps(drawn | {"images": images}))
        (record,) = with_outlines(records, tmp_path / "own.json")
        assert record.boxes[0] == pytest.approx(np.array([3, 4, 5, 6]) * np.tile(factor, 2))
        assert record.outlines[0] == pytest.approx(np.array([[3, 4], [8, 4], [8, 10]]) * factor)


def test_the_outlines_that_we_drew_lie_on_the_bones_of_their_films(films_root: Path) -> None:
    """Every fractured training wrist has one, and no film of test has."""
    outlines = Path(detector.training.__file__).parent / "data" / "outlines"
    own = outlines / "multiregion_pictures.json"
    records = read_films(films_root / "multiregion_pictures").records
    outlined = with_outlines(records, own)
    drawn = [new for new, old in zip(outlined, records, strict=True) if new is not old]
    assert {r.key for r in drawn} == {r.key for r in records if r.fractured and r.split == "train"}
    for record in drawn:
        film = cv2.imread(str(record.path), cv2.IMREAD_GRAYSCALE)
        for x, y, width, height in record.boxes.astype(int):
            inside = film[y : y + height, x : x + width]
            assert inside.shape == (height, width) and inside.size < 0.1 * film.size
            assert inside.mean() > film.mean()
