"""All saliency checks on a few phantoms and a network of random weights."""

from __future__ import annotations

import csv
import functools
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.model.weights import read_weights, write_weights
from detector.phantom import FractureSpec, draw_phantom
from detector.predictor import FractureDetector
from detector.training.evaluation import saliency
from detector.training.evaluation.phantom_pairs import PhantomPair, pair_figures, read_pairs
from tests.support.tiny import tiny_model

SMALL = (128, 96)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three broken and two normal phantoms in the manifest layout."""
    folder = tmp_path_factory.mktemp("phantoms")
    (folder / "images").mkdir()
    images, annotations, rows = [], [], []
    for index in range(5):
        spec = FractureSpec("transverse", displacement=0.5) if index < 3 else None
        phantom = draw_phantom("forearm", size=SMALL, seed=index, fracture=spec)
        name = f"{index}.png"
        cv2.imwrite(str(folder / "images" / name), (phantom.pixels * 255).astype(np.uint8))
        rows.append({"file": name, "split": "val", "fractured": int(phantom.fractured),
                     "duplicate_group": ""})  # fmt: skip
        images.append({"id": index, "file_name": name})
        if phantom.fractured:
            annotations.append({"image_id": index, "bbox": list(phantom.box),
                                "segmentation": [phantom.outline.ravel().tolist()]})  # fmt: skip
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    coco = {"images": images, "annotations": annotations}
    (folder / "annotations.json").write_text(json.dumps(coco))
    return folder


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    model = tiny_model()
    write_weights(tmp_path / "weights", model.network, model.ood, model.config)
    return tmp_path / "weights"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = functools.partial(
        read_pairs, views=["forearm"], kinds=["oblique", "hairline"], displacements=[0.3],
        size=SMALL,
    )  # fmt: skip
    monkeypatch.setattr(saliency, "read_pairs", pairs)
    monkeypatch.setattr(saliency, "QUICK", saliency.Effort(films=2, limbs=2))


def _estimates(figures: object) -> list[dict]:
    if isinstance(figures, dict):
        if {"value", "low", "high"} <= set(figures):
            return [figures]
        return [e for value in figures.values() for e in _estimates(value)]
    return []


def test_the_command_prints_a_table_and_writes_figures(
    films: Path, weights: Path, few: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tiny_model(seed=1)
    write_weights(tmp_path / "second", other.network, other.ood, other.config)
    out = tmp_path / "out"
    code = saliency.main(
        ["--weights", str(weights), "--data", str(films), "--split", "val", "--quick",
         "--second", str(tmp_path / "second"), "--out", str(out), "--write"]
    )  # fmt: skip
    assert code == 0
    report = json.loads((out / "saliency.json").read_text())
    assert (out / "saliency.png").read_bytes().startswith(b"\x89PNG")

    source = report["saliency"][films.name]
    assert source["films"] == 3
    for game in ("boxes", "boxes_strict", "outlines", "outlines_strict"):
        assert source["pointing"][game]["films"] == 3
        assert set(source["pointing"][game]) == {
            "films", "evidence", "plain_gradcam", "centre_point", "random_point"
        }  # fmt: skip
    chances = [source["pointing"][g]["random_point"]["value"] for g in ("boxes", "boxes_strict")]
    assert 0 < chances[1] < chances[0] < 1
    assert sum(group["films"] for group in source["by_size"].values()) == 3
    checks = report["saliency"]["checks"]
    assert checks["films"] == 2 and "second_training" in checks
    assert set(checks["film_changed"]) == set(changes())
    assert report["saliency"]["phantoms"]["all"]["pairs"] == 4
    boxes = report["froc"][films.name]
    assert boxes["films"] == 5 and boxes["fractures"] == 3

    estimates = _estimates(report)
    assert len(estimates) > 60
    for figure in estimates:
        assert -1 <= figure["value"] <= 5
        assert figure["low"] - 1e-4 <= figure["value"] <= figure["high"] + 1e-4
    assert "pointing, boxes, evidence" in capsys.readouterr().out

    assert (weights / "saliency.png").read_bytes().startswith(b"\x89PNG")
    kept = read_weights(weights).config.metrics["val"]
    assert kept["saliency_figure"] == "saliency.png"
    assert kept["saliency"][films.name]["pointing"] == source["pointing"]
    assert kept["froc"][films.name]["found"] == boxes["found"]
    assert '"curve"' not in json.dumps(kept)


def changes() -> tuple[str, ...]:
    from detector.training.evaluation.faithfulness import CHANGES

    return CHANGES


def test_films_without_places_have_nothing_to_be_measured_on(films: Path) -> None:
    from detector.training.data.layouts import read_manifest

    normal = [record for record in read_manifest(films) if not record.fractured]
    with pytest.raises(ValueError, match="boxed fracture"):
        saliency.saliency_report(FractureDetector(tiny_model()), normal)


def test_a_wrong_folder_is_said_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert saliency.main(["--data", str(tmp_path / "nowhere"), "--split", "val"]) == 2
    assert "nowhere is not a folder" in capsys.readouterr().err


def test_figures_of_a_part_are_not_kept(films: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        saliency.main(["--data", str(films), "--films", "2", "--write"])
    assert "leave --films out" in capsys.readouterr().err


def _pair(kind: str, displacement: float, raised: bool, after: bool) -> PhantomPair:
    return PhantomPair("hand", 0, kind, displacement, 0.4, 0.5 if raised else 0.4, False, after)


def test_shares_of_pairs_by_type_and_displacement() -> None:
    figures = pair_figures([
        _pair("oblique", 0.1, True, True), _pair("oblique", 0.6, True, False),
        _pair("buckle", 0.1, False, True), _pair("buckle", 0.6, True, True),
    ])  # fmt: skip
    assert figures["all"]["pairs"] == 4
    assert figures["all"]["probability_raised"]["value"] == 0.75
    assert figures["all"]["hottest_at_break"]["value"] == 0.75
    assert figures["all"]["raised_and_at_break"]["value"] == 0.5
    assert figures["by_type"]["buckle"]["probability_raised"]["value"] == 0.5
    assert figures["by_displacement"]["0.6 of the bone's width"]["pairs"] == 2
    table = figures["raised_and_at_break_by_type_and_displacement"]
    assert table == {"oblique": {"0.1": 1, "0.6": 0}, "buckle": {"0.1": 0, "0.6": 1}}
