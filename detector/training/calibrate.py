"""Calibration, operating points and scope, fitted on films that training did not see.

All take plain arrays and return the detector's own dataclasses.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from scipy.optimize import minimize
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

from detector.explain.regions import MAX_REGIONS, candidate_regions
from detector.model.calibration import Calibration, Logistic
from detector.model.letterbox import Letterbox
from detector.model.ood import OodModel
from detector.training.evaluation.froc import overlap
from detector.training.evaluation.metrics import POINTING_TOLERANCE, points_at


def fit_logistic(values: np.ndarray, labels: np.ndarray) -> Logistic:
    """Scale > 0 and bias that maximise the likelihood of ``labels`` (N,) given ``values`` (N,).

    Platt's targets (1999): each class is pulled in by one pseudo-observation, so that a few
    separable films do not give an infinite scale.

    Raises:
        ValueError: only one class is present.
    """
    values = np.asarray(values, np.float64)
    labels = np.asarray(labels, bool)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        raise ValueError("calibration needs fractured and normal films in val")
    target = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(theta: np.ndarray) -> float:
        z = np.exp(theta[0]) * values + theta[1]
        return float(np.mean(np.logaddexp(0, z) - target * z))

    best = minimize(loss, np.array([0.0, 0.0]), method="Nelder-Mead",
                    options={"xatol": 1e-6, "fatol": 1e-10, "maxiter": 4000})
    return Logistic(float(np.exp(best.x[0])), float(best.x[1]))


def _conformal_rank(count: int, share: float) -> int:
    """Rank, counted from the outermost as 1, of the calibration value that a new one stays within
    with a probability of at least ``share``; 0 where ``count`` is too small to say."""
    return int(np.floor((count + 1) * (1 - share) + 1e-9))


def conformal_rule_out(fractured: np.ndarray, sensitivity: float = 0.95) -> float:
    """The highest cut that a new fractured film reaches with at least this probability.

    Split conformal (Vovk et al. 2005; Angelopoulos & Bates 2021): with n calibration films the
    k-th smallest probability with k = floor((n + 1)(1 - sensitivity)). 0 when n is too small.
    """
    ordered = np.sort(np.asarray(fractured, np.float64))
    k = _conformal_rank(len(ordered), sensitivity)
    return float(ordered[k - 1]) if k >= 1 else 0.0


def conformal_rule_in(intact: np.ndarray, specificity: float = 0.95) -> float:
    """The lowest cut that a new normal film stays under with at least this probability; 1 when
    there are too few films. See ``conformal_rule_out``."""
    ordered = np.sort(np.asarray(intact, np.float64))[::-1]
    k = _conformal_rank(len(ordered), specificity)
    return min(float(np.nextafter(ordered[k - 1], 2.0)), 1.0) if k >= 1 else 1.0


_PROVISIONAL = Logistic(1.0, 0.0)
_LEAST = 1e-6
_PLAIN = 0.75  # of the normal films show no place at all


def fit_calibration(
    logits: np.ndarray,
    labels: np.ndarray,
    evidence: Sequence[np.ndarray],
    letterboxes: Sequence[Letterbox],
    boxes: Sequence[np.ndarray],
) -> Calibration:
    """The film's and the place's calibration, both operating points, the regions' extent and the
    floor of what is shown.

    Args:
        logits: (N,) per film; labels: (N,) bool.
        evidence, letterboxes: each film's map and where it lies.
        boxes: each film's fractures (M, 4) in film pixels; a fractured film without boxes is left
            out of the place's calibration.
    """
    labels = np.asarray(labels, bool)
    film = fit_logistic(logits, labels)
    probabilities = film.probability(np.asarray(logits, np.float64))
    # 'fracture likely' never stands beside the label 'not fractured', nor the other way round.
    # Not 0 either, which no evidence has: too few films for a cut give one that nothing is under.
    rule_out = min(max(conformal_rule_out(probabilities[labels]), _LEAST), 0.5)
    rule_in = max(conformal_rule_in(probabilities[~labels]), 0.5)

    known = [i for i in range(len(labels)) if not labels[i] or len(boxes[i])]
    peaks, hits = [], []
    for i in known:
        for point, peak in find_peaks(evidence[i], letterboxes[i]):
            shape = (letterboxes[i].height, letterboxes[i].width)
            peaks.append(peak)
            hits.append(points_at(point, boxes[i], shape, POINTING_TOLERANCE))
    place = _fit_place(np.array(peaks), np.array(hits, bool))
    extent = _best_extent(evidence, letterboxes, boxes)
    hottest = [find_peaks(evidence[i], letterboxes[i], 1)[0][1] for i in np.flatnonzero(~labels)]
    # A new normal film stays plain with a probability of ``_PLAIN``; a place as likely fractured as
    # not is always shown.
    floor = min(conformal_rule_in(place.probability(np.array(hottest)), _PLAIN), 0.5)
    return Calibration(film, place, rule_out, rule_in, extent, float(labels.mean()), floor)


def _fit_place(peaks: np.ndarray, hits: np.ndarray) -> Logistic:
    """``fit_logistic``, or where no place hits (or none misses) the rate of hits by Laplace's rule
    at the mean peak."""
    if not len(peaks):
        return _PROVISIONAL
    if hits.any() and not hits.all():
        return fit_logistic(peaks, hits)
    rate = (hits.sum() + 1) / (len(hits) + 2)
    return Logistic(1.0, float(np.log(rate / (1 - rate)) - peaks.mean()))


def find_peaks(
    evidence: np.ndarray, letterbox: Letterbox, most: int = MAX_REGIONS
) -> list[tuple[tuple[float, float], float]]:
    """The highest peaks of a map (h, w), highest first: place (x, y) in film pixels and evidence.

    A peak is the highest for a cell around; the map is refined first, as for regions.
    """
    fine = 4
    shape = evidence.shape[1] * fine, evidence.shape[0] * fine
    values = cv2.resize(np.asarray(evidence, np.float32), shape, interpolation=cv2.INTER_CUBIC)
    step = letterbox.canvas[0] / values.shape[0]
    rows, cols = (int(np.ceil(side / step)) for side in letterbox.inner)
    values = np.ascontiguousarray(values[:rows, :cols])
    highest = values >= cv2.dilate(values, np.ones((2 * fine + 1, 2 * fine + 1), np.uint8))
    y, x = np.nonzero(highest)
    order = np.argsort(-values[y, x], kind="stable")[:most]
    down, across = letterbox.scale
    return [
        ((float((x[i] + 0.5) * step / across), float((y[i] + 0.5) * step / down)),
         float(values[y[i], x[i]]))
        for i in order
    ]


_EXTENTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0)


def _best_extent(
    evidence: Sequence[np.ndarray],
    letterboxes: Sequence[Letterbox],
    boxes: Sequence[np.ndarray],
) -> float:
    """The extent at which the strongest region fits the boxes best (mean IoU with the best box)."""
    fractured = [i for i in range(len(boxes)) if len(boxes[i])]
    best, best_iou = 1.0, -1.0
    for extent in _EXTENTS:
        calibration = Calibration(_PROVISIONAL, _PROVISIONAL, 0.0, 1.0, extent, 0.5)
        overlaps = []
        for i in fractured:
            regions = candidate_regions(evidence[i], letterboxes[i], calibration)
            strongest = [[r.x, r.y, r.width, r.height] for r in regions[:1]]
            overlaps.append(overlap(np.array(strongest), boxes[i]).max() if regions else 0.0)
        mean = float(np.mean(overlaps)) if overlaps else 0.0
        if mean > best_iou:
            best, best_iou = extent, mean
    return best


_FOLDS = 5


def fit_ood(
    films: np.ndarray,
    others: np.ndarray,
    pictures: Sequence[int],
    at_home: np.ndarray,
    held_out: np.ndarray,
    accept: float = 0.99,
    refuse: float = 0.995,
) -> OodModel:
    """The line that tells films from other pictures, and where on it the border lies.

    Fisher's linear discriminant with a covariance shrunk after Ledoit & Wolf (2004). What films of
    unknown styles have in common with the known ones is that they are no other pictures: a distance
    from the known films alone takes most of them for strangers (docs/measured/scope_fit.md). So the
    cut lies as far from the films as it can: a picture of a kind that the fit knows is refused with
    a probability of at least ``refuse``, by conformal prediction over pictures that the fit had
    left out (Vovk 2015, cross-conformal); of unknown kinds somewhat fewer are. But films come
    first: a new one of the known styles is let in with the probability ``accept`` in any case.

    Args:
        films: embeddings (N, E) of training films; others: (M, E) of other pictures and parts of
            them; pictures: (M,) which picture each shows, its first row the one that counts.
        at_home: (K, E) of training films seen whole; held_out: (L, E) of films held out.
    """
    line = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=(0.5, 0.5))
    embeddings = np.concatenate([films, others]).astype(np.float64)
    strange = np.repeat([0, 1], [len(films), len(others)])
    groups = np.concatenate([-1 - np.arange(len(films)), pictures])
    _, counted = np.unique(np.asarray(pictures), return_index=True)
    # Scores of a fold are log-odds, so the folds' scores stand beside those of the whole fit.
    unseen = cross_val_predict(
        line, embeddings, strange, groups=groups, method="decision_function",
        cv=StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0),
    )[len(films):][counted]
    line.fit(embeddings, strange)
    direction = line.coef_[0]
    of_others = -_outermost(-unseen, refuse) - float(line.intercept_[0])
    of_films = _outermost(held_out @ direction, accept)
    return OodModel(direction, float((at_home @ direction).min()), max(of_others, of_films))


def _outermost(values: np.ndarray, share: float) -> float:
    """The value that a new one stays within with at least this probability, as split conformal has
    it; the largest one where there are too few to say."""
    ordered = np.sort(values)[::-1]
    return float(ordered[max(_conformal_rank(len(ordered), share), 1) - 1])
