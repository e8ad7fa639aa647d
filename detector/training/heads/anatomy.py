"""Which part of the body a film shows: what the labels say, and the head that is fitted on them.

FracAtlas says hand, leg, hip and shoulder. Its hands and legs are told apart further, by eye and by
nobody with a medical training, for some 300 films in ``regions.csv``; most of its films show a long
stretch of a limb, so neighbours such as hand, wrist and forearm are one region here. The upper arm,
the thigh and the lower leg have too few films of their own. Other sources show one region each.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from detector.model.anatomy import AnatomyHead
from detector.training.data.records import FilmRecord

REGIONS_FILE = Path(__file__).parent / "regions.csv"
MIN_FILMS = 10  # of a region, below which it is not told apart
MIN_PROBABILITY = 0.8  # from which a region is named
_FLAGS = ("hand", "leg", "hip", "shoulder", "mixed")
_OF_SOURCE = {"normal_feet": "ankle or foot", "normal_knees": "knee"}


@cache
def _by_eye() -> dict[str, str]:
    with REGIONS_FILE.open(newline="") as file:
        return {row["file"]: row["region"] for row in csv.DictReader(file)}


def region_of(record: FilmRecord) -> str | None:
    """The region that a film's labels give; None where they do not say, or say more than one."""
    if record.source in _OF_SOURCE:
        return _OF_SOURCE[record.source]
    if record.attributes.get("role") == "wrist":
        return "wrist or hand"
    if record.path.name in _by_eye():
        return _by_eye()[record.path.name]
    flags = [name for name in _FLAGS if record.attributes.get(name) == "1"]
    return flags[0] if flags in (["hip"], ["shoulder"]) else None


def fit_anatomy(records: Sequence[FilmRecord], embeddings: np.ndarray) -> AnatomyHead | None:
    """Multinomial logistic regression on the embeddings (N, E) of films whose region is known, each
    region of the same weight; None where fewer than two regions have ``MIN_FILMS`` films."""
    regions = np.array([region_of(record) or "" for record in records])
    names, counts = np.unique(regions[regions != ""], return_counts=True)
    names = names[counts >= MIN_FILMS]
    if len(names) < 2:
        return None
    known = np.isin(regions, names)
    fit = LogisticRegression(C=100, class_weight="balanced", max_iter=2000)
    fit.fit(embeddings[known].astype(np.float64), regions[known])
    weight, bias = fit.coef_, fit.intercept_
    if len(names) == 2:  # one row for two classes: the second against the first
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return AnatomyHead(tuple(map(str, fit.classes_)), weight, bias, MIN_PROBABILITY)


def anatomy_figures(
    head: AnatomyHead, records: Sequence[FilmRecord], embeddings: np.ndarray
) -> Mapping[str, Any]:
    """Over films whose region is known: how many are named, and how many of them rightly, in all
    and by region."""
    said = [head.read(embedding).region for embedding in embeddings]
    truth = [region_of(record) for record in records]
    known = [(t, s) for t, s in zip(truth, said, strict=True) if t in head.regions]
    groups = {"all": known} | {r: [k for k in known if k[0] == r] for r in head.regions}
    return {
        name: {
            "films": len(group),
            "named": sum(s is not None for _, s in group),
            "right": sum(s == t for t, s in group),
        }
        for name, group in groups.items() if group
    }
