"""Which part of the body does the film show? Answered from the same forward pass.

A linear head on the embedding: it names a region where it is sure, and none where it is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Anatomy:
    """``region``: the part of the body, None where the head is not sure or the film is unfamiliar.
    ``probability``: of the most probable region, in [0, 1]."""

    region: str | None
    probability: float


@dataclass(frozen=True)
class AnatomyHead:
    """Multinomial logistic regression. ``weight`` (R, E), ``bias`` (R,) of the ``regions``;
    ``min_probability``: that from which a region is named."""

    regions: tuple[str, ...]
    weight: np.ndarray
    bias: np.ndarray
    min_probability: float

    def __post_init__(self) -> None:
        if not len(self.regions) == len(self.weight) == len(self.bias):
            raise ValueError("the anatomy head's regions and weights differ in number")
        if not 0 < self.min_probability <= 1:
            raise ValueError(f"min_probability must be in (0, 1], not {self.min_probability}")

    def probabilities(self, embedding: np.ndarray) -> np.ndarray:
        """Embedding (E,) -> probability of each region (R,), sum 1."""
        scores = self.weight @ np.asarray(embedding, np.float64) + self.bias
        odds = np.exp(scores - scores.max())
        return odds / odds.sum()

    def read(self, embedding: np.ndarray, familiar: bool = True) -> Anatomy:
        """Name the region of a film from its embedding (E,). Of films that are not ``familiar`` the
        head is as sure as of others, and wrong too often: it names none."""
        probabilities = self.probabilities(embedding)
        best = int(probabilities.argmax())
        probability = float(probabilities[best])
        named = familiar and probability >= self.min_probability
        return Anatomy(self.regions[best] if named else None, probability)
