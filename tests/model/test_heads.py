"""Heads in a file of their own: what was written comes back, anything else is refused."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detector.model.anatomy import AnatomyHead
from detector.model.familiarity import FamiliarityModel
from detector.model.heads import HEADS_FILE, Heads
from detector.model.weights import (
    CONFIG_FILE,
    MODEL_FILE,
    WeightsError,
    read_weights,
    write_config,
    write_heads,
    write_weights,
)
from detector.predictor import FractureDetector
from tests.support.tiny import tiny_model

MODEL = tiny_model()
SIZE = len(MODEL.ood.direction)
RNG = np.random.default_rng(0)
HEADS = Heads(
    RNG.normal(size=SIZE),
    FamiliarityModel(RNG.normal(size=SIZE), RNG.normal(size=(SIZE, 3)), 0.5, 7.0, 0.2, 0.8),
    AnatomyHead(("knee", "elbow"), RNG.normal(size=(2, SIZE)), RNG.normal(size=2), 0.7),
)


def write(folder: Path, heads: Heads = HEADS) -> Path:
    write_weights(folder, MODEL.network, MODEL.ood, MODEL.config)
    write_heads(folder, heads, MODEL.config, read_weights(folder, build=False).sha256)
    return folder


def same(one: object, other: object) -> bool:
    return all(
        np.allclose(value, vars(other)[name], rtol=1e-6) if isinstance(value, np.ndarray)
        else value == vars(other)[name]
        for name, value in vars(one).items()
    )


def test_what_was_written_comes_back_and_the_model_file_stays(tmp_path: Path) -> None:
    write_weights(tmp_path, MODEL.network, MODEL.ood, MODEL.config)
    before = (tmp_path / MODEL_FILE).read_bytes()
    read = read_weights(write(tmp_path))
    assert (tmp_path / MODEL_FILE).read_bytes() == before
    assert same(HEADS.familiarity, read.familiarity) and same(HEADS.anatomy, read.anatomy)
    assert np.allclose(read.ood.direction, HEADS.ood_direction)
    assert set(os.listdir(tmp_path)) == {MODEL_FILE, CONFIG_FILE, HEADS_FILE}


def test_weights_are_written_with_their_heads_at_once(tmp_path: Path) -> None:
    write_weights(tmp_path, MODEL.network, MODEL.ood, MODEL.config,
                  familiarity=HEADS.familiarity, anatomy=HEADS.anatomy)
    read = read_weights(tmp_path)
    assert same(HEADS.familiarity, read.familiarity) and same(HEADS.anatomy, read.anatomy)
    assert np.allclose(read.ood.direction, MODEL.ood.direction)


def test_weights_without_heads_are_read_and_say_nothing_of_familiarity(tiny_weights: Path) -> None:
    detector = FractureDetector.from_pretrained(tiny_weights, engine="torch")
    prediction = detector.predict(np.linspace(0, 1, 9600, dtype=np.float32).reshape(96, 100))
    assert prediction.familiarity is prediction.anatomy is None and not prediction.unfamiliar
    said = prediction.to_dict()
    assert said["familiarity"] is None and said["anatomy"] is None


def test_an_unfamiliar_film_is_read_at_its_own_operating_points(tmp_path: Path) -> None:
    film = RNG.random((96, 100)).astype(np.float32)
    answers = {}
    for threshold in (1e-3, 1e3):
        familiarity = replace(HEADS.familiarity, threshold=threshold,
                              components=np.zeros((SIZE, 1)))
        folder = write(tmp_path / str(threshold),
                       replace(HEADS, ood_direction=MODEL.ood.direction, familiarity=familiarity))
        answers[threshold] = FractureDetector.from_pretrained(folder, engine="torch").predict(film)
    strange, known = answers[1e-3], answers[1e3]
    assert strange.unfamiliar and not known.unfamiliar
    assert strange.probability == known.probability
    assert strange.to_dict()["operating_points"] == {"rule_out": 0.2, "rule_in": 0.8}
    assert known.to_dict()["operating_points"] == {"rule_out": 0.1, "rule_in": 0.6}
    assert strange.familiarity.reason in strange.warnings and not known.warnings
    assert strange.anatomy.region is None


def test_a_missing_or_altered_heads_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path) / HEADS_FILE
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(WeightsError, match=f"{HEADS_FILE}.*sha256 differs"):
        read_weights(tmp_path)
    path.unlink()
    with pytest.raises(WeightsError, match=f"{HEADS_FILE} is missing"):
        read_weights(tmp_path)


@pytest.mark.parametrize(
    "heads",
    [
        replace(HEADS, ood_direction=HEADS.ood_direction[:-1]),
        Heads(HEADS.ood_direction[:-1]),
    ],
    ids=["sizes that differ", "another architecture"],
)
def test_heads_that_do_not_fit_are_refused(tmp_path: Path, heads: Heads) -> None:
    with pytest.raises(WeightsError):
        read_weights(write(tmp_path, heads))


def test_heads_with_a_number_missing_are_refused(tmp_path: Path) -> None:
    model = read_weights(write(tmp_path))
    settings = {k: dict(v) if isinstance(v, dict) else v for k, v in model.config.heads.items()}
    del settings["familiarity"]["noise"]
    write_config(tmp_path, replace(model.config, heads=settings), model.sha256)
    with pytest.raises(WeightsError, match="incomplete or wrong"):
        read_weights(tmp_path)
