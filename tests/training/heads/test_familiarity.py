"""The distance from the training films, and the operating points of films far from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detector.training.data.records import FilmRecord
from detector.training.heads.familiarity import (
    FilmReadings,
    familiar_films,
    familiarity_figures,
    fit_familiarity,
    with_points,
)
from tests.support.tiny import CALIBRATION

RNG = np.random.default_rng(0)
HOME = RNG.normal(size=(2000, 40)) * np.linspace(0.1, 3, 40)
MODEL = fit_familiarity(HOME[:1000], HOME[1000:], CALIBRATION)
FAR = np.full(40, 50.0)


def readings(source: str, fractured: bool, probabilities: np.ndarray, at=FAR) -> FilmReadings:
    records = [FilmRecord(Path(f"{i}.png"), source, fractured) for i in range(len(probabilities))]
    return FilmReadings(records, np.asarray(probabilities), np.tile(at, (len(records), 1)))


def both(*parts: FilmReadings) -> FilmReadings:
    return FilmReadings(
        [r for part in parts for r in part.records],
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate([part.embeddings for part in parts]),
    )


def test_the_share_of_new_films_that_stays_familiar_is_as_chosen() -> None:
    new = RNG.normal(size=(4000, 40)) * np.linspace(0.1, 3, 40)
    assert familiar_films(MODEL, new).mean() == pytest.approx(0.95, abs=0.02)
    assert not familiar_films(MODEL, new + 3).any()


def test_a_direction_that_varies_little_counts_more() -> None:
    step = np.zeros((2, 40))
    step[0, 0], step[1, -1] = 3.0, 3.0
    small, large = (MODEL.score(MODEL.mean + one) for one in step)
    assert small > 3 * large


def test_rule_in_holds_for_the_normal_films_of_every_source() -> None:
    normal = both(readings("a", False, np.linspace(0, 0.7, 100)),
                  readings("b", False, np.linspace(0, 0.99, 100)))
    model = with_points(MODEL, CALIBRATION, normal)
    assert 0.88 < model.rule_in < 0.91
    assert model.rule_out == CALIBRATION.rule_out  # no fracture says anything of it


def test_rule_out_holds_for_the_fractures_of_every_source_and_stays_below_the_label() -> None:
    low = readings("a", True, np.linspace(0.02, 1, 100))
    high = readings("b", True, np.linspace(0.7, 1, 100))
    rule_out = with_points(MODEL, CALIBRATION, both(low, high)).rule_out
    assert rule_out == pytest.approx(0.06, abs=0.01)
    assert with_points(MODEL, CALIBRATION, high).rule_out == 0.5


def test_familiar_films_and_small_sources_choose_nothing() -> None:
    few = readings("a", False, np.full(18, 0.95))
    familiar = readings("b", False, np.full(50, 0.95), at=MODEL.mean)
    model = with_points(MODEL, CALIBRATION, both(few, familiar))
    assert (model.rule_out, model.rule_in) == (CALIBRATION.rule_out, CALIBRATION.rule_in)


def test_the_figures_count_decisions_of_either_group() -> None:
    model = with_points(MODEL, CALIBRATION, readings("x", False, np.linspace(0, 0.9, 100)))
    films = both(readings("a", False, [0.65, 0.05]), readings("a", True, [0.95]),
                 readings("a", False, [0.65], at=MODEL.mean))
    figures = familiarity_figures(model, CALIBRATION, films)["a"]
    assert figures["films"] == 4 and figures["unfamiliar"] == 0.75
    assert figures["unfamiliar_films"]["normal"] == {
        "films": 2, "no fracture seen": 1, "uncertain": 1
    }
    assert figures["unfamiliar_films"]["fractured"] == {"films": 1, "fracture likely": 1}
    assert figures["familiar_films"]["normal"] == {"films": 1, "fracture likely": 1}
    assert figures["at_usual_points"]["normal"]["fracture likely"] == 2
