"""Is this film like those that the network learnt from? Answered from the same forward pass.

The Mahalanobis distance of the film's embedding from the training films (Lee et al. 2018;
Mueller & Hein 2025); the covariance is that of probabilistic principal components (Tipping & Bishop
1999). An unfamiliar film is read all the same, at the
operating points of films of sources that the network never saw.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from detector.model.calibration import Calibration

UNFAMILIAR = (
    "This film differs from those the model learnt from; its answer is less certain."
)


@dataclass(frozen=True)
class FamiliarityCheck:
    """Whether a film is like those that the model learnt from.

    ``score``: its distance from them over the threshold, >= 0; above 1 is unfamiliar. ``reason``: a
    sentence for a person, empty when familiar.
    """

    familiar: bool
    score: float
    reason: str = ""


@dataclass(frozen=True)
class FamiliarityModel:
    """``mean`` (E,) of the training films' embeddings. ``noise`` > 0: their variance in every
    direction but K. ``components`` (E, K): those K, each as long as what its larger variance takes
    off the squared distance. ``threshold`` > 0: the distance from which a film is unfamiliar.
    ``rule_out``, ``rule_in``: the operating points of such films, as probabilities.

    Raises:
        ValueError: a threshold or noise of 0 or less, or operating points not ordered in [0, 1].
    """

    mean: np.ndarray
    components: np.ndarray
    noise: float
    threshold: float
    rule_out: float
    rule_in: float

    def __post_init__(self) -> None:
        if not (self.threshold > 0 and self.noise > 0):
            raise ValueError("the threshold and the noise of familiarity must be positive")
        if not 0 <= self.rule_out <= self.rule_in <= 1:
            raise ValueError("the operating points of unfamiliar films must be ordered in [0, 1]")

    def score(self, embedding: np.ndarray) -> float:
        """Embedding (E,) -> distance from the training films over the threshold, >= 0."""
        offset = np.asarray(embedding, np.float64) - self.mean
        squared = offset @ offset / self.noise - np.sum((offset @ self.components) ** 2)
        return float(np.sqrt(max(squared, 0.0)) / self.threshold)

    def check(self, embedding: np.ndarray) -> FamiliarityCheck:
        """Judge a film by its embedding (E,)."""
        score = self.score(embedding)
        return FamiliarityCheck(score <= 1, score, "" if score <= 1 else UNFAMILIAR)

    def calibration(self, usual: Calibration, check: FamiliarityCheck) -> Calibration:
        """The calibration for a film: the usual one, for an unfamiliar film with its own operating
        points. The probability is the same: which sources are left out says nothing of how often
        their films are fractured."""
        if check.familiar:
            return usual
        return replace(usual, rule_out=self.rule_out, rule_in=self.rule_in)
