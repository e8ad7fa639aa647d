"""Is the map the model's reason? Checks that change the film, the weights or the training.

- deletion and insertion (Petsiuk et al. 2018): the hottest part is blurred away, or given back;
- parameter randomisation (Adebayo et al. 2018): a map that does not change shows no weights;
- a second training (Arun et al. 2021): two models that were trained alike should agree;
- flips and small rotations: the hottest point should go along with the film.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from scipy.stats import spearmanr

from detector.io.radiograph import Radiograph
from detector.model.letterbox import Letterbox
from detector.model.network import EvidenceNetwork
from detector.prediction import Prediction
from detector.predictor import FractureDetector
from detector.training.evaluation.baselines import stages
from detector.training.evaluation.metrics import POINTING_TOLERANCE, hottest_pixel

# Fractions of the film; each thrice the last, as a fracture covers less than one hundredth of it.
FRACTIONS = tuple(0.0025 * 3**i for i in range(6))
CHANGES = ("mirrored", "upside down", "turned by -10", "turned by -5", "turned by 5",
           "turned by 10")  # fmt: skip


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's, of two maps of one shape; 0 where one is constant."""
    if one.min() == one.max() or other.min() == other.max():
        return 0.0
    return float(spearmanr(one, other, axis=None).statistic)


def deletion_insertion(
    network: EvidenceNetwork,
    probability: Callable[[np.ndarray], np.ndarray],
    canvas: np.ndarray,
    letterbox: Letterbox,
    heat: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """P(fracture) with the hottest ``FRACTIONS`` of the film blurred, and with only them sharp.

    Args:
        probability: logits -> probabilities.
        heat: (H, W) over the canvas's pixels; what is equally hot goes in the order of the rows.
    """
    rows, cols = letterbox.inner
    blurred = cv2.GaussianBlur(canvas, (0, 0), 0.04 * max(canvas.shape))
    order = np.argsort(-heat[:rows, :cols], axis=None, kind="stable")
    films = []
    for start, other in ((canvas, blurred), (blurred, canvas)):
        for fraction in FRACTIONS:
            chosen = np.unravel_index(order[: round(fraction * order.size)], (rows, cols))
            film = start.copy()
            film[chosen] = other[chosen]
            films.append(film)
    logits = []
    with torch.inference_mode():
        for film in films:  # one at a time: a batch of large films costs more memory than time
            logits.append(float(network(torch.from_numpy(film)[None, None])[0][0]))
    values = probability(np.array(logits))
    return values[: len(FRACTIONS)], values[len(FRACTIONS) :]


def random_order(letterbox: Letterbox, cell: int, rng: np.random.Generator) -> np.ndarray:
    """A map over the canvas whose cells are hot in random order."""
    height, width = letterbox.canvas
    cells = rng.random((height // cell, width // cell)).astype(np.float32)
    return np.kron(cells, np.ones((cell, cell), np.float32))


def randomised(network: EvidenceNetwork, seed: int) -> Iterator[tuple[str, EvidenceNetwork]]:
    """The network with more and more parameters randomised, from the evidence layer backwards."""
    network = copy.deepcopy(network)
    parts = [("evidence", network.evidence), ("fusion", network.fuse),
             ("lateral", network.lateral), *reversed(stages(network))]  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, part in parts:
            for module in part.modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
            yield name, network


def evidence_of(
    network: EvidenceNetwork, canvas: np.ndarray, letterbox: Letterbox
) -> np.ndarray:
    """Evidence (h, w) of the cells that lie on the film."""
    with torch.inference_mode():
        values = network(torch.from_numpy(canvas)[None, None])[1][0].numpy()
    height = letterbox.inner[0] * values.shape[0] // letterbox.canvas[0]
    width = letterbox.inner[1] * values.shape[1] // letterbox.canvas[1]
    return values[: max(1, height), : max(1, width)]


@dataclass(frozen=True)
class Agreement:
    """Of two predictions of one film.

    ``correlation``: Spearman's, of the two maps on the film. ``distance`` of the hottest points, as
    a fraction of the longest side. ``change`` of the probability.
    """

    correlation: float
    distance: float
    change: float
    same_decision: bool

    @property
    def same_place(self) -> bool:
        return self.distance <= POINTING_TOLERANCE


def compare(
    one: Prediction, other: Prediction, back: np.ndarray | None = None
) -> Agreement:
    """Compare two predictions. ``back`` (2, 3) takes points x, y of the other's film to the one's.
    """
    shape = one.film.pixels.shape
    # Evidence, not heat: the two have one order, and heat near 0 or 1 loses it in its precision.
    maps = [p.heat.letterbox.map_to_film(p.evidence) for p in (one, other)]
    point = np.array(hottest_pixel(maps[1]))
    if back is not None:
        point = back[:, :2] @ point + back[:, 2]
        # Pixel indices have their centres half a pixel before the coordinates'.
        shifted = back.copy()
        shifted[:, 2] += back[:, :2].sum(axis=1) * 0.5 - 0.5
        size = (shape[1], shape[0])
        seen = cv2.warpAffine(np.ones(maps[1].shape, np.uint8), shifted, size) > 0
        maps[1] = cv2.warpAffine(maps[1], shifted, size)
        maps = [m[seen] for m in maps]
        first = np.array(hottest_pixel(one.heat.letterbox.map_to_film(one.evidence)))
    else:
        first = np.array(hottest_pixel(maps[0]))
    decisions = [p.calibration.decide(p.probability) for p in (one, other)]
    step = max(1, maps[0].size // 40000)
    return Agreement(
        correlation=rank_correlation(maps[0].ravel()[::step], maps[1].ravel()[::step]),
        distance=float(np.linalg.norm(point - first)) / max(shape),
        change=abs(other.probability - one.probability),
        same_decision=decisions[0] == decisions[1],
    )


def changed(film: Radiograph, change: str) -> tuple[Radiograph, np.ndarray]:
    """The film after one of ``CHANGES``, and the matrix (2, 3) that takes its points back."""
    height, width = film.pixels.shape
    if change == "mirrored":
        matrix = np.array([[-1.0, 0, width], [0, 1, 0]])
    elif change == "upside down":
        matrix = np.array([[1.0, 0, 0], [0, -1, height]])
    else:
        angle = float(change.rsplit(" ", 1)[1])
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2].sum(axis=1) * 0.5 - 0.5
    pixels = cv2.warpAffine(film.pixels, shifted, (width, height), flags=cv2.INTER_LINEAR)
    return replace(film, pixels=pixels), cv2.invertAffineTransform(matrix)


def stability(detector: FractureDetector, prediction: Prediction) -> dict[str, Agreement]:
    """The prediction against that of the film after each of ``CHANGES``."""
    result = {}
    for change in CHANGES:
        film, back = changed(prediction.film, change)
        result[change] = compare(prediction, detector.predict(film), back)
    return result
