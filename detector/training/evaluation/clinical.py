"""What a clinician asks of a probability: is it right, and which fractures does it find?

Calibration in the large and its slope (Cox 1958; Van Calster et al. 2019), and sensitivity by the
size of the fracture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize

from detector.training.evaluation.metrics import bootstrap, estimate, proportion
from detector.training.evaluation.predictions import FilmPrediction

# Largest box, as a part of the film's area. The median fracture box of FracAtlas covers 0.4 %.
SIZES = {"below 0.25 %": (0.0, 0.0025), "0.25 to 1 %": (0.0025, 0.01), "above 1 %": (0.01, 1.01)}
ROUNDS = 200  # of the bootstrap: each fits a curve


def recalibration(
    labels: np.ndarray, probabilities: np.ndarray, clusters: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Slope and intercept of the labels' log-odds on the stated ones, and observed to expected.

    A slope below 1: probabilities are too extreme. ``intercept``: with the slope held at 1, what
    the log-odds lack in the large; 0 where as many films are fractured as stated. Both classes
    must be present; intervals are 95 % bootstrap ones.
    """
    labels = np.asarray(labels, np.float64)
    probabilities = np.clip(np.asarray(probabilities, np.float64), 1e-9, 1 - 1e-9)
    log_odds = np.log(probabilities / (1 - probabilities))

    def of(statistic: Callable[[np.ndarray], float]) -> dict[str, float]:
        every = np.arange(len(labels))
        return estimate(statistic(every), *bootstrap(statistic, clusters, rounds=ROUNDS))

    return {
        "slope": of(lambda i: _fit(labels[i], log_odds[i])[0]),
        "intercept": of(lambda i: _fit(labels[i], log_odds[i], slope=1.0)[1]),
        "observed_to_expected": of(
            lambda i: float(labels[i].sum() / probabilities[i].sum())
        ),
    }


def _fit(
    labels: np.ndarray, log_odds: np.ndarray, slope: float | None = None
) -> tuple[float, float]:
    """Slope and intercept that make the labels most likely; NaN where one class is missing."""
    if labels.min() == labels.max():
        return float("nan"), float("nan")

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        scale, bias = (slope, theta[0]) if slope is not None else theta
        z = scale * log_odds + bias
        off = 1 / (1 + np.exp(-np.clip(z, -60, 60))) - labels
        gradient = [off.mean()] if slope is not None else [(off * log_odds).mean(), off.mean()]
        return float(np.mean(np.logaddexp(0, z) - labels * z)), np.array(gradient)

    start = np.zeros(1) if slope is not None else np.array([1.0, 0.0])
    best = minimize(loss, start, jac=True, method="BFGS").x
    return (slope, float(best[0])) if slope is not None else (float(best[0]), float(best[1]))


def by_size(
    predictions: Sequence[FilmPrediction], rule_out: float, rule_in: float
) -> dict[str, dict[str, Any]]:
    """Of fractured films with boxes, by the size of the largest: how many are found at either
    operating point, and pointed at."""
    figures = {}
    for name, (low, high) in SIZES.items():
        group = [p for p in predictions if p.hit is not None and low <= p.box_fraction < high]
        if group:
            clusters = [p.record.cluster for p in group]
            figures[name] = {
                "films": len(group),
                "rule_out": proportion([p.probability >= rule_out for p in group], clusters),
                "rule_in": proportion([p.probability >= rule_in for p in group], clusters),
                "pointing": proportion([bool(p.hit) for p in group], clusters),
            }
    return figures
