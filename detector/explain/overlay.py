"""The film with its heat in colour."""

from __future__ import annotations

import cv2
import numpy as np

from detector.explain.heatmap import Heat
from detector.model.calibration import Calibration

_SAMPLES = 500  # of the heat along a film's longest side, for display
_BAND = 24  # rows of samples painted at a time
COLORMAPS = {
    "inferno": cv2.COLORMAP_INFERNO,
    "viridis": cv2.COLORMAP_VIRIDIS,
    "cividis": cv2.COLORMAP_CIVIDIS,
    "magma": cv2.COLORMAP_MAGMA,
}  # perceptually uniform, and readable with every kind of colour blindness


def to_grey8(pixels: np.ndarray) -> np.ndarray:
    """Film float32 (H, W) in [0, 1] -> uint8 (H, W)."""
    return cv2.convertScaleAbs(pixels, alpha=255.0)


def square_pixels(picture: np.ndarray, aspect: float) -> np.ndarray:
    """A picture (H, W) or (H, W, 3) of pixels ``aspect`` times as high as wide -> one of square
    pixels, enlarged in the side that lacks some."""
    if aspect == 1:
        return picture
    height, width = picture.shape[:2]
    size = (round(width * max(1, 1 / aspect)), round(height * max(1, aspect)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)


def overlay(
    grey: np.ndarray,
    heat: Heat,
    calibration: Calibration,
    *,
    opacity: float = 0.5,
    colormap: str = "inferno",
    threshold: float | None = None,
    contour: bool = True,
) -> np.ndarray:
    """The film with its heat: uint8 RGB (H, W, 3).

    Colour and opacity follow the heat; below ``threshold`` (default: the calibration's floor) the
    film is left as it is. The contour marks the rule-in point; a map that is relative to the film
    (``heat.scale`` is None) has no such point and no contour.

    Args:
        grey: film uint8 (H, W).
        opacity: of the strongest heat, in [0, 1].
        colormap: one of ``COLORMAPS``.

    Raises:
        ValueError: unknown colour map, or opacity or threshold out of [0, 1].
    """
    low = calibration.display_threshold if threshold is None else threshold
    if not (0 <= opacity <= 1 and 0 <= low <= 1):
        raise ValueError("opacity and threshold must be in [0, 1]")
    colours = colour_table(low, colormap, calibration.rule_in)
    alpha = opacity * _strength(low)
    # The heat is smooth over many pixels of a large film: a few hundred samples a side show it.
    step = max(1, round(max(grey.shape) / _SAMPLES))
    heat_there = heat.on_film(step)
    level = cv2.convertScaleAbs(heat_there, alpha=255.0)
    stays = cv2.LUT(level, np.round(255 * (1 - alpha)).astype(np.uint8))
    glow = np.round(colours * alpha[:, None]).astype(np.uint8)
    light = cv2.LUT(cv2.merge([level] * 3), glow[None])
    if contour and heat.scale is not None:
        _draw_contour(stays, light, heat_there >= calibration.rule_in)
    return _blend(grey, stays, light, step)


def _strength(low: float) -> np.ndarray:
    """(256,): share of the full opacity for each heat from 0 to 1; none up to ``low``."""
    heat = np.arange(256) / 255
    return np.sqrt(np.clip((heat - low) / max(1 - low, 1e-6), 0, 1))


def _draw_contour(stays: np.ndarray, light: np.ndarray, inside: np.ndarray) -> None:
    """Outline ``inside`` (h, w) in white with a dark rim: seen on bone and on air."""
    lines, _ = cv2.findContours(inside.view(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    if not lines:
        return
    line = np.zeros_like(stays)
    cv2.drawContours(line, lines, -1, 255, 1, cv2.LINE_AA)
    rim = cv2.dilate(line, np.ones((3, 3), np.uint8))
    left = cv2.min(cv2.convertScaleAbs(rim, alpha=-0.5, beta=255), cv2.bitwise_not(line))
    stays[:] = cv2.multiply(stays, left, scale=1 / 255)
    light[:] = cv2.add(cv2.multiply(light, cv2.merge([left] * 3), scale=1 / 255),
                       cv2.merge([line] * 3))  # fmt: skip


def _blend(grey: np.ndarray, stays: np.ndarray, light: np.ndarray, step: int) -> np.ndarray:
    """The film (H, W), of which ``stays`` / 255 is kept, plus ``light``: uint8 RGB (H, W, 3).

    ``stays`` (h, w) and ``light`` (h, w, 3) are uint8, one sample per ``step`` pixels. They are
    enlarged, and a pixel costs one multiplication and one addition of bytes; bands of rows stay in
    the cache.
    """
    out = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    left, top, wide, tall = cv2.boundingRect((stays < 255).view(np.uint8))
    if not wide:
        return out
    height, width = stays.shape
    # A sample more on each side: enlarging blends neighbours.
    bottom = min(height, top + tall + 1)
    cols = slice(max(0, left - 1), min(width, left + wide + 1))
    x = slice(cols.start * step, cols.stop * step)
    for first in range(max(0, top - 1), bottom, _BAND):
        last = min(first + _BAND, bottom)
        rows = slice(max(0, first - 1), min(height, last + 1))
        size = ((cols.stop - cols.start) * step, (rows.stop - rows.start) * step)
        keep = cv2.resize(stays[rows, cols], size, interpolation=cv2.INTER_LINEAR)
        add = cv2.resize(light[rows, cols], size, interpolation=cv2.INTER_LINEAR)
        under = grey[first * step : last * step, x]
        skip = (first - rows.start) * step
        band = (slice(skip, skip + under.shape[0]), slice(0, under.shape[1]))
        kept = cv2.multiply(under, keep[band], scale=1 / 255)
        out[first * step : last * step, x] = cv2.add(cv2.merge([kept] * 3), add[band])
    return out


def colour_table(
    low: float, colormap: str = "inferno", high: float | None = None
) -> np.ndarray:
    """uint8 RGB (256, 3): the colour of each heat from 0 to 1.

    Colours begin at ``low``, and ``high`` has the same one whatever the two are: so the operating
    points look alike on every film and with every weights. Without ``high`` the scale is linear.

    Raises:
        ValueError: unknown colour map.
    """
    if colormap not in COLORMAPS:
        raise ValueError(f"unknown colour map {colormap!r}; there are {', '.join(COLORMAPS)}")
    middle = (low + 1) / 2 if high is None else high
    if not low < middle < 1:
        middle = (low + 1) / 2
    heat = np.arange(256) / 255
    # The darkest quarter of the map is left out: on a film it would look like shadow.
    shade = np.interp(heat, (min(low, 1 - 1e-6), middle, 1), (0.25, 0.625, 1))
    levels = np.round(shade * 255).astype(np.uint8)[:, None]
    return np.ascontiguousarray(cv2.applyColorMap(levels, COLORMAPS[colormap])[:, 0, ::-1])
