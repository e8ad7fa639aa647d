"""A film with boxed fractures for the saliency checks: its map, beside the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from detector.explain.regions import Region, candidate_regions
from detector.model.network import EvidenceNetwork
from detector.prediction import Prediction
from detector.predictor import FractureDetector
from detector.training.data.records import FilmRecord
from detector.training.evaluation.baselines import canvas_to_film, plain_grad_cam
from detector.training.evaluation.froc import BoxedFilm
from detector.training.evaluation.localisation import (
    chance,
    fracture_mask,
    map_overlap,
    pixel_counts,
    play,
    region_overlap,
    size_class,
)
from detector.training.evaluation.metrics import hottest_pixel


@dataclass(frozen=True, eq=False)
class BoxedPrediction:
    """The detector's prediction of a film with boxes, and what the saliency checks need of it.

    Which of ``localisation.GAMES`` are won by the hottest pixel of the heatmap (``evidence``), by
    that of plain Grad-CAM (``baseline``) and by the film's ``centre``; ``chance``: the odds of a
    random pixel. ``counts``, ``baseline_counts``: ``localisation.pixel_counts``. ``decision``: as
    if in scope.
    """

    record: FilmRecord
    prediction: Prediction
    decision: str
    size: str
    evidence: dict[str, bool]
    centre: dict[str, bool]
    chance: dict[str, float]
    region_overlap: float
    map_overlap: float
    counts: np.ndarray
    baseline: dict[str, bool] = field(default_factory=dict)
    baseline_counts: np.ndarray = field(default_factory=lambda: np.zeros((2, 0)))


def predict_boxed(detector: FractureDetector, record: FilmRecord) -> BoxedPrediction:
    """Read a film and see where its heatmap lies. Raises RadiographError."""
    prediction = detector.predict(record.path)
    heat = prediction.heat.on_film()
    shape = heat.shape
    mask = fracture_mask(record, shape)
    calibration = prediction.calibration
    regions = candidate_regions(prediction.evidence, prediction.heat.letterbox, calibration)
    return BoxedPrediction(
        record=record,
        prediction=prediction,
        decision=calibration.decide(prediction.probability),
        size=size_class(record, shape),
        evidence=play(hottest_pixel(heat), record, shape),
        centre=play((shape[1] / 2, shape[0] / 2), record, shape),
        chance=chance(record, shape),
        region_overlap=region_overlap(regions, record),
        map_overlap=map_overlap(heat, mask, calibration.display_threshold),
        counts=pixel_counts(heat, mask),
    )


def with_baseline(
    network: EvidenceNetwork, predictions: Sequence[BoxedPrediction]
) -> list[BoxedPrediction]:
    """The predictions with what plain Grad-CAM of ``network`` does on the same films."""
    compared = []
    for one in predictions:
        letterbox = one.prediction.heat.letterbox
        canvas = letterbox.apply(one.prediction.film.pixels)
        heat = canvas_to_film(plain_grad_cam(network, canvas), letterbox)
        compared.append(
            replace(
                one,
                baseline=play(hottest_pixel(heat), one.record, heat.shape),
                baseline_counts=pixel_counts(heat, fracture_mask(one.record, heat.shape)),
            )
        )
    return compared


@dataclass(frozen=True)
class FoundBoxes:
    """Boxes of a film: ``all`` candidates, however faint, and those ``shown`` to a reader."""

    all: BoxedFilm
    shown: BoxedFilm


def predict_boxes(detector: FractureDetector, record: FilmRecord) -> FoundBoxes:
    """Read a film for its boxes. Raises RadiographError."""
    prediction = detector.predict(record.path)
    regions = candidate_regions(
        prediction.evidence, prediction.heat.letterbox, prediction.calibration
    )
    return FoundBoxes(_boxed(regions, record), _boxed(prediction.regions, record))


def _boxed(regions: Sequence[Region], record: FilmRecord) -> BoxedFilm:
    rows = [[r.x, r.y, r.width, r.height, r.score] for r in regions]
    return BoxedFilm(np.array(rows, np.float64).reshape(-1, 5), record.boxes)
