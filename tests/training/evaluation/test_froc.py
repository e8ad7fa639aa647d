"""Free-response figures, on boxes small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from detector.training.evaluation.froc import (
    BoxedFilm,
    average_precision,
    found_at,
    froc,
    match,
    overlap,
)


def _film(found: list[list[float]], truth: list[list[float]]) -> BoxedFilm:
    return BoxedFilm(np.array(found, float).reshape(-1, 5), np.array(truth, float).reshape(-1, 4))


BOX, AWAY = [10, 10, 20, 20], [60, 60, 10, 10]


def test_overlap() -> None:
    one = np.array([[0, 0, 10, 10]])
    other = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [10, 0, 5, 5], [2, 2, 5, 5], [0, 0, 0, 0]])
    np.testing.assert_allclose(overlap(one, other), [[1, 50 / 150, 0, 0.25, 0]])
    assert overlap(np.zeros((1, 4)), np.zeros((1, 4)))[0, 0] == 0
    assert overlap(one, np.zeros((0, 4))).shape == (1, 0)


def test_a_fracture_is_found_once_by_the_strongest_box() -> None:
    matches = match(_film([[*BOX, 0.5], [*BOX, 0.9], [*AWAY, 0.7]], [BOX]), 0.5)
    np.testing.assert_array_equal(matches.scores, [0.9, 0.7, 0.5])
    np.testing.assert_array_equal(matches.right, [True, False, False])


def test_one_box_over_two_fractures_finds_one_and_leaves_the_other_to_the_next() -> None:
    film = _film([[*BOX, 0.9], [10, 10, 20, 18, 0.8]], [BOX, [10, 12, 20, 20]])
    np.testing.assert_array_equal(match(film, 0.5).right, [True, True])


@pytest.fixture
def films() -> list:
    return [
        match(_film([[*BOX, 0.9], [*AWAY, 0.3]], [BOX]), 0.1),
        match(_film([[*AWAY, 0.8], [*BOX, 0.2]], [BOX]), 0.1),
        match(_film([], [BOX]), 0.1),
        match(_film([[*AWAY, 0.5]], []), 0.1),
    ]


def test_free_response_curve(films: list) -> None:
    false, found, threshold = froc(films)
    np.testing.assert_allclose(threshold, [0.9, 0.8, 0.5, 0.3, 0.2])
    np.testing.assert_allclose(false, [0, 0.25, 0.5, 0.75, 0.75])
    np.testing.assert_allclose(found, [1 / 3, 1 / 3, 1 / 3, 1 / 3, 2 / 3])


def test_found_at_a_rate_of_false_boxes(films: list) -> None:
    assert found_at(films, 0.0) == pytest.approx(1 / 3)
    assert found_at(films, 0.74) == pytest.approx(1 / 3)
    assert found_at(films, 0.75) == pytest.approx(2 / 3)


def test_boxes_of_one_score_come_together() -> None:
    film = match(_film([[*BOX, 0.5], [*AWAY, 0.5]], [BOX]), 0.1)
    false, found, _ = froc([film])
    np.testing.assert_allclose((false, found), [[1], [1]])
    assert found_at([film], 0.5) == 0


def test_average_precision(films: list) -> None:
    # Precision 1 for the first third of the fractures, then 2 right of 5.
    assert average_precision(films) == pytest.approx(1 / 3 + 0.4 / 3)
    assert average_precision([match(_film([[*BOX, 1]], [BOX]), 0.1)]) == pytest.approx(1)
    assert average_precision([match(_film([], [BOX]), 0.1)]) == 0


def test_without_a_fracture_there_is_no_curve() -> None:
    with pytest.raises(ValueError, match="boxed fracture"):
        froc([match(_film([[*AWAY, 0.5]], []), 0.1)])
