"""From the evidence map to what a person sees: Grad-CAM, heatmap, regions, overlay.

The evidence e is the film's own explanation: Grad-CAM of the logit at the last feature map is
ReLU(e) times a positive constant (see ``network``). The heatmap shows the same map on a fixed
scale: the calibrated probability that a fracture lies at a place. It is not stretched per film, so
an intact film stays plain, and the operating points mean the same colour on every film.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from detector.calibration import Calibration, Logistic
from detector.geometry import Letterbox

MAX_REGIONS = 5
_FINE = 4  # map cells are refined this many times before regions are cut out
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


@dataclass(frozen=True)
class Heat:
    """A map (h, w) over the letterbox that becomes heat in [0, 1] on the film.

    With ``scale`` the values are evidence and the heat its calibrated probability; without, they
    are heat already.
    """

    values: np.ndarray
    letterbox: Letterbox
    scale: Logistic | None

    def on_film(self, rows: slice = slice(None), cols: slice = slice(None)) -> np.ndarray:
        """float32 (H, W) in [0, 1] over the film; with a window the same values there only."""
        out = self.letterbox.map_to_film(self.values, rows, cols)
        if self.scale is None:
            return np.clip(out, 0, 1, out=out)
        # In place: a film of 2,000 x 2,500 has five million values.
        np.multiply(out, np.float32(-self.scale.scale), out=out)
        np.subtract(out, np.float32(self.scale.bias), out=out)
        np.clip(out, -60, 60, out=out)
        cv2.exp(out, out)
        np.add(out, 1, out=out)
        return np.divide(1, out, out=out)

    def window_above(self, level: float) -> tuple[slice, slice] | None:
        """The film's rows and columns around all heat of at least ``level``; None without any."""
        heat = self.values if self.scale is None else self.scale.probability(self.values)
        hot = np.argwhere(heat >= level)
        if not len(hot):
            return None
        box = self.letterbox
        window = []
        for axis, side in ((0, box.height), (1, box.width)):
            cell = box.canvas[axis] / self.values.shape[axis] / box.scale[axis]
            low = int(max(0, (hot[:, axis].min() - 2) * cell))
            high = int(min(side, np.ceil((hot[:, axis].max() + 3) * cell)))
            if low >= high:
                return None  # in the padding
            window.append(slice(low, high))
        return window[0], window[1]


def find_regions(
    evidence: np.ndarray, letterbox: Letterbox, calibration: Calibration
) -> tuple[Region, ...]:
    """Places that stand out, strongest first: at most five, each at least at ``rule_out``.

    A region is what hangs together around a peak within ``calibration.extent`` of its evidence.
    """
    rows, cols = evidence.shape
    fine = cv2.resize(
        np.asarray(evidence, np.float32), (cols * _FINE, rows * _FINE),
        interpolation=cv2.INTER_CUBIC,
    )
    step = letterbox.canvas[0] / fine.shape[0]
    # Nothing is found in the padding.
    fine[int(np.ceil(letterbox.inner[0] / step)) :] = -np.inf
    fine[:, int(np.ceil(letterbox.inner[1] / step)) :] = -np.inf
    least = calibration.place.value(max(calibration.rule_out, 1e-6))
    regions: list[Region] = []
    while len(regions) < MAX_REGIONS:
        row, column = np.unravel_index(int(fine.argmax()), fine.shape)
        peak = float(fine[row, column])
        if not peak >= least:
            break
        near = (fine >= peak - calibration.extent).astype(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(near, connectivity=8)
        x, y, width, height, _ = stats[labels[row, column]]
        box = letterbox.box_to_film(np.array([x, y, width, height]) * step)
        regions.append(
            Region(*_within(box, letterbox), float(calibration.place.probability(peak)))
        )
        part = (labels == labels[row, column]).astype(np.uint8)
        fine[cv2.dilate(part, np.ones((2 * _FINE + 1, 2 * _FINE + 1), np.uint8)) > 0] = -np.inf
    return _merge(regions)


def _within(box: np.ndarray, letterbox: Letterbox) -> tuple[float, float, float, float]:
    x, y, width, height = (float(v) for v in box)
    right, bottom = min(x + width, letterbox.width), min(y + height, letterbox.height)
    x, y = max(x, 0.0), max(y, 0.0)
    return x, y, right - x, bottom - y


def _merge(regions: list[Region]) -> tuple[Region, ...]:
    """Regions whose boxes overlap by half of the smaller become one, with the higher score."""
    kept: list[Region] = []
    for region in sorted(regions, key=lambda r: -r.score):
        for index, other in enumerate(kept):
            width = min(region.x + region.width, other.x + other.width) - max(region.x, other.x)
            height = min(region.y + region.height, other.y + other.height) - max(region.y, other.y)
            smaller = min(region.width * region.height, other.width * other.height)
            if width > 0 and height > 0 and width * height >= 0.5 * smaller:
                x, y = min(region.x, other.x), min(region.y, other.y)
                right = max(region.x + region.width, other.x + other.width)
                bottom = max(region.y + region.height, other.y + other.height)
                kept[index] = Region(x, y, right - x, bottom - y, other.score)
                break
        else:
            kept.append(region)
    return tuple(kept)


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

    Colour and opacity follow the heat; below ``threshold`` (default: the rule-out point) the film
    is left as it is. The contour marks the rule-in point.

    Args:
        grey: film uint8 (H, W).
        opacity: of the strongest heat, in [0, 1].
        colormap: one of ``COLORMAPS``.

    Raises:
        ValueError: unknown colour map, or opacity or threshold out of [0, 1].
    """
    low = calibration.rule_out if threshold is None else threshold
    if not (0 <= opacity <= 1 and 0 <= low <= 1):
        raise ValueError("opacity and threshold must be in [0, 1]")
    colours = colour_table(low, colormap)
    out = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    # Only the part of the film that is hot is painted: the rest of a large film costs nothing.
    window = heat.window_above(low)
    if window is None:
        return out
    part = heat.on_film(*window)
    level = cv2.convertScaleAbs(part, alpha=255.0)
    table = np.arange(256, dtype=np.float32) / 255
    alpha = np.where(table >= low, opacity * (0.35 + 0.65 * table), 0).astype(np.float32)
    weight = cv2.merge([cv2.LUT(level, alpha)] * 3)
    painted = cv2.LUT(cv2.merge([level] * 3), colours[None])
    under = out[window].astype(np.float32)
    under += weight * (painted - under)
    painted = cv2.convertScaleAbs(under)
    if contour:
        mask = (part >= calibration.rule_in).astype(np.uint8)
        lines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        width = max(1, round(max(grey.shape) / 700))
        cv2.drawContours(painted, lines, -1, (255, 255, 255), width, cv2.LINE_AA)
    out[window] = painted
    return out


def colour_table(low: float, colormap: str = "inferno") -> np.ndarray:
    """uint8 RGB (256, 3): the colour of each heat from 0 to 1; colours begin at ``low``.

    Raises:
        ValueError: unknown colour map.
    """
    if colormap not in COLORMAPS:
        raise ValueError(f"unknown colour map {colormap!r}; there are {', '.join(COLORMAPS)}")
    heat = np.arange(256, dtype=np.float32) / 255
    # The darkest quarter of the map is left out: on a film it would look like shadow.
    shade = np.clip((heat - low) / max(1 - low, 1e-6), 0, 1) * 0.75 + 0.25
    levels = np.round(shade * 255).astype(np.uint8)[:, None]
    return np.ascontiguousarray(cv2.applyColorMap(levels, COLORMAPS[colormap])[:, 0, ::-1])
