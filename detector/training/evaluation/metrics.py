"""Figures of merit, each on plain arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

POINTING_TOLERANCE = 15 / 454  # of the longest side: 15 px on a FracAtlas film (Zhang et al. 2018)


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve; NaN where only one class is present."""
    labels = np.asarray(labels)
    if len(np.unique(labels)) < 2:
        return float("nan")
    return float(roc_auc_score(labels, scores))


def hottest_pixel(heatmap: np.ndarray) -> tuple[float, float]:
    """Centre (x, y) of the hottest pixel of a map (H, W)."""
    row, column = np.unravel_index(int(np.argmax(heatmap)), heatmap.shape)
    return column + 0.5, row + 0.5


def points_at(
    point: tuple[float, float], boxes: np.ndarray, shape: tuple[int, int], tolerance: float
) -> bool:
    """Whether ``point`` lies in one of ``boxes`` (N, 4) grown by ``tolerance`` x longest side."""
    margin = tolerance * max(shape)
    x, y = point
    low = boxes[:, :2] - margin
    high = boxes[:, :2] + boxes[:, 2:] + margin
    inside = (low[:, 0] <= x) & (x <= high[:, 0]) & (low[:, 1] <= y) & (y <= high[:, 1])
    return bool(inside.any())


def pointing(
    heatmap: np.ndarray, boxes: np.ndarray, shape: tuple[int, int] | None = None
) -> tuple[bool, bool]:
    """Pointing game on one film: (hit with tolerance, strict hit).

    ``heatmap`` (H, W) over the film; ``boxes`` (N, 4) x, y, width, height in its pixels.
    """
    shape = shape or heatmap.shape
    point = hottest_pixel(heatmap)
    return (
        points_at(point, boxes, shape, POINTING_TOLERANCE),
        points_at(point, boxes, shape, 0.0),
    )


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    clusters: Sequence[str],
    *,
    rounds: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % percentile interval of ``statistic`` over resampled clusters (duplicate groups).

    ``statistic`` takes an index array into the films; rounds in which it is NaN are left out.
    """
    rng = np.random.default_rng(seed)
    names, cluster_of = np.unique(np.asarray(clusters), return_inverse=True)
    members = [np.flatnonzero(cluster_of == i) for i in range(len(names))]
    values = []
    for _ in range(rounds):
        drawn = rng.integers(len(names), size=len(names))
        value = statistic(np.concatenate([members[i] for i in drawn]))
        if np.isfinite(value):
            values.append(value)
    if not values:
        return float("nan"), float("nan")
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


CALIBRATION_BINS = 15  # of equal mass: every bin holds the same number of films


def estimate(value: float, low: float, high: float) -> dict[str, float]:
    """A figure with its 95 % interval as it stands in ``config.json``."""
    return {"value": round(value, 4), "low": round(low, 4), "high": round(high, 4)}


def _draws(clusters: Sequence[str], rounds: int, seed: int) -> np.ndarray:
    """(rounds, N): how often each film is in a round, films of one cluster always together."""
    names, cluster_of = np.unique(np.asarray(clusters), return_inverse=True)
    rng = np.random.default_rng(seed)
    even = np.full(len(names), 1 / len(names))
    return rng.multinomial(len(names), even, size=rounds)[:, cluster_of].astype(np.float64)


def proportion(
    hits: Sequence[bool], clusters: Sequence[str], *, rounds: int = 1000, seed: int = 0
) -> dict[str, float]:
    """Proportion of films that are hits (N,) bool, N > 0, with its 95 % interval.

    Bootstrap over clusters; where every film or none is a hit, which a bootstrap cannot widen,
    Wilson's interval on the number of clusters.
    """
    hits = np.asarray(hits, np.float64)
    if hits.min() == hits.max():
        count = len(set(clusters))
        interval = binomtest(count * int(hits[0]), count).proportion_ci(method="wilson")
        return estimate(float(hits[0]), interval.low, interval.high)
    return mean(hits, clusters, rounds=rounds, seed=seed)


def mean(
    values: np.ndarray, clusters: Sequence[str], *, rounds: int = 1000, seed: int = 0
) -> dict[str, float]:
    """Mean of ``values`` (N,), N > 0, with its 95 % bootstrap interval over clusters."""
    values = np.asarray(values, np.float64)
    draws = _draws(clusters, rounds, seed)
    low, high = np.percentile(draws @ values / draws.sum(axis=1), [2.5, 97.5])
    return estimate(float(values.mean()), float(low), float(high))


def auc_estimate(
    labels: np.ndarray, scores: np.ndarray, clusters: Sequence[str], *,
    rounds: int = 1000, seed: int = 0,
) -> dict[str, float]:
    """Area under the ROC curve with its 95 % bootstrap interval over clusters.

    Both classes must be present. Every round is a weighting of the same table of pairs (Mann and
    Whitney 1947).
    """
    labels, scores = np.asarray(labels, bool), np.asarray(scores, np.float64)
    above = scores[labels][:, None] - scores[~labels][None]
    wins = (above > 0) + 0.5 * (above == 0)
    draws = _draws(clusters, rounds, seed)
    fractured, normal = draws[:, labels], draws[:, ~labels]
    pairs = fractured.sum(axis=1) * normal.sum(axis=1)
    won = ((fractured @ wins) * normal).sum(axis=1)
    low, high = np.percentile(won[pairs > 0] / pairs[pairs > 0], [2.5, 97.5])
    return estimate(float(wins.mean()), float(low), float(high))


def reliability(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = CALIBRATION_BINS
) -> list[dict[str, float]]:
    """Per bin of equal mass: mean probability, proportion of fractured films, number of films."""
    labels = np.asarray(labels, np.float64)
    probabilities = np.asarray(probabilities, np.float64)
    order = np.argsort(probabilities, kind="stable")
    return [
        {
            "predicted": float(probabilities[part].mean()),
            "observed": float(labels[part].mean()),
            "films": len(part),
        }
        for part in np.array_split(order, min(bins, len(order)))
    ]


def calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = CALIBRATION_BINS
) -> float:
    """Expected calibration error (Naeini et al. 2015) over bins of equal mass."""
    table = reliability(labels, probabilities, bins)
    off = sum(row["films"] * abs(row["predicted"] - row["observed"]) for row in table)
    return float(off / sum(row["films"] for row in table))


def chance_calibration_error(
    table: Sequence[Mapping[str, float]], rounds: int = 2000, seed: int = 0
) -> dict[str, float]:
    """The calibration error that exact probabilities would show on as many films.

    The films of a small bin scatter about their probability, so the error of a small group is never
    near zero (Roelofs et al. 2022).

    Args:
        table: what ``reliability`` returns.

    Returns:
        ``mean`` and ``percentile_95`` over ``rounds`` draws.
    """
    said = np.array([row["predicted"] for row in table])
    films = np.array([int(row["films"]) for row in table])
    hits = np.random.default_rng(seed).binomial(films, said, size=(rounds, len(films)))
    errors = np.abs(hits - films * said).sum(axis=1) / films.sum()
    return {
        "mean": round(float(errors.mean()), 6),
        "percentile_95": round(float(np.percentile(errors, 95)), 6),
    }


def brier(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Squared error of each probability (N,); its mean is the Brier score (1950)."""
    return np.square(np.asarray(probabilities, np.float64) - np.asarray(labels, np.float64))
