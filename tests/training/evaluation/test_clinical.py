"""Calibration in the large, and sensitivity by the size of the fracture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detector.training.data.records import FilmRecord
from detector.training.evaluation.clinical import by_size, recalibration
from detector.training.evaluation.predictions import FilmPrediction

RNG = np.random.default_rng(0)
LOG_ODDS = RNG.normal(0, 2, 4000)
LABELS = RNG.random(4000) < 1 / (1 + np.exp(-LOG_ODDS))
ALONE = [str(i) for i in range(4000)]


@pytest.mark.parametrize(
    ("scale", "shift", "slope", "intercept"),
    [(1, 0, 1, 0), (2, 0, 0.5, 0), (1, 1, 1, -1)],
    ids=["right", "too extreme", "too high"],
)
def test_slope_and_intercept_say_how_the_probabilities_are_off(
    scale, shift, slope, intercept
) -> None:
    stated = 1 / (1 + np.exp(-(scale * LOG_ODDS + shift)))
    figures = recalibration(LABELS, stated, ALONE)
    assert figures["slope"]["value"] == pytest.approx(slope, abs=0.1)
    assert figures["intercept"]["value"] == pytest.approx(intercept, abs=0.15)
    for figure in figures.values():
        assert figure["low"] < figure["value"] < figure["high"]
    assert figures["observed_to_expected"]["value"] == pytest.approx(
        LABELS.sum() / stated.sum(), abs=1e-3
    )


def test_fractures_are_counted_by_their_size() -> None:
    def film(fraction: float, probability: float, hit: bool | None = True) -> FilmPrediction:
        record = FilmRecord(Path(f"{RNG.random()}.png"), "x", True)
        return FilmPrediction(record, 0.0, probability, "uncertain", True, hit, hit, fraction)

    films = [film(0.001, 0.05), film(0.002, 0.9), film(0.005, 0.9), film(0.02, 0.9, False),
             film(0.0, 0.9, None)]
    figures = by_size(films, 0.1, 0.5)
    assert [f["films"] for f in figures.values()] == [2, 1, 1]
    small, _, large = figures.values()
    assert small["rule_out"]["value"] == 0.5 and small["pointing"]["value"] == 1
    assert large["rule_in"]["value"] == 1 and large["pointing"]["value"] == 0
    assert by_size([], 0.1, 0.5) == {}
