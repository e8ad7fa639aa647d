"""Is this a film that the model knows? Answered from the same forward pass.

The distance of the film's embedding from the training films' (Mahalanobis distance with a shrunk
covariance, Lee et al. 2018; every level of the backbone weighs the same), and how coloured the
picture is. Mean, whitening and cut are fitted on training films and travel with the weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

# Mean difference of a pixel from its surroundings, as a share of the grey range. The smoothest of
# 3,500 training and validation films has 0.003, an even ramp between any two greys below 0.001.
LEAST_DETAIL = 0.0015
_SURROUNDINGS = (9, 9)
MAX_COLOURFULNESS = 0.12  # share of the grey range; scans of films with a tint stay below it


@dataclass(frozen=True)
class ScopeCheck:
    """Whether a film is one that the model knows.

    ``score``: distance over the cut, >= 0; above 1 is out of scope. ``reason``: a sentence for a
    person, empty when in scope.
    """

    in_scope: bool
    score: float
    reason: str = ""


@dataclass(frozen=True)
class ScopeModel:
    """``mean`` (E,) and ``whitening`` (E, R) of training films' embeddings; ``cut``: a distance."""

    mean: np.ndarray
    whitening: np.ndarray
    cut: float

    def distance(self, embedding: np.ndarray) -> float:
        """Embedding (E,) -> Mahalanobis distance over the dimension's root; about 1 at home."""
        white = (np.asarray(embedding, np.float64) - self.mean) @ self.whitening
        return float(np.sqrt(np.mean(np.square(white))))

    def check(
        self, embedding: np.ndarray, pixels: np.ndarray, colourfulness: float = 0.0
    ) -> ScopeCheck:
        """Judge a film by its embedding (E,), its colour in [0, 1] and its pixels (H, W) in [0, 1],
        at the size the network sees them, without padding."""
        score = self.distance(embedding) / self.cut
        if _detail(pixels) < LEAST_DETAIL:
            return ScopeCheck(False, max(score, 2.0), "The picture is blank.")
        if colourfulness > MAX_COLOURFULNESS:
            return ScopeCheck(
                False, max(score, 2.0), "The picture is in colour, so it is no plain X-ray film."
            )
        if score > 1:
            return ScopeCheck(
                False, score,
                "The picture does not look like the limb films that the model was trained on.",
            )
        return ScopeCheck(True, score)


def _detail(pixels: np.ndarray) -> float:
    pixels = np.asarray(pixels, np.float32)
    return float(cv2.absdiff(pixels, cv2.blur(pixels, _SURROUNDINGS)).mean())
