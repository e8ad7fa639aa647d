"""Geometry of a training sample: one affine warp moves the film and its outlines together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np

from detector.model.letterbox import MOST_ENLARGED

_SHIFT = 4  # fractional bits of the polygon rasteriser


@dataclass(frozen=True)
class Outlines:
    """The fractures of a film: one polygon (M, 2) x, y each, in film pixels."""

    polygons: tuple[np.ndarray, ...] = ()

    @classmethod
    def of(cls, boxes: np.ndarray, outlines: tuple[np.ndarray | None, ...]) -> Outlines:
        """Outlines where they are known, else the ellipse inscribed in the box."""
        polygons = []
        for box, outline in zip(boxes, outlines, strict=True):
            polygons.append(_ellipse(box) if outline is None or len(outline) < 3 else outline)
        return cls(tuple(np.asarray(p, np.float64) for p in polygons))

    def moved(self, matrix: np.ndarray) -> Outlines:
        """The same outlines after the affine ``matrix`` (2, 3)."""
        return Outlines(tuple(p @ matrix[:, :2].T + matrix[:, 2] for p in self.polygons))

    def within(self, part: tuple[slice, slice]) -> Outlines:
        """Those that reach into a part of the film (rows, columns), in that part's pixels."""
        rows, cols = part
        size = np.array([cols.stop - cols.start, rows.stop - rows.start])
        moved = [p - [cols.start, rows.start] for p in self.polygons]
        return Outlines(tuple(
            p for p in moved if (p.max(axis=0) > 0).all() and (p.min(axis=0) < size).all()
        ))


def _ellipse(box: np.ndarray) -> np.ndarray:
    x, y, width, height = box
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    return np.stack(
        [x + width / 2 * (1 + np.cos(angle)), y + height / 2 * (1 + np.sin(angle))], axis=1
    )


@dataclass(frozen=True)
class Target:
    """What the network is taught on one canvas.

    ``label``: 0 or 1. ``label_weight`` in [0, 1]: 0 where the label of the visible part is not
    known.
    ``cells`` (h, w) in {0, 1} and ``cell_weight`` (h, w) in [0, 1]: the evidence map's.
    """

    label: float
    label_weight: float
    cells: np.ndarray
    cell_weight: np.ndarray

    def beside(self, other: Target, axis: int) -> Target:
        """The target of both canvases put together, ``other`` below (axis 0) or right (1).

        It is fractured if one of them is, and normal if both are known to be.
        """
        fractured = [t.label_weight for t in (self, other) if t.label and t.label_weight]
        return Target(
            float(bool(fractured)),
            max(fractured) if fractured else min(self.label_weight, other.label_weight),
            np.concatenate([self.cells, other.cells], axis),
            np.concatenate([self.cell_weight, other.cell_weight], axis),
        )


class View(Enum):
    """What of a film a sample shows.

    RANDOM keeps a fracture in view nearly always. FULL cuts nothing off. NEGATIVE is a close-up as
    far from every fracture as a few tries find. LESION is a close-up of a fracture. How much of a
    film is shown must not be a sign of its label, see ``plan_epoch``.
    """

    RANDOM = "random"
    FULL = "full"
    NEGATIVE = "negative"
    LESION = "lesion"


_CLOSE = (1.2, 2.6)
# Ranges; 1: the film fits the canvas.
_ZOOM = {
    View.RANDOM: (0.8, 1.9), View.FULL: (0.75, 1.0), View.NEGATIVE: _CLOSE, View.LESION: _CLOSE,
}


def zoom_range(view: View, fit: float) -> tuple[float, float]:
    """Canvas pixels per film pixel that a view may have, if ``fit`` makes the film fit the canvas.

    A close look at a large film goes on to its own pixels; no film is enlarged beyond what it is
    when it is read.
    """
    low, high = (fit * z for z in _ZOOM[view])
    if view in (View.NEGATIVE, View.LESION):
        high = max(high, 1.0)
    high = min(high, MOST_ENLARGED)
    return min(low, 0.8 * high), high


def random_warp(
    rng: np.random.Generator,
    shape: tuple[int, int],
    canvas: tuple[int, int],
    outlines: Outlines,
    view: View,
    bone_points: np.ndarray | None = None,
) -> np.ndarray:
    """A random affine matrix (2, 3) from film pixels to canvas pixels.

    Rotation, zoom, stretch, flips and shift. A film that lies across is mostly turned to fit the
    canvas. ``bone_points`` (N, 2), film pixels: a negative crop is centred near one of them.
    """
    height, width = shape
    rows, cols = canvas
    quarter = 0
    if (width > height) != (cols > rows) and rng.random() < 0.7:
        quarter = 1 if rng.random() < 0.5 else 3
    elif rng.random() < 0.05:
        quarter = int(rng.integers(4))
    turned = (width, height) if quarter % 2 else (height, width)
    fit = min(rows / turned[0], cols / turned[1])
    low, high = zoom_range(view, fit)
    zoom = np.exp(rng.uniform(np.log(low), np.log(high)))
    tilt = float(np.clip(rng.normal(0, 5 if view is View.FULL else 10), -30, 30))
    angle = np.deg2rad(90 * quarter + tilt)
    stretch = np.exp(rng.uniform(-0.1, 0.1, size=2))
    flip = np.array([-1.0 if rng.random() < 0.5 else 1.0, -1.0 if rng.random() < 0.15 else 1.0])
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag(zoom * stretch * flip)

    middle = np.array([cols / 2, rows / 2])
    extent = np.abs(linear) @ np.array([width, height])
    if view is View.FULL:  # turned and stretched, the film may have outgrown the canvas
        shrink = min(1.0, float((middle * 2 / extent).min()))
        linear, extent = linear * shrink, extent * shrink
        slack = np.maximum(middle - extent / 2, 0)
    else:
        slack = np.abs(extent - middle * 2) / 2 + 0.04 * middle
    centre = np.array([width / 2, height / 2])
    if view is View.LESION and outlines.polygons:
        polygon = outlines.polygons[int(rng.integers(len(outlines.polygons)))]
        lesion = (polygon.min(axis=0) + polygon.max(axis=0)) / 2
        return _brought_into_view(rng, linear, centre, lesion, middle, slack)
    avoid = view is View.NEGATIVE
    best, best_seen = None, None
    for _ in range(6 if outlines.polygons else 1):
        if avoid and bone_points is not None and len(bone_points):
            point = bone_points[int(rng.integers(len(bone_points)))]
            matrix = _brought_into_view(rng, linear, centre, point, middle, slack)
        else:
            offset = middle + rng.uniform(-slack, slack) - linear @ centre
            matrix = np.concatenate([linear, offset[:, None]], axis=1)
        if not outlines.polygons:
            return matrix
        seen = max(_visible(p, canvas) for p in outlines.moved(matrix).polygons)
        if best is None or (seen < best_seen if avoid else seen > best_seen):
            best, best_seen = matrix, seen
        if (avoid and best_seen == 0) or (not avoid and (best_seen > 0.9 or rng.random() < 0.02)):
            break
    return best


_SIDES = (0.35, 0.8)  # of a film's sides, that a part has


def random_part(
    rng: np.random.Generator, shape: tuple[int, int], outlines: Outlines, bone_points: np.ndarray,
    negative: bool
) -> tuple[slice, slice] | None:
    """A part of a film (rows, columns), as if no more had been exposed: around one of its
    fractures or, ``negative``, without any. Both kinds are equally large.

    ``bone_points`` (N, 2), film pixels: some must lie in the part. None where there is no room.
    """
    boxes = np.array([[*p.min(axis=0), *p.max(axis=0)] for p in outlines.polygons])
    film = np.array(shape[::-1], float)
    for _ in range(40):
        size = film * rng.uniform(*_SIDES, 2)
        low = rng.uniform(0, film - size)
        high = low + size
        apart = (boxes[:, :2] > high) | (boxes[:, 2:] < low)
        inside = ((bone_points > low) & (bone_points < high)).all(1)
        if not apart.any(axis=1).all() or inside.sum() < 0.12 * len(bone_points):
            continue
        if not negative:
            box = boxes[int(rng.integers(len(boxes)))]
            room = size - (box[2:] - box[:2])
            if (room < 0).any():
                continue
            low = box[:2] - rng.uniform(0, 1, 2) * room
            low = np.clip(low, 0, film - size)
            high = low + size
        rows, cols = ((int(low[k]), max(int(low[k]) + 8, int(high[k]))) for k in (1, 0))
        return slice(*rows), slice(*cols)
    return None


def _brought_into_view(
    rng: np.random.Generator, linear: np.ndarray, centre: np.ndarray, point: np.ndarray,
    middle: np.ndarray, slack: np.ndarray,
) -> np.ndarray:
    """The affine matrix (2, 3) that moves ``point`` of the film to a random point of the canvas.

    The point lies within the inner three fifths of the canvas, unless the view would then leave
    the film by more than ``slack``.
    """
    wanted = middle * 2 * rng.uniform(0.2, 0.8, size=2) - linear @ point
    offset = np.clip(wanted + linear @ centre - middle, -slack, slack) + middle - linear @ centre
    return np.concatenate([linear, offset[:, None]], axis=1)


def _visible(polygon: np.ndarray, canvas: tuple[int, int]) -> float:
    """Fraction of the polygon's bounding box that lies on the canvas."""
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    size = np.maximum(high - low, 1e-6)
    inside = np.minimum(high, [canvas[1], canvas[0]]) - np.maximum(low, 0)
    return float(np.prod(np.maximum(inside, 0) / size))


def warp_film(pixels: np.ndarray, matrix: np.ndarray, canvas: tuple[int, int]) -> np.ndarray:
    """Film (H, W) uint8 -> canvas, black outside the film; averaged first when it shrinks much.

    ``matrix`` takes continuous coordinates, in which pixel (0, 0) covers [0, 1) x [0, 1).
    """
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if scale < 0.7:
        half = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
        ratio = np.array([pixels.shape[1] / half[0], pixels.shape[0] / half[1]])
        pixels = cv2.resize(pixels, half, interpolation=cv2.INTER_AREA)
        matrix = np.concatenate([matrix[:, :2] * ratio, matrix[:, 2:]], axis=1)
    linear, offset = matrix[:, :2], matrix[:, 2]
    # OpenCV counts from the middle of pixel (0, 0).
    centred = np.concatenate([linear, (offset + linear @ [0.5, 0.5] - 0.5)[:, None]], axis=1)
    return cv2.warpAffine(pixels, centred, (canvas[1], canvas[0]), flags=cv2.INTER_LINEAR)


def make_target(
    outlines: Outlines, fractured: bool, canvas: tuple[int, int], stride: int
) -> Target:
    """The target of a canvas with these fractures (canvas pixels).

    A cell is positive when a third of it is fracture, or when it is the best covered cell of a
    fracture in view. It is left out of the loss when less of it is fracture, and negative
    otherwise. A fracture that is cut by the border leaves the film's label open. A fractured film
    without outlines teaches its label only.
    """
    h, w = canvas[0] // stride, canvas[1] // stride
    positive = np.zeros((h, w), np.float32)
    weight = np.ones((h, w), np.float32)
    if fractured and not outlines.polygons:
        return Target(1.0, 1.0, positive, np.zeros_like(weight))
    most = 0.0
    for polygon in outlines.polygons:
        seen = _visible(polygon, canvas)
        most = max(most, seen)
        if seen == 0:
            continue
        covered = _coverage(polygon, (h, w), stride)
        weight[(covered > 0) & (covered < 0.33)] = 0
        positive[covered >= 0.33] = 1
        if seen > 0.5 and covered.max() > 0:
            positive[np.unravel_index(covered.argmax(), covered.shape)] = 1
    weight[positive > 0] = 1
    known = most <= 0.05 or most >= 0.6
    return Target(float(most >= 0.6), float(known), positive, weight)


def _coverage(polygon: np.ndarray, shape: tuple[int, int], stride: int) -> np.ndarray:
    """Fraction of each map cell (h, w) that lies inside the polygon (canvas pixels)."""
    fine = 4
    mask = np.zeros((shape[0] * fine, shape[1] * fine), np.uint8)
    points = np.round((polygon * fine / stride - 0.5) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(mask, [points[:, None]], 255, shift=_SHIFT)
    return cv2.resize(mask, (shape[1], shape[0]), interpolation=cv2.INTER_AREA) / 255.0
