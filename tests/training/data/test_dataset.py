"""Samples of an epoch: the same for the same (seed, epoch, index), and of the promised kinds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from detector.training.config import Recipe
from detector.training.data.dataset import (
    CachedFilm,
    EpochDataset,
    cache_films,
    plan_epoch,
    read_film,
)
from detector.training.data.records import FilmRecord
from detector.training.data.spatial import Places, View

RECIPE = Recipe(epochs=3, batch=4, sizes=(64, 96), intact=5, repeats=3, crops=4)


def films(count: int, source: str, located: bool = True) -> list[CachedFilm]:
    """Every second one fractured."""
    rng = np.random.default_rng(0)
    found = []
    for index in range(count):
        fractured = index % 2 == 0
        boxes = np.array([[20.0, 30, 12, 16]]) if fractured and located else np.zeros((0, 4))
        record = FilmRecord(Path(f"{index}.png"), source, fractured, "train", "", boxes)
        pixels = rng.integers(0, 256, (90, 70), dtype=np.uint8)
        found.append(CachedFilm(record, pixels, Places.of(boxes, (None,) * len(boxes))))
    return found


def equal(one: tuple[torch.Tensor, ...], other: tuple[torch.Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_film_is_shrunk_with_its_outline(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "film.png"), np.tile(np.arange(120, dtype=np.uint8), (200, 1)))
    outline = np.array([[20.0, 40], [60, 40], [60, 100]])
    record = FilmRecord(tmp_path / "film.png", "s", True, "train", "",
                        np.array([[20.0, 40, 40, 60]]), (outline,))
    film = read_film(record, 100)
    assert film.pixels.shape == (100, 60) and film.pixels.dtype == np.uint8
    assert film.places.polygons[0] == pytest.approx(outline / 2)
    assert read_film(record, 500).pixels.shape == (200, 120)  # never enlarged


def test_films_that_cannot_be_read_come_back_with_their_reason(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.tile(np.arange(80, dtype=np.uint8), (90, 1)))
    (tmp_path / "b.png").write_bytes(b"no picture")
    records = [FilmRecord(tmp_path / n, "s", False) for n in ("a.png", "b.png", "c.png")]
    read, broken = cache_films(records, 64)
    assert [f.record.path.name for f in read] == ["a.png"]
    assert [r.path.name for r, reason in broken if reason] == ["b.png", "c.png"]


def test_an_epoch_holds_what_the_recipe_says() -> None:
    large, small = films(120, "large"), films(10, "small", located=False)
    plan = plan_epoch([*large, *small], RECIPE, 0)
    crops = [draw.film for draw in plan if draw.view is View.ASIDE and draw.film % 2 == 0]
    assert len(crops) == RECIPE.crops == len(set(crops))
    focus = [draw.film for draw in plan if draw.view is View.FOCUS]
    assert len(set(focus)) == round(RECIPE.close * 60) and all(i % 2 == 0 for i in focus)
    shown = Counter(draw.film for draw in plan)
    shown.subtract(crops)
    assert [shown[i] for i in range(0, 120, 2)] == [1] * 60  # every fractured film
    assert sum(shown[i] for i in range(1, 120, 2)) == RECIPE.intact
    assert [shown[i] for i in range(120, 130)] == [RECIPE.repeats] * 10  # a small source repeats


def test_a_close_look_is_no_sign_of_either_label() -> None:
    """One source with as many intact films as are drawn, without close-ups beside fractures."""
    recipe = replace(RECIPE, crops=0, intact=60)
    plan = plan_epoch(films(120, "large"), recipe, 0)
    views = Counter((draw.film % 2 == 0, draw.view) for draw in plan)
    assert views[True, View.FOCUS] == views[False, View.ASIDE] == 24
    assert views[True, View.FREE] == views[False, View.FREE] == 36


def test_how_much_of_a_film_is_shown_does_not_tell_its_label() -> None:
    """Where no fracture has a place, intact films are shown as fractured ones."""
    plan = plan_epoch(films(40, "wrists", located=False), RECIPE, 0)
    assert {(draw.film % 2, draw.view) for draw in plan} == {(0, View.WHOLE), (1, View.WHOLE)}


def test_every_style_is_seen_close_where_fractures_are() -> None:
    """Fractures without a place are shown whole, half of the intact films beside them close."""
    pool = films(40, "wrists", located=False) + films(40, "others")
    wrists = [draw for draw in plan_epoch(pool, RECIPE, 0) if draw.film < 40]
    views = Counter((draw.film % 2, draw.view) for draw in wrists)
    assert views == {
        (0, View.WHOLE): 20 * 3, (1, View.WHOLE): 10 * 3, (1, View.ASIDE): 4 * 3,
        (1, View.FREE): 6 * 3,
    }


def test_epochs_draw_different_intact_films_in_a_different_order() -> None:
    pool = films(120, "large")
    plans = [plan_epoch(pool, RECIPE, epoch) for epoch in (0, 0, 1)]
    assert plans[0] == plans[1] != plans[2]
    assert plan_epoch(pool, replace(RECIPE, seed=1), 0) != plans[0]
    intact = [{d.film for d in plan if d.film % 2} for plan in plans]
    assert intact[0] != intact[2]


def test_a_sample_depends_on_seed_epoch_and_index_alone() -> None:
    pool = films(12, "one")
    dataset = EpochDataset(pool, RECIPE, 1)
    order = [5, 0, 5, 3]
    first = {i: dataset[i] for i in order}
    again = EpochDataset(pool, RECIPE, 1)
    assert all(equal(again[i], first[i]) for i in reversed(order))
    assert not equal(EpochDataset(pool, replace(RECIPE, seed=1), 1)[5], first[5])
    other = EpochDataset(pool, RECIPE, 0)
    other.draws, other.canvas = dataset.draws, dataset.canvas
    assert not equal(other[5], first[5])


def test_loader_processes_change_nothing() -> None:
    dataset = EpochDataset(films(12, "one"), RECIPE, 0)
    alone, shared = (list(DataLoader(dataset, batch_size=4, num_workers=n)) for n in (0, 2))
    assert all(equal(a, b) for a, b in zip(alone, shared, strict=True))


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("pairs", [0.0, 1.0])
def test_samples_have_the_shapes_that_the_network_takes(stride: int, pairs: float) -> None:
    dataset = EpochDataset(films(12, "one"), replace(RECIPE, stride=stride, pairs=pairs), 2)
    assert dataset.canvas == (96, 96 * 6 // 7 // 32 * 32 + 32 * (96 * 6 / 7 % 32 > 16))
    rows, cols = dataset.canvas
    labels = set()
    for index in range(len(dataset)):
        film, label, label_weight, places, place_weight = dataset[index]
        assert film.shape == (1, rows, cols) and 0 <= film.min() and film.max() <= 1
        assert places.shape == place_weight.shape == (rows // stride, cols // stride)
        assert {t.dtype for t in (film, label, label_weight, places)} == {torch.float32}
        labels.add((float(label), dataset.draws[index].view))
    assert {(1.0, View.FREE), (1.0, View.FOCUS), (0.0, View.FREE), (0.0, View.ASIDE)} <= labels


def test_a_pair_is_fractured_where_its_first_film_is() -> None:
    """The second is intact, so that two films on one canvas are no sign of a fracture."""
    recipe = replace(RECIPE, pairs=1.0, crops=0, intact=60)
    dataset = EpochDataset(films(120, "large"), recipe, 0)
    for index, draw in enumerate(dataset.draws):
        _, label, label_weight, places, _ = dataset[index]
        if draw.film % 2:
            assert label == 0 and label_weight == 1 and not places.any()
        elif draw.view is View.FOCUS and label == 1:
            # Its places lie in one half: none of them beyond the cut.
            rows, cols = np.nonzero(places.numpy())
            assert np.ptp(rows) < 0.7 * places.shape[0] or np.ptp(cols) < 0.7 * places.shape[1]
    focus = [i for i, draw in enumerate(dataset.draws) if draw.view is View.FOCUS]
    assert np.mean([float(dataset[i][1]) for i in focus]) > 0.9


def test_close_ups_beside_fractures_are_taught_as_intact() -> None:
    corner = Places((np.array([[2.0, 2], [8, 2], [8, 8], [2, 8]]),))
    pool = [replace(f, places=corner) if f.record.fractured else f for f in films(40, "one")]
    dataset = EpochDataset(pool, replace(RECIPE, crops=20, intact=0), 0)
    aside = [i for i, draw in enumerate(dataset.draws)
             if draw.view is View.ASIDE and pool[draw.film].record.fractured]
    targets = [dataset[i][1:3] for i in aside]
    known = [float(label) for label, weight in targets if weight > 0]
    assert len(targets) == 20 and len(known) > 10 and np.mean(known) < 0.2


def test_the_recipe_refuses_what_cannot_be_trained() -> None:
    for wrong in ({"sizes": (100,)}, {"sizes": ()}, {"epochs": 0}, {"batch": 0}, {"warmup": 1.0},
                  {"crops": -1}, {"pairs": 1.1}):
        with pytest.raises(ValueError):
            Recipe(**wrong)
    assert Recipe.from_dict({**RECIPE.to_dict(), "of an older version": 1}) == RECIPE
    assert [RECIPE.canvas(e)[0] for e in range(3)] == [64, 64, 96] and RECIPE.input_size == 96
