"""Platt scaling: from the film's logit, or the evidence at a peak, to a probability."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from detector.model.calibration import Logistic

PROVISIONAL = Logistic(1.0, 0.0)  # stands in where there is nothing to fit


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


def fit_location(peaks: np.ndarray, hits: np.ndarray) -> Logistic:
    """P(fracture at a peak) from its evidence: ``peaks`` (N,) and whether each ``hits`` a fracture.

    Where no peak hits, or none misses, the rate of hits by Laplace's rule at the mean peak.
    """
    if not len(peaks):
        return PROVISIONAL
    if hits.any() and not hits.all():
        return fit_logistic(peaks, hits)
    rate = (hits.sum() + 1) / (len(hits) + 2)
    return Logistic(1.0, float(np.log(rate / (1 - rate)) - peaks.mean()))
