"""The display threshold: the probability at a location from which on colour and boxes are shown."""

from __future__ import annotations

import cv2
import numpy as np

from detector.explain.regions import MAX_REGIONS
from detector.model.calibration import Logistic
from detector.model.letterbox import Letterbox
from detector.training.calibrate.operating_points import conformal_rule_in

_PLAIN = 0.75  # of the normal films show no region at all


def fit_display_threshold(location: Logistic, hottest: np.ndarray) -> float:
    """The display threshold, in [0, 0.5], from the highest peak (N,) of each normal film.

    A new normal film stays plain with a probability of ``_PLAIN``. A location that is as likely
    fractured as not is always shown.
    """
    return min(conformal_rule_in(location.probability(hottest), _PLAIN), 0.5)


def find_peaks(
    evidence: np.ndarray, letterbox: Letterbox, most: int = MAX_REGIONS
) -> list[tuple[tuple[float, float], float]]:
    """The highest peaks of a map (h, w), highest first: point (x, y) in film pixels, and evidence.

    A peak is the highest for a cell around; the map is refined first, as for regions.
    """
    fine = 4
    shape = evidence.shape[1] * fine, evidence.shape[0] * fine
    values = cv2.resize(np.asarray(evidence, np.float32), shape, interpolation=cv2.INTER_CUBIC)
    step = letterbox.canvas[0] / values.shape[0]
    rows, cols = (int(np.ceil(side / step)) for side in letterbox.inner)
    values = np.ascontiguousarray(values[:rows, :cols])
    highest = values >= cv2.dilate(values, np.ones((2 * fine + 1, 2 * fine + 1), np.uint8))
    y, x = np.nonzero(highest)
    order = np.argsort(-values[y, x], kind="stable")[:most]
    down, across = letterbox.scale
    return [
        ((float((x[i] + 0.5) * step / across), float((y[i] + 0.5) * step / down)),
         float(values[y[i], x[i]]))
        for i in order
    ]
