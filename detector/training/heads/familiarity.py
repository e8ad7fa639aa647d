"""How far a film lies from the training films, and how bold the answer about a far one may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from detector.model.calibration import Calibration
from detector.model.familiarity import FamiliarityModel
from detector.training.calibrate.operating_points import (
    conformal_rule_in,
    conformal_rule_out,
    outermost,
)
from detector.training.data.records import FilmRecord

COMPONENTS = 32  # of the embedding that have a variance of their own; the rest share one
FAMILIAR = 0.95  # of the films of known sources stay familiar
SPECIFICITY, SENSITIVITY = 0.9, 0.95  # of the operating points of unfamiliar films
MIN_FILMS = 19  # of a class in a source; with fewer there is no cut at 0.95


@dataclass(frozen=True)
class FilmReadings:
    """What a network said of films: ``probabilities`` (N,), ``embeddings`` (N, E)."""

    records: Sequence[FilmRecord]
    probabilities: np.ndarray
    embeddings: np.ndarray

    def __getitem__(self, chosen: np.ndarray) -> FilmReadings:
        """The films where ``chosen`` (N,) is true."""
        records = [self.records[i] for i in np.flatnonzero(chosen)]
        return FilmReadings(records, self.probabilities[chosen], self.embeddings[chosen])

    @property
    def sources(self) -> np.ndarray:
        return np.array([record.source for record in self.records])

    @property
    def log_odds(self) -> np.ndarray:
        """Calibrated, (N,)."""
        certain = np.clip(self.probabilities, 1e-9, 1 - 1e-9)
        return np.log(certain / (1 - certain))

    @property
    def fractured(self) -> np.ndarray:
        return np.array([record.fractured for record in self.records], bool)


def fit_familiarity(
    train: np.ndarray, held_out: np.ndarray, usual: Calibration
) -> FamiliarityModel:
    """The distance from training films, as probabilistic principal components have it (Tipping &
    Bishop 1999), and the threshold that a new film of a known source stays within with a
    probability of ``FAMILIAR`` (split conformal). Unfamiliar films keep the ``usual`` operating
    points; ``with_points`` gives them their own.

    Args:
        train: embeddings (N, E) of training films, each source in fair measure.
        held_out: embeddings (M, E) of films of the same sources that training did not see.
    """
    fit = PCA(min(COMPONENTS, len(train) - 1, train.shape[1] - 1)).fit(train.astype(np.float64))
    off = 1 / fit.noise_variance_ - 1 / np.maximum(fit.explained_variance_, fit.noise_variance_)
    components = fit.components_.T * np.sqrt(off)
    model = FamiliarityModel(
        fit.mean_, components, float(fit.noise_variance_), 1.0, usual.rule_out, usual.rule_in
    )
    distances = np.array([model.score(embedding) for embedding in held_out])
    return replace(model, threshold=outermost(distances, FAMILIAR))


def with_points(
    model: FamiliarityModel, usual: Calibration, unseen: FilmReadings
) -> FamiliarityModel:
    """The model with the operating points of unfamiliar films of sources that training did not see.

    Rule-in: no source's normal films lie above it more often than 1 - ``SPECIFICITY``. Rule-out: no
    source's fractured films lie below it more often than 1 - ``SENSITIVITY``. Sources with fewer
    than ``MIN_FILMS`` of a class do not count for it; where none has as many, the usual point
    stays. Rule-in is never below the usual one, and rule-out never above 0.5, where the label
    changes.
    """
    unseen = unseen[~familiar_films(model, unseen.embeddings)]
    rule_ins, rule_outs = [usual.rule_in], []
    for source in dict.fromkeys(unseen.sources):
        own = unseen[unseen.sources == source]
        normal, fractured = (own.probabilities[own.fractured == label] for label in (False, True))
        if len(normal) >= MIN_FILMS:
            rule_ins.append(conformal_rule_in(normal, SPECIFICITY))
        if len(fractured) >= MIN_FILMS:
            rule_outs.append(conformal_rule_out(fractured, SENSITIVITY))
    rule_in = max(rule_ins)
    rule_out = min(*rule_outs, 0.5) if rule_outs else usual.rule_out
    return replace(model, rule_out=rule_out, rule_in=rule_in)


def familiar_films(model: FamiliarityModel, embeddings: np.ndarray) -> np.ndarray:
    """Embeddings (N, E) -> whether each is familiar (N,)."""
    return np.array([model.score(embedding) <= 1 for embedding in embeddings], bool)


def familiarity_figures(
    model: FamiliarityModel, usual: Calibration, films: FilmReadings
) -> dict[str, Any]:
    """Per source: how many films, the share that is unfamiliar, and for either group the decisions
    at its operating points, of normal and of fractured films."""
    familiar = familiar_films(model, films.embeddings)
    apart = replace(usual, rule_out=model.rule_out, rule_in=model.rule_in)
    figures: dict[str, Any] = {}
    for source in dict.fromkeys(films.sources):
        own = films.sources == source
        figures[source] = {
            "films": int(own.sum()),
            "unfamiliar": round(float((~familiar[own]).mean()), 4),
            **{
                name: decisions(films[own & group], points)
                for name, group, points in (
                    ("familiar_films", familiar, usual), ("unfamiliar_films", ~familiar, apart),
                    ("at_usual_points", np.ones(len(own), bool), usual),
                )
                if (own & group).any()
            },
        }
    return figures


def usual_normal(films: FilmReadings) -> float:
    """Median log-odds of normal films: what adapting to another hospital moves its own to."""
    return float(np.median(films.log_odds[~films.fractured]))


def decisions(films: FilmReadings, calibration: Calibration) -> Mapping[str, Any]:
    """Of normal and of fractured films: how many, and how many get each decision."""
    counts: dict[str, Any] = {}
    for name, label in (("normal", False), ("fractured", True)):
        chosen = films.probabilities[films.fractured == label]
        if len(chosen):
            said = [str(calibration.decide(float(p))) for p in chosen]
            counts[name] = {"films": len(said), **{d: said.count(d) for d in sorted(set(said))}}
    return counts
