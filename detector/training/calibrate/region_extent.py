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
_WITHOUT_BOXES = 1.0  # the extent where no film has a box to choose it by


def fit_extent(
    evidence: Sequence[np.ndarray],
    letterboxes: Sequence[Letterbox],
    boxes: Sequence[np.ndarray],
) -> float:
    """The smallest extent whose strongest regions fit the boxes as well as the best extent's.

    The fit is the mean IoU with the best box of a film, and 'as well' is within one standard error
    of the best mean (Breiman et al. 1984). Over a wide range of extents it hardly changes, and a
    region that reaches further than it has to says less about where the fracture is.
    """
    fractured = [i for i in range(len(boxes)) if len(boxes[i])]
    if not fractured:
        return _WITHOUT_BOXES
    overlaps = np.zeros((len(_EXTENTS), len(fractured)))
    for row, extent in zip(overlaps, _EXTENTS, strict=True):
        calibration = Calibration(PROVISIONAL, PROVISIONAL, 0.0, 1.0, extent, 0.5)
        for column, i in enumerate(fractured):
            if regions := candidate_regions(evidence[i], letterboxes[i], calibration):
                first = regions[0]
                strongest = np.array([[first.x, first.y, first.width, first.height]])
                row[column] = overlap(strongest, boxes[i]).max()
    means = overlaps.mean(axis=1)
    best = int(means.argmax())
    error = float(overlaps[best].std()) / len(fractured) ** 0.5
    return _EXTENTS[int(np.argmax(means >= means[best] - error))]
