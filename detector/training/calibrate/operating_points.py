"""The rule-out and the rule-in point, by split conformal prediction.

Of n calibration films and a new one, each is equally likely to be the outermost (Vovk et al. 2005;
Angelopoulos & Bates 2021). So the promise holds for a finite number of films, whatever the scores.
"""

from __future__ import annotations

import numpy as np


def conformal_rank(count: int, proportion: float) -> int:
    """Rank of the calibration value that bounds a new one with at least this probability.

    The outermost of the ``count`` values has rank 1; 0 means that ``count`` is too small to say.
    """
    return int(np.floor((count + 1) * (1 - proportion) + 1e-9))


def outermost(values: np.ndarray, proportion: float) -> float:
    """The one of ``values`` (N,) that a new value stays within with at least this probability.

    The largest one where there are too few to say.
    """
    ordered = np.sort(values)[::-1]
    return float(ordered[max(conformal_rank(len(ordered), proportion), 1) - 1])


def conformal_rule_out(fractured: np.ndarray, sensitivity: float = 0.95) -> float:
    """The highest cut that a new fractured film reaches with at least this probability.

    With n calibration films the k-th smallest probability with
    k = floor((n + 1)(1 - sensitivity)). 0 when n is too small.
    """
    ordered = np.sort(np.asarray(fractured, np.float64))
    k = conformal_rank(len(ordered), sensitivity)
    return float(ordered[k - 1]) if k >= 1 else 0.0


def conformal_rule_in(normal: np.ndarray, specificity: float = 0.95) -> float:
    """The lowest cut that a new normal film stays under with at least this probability.

    See ``conformal_rule_out``; 1 when there are too few films.
    """
    ordered = np.sort(np.asarray(normal, np.float64))[::-1]
    k = conformal_rank(len(ordered), specificity)
    return min(float(np.nextafter(ordered[k - 1], 2.0)), 1.0) if k >= 1 else 1.0
