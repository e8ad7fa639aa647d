"""From readings to the figures of one group of films, as plain values for ``config.json``.

Every interval is a 95 % bootstrap over duplicate groups (``FilmRecord.cluster``); where every film
or none is a hit, Wilson's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import roc_curve

from detector.model.calibration import Calibration, Decision
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
from detector.training.evaluation.predictions import Reading

REGIONS = ("hand", "leg", "hip", "shoulder", "mixed")
VIEWS = ("frontal", "lateral", "oblique")
MIN_SUBGROUP = 5  # films; fewer give no figure worth printing
FAILURES = 8


def thresholds(calibration: Calibration, balanced: float | None) -> dict[str, float]:
    """Operating point -> probability from which a film counts as fractured."""
    points = {"rule_out": calibration.rule_out, "rule_in": calibration.rule_in}
    return points if balanced is None else {**points, "balanced": float(balanced)}


def summarise(
    readings: Sequence[Reading], points: Mapping[str, float], *, ranked: bool = True
) -> dict[str, Any]:
    """The figures of a group of films, at least one.

    ``ranked``: whether its classes may be compared; without, AUC and calibration are left out,
    because class goes with something else than the fracture. Figures that need a class or boxes
    that the group lacks are left out too.
    """
    labels = np.array([r.record.fractured for r in readings])
    figures: dict[str, Any] = {
        "films": len(readings),
        "fractured": int(labels.sum()),
        "groups": len({r.record.cluster for r in readings}),
        "operating_points": {n: _at(readings, labels, cut) for n, cut in points.items()},
        "decided": _decided(readings),
    }
    if ranked and 0 < labels.sum() < len(labels):
        probabilities = np.array([r.probability for r in readings])
        figures["auc"] = auc_estimate(labels, probabilities, _clusters(readings))
    located = [r for r in readings if r.hit is not None]
    if located:
        clusters = _clusters(located)
        count = {"films": len(located)}
        figures["pointing"] = proportion([r.hit for r in located], clusters) | count
        figures["pointing_strict"] = proportion([r.strict for r in located], clusters) | count
    return figures


def summarise_source(
    readings: Sequence[Reading], points: Mapping[str, float], *, ranked: bool = True
) -> dict[str, Any]:
    """``summarise`` with the source's subgroups, curves, calibration and worst failures."""
    figures = summarise(readings, points, ranked=ranked)
    if "auc" in figures:
        figures["roc"] = _roc(readings)
        figures["calibration"] = calibration_figures(readings)
    subgroups = {
        name: summarise(group, points, ranked=ranked)
        for name, group in _subgroups(readings).items()
        if len(group) >= MIN_SUBGROUP
    }
    if subgroups:
        figures["subgroups"] = subgroups
    figures["failures"] = failures(readings)
    return figures


def calibration_figures(readings: Sequence[Reading]) -> dict[str, Any]:
    """ECE and Brier score of the raw sigmoid of the logit ('before') and of the probability."""
    labels = np.array([r.record.fractured for r in readings])
    clusters = _clusters(readings)
    logits = np.array([r.logit for r in readings])
    before = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
    after = np.array([r.probability for r in readings])
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
    figures["ece_by_chance"] = chance_calibration_error(figures["reliability_after"])
    return figures


def _clusters(readings: Sequence[Reading]) -> list[str]:
    return [r.record.cluster for r in readings]


def _at(readings: Sequence[Reading], labels: np.ndarray, cut: float) -> dict[str, Any]:
    called = np.array([r.probability >= cut for r in readings])
    clusters = np.array(_clusters(readings))
    figures: dict[str, Any] = {"threshold": cut, "films": len(readings)}
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


def _decided(readings: Sequence[Reading]) -> dict[str, Any]:
    """Share of films with a verdict; error among those. A refused film counts as undecided."""
    verdicts = (Decision.FRACTURE_LIKELY, Decision.NO_FRACTURE_SEEN)
    decided = [r for r in readings if r.decision in verdicts]
    wrong = np.array(
        [(r.decision == Decision.FRACTURE_LIKELY) != r.record.fractured for r in decided]
    )
    figures: dict[str, Any] = {
        "share": proportion([r.decision in verdicts for r in readings], _clusters(readings)),
        "films": len(decided),
        "errors": int(wrong.sum()),
        "decisions": {
            decision: {
                "films": sum(r.decision == decision for r in readings),
                "fractured": sum(r.decision == decision and r.record.fractured for r in readings),
            }
            for decision in Decision
        },
    }
    if decided:
        figures["error"] = proportion(wrong, _clusters(decided))
    return figures


def _roc(readings: Sequence[Reading]) -> dict[str, list[float]]:
    labels = [r.record.fractured for r in readings]
    false_alarms, hits, _ = roc_curve(labels, [r.probability for r in readings])
    return {
        "false_positive_rate": [round(float(v), 4) for v in false_alarms],
        "sensitivity": [round(float(v), 4) for v in hits],
    }


def _subgroups(readings: Sequence[Reading]) -> dict[str, list[Reading]]:
    """What FracAtlas' table says of a film: metal, body region, view."""

    def marked(name: str, value: str) -> list[Reading]:
        return [r for r in readings if r.record.attributes.get(name) == value]

    groups = {"without hardware": marked("hardware", "0"), "with hardware": marked("hardware", "1")}
    return groups | {name: marked(name, "1") for name in (*REGIONS, *VIEWS)}


def failures(readings: Sequence[Reading]) -> dict[str, list[dict[str, Any]]]:
    """The worst misses and false alarms that were decided, each in words, no film shown."""
    missed = [r for r in readings if r.record.fractured and r.decision == Decision.NO_FRACTURE_SEEN]
    alarms = [
        r for r in readings if not r.record.fractured and r.decision == Decision.FRACTURE_LIKELY
    ]
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


def describe(reading: Reading) -> str:
    """What is known of a film in a few words: region, view, metal, size of the fracture."""
    known = reading.record.attributes
    words = [n for n in (*REGIONS, *VIEWS) if known.get(n) == "1"]
    if known.get("hardware") == "1":
        words.append("metal hardware")
    if known.get("multiscan") == "1":
        words.append("several views on one film")
    if reading.box_share:
        words.append(f"largest fracture box {100 * reading.box_share:.1f} % of the film")
    return ", ".join(words) or reading.source
