"""The anatomy head names a region where it is sure of it, and the film is familiar."""

from __future__ import annotations

import numpy as np
import pytest

from detector.model.anatomy import AnatomyHead

HEAD = AnatomyHead(
    ("knee", "elbow"), np.array([[0.0, 1.0], [0.0, -1.0]]), np.array([0.0, 0.0]),
    min_probability=0.8,
)


def test_the_probabilities_are_those_of_a_softmax() -> None:
    assert HEAD.probabilities(np.array([5.0, 0.5])) == pytest.approx([1 / (1 + np.exp(-1)), 0.2689],
                                                                     abs=1e-4)


def test_a_region_is_named_from_the_probability_on() -> None:
    sure, unsure = HEAD.read(np.array([0, 2.0])), HEAD.read(np.array([0, 0.3]))
    assert sure.region == "knee" and sure.probability == pytest.approx(0.982, abs=1e-3)
    assert unsure.region is None and unsure.probability == pytest.approx(0.646, abs=1e-3)
    assert HEAD.read(np.array([0, -2.0])).region == "elbow"


def test_an_unfamiliar_film_has_no_region() -> None:
    assert HEAD.read(np.array([0, 2.0]), familiar=False).region is None


@pytest.mark.parametrize(
    ("regions", "sure"), [(("knee",), 0.8), (("knee", "elbow"), 0.0), (("knee", "elbow"), 1.1)]
)
def test_a_head_that_does_not_fit_is_refused(regions: tuple, sure: float) -> None:
    with pytest.raises(ValueError):
        AnatomyHead(regions, HEAD.weight, HEAD.bias, sure)
