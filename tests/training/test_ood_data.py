"""What the OOD check is fitted on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from detector.engines.torch import TorchEngine
from detector.model.ood import is_blank
from detector.training.config import TrainConfig
from detector.training.data.layouts import read_manifest
from detector.training.data.records import FilmRecord
from detector.training.ood_data import OodData, film_parts, ood_data, ood_films
from detector.training.sources import draw_phantoms
from tests.support.tiny import tiny_network

RECIPE = TrainConfig(epochs=1, sizes=(96,), input_scale=1.0, seed=3)


@pytest.fixture(scope="module")
def records(tmp_path_factory) -> list[FilmRecord]:
    folder = tmp_path_factory.mktemp("scope") / "phantoms"
    draw_phantoms(folder, {"train": 12}, 1, (120, 100))
    return read_manifest(folder)


@pytest.fixture(scope="module")
def data(records: list[FilmRecord]) -> OodData:
    return ood_data(TorchEngine(tiny_network()), records, RECIPE, [])


def test_no_source_is_what_a_film_looks_like_by_its_number() -> None:
    sources = ["small", *["large"] * 9] * 40
    films = [FilmRecord(Path(f"{i}.png"), source, False) for i, source in enumerate(sources)]
    chosen = ood_films(films, seed=1, most=60)
    assert Counter(film.source for film in chosen) == {"large": 60, "small": 40}
    assert len({film.path for film in chosen}) == 100
    assert chosen == ood_films(films, seed=1, most=60)
    assert chosen != ood_films(films, seed=2, most=60)


def test_a_part_of_each_film_is_grey_in_range_and_always_the_same(records) -> None:
    parts, again = list(film_parts(records, RECIPE)), list(film_parts(records, RECIPE))
    assert len(parts) == len(records)
    for part, same in zip(parts, again, strict=True):
        assert np.array_equal(part, same) and part.dtype == np.float32
        assert 0 <= part.min() and part.max() <= 1
        assert not is_blank(part) and 0.4 * 96 <= max(part.shape) + 1 <= 97
    assert len({part.shape for part in parts}) > len(parts) / 2  # large and small


def test_films_whole_and_in_parts_and_other_pictures_are_embedded(data, records) -> None:
    size = tiny_network().embedding_size
    assert data.whole.shape == data.parts.shape == (len(records), size)
    assert data.others.shape == (len(data.images), size) and len(data.images) == 300
    assert not np.array_equal(data.whole, data.parts)


def test_the_fit_tells_phantoms_from_documents_and_noise(data) -> None:
    scope = data.fit(data.whole)
    assert np.mean([scope.score(e) <= 1 for e in data.whole]) > 0.9
    assert np.mean([scope.score(e) > 1 for e in data.others]) > 0.9
