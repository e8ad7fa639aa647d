"""Averages of weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from detector.training.config import TrainConfig
from detector.training.ema import blend


def network(value: float) -> nn.Module:
    made = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    with torch.no_grad():
        for tensor in made.state_dict().values():
            tensor.fill_(value)
    return made


def test_a_blend_lies_between_start_and_end_also_in_its_statistics():
    tuned, start = network(8), network(4)
    blend(tuned, start, 0.25)
    values = tuned.state_dict()
    assert values["0.weight"].tolist() == [[7, 7]] and values["1.running_var"].tolist() == [7]
    assert values["1.num_batches_tracked"] == 8  # a count is not averaged
    assert start.state_dict()["0.bias"].tolist() == [4]


def test_a_fraction_of_the_start_needs_a_start(tmp_path):
    with pytest.raises(ValueError, match="--init"):
        TrainConfig(init_fraction=0.5)
    with pytest.raises(ValueError, match="init_fraction"):
        TrainConfig(init=tmp_path, init_fraction=1.5)
