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

from detector.phantom import random_phantom
from detector.training.config import TrainConfig
from detector.training.data.dataset import EpochDataset
from detector.training.data.films import CachedFilm, cache_films, read_film
from detector.training.data.plan import Drawing, SampleSpec, plan_epoch
from detector.training.data.records import FilmRecord
from detector.training.data.spatial import Outlines, View

CONFIG = TrainConfig(
    epochs=3, batch=4, sizes=(64, 96), negatives_per_epoch=5, repeats=3, negative_crops=4
)


def films(count: int, source: str, located: bool = True) -> list[CachedFilm]:
    """Every second one fractured."""
    rng = np.random.default_rng(0)
    found = []
    for index in range(count):
        fractured = index % 2 == 0
        boxes = np.array([[20.0, 30, 12, 16]]) if fractured and located else np.zeros((0, 4))
        record = FilmRecord(Path(f"{index}.png"), source, fractured, "train", "", boxes)
        pixels = rng.integers(0, 256, (90, 70), dtype=np.uint8)
        found.append(CachedFilm(record, pixels, Outlines.of(boxes, (None,) * len(boxes))))
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
    assert film.outlines.polygons[0] == pytest.approx(outline / 2)
    assert read_film(record, 500).pixels.shape == (200, 120)  # never enlarged


def test_films_that_cannot_be_read_come_back_with_their_reason(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.tile(np.arange(80, dtype=np.uint8), (90, 1)))
    (tmp_path / "b.png").write_bytes(b"no picture")
    records = [FilmRecord(tmp_path / n, "s", False) for n in ("a.png", "b.png", "c.png")]
    read, broken = cache_films(records, 64)
    assert [f.record.path.name for f in read] == ["a.png"]
    assert [r.path.name for r, reason in broken if reason] == ["b.png", "c.png"]


def test_an_epoch_holds_what_the_configuration_says() -> None:
    large, small = films(120, "large"), films(10, "small", located=False)
    plan = plan_epoch([*large, *small], CONFIG, 0)
    crops = [s.film for s in plan if s.view is View.NEGATIVE and s.film % 2 == 0]
    assert len(crops) == CONFIG.negative_crops == len(set(crops))
    lesions = [sample.film for sample in plan if sample.view is View.LESION]
    assert len(set(lesions)) == 24 and all(i % 2 == 0 for i in lesions)  # 0.4 of 60
    shown = Counter(sample.film for sample in plan)
    shown.subtract(crops)
    assert [shown[i] for i in range(0, 120, 2)] == [1] * 60  # every fractured film
    assert sum(shown[i] for i in range(1, 120, 2)) == CONFIG.negatives_per_epoch
    assert [shown[i] for i in range(120, 130)] == [CONFIG.repeats] * 10  # a small source repeats


def test_a_close_look_is_no_sign_of_either_label() -> None:
    """One source with as many normal films as are drawn, without negative crops."""
    config = replace(CONFIG, negative_crops=0, negatives_per_epoch=60)
    plan = plan_epoch(films(120, "large"), config, 0)
    views = Counter((sample.film % 2 == 0, sample.view) for sample in plan)
    assert views[True, View.LESION] == views[False, View.NEGATIVE] == 24
    assert views[True, View.RANDOM] == views[False, View.RANDOM] == 36


def test_how_much_of_a_film_is_shown_does_not_tell_its_label() -> None:
    """Where no fracture has an outline, normal films are shown as fractured ones."""
    plan = plan_epoch(films(40, "wrists", located=False), CONFIG, 0)
    assert {(sample.film % 2, sample.view) for sample in plan} == {(0, View.FULL), (1, View.FULL)}


def test_every_appearance_is_seen_close_where_fractures_are() -> None:
    """Fractures without an outline are shown in full, half of the normal films there close."""
    pool = films(40, "wrists", located=False) + films(40, "others")
    wrists = [sample for sample in plan_epoch(pool, CONFIG, 0) if sample.film < 40]
    views = Counter((sample.film % 2, sample.view) for sample in wrists)
    assert views == {
        (0, View.FULL): 20 * 3, (1, View.FULL): 10 * 3, (1, View.NEGATIVE): 4 * 3,
        (1, View.RANDOM): 6 * 3,
    }


def test_a_source_does_not_tell_the_label() -> None:
    """Fractures drawn on normal films and negative crops give each source the same fraction."""
    mixed = films(150, "mixed")
    only = [f for f in films(480, "fractured") + films(480, "normal")
            if f.record.fractured == (f.record.source == "fractured")]
    config = replace(CONFIG, negatives_per_epoch=75, normals_per_epoch=120, negative_crops=30,
                     fractured_fraction=0.36)
    pool = [*mixed, *only]
    counts: dict[str, Counter] = {}
    for sample in plan_epoch(pool, config, 0):
        film = pool[sample.film].record
        label = (film.fractured and sample.view is not View.NEGATIVE) or (
            sample.drawing is Drawing.FRACTURE)
        counts.setdefault(film.source, Counter())[label] += 1
    for source, wanted in (("fractured", 0.36), ("normal", 0.36), ("mixed", 0.45)):
        share = counts[source][True] / counts[source].total()
        assert share == pytest.approx(wanted, abs=0.05), source
    assert counts["normal"].total() == 120
    without = plan_epoch(pool, replace(config, fractured_fraction=0, mimic_fraction=0), 0)
    assert {sample.drawing for sample in without} == {Drawing.NONE}


def test_large_normal_films_are_as_frequent_as_large_fractured_ones() -> None:
    pool = films(400, "one")
    large = {i for i in range(400) if i % 2 and i < 120} | {i for i in range(0, 400, 8)}
    pool = [replace(f, pixels=np.zeros((1200, 8), np.uint8)) if i in large else f
            for i, f in enumerate(pool)]
    plan = plan_epoch(pool, replace(CONFIG, negatives_per_epoch=100, negative_crops=0), 0)
    share = {label: np.mean([s.film in large for s in plan if (s.film % 2 == 0) == label])
             for label in (True, False)}
    assert share[True] == 0.25 and share[False] == pytest.approx(0.25, abs=0.02)


def test_a_drawn_fracture_is_taught_where_it_lies_with_less_weight() -> None:
    pool = []
    for seed in range(4):
        grey = np.round(random_phantom(seed, fractured=False).pixels * 255).astype(np.uint8)
        pool.append(CachedFilm(FilmRecord(Path(f"{seed}.png"), "s", False), grey, Outlines()))
    dataset = EpochDataset(pool, replace(CONFIG, sizes=(320,), drawn_label_weight=0.5), 0)
    taught = []
    for index in range(8):
        for drawing in Drawing:
            sample = SampleSpec(index % 4, View.RANDOM, drawing=drawing)
            target = dataset.draw_single(np.random.default_rng(index), sample, (320, 288))[1]
            taught.append((drawing, target.label, target.label_weight, bool(target.cells.any())))
    normal = {t[1:] for t in taught if t[0] is not Drawing.FRACTURE}
    assert normal == {(0.0, 1.0, False)}
    broken = Counter(t[1:] for t in taught if t[0] is Drawing.FRACTURE)
    assert broken[1.0, 0.5, True] >= 4  # where a bone was found
    assert set(broken) <= {(1.0, 0.5, True), (0.0, 1.0, False)}


def test_epochs_draw_different_normal_films_in_a_different_order() -> None:
    pool = films(120, "large")
    plans = [plan_epoch(pool, CONFIG, epoch) for epoch in (0, 0, 1)]
    assert plans[0] == plans[1] != plans[2]
    assert plan_epoch(pool, replace(CONFIG, seed=1), 0) != plans[0]
    normal = [{s.film for s in plan if s.film % 2} for plan in plans]
    assert normal[0] != normal[2]


def test_a_sample_depends_on_seed_epoch_and_index_alone() -> None:
    pool = films(12, "one")
    dataset = EpochDataset(pool, CONFIG, 1)
    order = [5, 0, 5, 3]
    first = {i: dataset[i] for i in order}
    again = EpochDataset(pool, CONFIG, 1)
    assert all(equal(again[i], first[i]) for i in reversed(order))
    assert not equal(EpochDataset(pool, replace(CONFIG, seed=1), 1)[5], first[5])
    other = EpochDataset(pool, CONFIG, 0)
    other.samples, other.canvas = dataset.samples, dataset.canvas
    assert not equal(other[5], first[5])


def test_loader_processes_change_nothing() -> None:
    dataset = EpochDataset(films(12, "one"), CONFIG, 0)
    alone, shared = (list(DataLoader(dataset, batch_size=4, num_workers=n)) for n in (0, 2))
    assert all(equal(a, b) for a, b in zip(alone, shared, strict=True))


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("pairs", [0.0, 1.0])
def test_samples_have_the_shapes_that_the_network_takes(stride: int, pairs: float) -> None:
    dataset = EpochDataset(films(12, "one"), replace(CONFIG, stride=stride, pair_fraction=pairs), 2)
    assert dataset.canvas == (96, 96)
    rows, cols = dataset.canvas
    labels = set()
    for index in range(len(dataset)):
        canvas, label, label_weight, cells, cell_weight = dataset[index]
        assert canvas.shape == (1, rows, cols) and 0 <= canvas.min() < canvas.max() <= 1
        assert cells.shape == cell_weight.shape == (rows // stride, cols // stride)
        assert {t.dtype for t in (canvas, label, label_weight, cells)} == {torch.float32}
        labels.add((float(label), dataset.samples[index].view))
    assert {(1.0, View.RANDOM), (1.0, View.LESION)} < labels
    assert {(0.0, View.RANDOM), (0.0, View.NEGATIVE)} < labels


def test_a_pair_is_fractured_where_its_first_film_is() -> None:
    """The second is a normal film, so that two films on one canvas are no sign of a fracture."""
    config = replace(CONFIG, pair_fraction=1.0, negative_crops=0, negatives_per_epoch=60)
    dataset = EpochDataset(films(120, "large"), config, 0)
    for index, sample in enumerate(dataset.samples):
        _, label, label_weight, cells, _ = dataset[index]
        if sample.film % 2:
            assert label == 0 and label_weight == 1 and not cells.any()
        elif sample.view is View.LESION and label == 1:
            # Its cells lie in one half: none of them beyond the cut.
            rows, cols = np.nonzero(cells.numpy())
            assert np.ptp(rows) < 0.7 * cells.shape[0] or np.ptp(cols) < 0.7 * cells.shape[1]
    lesions = [i for i, sample in enumerate(dataset.samples) if sample.view is View.LESION]
    assert np.mean([float(dataset[i][1]) for i in lesions]) > 0.9


def test_negative_crops_are_taught_as_normal() -> None:
    corner = Outlines((np.array([[2.0, 2], [8, 2], [8, 8], [2, 8]]),))
    pool = [replace(f, outlines=corner) if f.record.fractured else f for f in films(40, "one")]
    dataset = EpochDataset(pool, replace(CONFIG, negative_crops=20, negatives_per_epoch=0), 0)
    crops = [i for i, sample in enumerate(dataset.samples)
             if sample.view is View.NEGATIVE and pool[sample.film].record.fractured]
    targets = [dataset[i][1:3] for i in crops]
    known = [float(label) for label, weight in targets if weight > 0]
    assert len(targets) == 20 and len(known) > 10 and np.mean(known) < 0.2


def test_the_configuration_refuses_what_cannot_be_trained() -> None:
    for wrong in ({"sizes": (100,)}, {"sizes": ()}, {"epochs": 0}, {"batch": 0}, {"warmup": 1.0},
                  {"negative_crops": -1}, {"pair_fraction": 1.1}, {"grad_clip": 0.0}):
        with pytest.raises(ValueError):
            TrainConfig(**wrong)
    assert TrainConfig.from_dict({**CONFIG.to_dict(), "of an older version": 1}) == CONFIG
    assert [CONFIG.canvas(e)[0] for e in range(3)] == [64, 64, 96] and CONFIG.input_size == 96
