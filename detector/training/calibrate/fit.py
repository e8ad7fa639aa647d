"""The whole calibration of a network, fitted on val."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detector.model.calibration import Calibration
from detector.model.letterbox import Letterbox
from detector.training.calibrate.display_threshold import find_peaks, fit_display_threshold
from detector.training.calibrate.operating_points import conformal_rule_in, conformal_rule_out
from detector.training.calibrate.platt_scaling import fit_location, fit_logistic
from detector.training.calibrate.region_extent import fit_extent
from detector.training.evaluation.metrics import POINTING_TOLERANCE, points_at

_LEAST = 1e-6


def fit_calibration(
    logits: np.ndarray,
    labels: np.ndarray,
    evidence: Sequence[np.ndarray],
    letterboxes: Sequence[Letterbox],
    boxes: Sequence[np.ndarray],
) -> Calibration:
    """All of ``Calibration``, from val.

    Args:
        logits: (N,) per film; labels: (N,) bool.
        evidence, letterboxes: each film's map, and where it lies on the film.
        boxes: each film's fractures (M, 4) in film pixels. A fractured film without boxes is left
            out of the calibration of locations.
    """
    labels = np.asarray(labels, bool)
    film = fit_logistic(logits, labels)
    probabilities = film.probability(np.asarray(logits, np.float64))
    # 'fracture likely' never stands beside the label 'not fractured', nor the other way round.
    # Not 0 either, which no evidence has: too few films for a cut give one that nothing is under.
    rule_out = min(max(conformal_rule_out(probabilities[labels]), _LEAST), 0.5)
    rule_in = max(conformal_rule_in(probabilities[~labels]), 0.5)

    known = [i for i in range(len(labels)) if not labels[i] or len(boxes[i])]
    peaks, hits = [], []
    for i in known:
        for point, peak in find_peaks(evidence[i], letterboxes[i]):
            shape = (letterboxes[i].height, letterboxes[i].width)
            peaks.append(peak)
            hits.append(points_at(point, boxes[i], shape, POINTING_TOLERANCE))
    location = fit_location(np.array(peaks), np.array(hits, bool))
    extent = fit_extent(evidence, letterboxes, boxes)
    hottest = [find_peaks(evidence[i], letterboxes[i], 1)[0][1] for i in np.flatnonzero(~labels)]
    threshold = fit_display_threshold(location, np.array(hottest))
    return Calibration(film, location, rule_out, rule_in, extent, float(labels.mean()), threshold)
