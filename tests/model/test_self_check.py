"""The built-in picture: what is pinned is what the engines answer, and nothing else passes."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from detector.engines.base import PRECISIONS, EngineOutput
from detector.engines.choice import make_engine
from detector.model import self_check
from detector.model.hub import shipped_weights
from detector.model.weights import read_weights


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_the_shipped_weights_give_their_pinned_answer(engine: str, precision: str, monkeypatch):
    if engine == "openvino" and find_spec("openvino") is None:
        pytest.skip("openvino is not installed")
    model = read_weights(shipped_weights(), build=False)
    try:
        runtime = make_engine(model, engine, precision)
    except ValueError as error:
        pytest.skip(str(error))
    fifth = {name: value / 5 for name, value in self_check.TOLERANCE.items()}
    monkeypatch.setattr(self_check, "TOLERANCE", fifth)
    assert model.config.self_check
    output = runtime.run(self_check.canvas())
    assert self_check.wrong(model.config.self_check, output, precision) == []


def test_another_answer_and_no_number_are_wrong():
    evidence, embedding = np.zeros((2, 2), np.float32), np.ones(3, np.float32)
    output = EngineOutput(-5.0, evidence, embedding)
    pinned = self_check.answer_of(output)
    assert self_check.wrong(pinned, output, "float32") == []
    for logit in (-5.2, np.nan, np.inf):
        other = EngineOutput(logit, evidence, embedding)
        assert self_check.wrong(pinned, other, "float32") == ["logit"]
    assert self_check.wrong({"unknown": 1.0}, output, "float32") == ["unknown"]


def test_the_picture_is_one_that_a_network_can_read():
    picture = self_check.canvas()
    assert picture.dtype == np.float32 and picture.std() > 0.1
    assert picture.min() >= 0 and picture.max() <= 1
    assert all(side % 32 == 0 for side in picture.shape)
