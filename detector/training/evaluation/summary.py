"""From predictions to the figures of one group of films, as plain values for ``config.json``.

Every interval is a 95 % bootstrap over duplicate groups (``FilmRecord.cluster``); where every film
or none is a hit, Wilson's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import roc_curve

from detector.model.calibration import Calibration, Decision
from detector.training.evaluation.clinical import by_size, recalibration
from detector.training.evaluation.metrics import (
    CALIBRATION_BINS,
    auc_estimate,
    bootstrap,
    brier,
    calibration_error,
    chance_calibration_error,
    estimate,
    mean,
    proportion,
    reliability,
)
from detector.training.evaluation.predictions import FilmPrediction

REGIONS = ("hand", "leg", "hip", "shoulder", "mixed")
VIEWS = ("frontal", "lateral", "oblique")
MIN_SUBGROUP = 5  # films; fewer give no figure worth printing
FAILURES = 8


def thresholds(calibration: Calibration, balanced: float | None) -> dict[str, float]:
    """Operating point -> probability from which a film counts as fractured."""
    points = {"rule_out": calibration.rule_out, "rule_in": calibration.rule_in}
    return points if balanced is None else {**points, "balanced": float(balanced)}


def summarise(
    predictions: Sequence[FilmPrediction], points: Mapping[str, float], *, ranked: bool = True
) -> dict[str, Any]:
    """The figures of a group of films, at least one.

    ``ranked``: whether its classes may be compared. Where class goes with something else than the
    fracture they may not, and AUC and calibration are left out. Figures that need a class or boxes
    that the group lacks are left out too.
    """
    labels = np.array([r.record.fractured for r in predictions])
    figures: dict[str, Any] = {
        "films": len(predictions),
        "fractured": int(labels.sum()),
        "groups": len({r.record.cluster for r in predictions}),
        "operating_points": {n: _at(predictions, labels, cut) for n, cut in points.items()},
        "decided": _decided(predictions),
    }
    if ranked and 0 < labels.sum() < len(labels):
        probabilities = np.array([r.probability for r in predictions])
        figures["auc"] = auc_estimate(labels, probabilities, _clusters(predictions))
    normal = [r for r in predictions if not r.record.fractured]
    if normal:
        clusters = _clusters(normal)
        figures["marks_on_normal"] = {
            "films": len(normal),
            "marked": proportion([r.marks > 0 for r in normal], clusters),
            "per_film": mean(np.array([r.marks for r in normal]), clusters),
        }
    located = [r for r in predictions if r.hit is not None]
    if located:
        clusters = _clusters(located)
        count = {"films": len(located)}
        figures["pointing"] = proportion([r.hit for r in located], clusters) | count
        figures["pointing_strict"] = proportion([r.strict for r in located], clusters) | count
    return figures


def summarise_source(
    predictions: Sequence[FilmPrediction], points: Mapping[str, float], *, ranked: bool = True
) -> dict[str, Any]:
    """``summarise`` with the source's subgroups, curves, calibration and worst failures."""
    figures = summarise(predictions, points, ranked=ranked)
    if "auc" in figures:
        figures["roc"] = _roc(predictions)
        figures["calibration"] = calibration_figures(predictions)
    subgroups = {
        name: summarise(group, points, ranked=ranked)
        for name, group in _subgroups(predictions).items()
        if len(group) >= MIN_SUBGROUP
    }
    if subgroups:
        figures["subgroups"] = subgroups
    sizes = by_size(predictions, points["rule_out"], points["rule_in"])
    if sizes:
        figures["sizes"] = sizes
    figures["failures"] = failures(predictions)
    return figures


def calibration_figures(predictions: Sequence[FilmPrediction]) -> dict[str, Any]:
    """ECE and Brier score of the raw sigmoid of the logit ('before') and of the probability; of
    that also slope, intercept and observed to expected."""
    labels = np.array([r.record.fractured for r in predictions])
    clusters = _clusters(predictions)
    logits = np.array([r.logit for r in predictions])
    before = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
    after = np.array([r.probability for r in predictions])
    figures: dict[str, Any] = {"bins": CALIBRATION_BINS, "binning": "equal mass"}
    for name, values in (("before", before), ("after", after)):
        def resampled(index: np.ndarray, values: np.ndarray = values) -> float:
            return calibration_error(labels[index], values[index])

        error = calibration_error(labels, values)
        figures[f"ece_{name}"] = estimate(error, *bootstrap(resampled, clusters))
        figures[f"brier_{name}"] = mean(brier(labels, values), clusters)
        figures[f"reliability_{name}"] = [
            {key: round(value, 4) for key, value in row.items()}
            for row in reliability(labels, values)
        ]
    figures |= recalibration(labels, after, clusters)
    figures["ece_by_chance"] = chance_calibration_error(figures["reliability_after"])
    return figures


def _clusters(predictions: Sequence[FilmPrediction]) -> list[str]:
    return [r.record.cluster for r in predictions]


def _at(predictions: Sequence[FilmPrediction], labels: np.ndarray, cut: float) -> dict[str, Any]:
    called = np.array([r.probability >= cut for r in predictions])
    clusters = np.array(_clusters(predictions))
    figures: dict[str, Any] = {"threshold": cut, "films": len(predictions)}
    if labels.any():
        figures["sensitivity"] = proportion(called[labels], clusters[labels])
    if not labels.all():
        figures["specificity"] = proportion(~called[~labels], clusters[~labels])
    figures["confusion"] = {
        "true_positive": int((called & labels).sum()),
        "false_negative": int((~called & labels).sum()),
        "true_negative": int((~called & ~labels).sum()),
        "false_positive": int((called & ~labels).sum()),
    }
    return figures


def _decided(predictions: Sequence[FilmPrediction]) -> dict[str, Any]:
    """Proportion of films with a verdict, and the error among those.

    A refused film is undecided.
    """
    verdicts = (Decision.FRACTURE_LIKELY, Decision.NO_FRACTURE_SEEN)
    decided = [r for r in predictions if r.decision in verdicts]
    wrong = np.array(
        [(r.decision == Decision.FRACTURE_LIKELY) != r.record.fractured for r in decided]
    )
    figures: dict[str, Any] = {
        "proportion": proportion(
            [r.decision in verdicts for r in predictions], _clusters(predictions)
        ),
        "films": len(decided),
        "errors": int(wrong.sum()),
        "decisions": {
            decision: {
                "films": len(group),
                "fractured": sum(r.record.fractured for r in group),
            }
            for decision, group in (
                (one, [r for r in predictions if r.decision == one]) for one in Decision
            )
        },
    }
    if decided:
        figures["error"] = proportion(wrong, _clusters(decided))
    return figures


def _roc(predictions: Sequence[FilmPrediction]) -> dict[str, list[float]]:
    labels = [r.record.fractured for r in predictions]
    false_alarms, hits, _ = roc_curve(labels, [r.probability for r in predictions])
    return {
        "false_positive_rate": [round(float(v), 4) for v in false_alarms],
        "sensitivity": [round(float(v), 4) for v in hits],
    }


def _subgroups(predictions: Sequence[FilmPrediction]) -> dict[str, list[FilmPrediction]]:
    """What FracAtlas' table says of a film: metal, body region, view."""

    def marked(name: str, value: str) -> list[FilmPrediction]:
        return [r for r in predictions if r.record.attributes.get(name) == value]

    groups = {"without hardware": marked("hardware", "0"), "with hardware": marked("hardware", "1")}
    return groups | {name: marked(name, "1") for name in (*REGIONS, *VIEWS)}


def failures(predictions: Sequence[FilmPrediction]) -> dict[str, list[dict[str, Any]]]:
    """The worst misses and false alarms that were decided, each in words, no film shown."""
    fractured = [r for r in predictions if r.record.fractured]
    normal = [r for r in predictions if not r.record.fractured]
    missed = [r for r in fractured if r.decision == Decision.NO_FRACTURE_SEEN]
    alarms = [r for r in normal if r.decision == Decision.FRACTURE_LIKELY]
    missed.sort(key=lambda r: (r.probability, r.record.key))
    alarms.sort(key=lambda r: (-r.probability, r.record.key))
    return {
        name: [
            {"film": r.record.path.name, "probability": round(r.probability, 4),
             "what": describe(r)}
            for r in group[:FAILURES]
        ]
        for name, group in (("missed", missed), ("false_alarms", alarms))
    }


def describe(one: FilmPrediction) -> str:
    """What is known of a film in a few words: region, view, metal, size of the fracture."""
    known = one.record.attributes
    words = [n for n in (*REGIONS, *VIEWS) if known.get(n) == "1"]
    if known.get("hardware") == "1":
        words.append("metal hardware")
    if known.get("multiscan") == "1":
        words.append("several views on one film")
    if one.box_fraction:
        words.append(f"largest fracture box {100 * one.box_fraction:.1f} % of the film")
    return ", ".join(words) or one.source
