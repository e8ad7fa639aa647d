"""The checks of the map, on a network whose map is known to be right, or wrong."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from detector.io.radiograph import load_radiograph
from detector.model.letterbox import Letterbox
from detector.predictor import FractureDetector
from detector.training.evaluation.baselines import plain_grad_cam, stages
from detector.training.evaluation.faithfulness import (
    CHANGES,
    FRACTIONS,
    changed,
    compare,
    deletion_insertion,
    evidence_of,
    random_order,
    randomised,
    rank_correlation,
)
from tests.support.tiny import tiny_model, tiny_network


def test_rank_correlation() -> None:
    values = np.random.default_rng(0).random((8, 9))
    assert rank_correlation(values, np.exp(values)) == pytest.approx(1)
    assert rank_correlation(values, -values) == pytest.approx(-1)
    assert rank_correlation(values, np.ones_like(values)) == 0


class _SpotNetwork(torch.nn.Module):
    """The logit is the brightness of one spot: the right explanation is that spot."""

    def forward(self, films: torch.Tensor) -> tuple[torch.Tensor]:
        return (films[:, 0, 40:48, 24:32].mean(dim=(1, 2)) * 8 - 4,)


def _probability(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def test_deletion_and_insertion_tell_the_right_map_from_a_random_one() -> None:
    letterbox = Letterbox.fit(96, 60, 96)
    canvas = letterbox.apply(np.random.default_rng(0).random((96, 60), np.float32) * 0.2)
    canvas[40:48, 24:32] = 1
    right = np.zeros(letterbox.canvas, np.float32)
    right[40:48, 24:32] = 1
    chance = random_order(letterbox, 8, np.random.default_rng(0))
    deleted, inserted = deletion_insertion(_SpotNetwork(), _probability, canvas, letterbox, right)
    other = deletion_insertion(_SpotNetwork(), _probability, canvas, letterbox, chance)
    assert deleted.shape == inserted.shape == (len(FRACTIONS),)
    assert deleted.mean() < other[0].mean() - 0.2
    assert inserted.mean() > other[1].mean() + 0.2


def test_weights_are_drawn_anew_from_the_output_back_and_the_network_stays() -> None:
    network = tiny_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    canvas = np.random.default_rng(1).random((96, 64), np.float32)
    letterbox = Letterbox.fit(96, 64, 96)
    trained = evidence_of(network, canvas, letterbox)
    names, maps, untouched = [], [], []
    for name, drawn in randomised(network, seed=0):
        names.append(name)
        maps.append(evidence_of(drawn, canvas, letterbox))
        untouched.append(
            sum(torch.equal(value, before[key]) for key, value in drawn.named_parameters())
        )
    assert names[:3] == ["evidence", "fusion", "lateral"]
    assert names[3:] == [name for name, _ in reversed(stages(network))]
    assert untouched == sorted(untouched, reverse=True) and untouched[0] > untouched[-1]
    assert not any(np.allclose(trained, drawn) for drawn in maps)
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key])
    again = [evidence_of(drawn, canvas, letterbox) for _, drawn in randomised(network, seed=0)]
    for one, other in zip(maps, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_evidence_of_leaves_the_padding_out() -> None:
    letterbox = Letterbox.fit(96, 40, 96)
    canvas = letterbox.apply(np.ones((96, 40), np.float32))
    assert letterbox.canvas == (96, 64)
    assert evidence_of(tiny_network(), canvas, letterbox).shape == (12, 5)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_film_leads_back_to_its_points(change: str) -> None:
    pixels = np.zeros((120, 90), np.float32)
    cv2.circle(pixels, (30, 70), 5, 1.0, -1)
    film, back = changed(load_radiograph(pixels), change)
    assert film.pixels.shape == pixels.shape
    row, column = (np.mean(v) for v in np.nonzero(film.pixels > 0.5))
    x, y = back[:, :2] @ (column + 0.5, row + 0.5) + back[:, 2]
    np.testing.assert_allclose((x, y), (30.5, 70.5), atol=0.3)
    assert np.hypot(column - 30, row - 70) > 1


def test_a_reading_agrees_with_itself() -> None:
    detector = FractureDetector(tiny_model())
    prediction = detector.predict(np.random.default_rng(2).random((96, 70), np.float32))
    same = compare(prediction, prediction)
    assert same.correlation == pytest.approx(1)
    assert same.distance == 0 and same.change == 0 and same.same_place and same.same_decision
    whole = compare(prediction, prediction, np.array([[1.0, 0, 0], [0, 1, 0]]))
    assert whole.correlation == pytest.approx(1) and whole.distance == pytest.approx(0)
    other = detector.predict(np.random.default_rng(3).random((96, 70), np.float32))
    assert compare(prediction, other).correlation < 0.9


def test_plain_grad_cam_is_of_the_last_stage_and_leaves_no_hooks() -> None:
    network = tiny_network()
    canvas = np.random.default_rng(4).random((96, 64), np.float32)
    values = plain_grad_cam(network, canvas)
    assert values.shape == (96, 64) and 0 <= values.min() <= values.max() <= 1
    assert stages(network)[-1][1] is network.backbone.blocks[-1]
    assert not any(module._forward_hooks for module in network.modules())
