"""What a prediction says, in words and in numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.explain.heatmap import Heat
from detector.explain.regions import Region
from detector.io.radiograph import load_radiograph
from detector.model.anatomy import Anatomy
from detector.model.familiarity import FamiliarityCheck
from detector.model.letterbox import Letterbox
from detector.model.ood import ScopeCheck
from detector.prediction import GROWTH_PLATES, Prediction
from detector.report.results import OverlayFolder, record, row, text
from tests.support.tiny import CALIBRATION


@pytest.fixture
def prediction() -> Prediction:
    film = load_radiograph(np.random.default_rng(0).random((120, 90), np.float32))
    letterbox = Letterbox.fit(120, 90, 96)
    evidence = np.full((12, 12), -5.0, np.float32)
    evidence[4, 5] = 6
    return Prediction(
        film=film, probability=0.71234567, decision="fracture likely",
        regions=(Region(1.23456, 2, 30, 40, 0.9),), scope=ScopeCheck(True, 0.5), evidence=evidence,
        heat=Heat(evidence, letterbox, CALIBRATION.location), calibration=CALIBRATION,
        model={"version": "tiny", "sha256": "0" * 12},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("probability", "label", "confidence"),
    [(0.8, "fractured", 0.8), (0.5, "fractured", 0.5), (0.1, "not fractured", 0.9)],
)
def test_label_and_confidence(
    prediction: Prediction, probability: float, label: str, confidence: float
) -> None:
    prediction = replace(prediction, probability=probability)
    assert prediction.label == label
    assert prediction.confidence == pytest.approx(confidence)


def test_heatmap_is_of_the_film_and_computed_once(prediction: Prediction) -> None:
    heat = prediction.heatmap
    assert heat.shape == (120, 90) and heat.dtype == np.float32
    assert 0 <= heat.min() and heat.max() <= 1
    assert prediction.heatmap is heat
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    np.testing.assert_allclose((row, column), (4.5 * 10, 5.5 * 10), atol=5)


def test_overlay(prediction: Prediction) -> None:
    painted = prediction.overlay()
    assert painted.shape == (120, 90, 3) and painted.dtype == np.uint8
    plain = np.repeat(prediction.grey[..., None], 3, axis=2)
    assert (painted != plain).any()
    np.testing.assert_array_equal(prediction.overlay(opacity=0, contour=False), plain)
    np.testing.assert_array_equal(prediction.overlay(threshold=1.0, contour=False), plain)
    assert (prediction.overlay(colormap="cividis") != painted).any()
    boxed = (prediction.overlay(boxes=True) != painted).any(axis=2)
    assert boxed[2, 1:31].all() and not boxed[10:35, 8:25].any()


def test_to_dict_is_json_and_holds_no_pixels(prediction: Prediction) -> None:
    values = prediction.to_dict()
    written = json.dumps(values)
    assert len(written) < 2000
    assert json.loads(written) == values
    assert values["probability"] == 0.7123 and values["confidence"] == 0.7123
    assert values["regions"] == [
        {"x": 1.2, "y": 2, "width": 30, "height": 40, "score": 0.9}
    ]
    assert values["film"] == {"width": 90, "height": 120}
    assert values["operating_points"] == {"rule_out": 0.1, "rule_in": 0.6}
    assert values["method"] == "gradcam"


def test_a_prediction_is_itself_and_can_be_kept_in_a_set(prediction: Prediction) -> None:
    assert prediction == prediction and prediction != replace(prediction)
    assert len({prediction, prediction}) == 1


def test_a_film_that_is_not_whole_says_so_in_every_form(prediction: Prediction) -> None:
    film = replace(
        prediction.film, facts={**prediction.film.facts, "missing": 0.0483}, warnings=("Cut.",)
    )
    partial = replace(prediction, film=film)
    assert partial.to_dict()["film"] == {"width": 90, "height": 120, "missing": 0.0483}
    assert text("a.jpg", partial).startswith("a.jpg: fracture likely (4.8 % of the film is missing")
    assert row(record("a.jpg", partial))["warnings"] == "Cut."
    assert "missing" not in text("a.jpg", prediction)


def test_an_overlay_on_disk_has_square_pixels(prediction: Prediction, tmp_path: Path) -> None:
    facts = {**prediction.film.facts, "pixel_aspect": 2.0}
    oblong = replace(prediction, film=replace(prediction.film, facts=facts))
    file = OverlayFolder(tmp_path, ["a.dcm"]).write("a.dcm", oblong)
    assert cv2.imread(str(file)).shape == (240, 90, 3)


def test_an_unfamiliar_film_and_a_child_bring_a_sentence_each(prediction: Prediction) -> None:
    far = FamiliarityCheck(False, 1.5, "Differs.")
    child = replace(prediction.film, facts={**prediction.film.facts, "child": True})
    assert replace(prediction, familiarity=far).warnings == ("Differs.",)
    assert replace(prediction, film=child).warnings == (GROWTH_PLATES,)
    assert replace(prediction, familiarity=FamiliarityCheck(True, 0.5)).warnings == ()
    refused = replace(prediction, film=child, familiarity=far, scope=ScopeCheck(False, 2.0, "No."))
    assert refused.warnings == ()
    said = replace(prediction, familiarity=far, anatomy=Anatomy("knee", 0.91234)).to_dict()
    assert said["familiarity"] == {"familiar": False, "score": 1.5, "reason": "Differs."}
    assert said["anatomy"] == {"region": "knee", "probability": 0.912}
