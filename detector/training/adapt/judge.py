"""Whether adapted weights read a hospital's films better: judged on films held out from the fit."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from detector.model.calibration import Calibration, Decision
from detector.model.familiarity import FamiliarityModel
from detector.training.heads.familiarity import FilmReadings


def decided(
    films: FilmReadings, usual: Calibration, familiarity: FamiliarityModel | None
) -> np.ndarray:
    """The decision on each film (N,), at the operating points that its familiarity gives it."""
    said = []
    for probability, embedding in zip(films.probabilities, films.embeddings, strict=True):
        points = usual
        if familiarity is not None:
            points = familiarity.calibration(usual, familiarity.check(embedding))
        said.append(str(points.decide(float(probability))))
    return np.array(said)


def got_worse(
    before: FilmReadings, said_before: np.ndarray, after: FilmReadings, said_after: np.ndarray
) -> str:
    """Why the adapted reading of held-out films is worse, in a sentence; empty where it is not.

    Of normal films no more may be called 'fracture likely' and no fewer cleared. Of fractured
    films no more may be cleared. With both classes the probability's log loss may not rise.
    """
    fractured = before.fractured

    def more(decision: Decision, films: np.ndarray) -> int:
        return int((said_after == decision)[films].sum() - (said_before == decision)[films].sum())

    if more(Decision.FRACTURE_LIKELY, ~fractured) > 0:
        return "more normal films are called 'fracture likely'"
    if more(Decision.NO_FRACTURE_SEEN, ~fractured) < 0:
        return "fewer normal films are called 'no fracture seen'"
    if more(Decision.NO_FRACTURE_SEEN, fractured) > 0:
        return "more fractures are missed ('no fracture seen')"
    if fractured.any() and not fractured.all():
        loss, lost = log_loss(before), log_loss(after)
        if lost > loss:
            return f"the probabilities are further off (log loss {lost:.3f}, {loss:.3f} before)"
    return ""


def log_loss(films: FilmReadings) -> float:
    """Mean negative log-likelihood of the labels."""
    return float(np.mean(
        np.logaddexp(0, films.log_odds) - films.fractured * films.log_odds
    ))


def held_out_figures(films: FilmReadings, said: np.ndarray) -> dict[str, Any]:
    """How many films of each class get each decision, and the log loss where both are there."""
    figures: dict[str, Any] = {}
    for name, label in (("normal", False), ("fractured", True)):
        if chosen := Counter(map(str, said[films.fractured == label])):
            figures[name] = {"films": chosen.total(), **dict(sorted(chosen.items()))}
    if len(figures) == 2:
        figures["log_loss"] = round(log_loss(films), 4)
    return figures
