"""Free-response figures of boxes: found per fracture against false ones per film.

FROC after Bunch et al. (1978); average precision with all-point interpolation (Everingham et al.,
VOC 2010). A box finds a fracture when the two overlap by at least ``least`` (intersection over
union); each fracture is found once, by the strongest such box, and what is left over is false.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torchvision.ops import box_convert, box_iou


@dataclass(frozen=True)
class BoxedFilm:
    """``found``: (N, 5) x, y, width, height, score; ``truth``: (M, 4); film pixels."""

    found: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True)
class Matches:
    """Of one film: scores (N,) of the boxes, whether each is right (N,), number of fractures."""

    scores: np.ndarray
    right: np.ndarray
    fractures: int


def overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) and (M, 4) as x, y, width, height -> intersection over union (N, M)."""
    corners = (
        box_convert(torch.as_tensor(boxes, dtype=torch.float64), "xywh", "xyxy")
        for boxes in (one, other)
    )
    return box_iou(*corners).nan_to_num().numpy()  # two boxes without an area share nothing


def match(film: BoxedFilm, least: float) -> Matches:
    """Which boxes are right, the strongest first."""
    found = film.found[np.argsort(-film.found[:, 4], kind="stable")]
    shared = overlap(found[:, :4], film.truth)
    right = np.zeros(len(found), bool)
    for index in range(len(found)):
        if shared.shape[1] and shared[index].max() >= least:
            right[index] = True
            shared[:, int(shared[index].argmax())] = -1  # found once
    return Matches(found[:, 4], right, len(film.truth))


def froc(matches: Sequence[Matches]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per threshold, falling: false boxes per film, proportion of fractures found, threshold.

    Raises:
        ValueError: no film has a fracture.
    """
    fractures = sum(m.fractures for m in matches)
    if not fractures:
        raise ValueError("none of the films has a boxed fracture")
    scores = np.concatenate([m.scores for m in matches])
    right = np.concatenate([m.right for m in matches])
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order], right[order]
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1) if len(scores) else []
    last = np.asarray(last, int)  # boxes of one score come together
    return (
        np.cumsum(~right)[last] / len(matches), np.cumsum(right)[last] / fractures, scores[last],
    )  # fmt: skip


def found_at(matches: Sequence[Matches], false_per_film: float) -> float:
    """Proportion of fractures found where there are at most this many false boxes per film."""
    false, found, _ = froc(matches)
    allowed = found[false <= false_per_film]
    return float(allowed.max()) if len(allowed) else 0.0


def average_precision(matches: Sequence[Matches]) -> float:
    """Area under the precision-recall curve, in [0, 1]."""
    false, found, _ = froc(matches)
    if not len(found):
        return 0.0
    hits = found * sum(m.fractures for m in matches)
    precision = hits / np.maximum(hits + false * len(matches), 1e-9)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(found, prepend=0.0) * best))
