"""A film with boxed fractures as the trust suite sees it: the map's place, beside its rivals'."""

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
    map_overlap,
    pixel_counts,
    places_mask,
    play,
    region_overlap,
    size_class,
)
from detector.training.evaluation.metrics import hottest_pixel


@dataclass(frozen=True, eq=False)
class BoxedReading:
    """``evidence``, ``peers``, ``centre``: which of ``localisation.GAMES`` the hottest pixel of the
    heatmap, that of plain Grad-CAM and the film's centre win; ``chance``: a random pixel's odds.

    ``counts``, ``peer_counts``: ``localisation.pixel_counts``. ``decision`` as if in scope.
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
    peers: dict[str, bool] = field(default_factory=dict)
    peer_counts: np.ndarray = field(default_factory=lambda: np.zeros((2, 0)))


def read_boxed(detector: FractureDetector, record: FilmRecord) -> BoxedReading:
    """Read a film and see where its heatmap lies. Raises RadiographError."""
    prediction = detector.predict(record.path)
    heat = prediction.heat.on_film()
    shape = heat.shape
    mask = places_mask(record, shape)
    calibration = prediction.calibration
    regions = candidate_regions(prediction.evidence, prediction.heat.letterbox, calibration)
    return BoxedReading(
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


def compare_with_peers(
    network: EvidenceNetwork, readings: Sequence[BoxedReading]
) -> list[BoxedReading]:
    """The readings with what plain Grad-CAM of ``network`` does on the same films."""
    compared = []
    for reading in readings:
        letterbox = reading.prediction.heat.letterbox
        canvas = letterbox.apply(reading.prediction.film.pixels)
        heat = canvas_to_film(plain_grad_cam(network, canvas), letterbox)
        compared.append(
            replace(
                reading,
                peers=play(hottest_pixel(heat), reading.record, heat.shape),
                peer_counts=pixel_counts(heat, places_mask(reading.record, heat.shape)),
            )
        )
    return compared


@dataclass(frozen=True)
class FoundBoxes:
    """Boxes of a film: ``all`` candidates, however faint, and those ``shown`` to a reader."""

    all: BoxedFilm
    shown: BoxedFilm


def read_found(detector: FractureDetector, record: FilmRecord) -> FoundBoxes:
    """Read a film for its boxes. Raises RadiographError."""
    prediction = detector.predict(record.path)
    regions = candidate_regions(
        prediction.evidence, prediction.heat.letterbox, prediction.calibration
    )
    return FoundBoxes(_boxed(regions, record), _boxed(prediction.regions, record))


def _boxed(regions: Sequence[Region], record: FilmRecord) -> BoxedFilm:
    rows = [[r.x, r.y, r.width, r.height, r.score] for r in regions]
    return BoxedFilm(np.array(rows, np.float64).reshape(-1, 5), record.boxes)
