"""Letterbox and its exact inverse, for pixels, maps and boxes.

A film (H, W) is scaled so that its longest side is ``size`` and padded at the right and the bottom
to multiples of 32, never to a square: a portrait film of 373x454 costs a fifth less that way. The
padding is black, as beyond a collimator. A small film is enlarged by ``MOST_ENLARGED`` at most and
has a smaller canvas: more pixels would show nothing but blur, which a network takes for a sign.

Coordinates are continuous, with pixel (0, 0) covering [0, 1) x [0, 1), so that boxes and maps of
any stride map without half-pixel drift.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

MULTIPLE = 32
MOST_ENLARGED = 1.2  # canvas pixels per film pixel
_BAND = 64  # rows multiplied at a time: what is in double precision stays in the cache


@dataclass(frozen=True)
class Letterbox:
    """Where a film (``height``, ``width``) lies in the network's canvas.

    ``scale``: network pixels per film pixel, (y, x); ``inner``: the film's size on the canvas;
    ``canvas``: the canvas' size. All sizes are (height, width). A film whose pixels are not square
    is square on the canvas: its scales differ.
    """

    height: int
    width: int
    inner: tuple[int, int]
    canvas: tuple[int, int]

    @classmethod
    def fit(cls, height: int, width: int, size: int, aspect: float = 1.0) -> Letterbox:
        """The letterbox of a film whose longest side becomes ``size`` pixels, or what
        ``MOST_ENLARGED`` allows.

        ``aspect``: height of a film pixel over its width.
        """
        factor = min(size / max(height * aspect, width), MOST_ENLARGED)
        inner = (max(1, round(height * aspect * factor)), max(1, round(width * factor)))
        canvas = tuple(-(-side // MULTIPLE) * MULTIPLE for side in inner)
        return cls(height, width, inner, canvas)

    @property
    def scale(self) -> tuple[float, float]:
        return self.inner[0] / self.height, self.inner[1] / self.width

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Film (H, W) of any dtype -> canvas, same dtype; area-averaged when it shrinks."""
        if self.inner[0] < self.height or self.inner[1] < 0.9 * self.width:
            smaller = min(self.inner[1], self.width), min(self.inner[0], self.height)
            pixels = cv2.resize(pixels, smaller, interpolation=cv2.INTER_AREA)
        # Of pixels that are not square, one side may grow while the other shrinks.
        resized = cv2.resize(pixels, self.inner[::-1], interpolation=cv2.INTER_LINEAR)
        out = np.zeros(self.canvas, dtype=pixels.dtype)
        out[: self.inner[0], : self.inner[1]] = resized
        return out

    def map_to_film(self, values: np.ndarray, step: int = 1) -> np.ndarray:
        """A map over the canvas (h, w), of any stride -> float32 (H, W) over the film.

        Bicubic, so that the peak between two cells is found between them; film pixel centres are
        taken through the letterbox to map coordinates, with no intermediate rounding. With ``step``
        one value for the middle of every ``step`` x ``step`` pixels, the last ones cut by the edge:
        (ceil(H / step), ceil(W / step)).
        """
        step_y = values.shape[0] / self.canvas[0] * self.scale[0]
        step_x = values.shape[1] / self.canvas[1] * self.scale[1]
        x = (np.arange(-(-self.width // step)) + 0.5) * (step * step_x) - 0.5
        y = (np.arange(-(-self.height // step)) + 0.5) * (step * step_y) - 0.5
        # Two small dense matrices: multiplied by BLAS they beat gathering sixteen cells a pixel.
        # Its order of summation depends on the number of threads, so it sums in double precision:
        # what differs then is lost in the rounding to single precision.
        rows = _cubic(y, values.shape[0]) @ np.asarray(values, np.float64)
        columns = np.ascontiguousarray(_cubic(x, values.shape[1]).T, np.float64)
        out = np.empty((len(y), len(x)), np.float32)
        for top in range(0, len(y), _BAND):
            out[top : top + _BAND] = rows[top : top + _BAND] @ columns
        return out

    def box_to_canvas(self, box: np.ndarray) -> np.ndarray:
        """Boxes (..., 4) as x, y, width, height: film pixels -> canvas pixels."""
        y, x = self.scale
        return np.asarray(box, np.float64) * np.array([x, y, x, y])

    def box_to_film(self, box: np.ndarray) -> np.ndarray:
        """Boxes (..., 4) as x, y, width, height: canvas pixels -> film pixels."""
        y, x = self.scale
        return np.asarray(box, np.float64) / np.array([x, y, x, y])


def _cubic(at: np.ndarray, count: int) -> np.ndarray:
    """Matrix (k, count) that interpolates ``count`` samples at fractional positions ``at`` (k,).

    Keys' cubic convolution (1981) with a = -0.75. Beyond the ends the samples are mirrored, so that
    a peak in the outermost sample lies in its middle, as everywhere else.
    """
    first = np.floor(at).astype(np.int64)
    t = (at - first).astype(np.float32)
    a = np.float32(-0.75)

    def near(d: np.ndarray) -> np.ndarray:  # distance up to 1
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: np.ndarray) -> np.ndarray:  # distance 1 to 2
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    matrix = np.zeros((len(at), count), np.float32)
    for offset, weight in ((-1, far(1 + t)), (0, near(t)), (1, near(1 - t)), (2, far(2 - t))):
        index = np.abs(first + offset)
        index = np.clip(np.where(index < count, index, 2 * (count - 1) - index), 0, count - 1)
        np.add.at(matrix, (np.arange(len(at)), index), weight)
    return matrix
