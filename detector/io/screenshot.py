"""A film within the window of a viewer: found, and cut out.

A screenshot has what no film has: areas of exactly one grey that is neither black nor white (tool
bars, panels, the rest of the window), of several such greys. What is left beside them, without
letters and lines, is the film.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

_LEAST_SCREEN = 480  # pixels; no monitor shows less
_BLOCK = 16  # pixels; a block of one grey is part of an area, not noise
_LEAST_SHADE, _MOST_SHADE = 8, 247  # of 255: black and white areas are in films, too
_LEAST_AREA = 0.01  # share of the picture that one grey covers
_LEAST_ALONE = 0.1  # the two greys on each side together cover less than this share of it
# What makes a screenshot: at least two greys, this much apart, that cover this much together.
_LEAST_APART, _LEAST_SHARE = 12, 0.08
_LETTERS = 9  # pixels: lines and strokes of letters are thinner
_LEAST_FILM, _LEAST_SIDE, _LEAST_FILLED = 0.05, 64, 0.6
_SECOND = 0.4  # a second picture of this share of the first makes it unclear which is meant

RULES = {  # for the page without a server
    "least_screen": _LEAST_SCREEN, "block": _BLOCK, "least_shade": _LEAST_SHADE,
    "most_shade": _MOST_SHADE, "least_area": _LEAST_AREA, "least_alone": _LEAST_ALONE,
    "least_apart": _LEAST_APART, "least_share": _LEAST_SHARE, "letters": _LETTERS,
    "least_film": _LEAST_FILM, "least_side": _LEAST_SIDE, "least_filled": _LEAST_FILLED,
    "second": _SECOND,
}  # fmt: skip

Box = tuple[int, int, int, int]  # x, y, width, height

FOUND = (
    "The picture is a screenshot: the film in it was found and read alone. Use the film's own "
    "file where you can."
)
NOT_FOUND = "The picture is a screenshot, and it is not clear where in it the film is."


def film_alone(
    pixels: np.ndarray, facts: dict[str, Any], warnings: list[str]
) -> tuple[np.ndarray, dict[str, Any], list[str]]:
    """A picture of 8 bits, or the film that a screenshot shows.

    Args:
        pixels: (H, W) in [0, 1].
        facts: of the picture.
        warnings: about it.

    Returns:
        The same, for the film: ``screenshot`` among the facts is its box [x, y, width, height] in
        the picture, or empty where none was found.
    """
    grey = cv2.convertScaleAbs(pixels, alpha=255.0)
    shades = window_shades(grey)
    if not shades:
        return pixels, facts, warnings
    box = find_film(grey, shades)
    if box is None:
        return pixels, {**facts, "screenshot": []}, [*warnings, NOT_FOUND]
    x, y, width, height = box
    film = pixels[y : y + height, x : x + width]
    return film, {**facts, "screenshot": list(box)}, [*warnings, FOUND]


def window_shades(grey: np.ndarray) -> list[int]:
    """The greys of a viewer's window in a picture, uint8 (H, W); none when it is no screenshot."""
    if min(grey.shape) < _LEAST_SCREEN:
        return []
    rows, columns = grey.shape[0] // _BLOCK, grey.shape[1] // _BLOCK
    blocks = grey[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    low, high = blocks.min(axis=(1, 3)), blocks.max(axis=(1, 3))
    counts = np.bincount(low[low == high], minlength=256) / low.size
    near = np.convolve(counts, np.ones(5), mode="same") - counts
    rim = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    on_rim = np.bincount(rim, minlength=256) / rim.size
    # A film's background fades from grey to grey; a window's greys stand alone, out to the rim.
    alone = (counts >= _LEAST_AREA) & (near < _LEAST_ALONE * counts) & (on_rim >= _LEAST_AREA)
    alone[:_LEAST_SHADE] = alone[_MOST_SHADE:] = False
    shades = np.flatnonzero(alone)
    if len(shades) < 2 or np.ptp(shades) < _LEAST_APART or counts[shades].sum() < _LEAST_SHARE:
        return []
    return [int(shade) for shade in shades]


def find_film(grey: np.ndarray, shades: list[int]) -> Box | None:
    """The film within a screenshot, uint8 (H, W), whose window has these ``shades``.

    None where there is none, or more than one.
    """
    apart = (~np.isin(grey, shades)).astype(np.uint8)
    # A film has such greys here and there as well: close those, then take letters away.
    square = np.ones((_LETTERS, _LETTERS), np.uint8)
    apart = cv2.morphologyEx(apart, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    solid = cv2.morphologyEx(apart, cv2.MORPH_OPEN, square)
    _, _, found, _ = cv2.connectedComponentsWithStats(solid, connectivity=4)
    sizes = sorted(found[1:, cv2.CC_STAT_AREA], reverse=True)
    if not sizes or (len(sizes) > 1 and sizes[1] > _SECOND * sizes[0]):
        return None
    x, y, width, height, area = (int(v) for v in max(found[1:], key=lambda f: f[cv2.CC_STAT_AREA]))
    if (
        area < _LEAST_FILLED * width * height
        or width * height < _LEAST_FILM * grey.size
        or min(width, height) < _LEAST_SIDE
    ):
        return None
    return x, y, width, height
