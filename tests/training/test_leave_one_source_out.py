"""benchmarks/leave_one_source_out.py: what it trains on and what it reads (it is run by hand)."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import leave_one_source_out as loso
import numpy as np
import pytest
import retraining

from detector.model.calibration import Decision
from detector.training.data.layouts import read_manifest
from detector.training.evaluation.predictions import FilmPrediction
from detector.training.sources import draw_phantoms


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> tuple[Path, Path]:
    """Two sources of phantoms: one with val, one without."""
    folder = tmp_path_factory.mktemp("sources")
    draw_phantoms(folder / "with_val", {"train": 8, "val": 4, "test": 2}, 1, (96, 80))
    draw_phantoms(folder / "without_val", {"train": 16, "test": 2}, 2, (96, 80))
    return folder / "with_val", folder / "without_val"


def test_no_test_film_is_known_and_a_source_without_val_gives_some_of_train(sources):
    first, second = (loso.known_films(source) for source in sources)
    assert [r.split for r in first] == ["train"] * 8 + ["val"] * 4
    assert sorted(r.split for r in second) == ["train"] * 12 + ["val"] * 4
    assert {r.fractured for r in second if r.split == "val"} == {True, False}


def test_the_folder_laid_out_holds_those_films_with_their_places(sources, tmp_path):
    films = loso.known_films(sources[1])
    loso.lay_out(films, sources[1], tmp_path / "without_val")
    read = {r.key: r for r in read_manifest(tmp_path / "without_val")}
    assert {key: r.split for key, r in read.items()} == {r.key: r.split for r in films}
    for film in films:
        assert read[film.key].path.is_file()
        assert np.array_equal(read[film.key].boxes, film.boxes)


def test_a_film_whose_picture_the_others_hold_is_not_read(sources, tmp_path):
    others, films = (loso.known_films(source) for source in sources)
    copied = tmp_path / "copy.png"
    shutil.copy(others[3].path, copied)
    copy = replace(films[0], path=copied)
    assert loso.unshared([copy, *films[1:]], others) == films[1:]


def test_figures_are_per_style_at_the_threshold(sources):
    predictions = [
        FilmPrediction(
            replace(film, attributes={"role": "wrist"}), 0.0, 0.9 if film.fractured else 0.2,
            "uncertain", True, film.fractured or None, film.fractured or None,
        )
        for film in loso.known_films(sources[0])
    ]
    predictions[1] = replace(predictions[1], probability=0.6)  # normal
    (style, figures), = loso.source_figures(predictions, 0.5).items()
    assert style == "wrist" and figures["films"] == 12 and figures["fractured"] == 6
    assert figures["sensitivity"]["value"] == 1.0
    assert figures["specificity"]["value"] == pytest.approx(5 / 6, abs=1e-3)
    assert figures["called_fractured"]["value"] == figures["cleared"]["value"] == 0.0
    assert figures["auc"]["value"] == 1.0 and figures["pointing"]["value"] == 1.0


def test_a_source_of_normal_films_alone_has_its_decisions_counted(sources):
    said = [Decision.FRACTURE_LIKELY, *[Decision.NO_FRACTURE_SEEN] * 3]
    predictions = [
        FilmPrediction(replace(film, fractured=False), 0.0, 0.2, decision, True)
        for film, decision in zip(loso.known_films(sources[0]), said, strict=False)
    ]
    (figures,) = loso.source_figures(predictions, 0.5).values()
    assert figures["called_fractured"]["value"] == 0.25 and figures["cleared"]["value"] == 0.75
    assert figures["specificity"]["value"] == 1.0 and "auc" not in figures


def test_what_the_benchmark_does_not_know_is_an_option_of_the_recipe(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", "--data", "a", "--seed", "3", "--temperature", "1"])
    arguments = retraining.parse(retraining.parser_of(""))
    assert arguments.seed == 3 and arguments.recipe == ["--temperature", "1"]
    assert retraining.recipe_in_words(arguments).endswith("seed 3, --temperature 1")
