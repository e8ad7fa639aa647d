"""The scope gate: distances, and the pictures that are refused whatever their distance."""

from __future__ import annotations

import numpy as np
import pytest

from detector.model.ood import MAX_COLOURFULNESS, OodModel

FILM = np.linspace(0, 1, 64).reshape(8, 8)


PLAIN = OodModel(np.array([1.0]), zero=-2.0, threshold=2.0)


def test_the_score_runs_from_the_start_to_the_cut_along_the_direction() -> None:
    model = OodModel(np.array([3.0, 4.0]), zero=-5.0, threshold=15.0)
    assert model.score(np.array([1.0, 2.0])) == pytest.approx(16 / 20)
    assert model.score(np.array([-1.0, -0.5])) == 0  # at the start
    assert model.score(np.array([-9.0, -9.0])) == 0  # no picture is more of a film than a film
    assert model.score(np.array([4.0, -3.0])) == pytest.approx(1 / 4)  # across changes nothing


def test_beyond_the_cut_is_out_of_scope() -> None:
    inside = PLAIN.check(np.array([1.8]), FILM)
    outside = PLAIN.check(np.array([2.2]), FILM)
    assert inside.in_scope and inside.reason == "" and inside.score == pytest.approx(0.95)
    assert not outside.in_scope and outside.score == pytest.approx(1.05)
    assert "limb radiographs" in outside.reason


def test_blank_and_coloured_pictures_are_refused_at_any_place() -> None:
    blank = PLAIN.check(np.zeros(1), np.full((8, 8), 0.5))
    assert not blank.in_scope and blank.score >= 1 and "blank" in blank.reason
    coloured = PLAIN.check(np.zeros(1), FILM, MAX_COLOURFULNESS + 0.01)
    assert not coloured.in_scope and coloured.score >= 1 and "colour" in coloured.reason
    assert PLAIN.check(np.zeros(1), FILM, MAX_COLOURFULNESS).in_scope


@pytest.mark.parametrize("darkest, lightest", [(0.0, 1.0), (0.4, 0.5), (0.0, 0.02)])
def test_an_even_ramp_is_blank_and_a_faint_film_is_not(darkest: float, lightest: float) -> None:
    ramp = np.repeat(np.linspace(darkest, lightest, 400)[:, None], 300, axis=1)
    assert "blank" in PLAIN.check(np.zeros(1), ramp).reason
    grain = np.random.default_rng(0).normal(0, 0.004, ramp.shape)
    assert PLAIN.check(np.zeros(1), ramp + grain).in_scope
