"""Does a map point at the fracture? Pointing game, overlap and area, on one film's map.

The pointing game (Zhang et al. 2018) is played on boxes and on outlines, strictly and with the
tolerance of ``metrics.POINTING_TOLERANCE``. The pixel precision-recall curve is PxAP of Choe et al.
(CVPR 2020), every film weighing the same.
"""

from __future__ import annotations

import cv2
import numpy as np

from detector.explain.regions import Region
from detector.training.data.records import FilmRecord
from detector.training.evaluation.froc import overlap
from detector.training.evaluation.metrics import POINTING_TOLERANCE, points_at

GAMES = ("boxes", "boxes_strict", "outlines", "outlines_strict")
# Heat levels of the pixel curve, dense near 0 where most of a film lies; -1 takes in every pixel.
LEVELS = np.append(-1.0, 1 / (1 + np.exp(-np.linspace(-14, 8, 800))))


def play(point: tuple[float, float], record: FilmRecord, shape: tuple[int, int]) -> dict[str, bool]:
    """Whether ``point`` (x, y) wins each of ``GAMES``; without outlines those two are left out."""
    result = {
        "boxes": points_at(point, record.boxes, shape, POINTING_TOLERANCE),
        "boxes_strict": points_at(point, record.boxes, shape, 0.0),
    }
    outlines = known_outlines(record)
    if outlines:
        depth = max(cv2.pointPolygonTest(o, point, measureDist=True) for o in outlines)
        result["outlines"] = depth >= -POINTING_TOLERANCE * max(shape)
        result["outlines_strict"] = depth >= 0
    return result


def chance(record: FilmRecord, shape: tuple[int, int]) -> dict[str, float]:
    """The fraction of the film's pixels that would win each game: what a random point expects."""
    margin = POINTING_TOLERANCE * max(shape)
    wide, narrow = (np.zeros(shape, np.uint8) for _ in range(2))
    for x, y, width, height in record.boxes:
        for mask, grow in ((wide, margin), (narrow, 0.0)):
            left, top = (max(0, int(np.ceil(v - grow - 0.5))) for v in (x, y))
            right = int(np.floor(x + width + grow + 0.5))
            bottom = int(np.floor(y + height + grow + 0.5))
            mask[top:bottom, left:right] = 1
    result = {"boxes": float(wide.mean()), "boxes_strict": float(narrow.mean())}
    if known_outlines(record):
        inside = fracture_mask(record, shape)
        away = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        result["outlines"] = float((away <= margin).mean())
        result["outlines_strict"] = float(inside.mean())
    return result


def known_outlines(record: FilmRecord) -> list[np.ndarray]:
    """The outlines as float32 polygons; none unless every fracture of the film has one."""
    outlines = [o for o in record.outlines if o is not None and len(o) >= 3]
    if len(outlines) < len(record.boxes):
        return []
    return [np.asarray(o, np.float32) for o in outlines]


def fracture_mask(record: FilmRecord, shape: tuple[int, int]) -> np.ndarray:
    """bool (H, W): pixels of the fractures' outlines, or of their boxes without outlines."""
    mask = np.zeros(shape, np.uint8)
    outlines = known_outlines(record)
    for polygon in outlines or [_corners(box) for box in record.boxes]:
        cv2.fillPoly(mask, [np.round(polygon - 0.5).astype(np.int32)], 1)
    return mask.astype(bool)


def _corners(box: np.ndarray) -> np.ndarray:
    x, y, width, height = box
    return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]])


def region_overlap(regions: tuple[Region, ...], record: FilmRecord) -> float:
    """Intersection over union of the strongest region and the box it fits best; 0 without one."""
    if not regions:
        return 0.0
    first = regions[0]
    box = np.array([[first.x, first.y, first.width, first.height]])
    return float(overlap(box, record.boxes).max())


def map_overlap(heat: np.ndarray, mask: np.ndarray, threshold: float) -> float:
    """Intersection over union of the map from ``threshold`` on and the fractures' pixels."""
    hot = heat >= threshold
    either = np.count_nonzero(hot | mask)
    return float(np.count_nonzero(hot & mask) / either) if either else 0.0


def pixel_counts(heat: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(2, levels): fraction of the film's pixels per heat level, of fractures and of the rest."""
    counts = [np.histogram(heat[m], np.append(LEVELS, np.inf))[0] for m in (mask, ~mask)]
    return np.stack(counts) / mask.size


def pixel_precision(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Summed ``pixel_counts`` -> recall, precision, area under the curve, from hot to cold."""
    right, wrong = np.cumsum(counts[:, ::-1], axis=1)
    recall = right / right[-1]
    precision = np.divide(right, right + wrong, out=np.ones_like(right), where=right + wrong > 0)
    return recall, precision, float(np.sum(np.diff(recall, prepend=0.0) * precision))


def size_class(record: FilmRecord, shape: tuple[int, int]) -> str:
    """The film's largest box as a fraction of the film's area, in three classes."""
    fraction = float((record.boxes[:, 2] * record.boxes[:, 3]).max()) / (shape[0] * shape[1])
    for limit, name in ((0.0025, "below 0.25 %"), (0.01, "0.25 to 1 %")):
        if fraction < limit:
            return name
    return "from 1 %"
