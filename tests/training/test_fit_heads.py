"""``python -m detector.training.fit_heads``: new heads for weights that stay as they are."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from detector.model.weights import MODEL_FILE, read_weights, write_heads, write_weights
from detector.training.fit_heads import main
from detector.training.sources import draw_phantoms
from tests.support.tiny import tiny_model

NAMES = ("home", "abroad", "normal_feet")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sources; the last one without fractures, as far as its table says."""
    root = tmp_path_factory.mktemp("films")
    for number, name in enumerate(NAMES):
        draw_phantoms(root / name, {"train": 24, "val": 20}, number, (120, 100))
    table = root / "normal_feet" / "manifest.csv"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(row | {"fractured": 0} for row in rows)
    return root


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    model = tiny_model()
    config = replace(model.config, provenance={"films": {"home": {}, "abroad": {}}})
    write_weights(tmp_path / "weights", model.network, model.ood, config)
    return tmp_path / "weights"


def fit(weights: Path, films: Path, *names: str, more: tuple[str, ...] = ()) -> int:
    data = [word for name in names for word in ("--data", str(films / name))]
    return main(["--weights", str(weights), *data, *more])


def test_heads_are_fitted_and_the_network_stays(weights: Path, films: Path) -> None:
    before = (weights / MODEL_FILE).read_bytes()
    assert fit(weights, films, *NAMES) == 0
    model = read_weights(weights)
    assert (weights / MODEL_FILE).read_bytes() == before
    assert model.familiarity.rule_in >= model.config.calibration.rule_in
    assert model.config.provenance["unseen_sources"] == ["normal_feet"]
    figures = model.config.metrics["familiarity"]
    assert set(figures["known"]) == {"home", "abroad"} == set(figures["left_out"])
    assert figures["unseen"]["normal_feet"]["films"] == 44
    assert set(model.config.metrics["ood_left_out"]) == set(NAMES)
    assert "normal_feet" in (weights / "README.md").read_text()


def test_where_every_source_is_known_the_points_come_from_other_weights(
    weights: Path, films: Path, tmp_path: Path
) -> None:
    assert fit(weights, films, "home", "abroad") == 0
    usual = read_weights(weights)
    assert usual.familiarity.rule_in == usual.config.calibration.rule_in
    other = tmp_path / "other"
    shutil.copytree(weights, other)
    assert fit(other, films, *NAMES) == 0  # the same network, which never saw the feet
    theirs = read_weights(other)
    bolder = replace(theirs.heads.familiarity, rule_out=0.01, rule_in=0.95)
    write_heads(other, replace(theirs.heads, familiarity=bolder), theirs.config, theirs.sha256)
    assert fit(weights, films, "home", "abroad", more=("--points-from", str(other))) == 0
    taken = read_weights(weights)
    assert (taken.familiarity.rule_out, taken.familiarity.rule_in) == (0.01, 0.95)
    version = theirs.config.version
    assert taken.config.provenance["unfamiliar_points_from"] == f"weights {version}"
    measured = theirs.config.metrics["familiarity"]["unseen"]
    assert taken.config.metrics["familiarity"]["unseen"] == measured
    assert f"network of weights {version}" in (weights / "README.md").read_text()


def test_films_of_no_known_source_are_refused(weights: Path, films: Path, capsys) -> None:
    assert fit(weights, films, "normal_feet") == 2
    assert "trained on" in capsys.readouterr().err
