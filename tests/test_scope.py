"""The scope gate: distances, and the pictures that are refused whatever their distance."""

from __future__ import annotations

import numpy as np
import pytest

from detector.scope import MAX_COLOURFULNESS, ScopeModel
from detector.training.fitting import fit_scope

FILM = np.linspace(0, 1, 64).reshape(8, 8)


def test_distance_is_the_mahalanobis_distance_over_the_dimension() -> None:
    model = ScopeModel(np.array([1.0, 2.0]), np.diag([1 / 2, 1 / 3]), 1.0)
    # Two standard deviations along the first axis, one along the second.
    assert model.distance(np.array([5.0, 5.0])) == pytest.approx(np.sqrt((4 + 1) / 2))
    assert model.distance(np.array([1.0, 2.0])) == 0


def test_beyond_the_cut_is_out_of_scope() -> None:
    model = ScopeModel(np.zeros(1), np.eye(1), 2.0)
    inside = model.check(np.array([1.9]), FILM)
    outside = model.check(np.array([2.1]), FILM)
    assert inside.in_scope and inside.reason == "" and inside.score == pytest.approx(0.95)
    assert not outside.in_scope and outside.score == pytest.approx(1.05)
    assert "limb films" in outside.reason


def test_blank_and_coloured_pictures_are_refused_at_any_distance() -> None:
    model = ScopeModel(np.zeros(1), np.eye(1), 2.0)
    blank = model.check(np.zeros(1), np.full((8, 8), 0.5))
    assert not blank.in_scope and blank.score >= 1 and "blank" in blank.reason
    coloured = model.check(np.zeros(1), FILM, MAX_COLOURFULNESS + 0.01)
    assert not coloured.in_scope and coloured.score >= 1 and "colour" in coloured.reason
    assert model.check(np.zeros(1), FILM, MAX_COLOURFULNESS).in_scope


@pytest.mark.parametrize("darkest, lightest", [(0.0, 1.0), (0.4, 0.5), (0.0, 0.02)])
def test_an_even_ramp_is_blank_and_a_faint_film_is_not(darkest: float, lightest: float) -> None:
    model = ScopeModel(np.zeros(1), np.eye(1), 2.0)
    ramp = np.repeat(np.linspace(darkest, lightest, 400)[:, None], 300, axis=1)
    assert "blank" in model.check(np.zeros(1), ramp).reason
    grain = np.random.default_rng(0).normal(0, 0.004, ramp.shape)
    assert model.check(np.zeros(1), ramp + grain).in_scope


def test_the_fit_lets_its_own_kind_in_and_strangers_out() -> None:
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((6, 6))

    def films(count: int) -> np.ndarray:
        return rng.standard_normal((count, 6)) @ mixing + 3

    model = fit_scope(films(800), films(300), levels=(6,))
    assert np.mean([model.distance(e) for e in films(300)]) == pytest.approx(1, abs=0.1)
    assert np.mean([model.check(e, FILM).in_scope for e in films(1000)]) > 0.985
    assert not any(model.check(e, FILM).in_scope for e in films(200) + 12 * mixing[0])


def test_every_level_weighs_the_same_however_many_numbers_it_has() -> None:
    rng = np.random.default_rng(0)
    known = rng.standard_normal((4000, 12))
    model = fit_scope(known, rng.standard_normal((300, 12)), levels=(2, 10))
    # Three standard deviations off in every number of a level, in none of the other.
    small, large = np.zeros(12), np.zeros(12)
    small[:2], large[2:] = 3.0, 3.0
    assert model.distance(small) == pytest.approx(model.distance(large), rel=0.1)
    assert model.distance(small) == pytest.approx(3 / np.sqrt(2), rel=0.1)


def test_the_cut_has_a_tenth_to_spare_over_the_usual_held_out_films() -> None:
    rng = np.random.default_rng(0)
    known, held_out = rng.standard_normal((2000, 4)), rng.standard_normal((399, 4))
    held_out[:3] = 100.0  # odd ones: one in a hundred may be left out
    model = fit_scope(known, held_out, levels=(4,))
    distances = np.sort([model.distance(e) for e in held_out])
    assert model.cut == pytest.approx(1.1 * distances[-4])
    few = fit_scope(known, held_out[3:50], levels=(4,))  # too few to call any of them odd
    assert few.cut == pytest.approx(1.1 * max(few.distance(e) for e in held_out[3:50]))
