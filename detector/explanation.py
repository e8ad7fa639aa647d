"""From the evidence map to what a person sees: Grad-CAM, heatmap, regions, overlay.

The evidence e is the film's own explanation: Grad-CAM of the logit at the last feature map is
ReLU(e) times a positive constant (see ``network``). The heatmap shows the same map on a fixed
scale: the calibrated probability that a fracture lies at a place. It is not stretched per film, so
an intact film stays plain, and the operating points mean the same colour on every film.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from detector.calibration import Calibration, Logistic
from detector.geometry import Letterbox

MAX_REGIONS = 5
_FAINT = 0.25  # a place less than this share as probable as the strongest is no region
REGION_COLOUR = (120, 230, 255)
_FINE = 4  # map cells are refined this many times before regions are cut out
_SAMPLES = 500  # of the heat along a film's longest side, for display
_BAND = 24  # rows of samples painted at a time
COLORMAPS = {
    "inferno": cv2.COLORMAP_INFERNO,
    "viridis": cv2.COLORMAP_VIRIDIS,
    "cividis": cv2.COLORMAP_CIVIDIS,
    "magma": cv2.COLORMAP_MAGMA,
}  # perceptually uniform, and readable with every kind of colour blindness


@dataclass(frozen=True)
class Region:
    """A place with evidence: box in film pixels, ``score`` = its calibrated probability."""

    x: float
    y: float
    width: float
    height: float
    score: float


def grad_cam(evidence: np.ndarray) -> np.ndarray:
    """Evidence (..., h, w) -> Grad-CAM of the film's logit, up to a positive constant.

    Selvaraju et al., *Grad-CAM*, ICCV 2017, at the feature map that the evidence is a 1x1
    convolution of.
    """
    return np.maximum(evidence, 0)


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


def find_regions(
    evidence: np.ndarray, letterbox: Letterbox, calibration: Calibration
) -> tuple[Region, ...]:
    """The places that are shown, strongest first: candidates at least at ``calibration.floor`` and
    at least a quarter as probable as the strongest."""
    shown: list[Region] = []
    for region in _candidates(evidence, letterbox, calibration):
        if region.score < max(calibration.floor, _FAINT * (shown or [region])[0].score):
            break
        shown.append(region)
    return tuple(shown)


def candidate_regions(
    evidence: np.ndarray, letterbox: Letterbox, calibration: Calibration
) -> tuple[Region, ...]:
    """The five places with most evidence, however little that is, strongest first.

    A place is what hangs together around a peak within ``calibration.extent`` of its evidence. A
    lower peak is a place of its own only if the evidence falls by as much between it and every
    higher one (its topographic prominence); else it lies on the slope of a place that is found.
    """
    return tuple(_candidates(evidence, letterbox, calibration))


def _candidates(
    evidence: np.ndarray, letterbox: Letterbox, calibration: Calibration
) -> Iterator[Region]:
    rows, cols = evidence.shape
    fine = cv2.resize(
        np.asarray(evidence, np.float32), (cols * _FINE, rows * _FINE),
        interpolation=cv2.INTER_CUBIC,
    )
    step = letterbox.canvas[0] / fine.shape[0]
    rows, cols = (int(np.ceil(side / step)) for side in letterbox.inner)
    fine = np.ascontiguousarray(fine[:rows, :cols])  # nothing is found in the padding
    peaks = np.argwhere(fine >= cv2.dilate(fine, np.ones((3, 3), np.uint8)))
    heights = fine[tuple(peaks.T)]
    taken = np.zeros((rows, cols), np.uint8)
    found = 0
    for index in np.argsort(-heights, kind="stable"):
        (row, column), peak = peaks[index], float(heights[index])
        if taken[row, column]:
            continue
        hill = np.zeros((rows + 2, cols + 2), np.uint8)  # floodFill wants a rim, and writes on it
        *_, (x, y, width, height) = cv2.floodFill(
            fine, hill, (int(column), int(row)), 0, calibration.extent, np.inf,
            8 | cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY,
        )
        own = not np.any(hill[1:-1, 1:-1] & taken)
        taken |= hill[1:-1, 1:-1]
        if own:
            box = letterbox.box_to_film(np.array([x, y, width, height]) * step)
            yield Region(*_within(box, letterbox), float(calibration.place.probability(peak)))
            found += 1
        if found == MAX_REGIONS:
            return


def _within(box: np.ndarray, letterbox: Letterbox) -> tuple[float, float, float, float]:
    x, y, width, height = (float(v) for v in box)
    right, bottom = min(x + width, letterbox.width), min(y + height, letterbox.height)
    x, y = max(x, 0.0), max(y, 0.0)
    return x, y, right - x, bottom - y


def to_grey8(pixels: np.ndarray) -> np.ndarray:
    """Film float32 (H, W) in [0, 1] -> uint8 (H, W)."""
    return cv2.convertScaleAbs(pixels, alpha=255.0)


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
    low = calibration.floor if threshold is None else threshold
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


def draw_regions(
    rgb: np.ndarray, regions: Iterable[Region], calibration: Calibration
) -> np.ndarray:
    """A copy of ``rgb`` uint8 (H, W, 3) with the regions' boxes.

    Solid from the rule-in point on, dashed below it: the two differ in form, so that no eye needs
    to tell colours apart. Light with a dark rim, for bone and for air.
    """
    out = np.ascontiguousarray(rgb).copy()
    height, width = out.shape[:2]
    thick = max(1, round(max(height, width) / 400))
    for region in sorted(regions, key=lambda r: r.score):  # the strongest on top
        left, right = (float(np.clip(v, 0, width - 1)) for v in (region.x, region.x + region.width))
        top, bottom = (
            float(np.clip(v, 0, height - 1)) for v in (region.y, region.y + region.height)
        )
        corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
        if region.score >= calibration.rule_in:
            lines = [np.round(corners).astype(np.int32)]
        else:
            lines = _dashes(corners, 5.0 * thick)
        closed = region.score >= calibration.rule_in
        cv2.polylines(out, lines, closed, (0, 0, 0), thick + 2)
        cv2.polylines(out, lines, closed, REGION_COLOUR, thick)
    return out


def _dashes(corners: np.ndarray, length: float) -> list[np.ndarray]:
    """Dashes of about ``length`` along a closed polygon, one at each corner."""
    dashes = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        # An odd number of pieces, dash and gap in turn, begins and ends with a dash.
        pieces = 2 * max(1, round(float(np.linalg.norm(end - start)) / (2 * length))) + 1
        at = start + (end - start) * np.linspace(0, 1, pieces + 1)[:, None]
        points = np.round(at).astype(np.int32)
        dashes += [points[i : i + 2] for i in range(0, pieces, 2)]
    return dashes


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
