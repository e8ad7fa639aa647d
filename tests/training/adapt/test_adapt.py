"""Adapting weights to a hospital's films: the fit, the judge, and the command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.cli.main import main as cli
from detector.model.familiarity import FamiliarityModel
from detector.model.weights import CONFIG_FILE, MODEL_FILE, read_weights, write_weights
from detector.phantom import random_phantom
from detector.training.adapt.command import adapt_from, main
from detector.training.adapt.judge import got_worse
from detector.training.adapt.recalibrate import recalibrate
from detector.training.data.records import FilmRecord
from detector.training.heads.familiarity import FilmReadings
from tests.support.tiny import CALIBRATION, tiny_model

RNG = np.random.default_rng(0)
HOME = -3.0  # median log-odds of normal films at home


def films(log_odds: np.ndarray, fractured: int = 0, size: int = 3) -> FilmReadings:
    """The first ``fractured`` films are; every third film judges."""
    records = [
        FilmRecord(Path(f"{i}.png"), "x", i < fractured, split="test" if i % 3 == 2 else "train")
        for i in range(len(log_odds))
    ]
    probabilities = 1 / (1 + np.exp(-np.asarray(log_odds, float)))
    return FilmReadings(records, probabilities, np.tile(np.arange(size) * 1.0, (len(records), 1)))


def test_normal_films_are_moved_to_where_those_of_home_lie() -> None:
    own = recalibrate(CALIBRATION, films(RNG.normal(-1, 1, 101)), HOME)
    assert own.image.bias == pytest.approx(CALIBRATION.image.bias - 2, abs=0.3)
    assert own.rule_out == CALIBRATION.rule_out and own.prevalence == CALIBRATION.prevalence
    assert own.rule_in == 0.5  # nearly all of them lie below it now


def test_normal_films_below_those_of_home_are_not_moved_toward_a_fracture() -> None:
    own = recalibrate(CALIBRATION, films(RNG.normal(-6, 1, 60)), HOME)
    assert own.image == CALIBRATION.image


def test_rule_in_stays_above_normal_films_that_look_fractured() -> None:
    odd = np.concatenate([np.full(90, -1.0), np.full(10, 6.0)])
    assert recalibrate(CALIBRATION, films(odd), HOME).rule_in > 0.95


def test_with_fractures_the_probabilities_add_up_to_them() -> None:
    log_odds = np.concatenate([RNG.normal(4, 1, 40), RNG.normal(1, 1, 60)])
    shown = films(log_odds, fractured=40)
    own = recalibrate(CALIBRATION, shown, HOME)
    moved = 1 / (1 + np.exp(-(shown.log_odds + own.image.bias - CALIBRATION.image.bias)))
    assert moved.sum() == pytest.approx(40, abs=0.5) and own.prevalence == 0.4
    assert np.mean(moved[:40] >= own.rule_out) >= 0.95
    assert np.mean(moved[40:] < own.rule_in) >= 0.95


def test_too_few_normal_films_are_refused() -> None:
    with pytest.raises(ValueError, match="19 normal films are too few"):
        recalibrate(CALIBRATION, films(np.zeros(19)), HOME)


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (["uncertain", "uncertain"], ["fracture likely", "uncertain"], "more normal films"),
        (["no fracture seen", "uncertain"], ["uncertain", "uncertain"], "fewer normal films"),
        (["uncertain", "uncertain"], ["uncertain", "no fracture seen"], "more fractures"),
        (["uncertain", "uncertain"], ["no fracture seen", "fracture likely"], ""),
    ],
)
def test_the_judge_looks_at_every_way_to_be_worse(before, after, why) -> None:
    shown = films(np.array([2.0, -2.0]), fractured=1)
    shown = FilmReadings(shown.records[::-1], shown.probabilities[::-1], shown.embeddings)
    answer = got_worse(shown, np.array(before), shown, np.array(after))
    assert answer.startswith(why) and bool(answer) == bool(why)


def test_the_judge_looks_at_the_probabilities() -> None:
    good, bad = films(np.array([2.0, -2.0]), 1), films(np.array([-1.0, -2.0]), 1)
    said = np.array(["uncertain", "uncertain"])
    assert "log loss" in got_worse(good, said, bad, said) and not got_worse(bad, said, good, said)


def test_films_far_from_training_become_familiar_at_their_own_points() -> None:
    model = tiny_model()
    far = FamiliarityModel(np.full(3, 50.0), np.zeros((3, 1)), 1.0, 5.0, 0.05, 0.99)
    adapted, worse = adapt_from(
        replace(model, familiarity=far), films(RNG.normal(-1, 1, 90)), "here", HOME
    )
    assert not worse
    assert adapted.familiarity.check(np.arange(3) * 1.0).familiar
    figures = adapted.config.metrics["adaptation"]
    assert figures["fitted_on"] == {"normal": 60, "fractured": 0}
    assert figures["before"]["normal"]["uncertain"] > 25
    assert figures["after"]["normal"]["no fracture seen"] > 10


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hospital")
    for seed in range(36):
        pixels = random_phantom(seed, fractured=False, size=(120, 100)).pixels
        cv2.imwrite(str(folder / f"{seed}.png"), np.round(pixels * 255).astype(np.uint8))
    (folder / "notes.txt").write_text("no film")
    return folder


def weights(folder: Path, normal_log_odds: float | None) -> Path:
    model = tiny_model()
    val = {} if normal_log_odds is None else {"normal_log_odds": normal_log_odds}
    metrics = {"val": val, "test": {"fracatlas": {"films": 1}}}
    write_weights(folder, model.network, model.ood, replace(model.config, metrics=metrics))
    return folder


def test_the_command_writes_weights_whose_card_says_what_they_are(
    hospital: Path, tmp_path: Path, capsys
) -> None:
    base, out = weights(tmp_path / "base", -20.0), tmp_path / "adapted"
    given = ["adapt", str(hospital), "--normal", "--weights", str(base), "--out", str(out)]
    assert cli(given) == 0, capsys.readouterr().err
    adapted = read_weights(out)
    assert adapted.sha256 == read_weights(base).sha256
    assert "test" not in adapted.config.metrics
    card = (out / "README.md").read_text()
    assert "Adapted" in card and "24 normal" in card and hospital.name in card
    assert main(given[1:]) == 2  # not over what is there
    assert "not empty" in capsys.readouterr().err


def test_nothing_is_written_where_the_weights_cannot_be_adapted(
    hospital: Path, tmp_path: Path, capsys
) -> None:
    base, out = weights(tmp_path / "base", None), tmp_path / "adapted"
    given = [str(hospital), "--normal", "--weights", str(base), "--out", str(out)]
    assert main(given) == 2 and "fit their heads" in capsys.readouterr().err
    (base / CONFIG_FILE).unlink()
    assert main(given) == 2 and not (out / MODEL_FILE).exists()
