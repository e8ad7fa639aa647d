"""The same bone intact and broken: does the probability follow the fracture, and nothing else?

A pair of phantoms differs by its fracture alone (``detector.phantom``), so what changes in the
prediction comes from the fracture. The model has seen no phantom in training unless its provenance
says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detector.phantom import FRACTURE_KINDS, VIEWS, FractureSpec, Phantom, draw_phantom
from detector.predictor import FractureDetector
from detector.training.evaluation.metrics import (
    POINTING_TOLERANCE,
    hottest_pixel,
    points_at,
    proportion,
)

DISPLACEMENTS = (0.1, 0.3, 0.6)  # fractions of the bone's width


@dataclass(frozen=True)
class PhantomPair:
    """One bone, intact and broken.

    ``intact``, ``broken``: probabilities. ``before``, ``after``: whether the hottest point of the
    intact and of the broken film lies in the break's box, with the pointing game's tolerance.
    """

    view: str
    seed: int
    kind: str
    displacement: float
    intact: float
    broken: float
    before: bool
    after: bool

    @property
    def raised(self) -> bool:
        """Breaking the bone raised the probability."""
        return self.broken > self.intact

    @property
    def followed(self) -> bool:
        """It raised the probability, and the hottest point lies at the break."""
        return self.raised and self.after

    @property
    def cluster(self) -> str:
        """Pairs of one limb are no independent trials."""
        return f"{self.view}/{self.seed}"


def read_pairs(
    detector: FractureDetector,
    seeds: Iterable[int],
    *,
    views: Iterable[str] = VIEWS,
    kinds: Iterable[str] = FRACTURE_KINDS,
    displacements: Iterable[float] = DISPLACEMENTS,
    size: tuple[int, int] = (512, 416),
) -> Iterator[PhantomPair]:
    """Every view and seed, intact and with each kind of fracture at each displacement."""
    kinds, displacements, seeds = tuple(kinds), tuple(displacements), tuple(seeds)
    for view in views:
        for seed in seeds:
            intact = _read(detector, draw_phantom(view, seed=seed, size=size))
            for kind in kinds:
                for displacement in displacements:
                    spec = FractureSpec(kind, displacement=displacement)
                    phantom = draw_phantom(view, seed=seed, size=size, fracture=spec)
                    broken = _read(detector, phantom)
                    before, after = (_at(point, phantom) for _, point in (intact, broken))
                    yield PhantomPair(
                        view, seed, kind, displacement, intact[0], broken[0], before, after
                    )


def _read(detector: FractureDetector, phantom: Phantom) -> tuple[float, tuple[float, float]]:
    prediction = detector.predict(phantom.pixels)
    return prediction.probability, hottest_pixel(prediction.heatmap)


def _at(point: tuple[float, float], phantom: Phantom) -> bool:
    shape = phantom.pixels.shape
    return points_at(point, np.array([phantom.box]), shape, POINTING_TOLERANCE)


def pair_figures(pairs: Sequence[PhantomPair]) -> dict[str, Any]:
    """Proportions of pairs of all, by kind of fracture, by displacement, and by view."""

    def of(chosen: Sequence[PhantomPair]) -> dict[str, Any]:
        clusters = [p.cluster for p in chosen]
        return {
            "pairs": len(chosen),
            "probability_raised": proportion([p.raised for p in chosen], clusters),
            "hottest_at_break": proportion([p.after for p in chosen], clusters),
            "hottest_there_before": proportion([p.before for p in chosen], clusters),
            "raised_and_at_break": proportion([p.followed for p in chosen], clusters),
        }

    figures: dict[str, Any] = {"all": of(pairs)}
    for name, key in (
        ("by_type", lambda p: p.kind),
        ("by_displacement", lambda p: f"{p.displacement:g} of the bone's width"),
        ("by_view", lambda p: p.view.replace("_", " ")),
    ):
        groups = list(dict.fromkeys(key(p) for p in pairs))
        figures[name] = {g: of([p for p in pairs if key(p) == g]) for g in groups}
    table: dict[str, dict[str, float]] = defaultdict(dict)
    for kind, displacement in dict.fromkeys((p.kind, p.displacement) for p in pairs):
        cell = [p for p in pairs if (p.kind, p.displacement) == (kind, displacement)]
        table[kind][f"{displacement:g}"] = round(float(np.mean([p.followed for p in cell])), 4)
    figures["raised_and_at_break_by_type_and_displacement"] = dict(table)
    return figures
