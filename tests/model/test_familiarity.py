"""How far a film lies from the training films, and what an unfamiliar one gets."""

from __future__ import annotations

import numpy as np
import pytest

from detector.model.familiarity import UNFAMILIAR, FamiliarityModel
from tests.support.tiny import CALIBRATION

# Variance 4 along the first axis, 0.25 along the second and third.
KNOWN = FamiliarityModel(
    np.array([1.0, 0.0, 0.0]), np.array([[np.sqrt(1 / 0.25 - 1 / 4)], [0.0], [0.0]]), 0.25,
    threshold=2.0, rule_out=0.05, rule_in=0.9,
)


@pytest.mark.parametrize(
    ("embedding", "distance"),
    [((1, 0, 0), 0), ((3, 0, 0), 1), ((-3, 0, 0), 2), ((1, 1, 0), 2), ((1, 3, 4), 10)],
)
def test_the_score_is_the_mahalanobis_distance_over_the_threshold(embedding, distance) -> None:
    assert KNOWN.score(np.array(embedding, float)) == pytest.approx(distance / 2)


def test_beyond_the_threshold_a_film_is_unfamiliar_and_a_sentence_says_so() -> None:
    near, far = KNOWN.check(np.array([1, 0.9, 0])), KNOWN.check(np.array([1, 1.1, 0]))
    assert near.familiar and near.reason == ""
    assert not far.familiar and far.reason == UNFAMILIAR


def test_an_unfamiliar_film_gets_operating_points_of_its_own_and_the_same_probability() -> None:
    far = KNOWN.calibration(CALIBRATION, KNOWN.check(np.array([9.0, 9, 9])))
    near = KNOWN.calibration(CALIBRATION, KNOWN.check(KNOWN.mean))
    assert near is CALIBRATION
    assert (far.rule_out, far.rule_in) == (0.05, 0.9)
    assert far.image == CALIBRATION.image and far.location == CALIBRATION.location
    assert far.decide(0.8) == "uncertain" and near.decide(0.8) == "fracture likely"


@pytest.mark.parametrize(
    "changed", [{"threshold": 0.0}, {"noise": 0.0}, {"rule_in": 0.01}, {"rule_out": -0.1}]
)
def test_numbers_that_cannot_be_are_refused(changed: dict) -> None:
    values = {"noise": 1.0, "threshold": 1.0, "rule_out": 0.1, "rule_in": 0.9, **changed}
    with pytest.raises(ValueError):
        FamiliarityModel(np.zeros(2), np.zeros((2, 1)), **values)
