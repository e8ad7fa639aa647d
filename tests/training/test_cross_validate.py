"""benchmarks/cross_validate.py: how films are dealt and pooled (it is run by hand)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cross_validate
import pytest

from detector.training.data.layouts import read_manifest
from detector.training.evaluation.predictions import FilmPrediction
from detector.training.sources import draw_phantoms


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sources") / "phantoms"
    draw_phantoms(folder, {"train": 12, "test": 4}, 1, (96, 80))
    return folder


def test_every_training_film_is_in_one_fold_with_both_labels_in_proportion(source):
    dealt = cross_validate.deal(source, 3, seed=0)
    taught = {r.key for r in read_manifest(source) if r.split == "train"}
    assert len(dealt) == 12 and {r.key for r in dealt} == taught
    for fold in "012":
        assert sum(r.split == fold for r in dealt) == 4
        assert sum(r.split == fold and r.fractured for r in dealt) == 2

    def folds(seed: int) -> dict[str, str | None]:
        return {r.key: r.split for r in cross_validate.deal(source, 3, seed)}

    assert folds(0) == {r.key: r.split for r in dealt} != folds(1)


def test_films_of_all_folds_count_together_at_the_one_threshold(source):
    films = [replace(r, attributes={"role": "wrist"}) for r in cross_validate.deal(source, 3, 0)]

    def read(fold: str, missed: int) -> list[FilmPrediction]:
        own = [r for r in films if r.split == fold]
        found = {r.key for r in own if r.fractured} - {
            r.key for r in [r for r in own if r.fractured][:missed]
        }
        return [
            FilmPrediction(r, 0.0, 0.6 if r.key in found else 0.1, "uncertain", True, None, None)
            for r in own
        ]

    figures = cross_validate.together([(read("0", 1), 0.3), (read("1", 0), 0.3)])
    wrist = figures["sources"]["wrist"]
    assert figures["threshold"] == 0.3 and figures["folds"] == 2 and wrist["films"] == 8
    assert wrist["sensitivity"]["value"] == 0.75 and wrist["specificity"]["value"] == 1.0
    with pytest.raises(ValueError, match="thresholds differ"):
        cross_validate.together([(read("0", 0), 0.3), (read("1", 0), 0.31)])
