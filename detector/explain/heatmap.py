"""The heatmap: the network's map on the film, as a probability at every pixel.

The heatmap shows the map on a fixed scale: the calibrated probability that a fracture lies at a
location. It is not stretched per film, so an intact film stays plain, and the operating points mean
the same colour on every film.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from detector.model.calibration import Logistic
from detector.model.letterbox import Letterbox


@dataclass(frozen=True, eq=False)
class Heat:
    """A map (h, w) over the letterbox that becomes heat in [0, 1] on the film.

    With ``scale`` the values are evidence and the heat its calibrated probability; without, they
    are heat already.
    """

    values: np.ndarray
    letterbox: Letterbox
    scale: Logistic | None

    def on_film(self, step: int = 1) -> np.ndarray:
        """float32 (H, W) in [0, 1] over the film; with ``step`` one sample per that many pixels."""
        out = self.letterbox.map_to_film(self.values, step)
        if self.scale is None:
            return np.clip(out, 0, 1, out=out)
        # In place: a film of 2,000 x 2,500 has five million values.
        np.multiply(out, np.float32(-self.scale.scale), out=out)
        np.subtract(out, np.float32(self.scale.bias), out=out)
        np.clip(out, -60, 60, out=out)
        cv2.exp(out, out)
        np.add(out, 1, out=out)
        return np.divide(1, out, out=out)
