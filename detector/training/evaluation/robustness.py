"""How the probability of a film moves when the film changes and the bone does not.

    python -m detector.training.evaluation.robustness --weights weights --data FOLDER [--films 60]

Also two checks of what the score depends on. Films of which only the corners are left must have an
AUC near chance, and normal crops of different sources must have similar scores.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import cv2
import numpy as np

from detector.io.radiograph import load_radiograph
from detector.model.calibration import Decision
from detector.predictor import FractureDetector
from detector.training.data.records import FilmRecord
from detector.training.evaluation.metrics import POINTING_TOLERANCE, auc_estimate, proportion
from detector.training.evaluation.predictions import (
    film_parser,
    one_thread_each,
    open_films,
    parse_films,
    probability_of,
    source_of,
    spread,
)

CORNER = 0.15  # of each side
MIN_CROPS = 5  # of a source, for its distribution to be reported
QUANTILES = (5, 25, 50, 75, 95)
Film = np.ndarray  # uint8 (H, W)


def rotated(film: Film, degrees: float) -> Film:
    """Turned about its middle on a canvas that holds all of it, black outside."""
    height, width = film.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    size = np.abs(matrix[:, :2]) @ [width, height]
    matrix[:, 2] += (size - [width, height]) / 2
    return cv2.warpAffine(film, matrix, tuple(int(np.ceil(v)) for v in size))


def relit(film: Film, contrast: float = 1.0, brightness: float = 0.0) -> Film:
    """Contrast about the film's mean, then brightness in grey levels; clipped to uint8."""
    middle = float(film.mean())
    changed = (film.astype(np.float32) - middle) * contrast + middle + brightness
    return np.clip(np.round(changed), 0, 255).astype(np.uint8)


def recompressed(film: Film, quality: int = 50) -> bytes:
    """The bytes of a JPEG."""
    return cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def coarser(film: Film, factor: int = 2) -> Film:
    """What is left of the film at a ``factor``-th of its resolution, at its old size."""
    size = max(1, film.shape[1] // factor), max(1, film.shape[0] // factor)
    small = cv2.resize(film, size, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, film.shape[::-1], interpolation=cv2.INTER_LINEAR)


def without_markers(film: Film, boxes: np.ndarray) -> Film:
    """Markers painted over: small bright spots in the outer third, away from the fractures.

    Letters on film are its whitest small parts; what they hide is filled from around them.
    """
    height, width = film.shape
    bright = (film >= max(int(film.max()) - 25, 128)).astype(np.uint8)
    reach = max(3, round(max(film.shape) / 100) | 1)
    joined = cv2.morphologyEx(bright, cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8))
    inner = np.zeros_like(bright)
    inner[height // 3 : -(height // 3), width // 3 : -(width // 3)] = 1
    inner |= near_boxes(film.shape, boxes)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined)
    mask = np.zeros_like(bright)
    for label in range(1, count):
        if not 1e-4 <= stats[label, cv2.CC_STAT_AREA] / film.size <= 0.01:
            continue
        spot = labels == label
        if not inner[spot].any():
            mask[spot] = 1
    mask = cv2.dilate(mask, np.ones((reach, reach), np.uint8))
    return cv2.inpaint(film, mask, 3, cv2.INPAINT_TELEA) if mask.any() else film


def with_marker(film: Film) -> Film:
    """A white letter in the upper left corner."""
    film = film.copy()
    scale = max(film.shape) / 400
    at = round(12 * scale), round(32 * scale)
    cv2.putText(film, "L", at, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, max(1, round(2 * scale)),
                cv2.LINE_AA)
    return film


def near_boxes(shape: tuple[int, int], boxes: np.ndarray) -> np.ndarray:
    """uint8 (H, W): 1 within the pointing tolerance of a fracture box (x, y, width, height)."""
    margin = POINTING_TOLERANCE * max(shape)
    mask = np.zeros(shape, np.uint8)
    for x, y, width, height in boxes:
        rows = slice(max(0, int(y - margin)), int(np.ceil(y + height + margin)))
        cols = slice(max(0, int(x - margin)), int(np.ceil(x + width + margin)))
        mask[rows, cols] = 1
    return mask


CHANGES: dict[str, Callable[[Film, np.ndarray], Film | bytes]] = {
    "rotated by 15 degrees": lambda film, boxes: rotated(film, 15),
    "rotated by -15 degrees": lambda film, boxes: rotated(film, -15),
    "flipped left to right": lambda film, boxes: np.ascontiguousarray(film[:, ::-1]),
    "brighter by 30 of 255 levels": lambda film, boxes: relit(film, brightness=30),
    "darker by 30 of 255 levels": lambda film, boxes: relit(film, brightness=-30),
    "contrast times 0.7": lambda film, boxes: relit(film, contrast=0.7),
    "contrast times 1.4": lambda film, boxes: relit(film, contrast=1.4),
    "JPEG quality 50": lambda film, boxes: recompressed(film),
    "half the resolution": lambda film, boxes: coarser(film),
    "inverted": lambda film, boxes: 255 - film,
    "markers painted over": without_markers,
    "marker added": lambda film, boxes: with_marker(film),
}


def film_levels(record: FilmRecord) -> Film:
    """The film as the detector reads it, uint8 (H, W). Raises RadiographError."""
    return np.round(load_radiograph(record.path).pixels * 255).astype(np.uint8)


def change_figures(
    detector: FractureDetector, records: Sequence[FilmRecord], workers: int = 1
) -> dict[str, Any]:
    """Per change: absolute change of probability, and two proportions of films: those with another
    decision, and those whose decision is reversed ("no fracture seen" against "fracture likely").
    """

    def read(record: FilmRecord) -> list[tuple[float, str]]:
        film = film_levels(record)
        films = [film, *(change(film, record.boxes) for change in CHANGES.values())]
        return [probability_of(detector, one) for one in films]

    rows = list(spread(read, records, "changed films", workers))
    clusters = [record.cluster for record in records]
    figures: dict[str, Any] = {"films": len(records), "changes": {}}
    for column, name in enumerate(CHANGES, start=1):
        moved = np.array([abs(row[column][0] - row[0][0]) for row in rows])
        other = np.array([row[column][1] != row[0][1] for row in rows])
        is_reversed = [
            {row[column][1], row[0][1]} == {Decision.FRACTURE_LIKELY, Decision.NO_FRACTURE_SEEN}
            for row in rows
        ]
        figures["changes"][name] = {
            "probability_change_median": round(float(np.median(moved)), 4),
            "probability_change_95th": round(float(np.percentile(moved, 95)), 4),
            "decision_changed": proportion(other, clusters),
            "decision_reversed": proportion(is_reversed, clusters),
        }
    return figures


def corners_only(film: Film) -> Film:
    """The film with everything black but its four corners."""
    height, width = (max(1, round(side * CORNER)) for side in film.shape)
    out = np.zeros_like(film)
    for rows in (slice(0, height), slice(-height, None)):
        for cols in (slice(0, width), slice(-width, None)):
            out[rows, cols] = film[rows, cols]
    return out


def corner_figures(
    detector: FractureDetector, records: Sequence[FilmRecord], workers: int = 1
) -> dict[str, Any]:
    """AUC on films of which only the corners are left; both classes present."""

    def read(record: FilmRecord) -> float:
        return probability_of(detector, corners_only(film_levels(record)))[0]

    scores = np.array(list(spread(read, records, "corners", workers)))
    labels = np.array([record.fractured for record in records])
    clusters = [record.cluster for record in records]
    return {
        "films": len(records),
        "fractured": int(labels.sum()),
        "corner": CORNER,
        "auc": auc_estimate(labels, scores, clusters),
    }


def normal_crop(film: Film, boxes: np.ndarray, rng: np.random.Generator) -> Film | None:
    """A random part of the film without any box that shows more than background; None where 50
    tries find none."""
    taken = near_boxes(film.shape, boxes)
    for _ in range(50):
        height, width = (max(32, round(side * rng.uniform(0.4, 0.7))) for side in film.shape)
        if height > film.shape[0] or width > film.shape[1]:
            return None
        top = int(rng.integers(film.shape[0] - height + 1))
        left = int(rng.integers(film.shape[1] - width + 1))
        window = slice(top, top + height), slice(left, left + width)
        if not taken[window].any() and film[window].std() > 20:
            return np.ascontiguousarray(film[window])
    return None


def crop_figures(
    detector: FractureDetector, records: Sequence[FilmRecord], workers: int = 1, most: int = 80
) -> dict[str, Any]:
    """Scores of normal crops per source, and how well they tell two sources apart.

    One crop a film, of at most ``most`` films a source: of normal films, and of fractured ones
    with boxes. The crop of a film is always the same.
    """
    by_source: dict[str, list[FilmRecord]] = defaultdict(list)
    for record in records:
        if record.located:
            by_source[source_of(record)].append(record)
    rng = np.random.default_rng(0)
    chosen = [
        group[i] for group in by_source.values() for i in rng.permutation(len(group))[:most]
    ]

    def read(record: FilmRecord) -> float | None:
        own = np.random.default_rng(zlib.crc32(record.key.encode()))
        crop = normal_crop(film_levels(record), record.boxes, own)
        return None if crop is None else probability_of(detector, crop)[0]

    scores: dict[str, list[float]] = defaultdict(list)
    clusters: dict[str, list[str]] = defaultdict(list)
    done = spread(read, chosen, "normal crops", workers)
    for record, score in zip(chosen, done, strict=True):
        if score is not None:
            scores[source_of(record)].append(score)
            clusters[source_of(record)].append(record.cluster)
    cut = detector.config.calibration.rule_in
    enough = sorted(name for name, values in scores.items() if len(values) >= MIN_CROPS)
    figures: dict[str, Any] = {"sources": {}, "told_apart": {}}
    for name in enough:
        quantiles = np.percentile(scores[name], QUANTILES)
        figures["sources"][name] = {
            "crops": len(scores[name]),
            "quantiles": {str(q): round(float(v), 4)
                          for q, v in zip(QUANTILES, quantiles, strict=True)},
            "fracture_likely": proportion(np.array(scores[name]) >= cut, clusters[name]),
        }
    for one, other in combinations(enough, 2):
        labels = np.repeat([True, False], [len(scores[one]), len(scores[other])])
        figures["told_apart"][f"{one} against {other}"] = auc_estimate(
            labels, np.array(scores[one] + scores[other]), clusters[one] + clusters[other]
        )
    return figures


def main(argv: list[str] | None = None) -> int:
    parser = film_parser(__doc__, split="val")
    parser.set_defaults(films=60)
    arguments = parse_films(parser, argv)
    try:
        detector, records = open_films(arguments)
    except ValueError as error:
        print(f"robustness: {error}", file=sys.stderr)
        return 2
    print(json.dumps(change_figures(detector, records, one_thread_each()), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
