"""How far a region reaches: the extent at which it fits the radiologists' boxes best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detector.explain.regions import candidate_regions
from detector.model.calibration import Calibration
from detector.model.letterbox import Letterbox
from detector.training.calibrate.platt_scaling import PROVISIONAL
from detector.training.evaluation.froc import overlap

_EXTENTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0)


def fit_extent(
    evidence: Sequence[np.ndarray],
    letterboxes: Sequence[Letterbox],
    boxes: Sequence[np.ndarray],
) -> float:
    """The extent at which the strongest region fits the boxes best (mean IoU with the best box)."""
    fractured = [i for i in range(len(boxes)) if len(boxes[i])]
    best, best_iou = 1.0, -1.0
    for extent in _EXTENTS:
        calibration = Calibration(PROVISIONAL, PROVISIONAL, 0.0, 1.0, extent, 0.5)
        overlaps = []
        for i in fractured:
            regions = candidate_regions(evidence[i], letterboxes[i], calibration)
            strongest = [[r.x, r.y, r.width, r.height] for r in regions[:1]]
            overlaps.append(overlap(np.array(strongest), boxes[i]).max() if regions else 0.0)
        mean = float(np.mean(overlaps)) if overlaps else 0.0
        if mean > best_iou:
            best, best_iou = extent, mean
    return best
