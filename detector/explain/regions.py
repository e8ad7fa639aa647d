"""The regions of a film: locations with evidence, as boxes in film pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from detector.model.calibration import Calibration
from detector.model.letterbox import Letterbox

MAX_REGIONS = 5
REGION_COLOUR = (120, 230, 255)
FAINT = 0.25  # a region is at least this proportion as probable as the strongest one
FINE = 4  # map cells are refined this many times before regions are cut out


@dataclass(frozen=True)
class Region:
    """A location with evidence: its box in film pixels and, as ``score``, its calibrated
    probability in [0, 1]."""

    x: float
    y: float
    width: float
    height: float
    score: float


def find_regions(
    evidence: np.ndarray, letterbox: Letterbox, calibration: Calibration
) -> tuple[Region, ...]:
    """The regions that are shown, strongest first.

    Each is a candidate that reaches ``calibration.display_threshold`` and is at least a quarter as
    probable as the strongest.
    """
    shown: list[Region] = []
    for region in _candidates(evidence, letterbox, calibration):
        if region.score < max(calibration.display_threshold, FAINT * (shown or [region])[0].score):
            break
        shown.append(region)
    return tuple(shown)


def candidate_regions(
    evidence: np.ndarray, letterbox: Letterbox, calibration: Calibration
) -> tuple[Region, ...]:
    """The five regions with most evidence, however little that is, strongest first.

    A region is the connected area around a peak in which the evidence stays within
    ``calibration.extent`` of the peak. A lower peak has a region of its own only if its topographic
    prominence is larger than ``extent``; otherwise it lies on the slope of a region already found.
    """
    return tuple(_candidates(evidence, letterbox, calibration))


def _candidates(
    evidence: np.ndarray, letterbox: Letterbox, calibration: Calibration
) -> Iterator[Region]:
    rows, cols = evidence.shape
    fine = cv2.resize(
        np.asarray(evidence, np.float32), (cols * FINE, rows * FINE),
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
            yield Region(*_within(box, letterbox), float(calibration.location.probability(peak)))
            found += 1
        if found == MAX_REGIONS:
            return


def _within(box: np.ndarray, letterbox: Letterbox) -> tuple[float, float, float, float]:
    x, y, width, height = (float(v) for v in box)
    right, bottom = min(x + width, letterbox.width), min(y + height, letterbox.height)
    x, y = max(x, 0.0), max(y, 0.0)
    return x, y, right - x, bottom - y


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
