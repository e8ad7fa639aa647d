"""The fit of the out-of-distribution (OOD) check: a direction between embeddings, and its cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

from detector.model.ood import OodModel
from detector.training.calibrate.operating_points import outermost

_FOLDS = 5


def fit_ood(
    films: np.ndarray,
    others: np.ndarray,
    pictures: Sequence[int],
    at_home: np.ndarray,
    held_out: np.ndarray,
    accept: float = 0.99,
    refuse: float = 0.98,
) -> OodModel:
    """The direction that tells films from other pictures, and the cut on it.

    The direction is Fisher's linear discriminant with a covariance shrunk after Ledoit & Wolf
    (2004). A distance from the known films alone would refuse most films of an unknown appearance
    (docs/measured/ood_fit.md).

    The cut lies as far from the films as it can. A new picture of a known kind is refused with a
    probability of at least ``refuse``, by conformal prediction over pictures that the fit had left
    out (cross-conformal, Vovk 2015); of unknown kinds somewhat fewer are refused. Films come first:
    a new film of a known appearance is accepted with a probability of at least ``accept`` in any
    case.

    Args:
        films: embeddings (N, E) of training films.
        others: embeddings (M, E) of other pictures and of parts of them.
        pictures: (M,) which picture each row of ``others`` shows; its first row is the one that
            counts.
        at_home: embeddings (K, E) of training films shown in full.
        held_out: embeddings (L, E) of films held out.
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
    of_others = -outermost(-unseen, refuse) - float(line.intercept_[0])
    of_films = outermost(held_out @ direction, accept)
    return OodModel(direction, float((at_home @ direction).min()), max(of_others, of_films))
