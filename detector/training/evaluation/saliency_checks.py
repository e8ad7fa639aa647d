"""The checks of ``faithfulness`` over films: means and proportions with intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from detector.model.network import EvidenceNetwork
from detector.predictor import FractureDetector
from detector.training.evaluation.baselines import plain_grad_cam
from detector.training.evaluation.faithfulness import (
    FRACTIONS,
    Agreement,
    compare,
    deletion_insertion,
    evidence_of,
    random_order,
    randomised,
    rank_correlation,
    stability,
)
from detector.training.evaluation.metrics import mean, proportion
from detector.training.evaluation.saliency_films import BoxedPrediction


def check_figures(
    detector: FractureDetector,
    network: EvidenceNetwork,
    predictions: Sequence[BoxedPrediction],
    second: FractureDetector | None = None,
) -> dict[str, Any]:
    """All checks on these films; ``network`` is a copy of the detector's that may be worked on."""
    clusters = [r.record.cluster for r in predictions]
    figures: dict[str, Any] = {
        "films": len(predictions),
        **_deletion(detector, network, predictions, clusters),
        "parameter_randomisation": _randomised(network, predictions, clusters),
    }
    changes: dict[str, list[Agreement]] = defaultdict(list)
    for one in predictions:
        for change, agreement in stability(detector, one.prediction).items():
            changes[change].append(agreement)
    figures["film_changed"] = {
        change: _agreement(agreements, clusters) for change, agreements in changes.items()
    }
    if second is not None:
        figures["second_training"] = _agreement(
            [compare(r.prediction, second.predict(r.prediction.film)) for r in predictions],
            clusters,
        )
    return figures


def _agreement(agreements: Sequence[Agreement], clusters: Sequence[str]) -> dict[str, Any]:
    return {
        "same_place": proportion([a.same_place for a in agreements], clusters),
        "rank_correlation": mean([a.correlation for a in agreements], clusters),
        "probability_change": mean([a.change for a in agreements], clusters),
        "same_decision": proportion([a.same_decision for a in agreements], clusters),
    }


def _deletion(
    detector: FractureDetector,
    network: EvidenceNetwork,
    predictions: Sequence[BoxedPrediction],
    clusters: Sequence[str],
) -> dict[str, Any]:
    """Mean P(fracture) over ``FRACTIONS`` of the film blurred away or given back, per order."""
    rng = np.random.default_rng(0)
    curves: dict[str, dict[str, list[np.ndarray]]] = {
        "deletion": defaultdict(list), "insertion": defaultdict(list)
    }  # fmt: skip
    for one in predictions:
        heat = one.prediction.heat
        canvas = np.ascontiguousarray(heat.letterbox.apply(one.prediction.film.pixels))
        evidence = cv2.resize(
            one.prediction.evidence, canvas.shape[::-1], interpolation=cv2.INTER_CUBIC
        )
        orders = {
            "evidence": evidence,
            "plain_gradcam": plain_grad_cam(network, canvas),
            "random": random_order(heat.letterbox, 16, rng),
        }
        for name, order in orders.items():
            deleted, inserted = deletion_insertion(
                network, detector.config.calibration.image.probability, canvas, heat.letterbox,
                order,
            )
            curves["deletion"][name].append(deleted)
            curves["insertion"][name].append(inserted)
    figures: dict[str, Any] = {"fractions": list(FRACTIONS)}
    for kind, orders in curves.items():
        figures[kind] = {
            name: {
                "mean_probability": mean(np.stack(rows).mean(axis=1), clusters),
                "curve": np.stack(rows).mean(axis=0).round(5).tolist(),
            }
            for name, rows in orders.items()
        }
    return figures


def _randomised(
    network: EvidenceNetwork, predictions: Sequence[BoxedPrediction], clusters: Sequence[str]
) -> dict[str, Any]:
    films = []
    for one in predictions:
        letterbox = one.prediction.heat.letterbox
        canvas = np.ascontiguousarray(letterbox.apply(one.prediction.film.pixels))
        films.append((canvas, letterbox, evidence_of(network, canvas, letterbox)))
    return {
        f"down to {stage}": mean(
            [rank_correlation(evidence_of(drawn, *film), before) for *film, before in films],
            clusters,
        )
        for stage, drawn in randomised(network, seed=0)
    }
