"""Probabilities, operating points, and another prevalence."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.model.calibration import Calibration, Decision, Logistic, post_test_probability
from tests.support.tiny import CALIBRATION

inside = st.floats(0.001, 0.999)


@given(st.floats(0.1, 5), st.floats(-5, 5), inside)
def test_logistic_and_its_inverse(scale: float, bias: float, probability: float) -> None:
    logistic = Logistic(scale, bias)
    assert logistic.probability(logistic.value(probability)) == pytest.approx(probability)


@pytest.mark.parametrize("value", [-1e9, 1e9, -math.inf, math.inf])
def test_no_value_overflows(value: float) -> None:
    with np.errstate(all="raise"):
        assert Logistic(2, 1).probability(value) == pytest.approx(float(value > 0))


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_the_ends_have_a_value_far_out(probability: float) -> None:
    assert abs(Logistic(1, 0).value(probability)) > 15


def test_arrays_keep_shape_and_precision() -> None:
    values = np.zeros((3, 4), np.float32)
    assert Logistic(1.0, 0.0).probability(values).dtype == np.float32


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan])
def test_a_scale_that_turns_the_order_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        Logistic(scale, 0)


@pytest.mark.parametrize(
    ("probability", "decision"),
    [(0.0, "no fracture seen"), (0.0999, "no fracture seen"), (0.1, "uncertain"),
     (0.5999, "uncertain"), (0.6, "fracture likely"), (1.0, "fracture likely")],
)  # fmt: skip
def test_decisions(probability: float, decision: str) -> None:
    assert CALIBRATION.decide(probability) == decision
    assert CALIBRATION.decide(probability, in_scope=False) == "out of scope"
    assert decision in set(Decision)


@pytest.mark.parametrize("points", [(0.6, 0.1), (-0.1, 0.5), (0.5, 1.1), (math.nan, 0.5)])
def test_operating_points_out_of_order_are_refused(points: tuple[float, float]) -> None:
    values = CALIBRATION.to_dict() | {"rule_out": points[0], "rule_in": points[1]}
    with pytest.raises(ValueError, match="ordered"):
        Calibration.from_dict(values)


def test_the_display_threshold_never_lies_below_the_rule_out_point() -> None:
    values = CALIBRATION.to_dict()
    for wanted, used in ((0.05, CALIBRATION.rule_out), (0.2, 0.2)):
        calibration = Calibration.from_dict(values | {"display_threshold": wanted})
        assert calibration.display_threshold == used
    for wrong in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="display threshold"):
            Calibration.from_dict(values | {"display_threshold": wrong})


def test_round_trip_and_a_missing_value() -> None:
    values = CALIBRATION.to_dict()
    assert Calibration.from_dict(values) == CALIBRATION
    del values["extent"]
    with pytest.raises(KeyError):
        Calibration.from_dict(values)


@given(inside, inside)
def test_the_same_prevalence_changes_nothing(probability: float, prevalence: float) -> None:
    assert post_test_probability(probability, prevalence, prevalence) == pytest.approx(probability)


@given(inside, inside, inside)
def test_bayes(probability: float, prevalence: float, pre_test: float) -> None:
    after = post_test_probability(probability, prevalence, pre_test)
    assert 0 < after < 1
    assert (after > probability) == (pre_test > prevalence) or after == pytest.approx(probability)
    back = post_test_probability(after, pre_test, prevalence)
    assert back == pytest.approx(probability, rel=1e-6)


def test_a_worked_example() -> None:
    # Odds 1:1 at one in five are a likelihood ratio of 4; of one in two that makes 4:1.
    assert post_test_probability(0.5, 0.2, 0.5) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("probability", "pre_test", "expected"),
    [(0.0, 0.5, 0), (1.0, 0.5, 1), (0.3, 0, 0), (0.3, 1, 1)],
)
def test_certainties(probability: float, pre_test: float, expected: float) -> None:
    assert post_test_probability(probability, 0.2, pre_test) == expected
