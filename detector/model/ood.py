"""Out-of-distribution check: is this a limb film? Answered from the same forward pass.

The film's embedding is projected on the line that best separates limb films from other pictures
(Fisher's linear discriminant). Colour and blank pictures are checked too. Line and threshold are
fitted on training films and on other pictures; they travel with the weights.
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

# Why a film is out of scope; the page without a server says the same.
BLANK = "The picture is blank."
IN_COLOUR = "The picture is in colour, so it is not a plain radiograph."
UNLIKE = "The picture does not look like the limb radiographs that the model was trained on."


@dataclass(frozen=True)
class ScopeCheck:
    """Whether a film is one that the model knows.

    ``score``: how far from limb films towards other pictures, >= 0; above 1 is out of scope.
    ``reason``: a sentence for a person, empty when in scope.
    """

    in_scope: bool
    score: float
    reason: str = ""


@dataclass(frozen=True)
class OodModel:
    """A linear discriminant between limb films and other pictures.

    ``direction`` (E,): from limb films towards other pictures, in the space of embeddings.
    ``zero`` < ``threshold``: projections on it. At ``zero`` or below the score is 0 (the training
    film farthest from other pictures); at ``threshold`` it is 1, and beyond a picture is refused.
    """

    direction: np.ndarray
    zero: float
    threshold: float

    def score(self, embedding: np.ndarray) -> float:
        """Embedding (E,) -> OOD score >= 0; above 1 is out of scope."""
        projection = float(np.asarray(embedding, np.float64) @ self.direction)
        return max(0.0, (projection - self.zero) / (self.threshold - self.zero))

    def check(
        self, embedding: np.ndarray, pixels: np.ndarray, colourfulness: float = 0.0
    ) -> ScopeCheck:
        """Judge a film by its embedding (E,), its colour in [0, 1] and its pixels (H, W) in [0, 1],
        at the size the network sees them, without padding."""
        score = self.score(embedding)
        if is_blank(pixels):
            return ScopeCheck(False, max(score, 2.0), BLANK)
        if colourfulness > MAX_COLOURFULNESS:
            return ScopeCheck(False, max(score, 2.0), IN_COLOUR)
        if score > 1:
            return ScopeCheck(False, score, UNLIKE)
        return ScopeCheck(True, score)


def is_blank(pixels: np.ndarray) -> bool:
    """Whether pixels (H, W) in [0, 1] show nothing: one shade, or an even ramp."""
    pixels = np.asarray(pixels, np.float32)
    return float(cv2.absdiff(pixels, cv2.blur(pixels, _SURROUNDINGS)).mean()) < LEAST_DETAIL
