"""Does anything but the bone tell the label of a training sample?

How near a film is shown, how sharp it is, how many pixels it has, where it comes from, how much
contrast it has: a logistic model of these properties alone should guess the label no better than
chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from detector.training.config import TrainConfig
from detector.training.data.dataset import EpochDataset
from detector.training.data.films import CachedFilm
from detector.training.evaluation.metrics import auc

_FOLDS = 5


def sample_properties(
    films: Sequence[CachedFilm], config: TrainConfig, epoch: int, most: int = 1000
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Properties (N, K) that know no bone, labels (N,) bool, and the properties' names.

    Of at most ``most`` samples of an epoch whose label is known, one film on each canvas.
    """
    data = EpochDataset(films, replace(config, pair_fraction=0.0), epoch)
    names = sorted({film.record.source for film in films})
    rows, labels = [], []
    for index in np.random.default_rng(epoch).permutation(len(data))[:most]:
        rng = np.random.default_rng([config.seed, epoch, int(index)])
        sample = data.samples[index]
        canvas, target, zoom = data.draw_single(rng, sample, data.canvas)
        if not target.label_weight:
            continue
        film = films[sample.film]
        fit = min(data.canvas) / min(film.pixels.shape)
        lit = canvas[canvas > 8]
        rows.append([
            np.log(zoom), np.log(zoom / fit), np.log(film.longest),
            np.log(cv2.Laplacian(canvas, cv2.CV_32F).var() + 1),
            float(canvas.std()), float(lit.std()) if len(lit) else 0.0, float(canvas.mean()),
            float((canvas <= 8).mean()),
            *(float(film.record.source == name) for name in names),
        ])
        labels.append(target.label > 0)
    measured = ["zoom", "zoom against fit", "longest side", "sharpness", "contrast",
                "contrast of the film", "brightness", "black"]
    return np.array(rows), np.array(labels), [*measured, *names]


def property_auc(properties: np.ndarray, labels: np.ndarray) -> float:
    """AUC, cross-validated, of a logistic model of the properties (N, K) alone; 0.5 is chance."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000))
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    guess = cross_val_predict(model, properties, labels, cv=folds, method="decision_function")
    return auc(labels, guess)
