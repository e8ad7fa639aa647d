"""Nothing but the bone tells the label of a training sample, and the check would see it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import detector.training
from detector.training.config import TrainConfig
from detector.training.data.annotations import with_outlines
from detector.training.data.films import CachedFilm, cache_films
from detector.training.data.layouts import read_manifest
from detector.training.data.records import FilmRecord
from detector.training.data.spatial import Outlines
from detector.training.evaluation.sample_shortcuts import property_auc, sample_properties

CONFIG = TrainConfig(epochs=2, sizes=(96,), fractured_fraction=0, mimic_fraction=0)
OUTLINES = Path(detector.training.__file__).parent / "data" / "outlines"


def test_a_property_that_tells_the_label_is_seen() -> None:
    rng = np.random.default_rng(0)
    labels = rng.random(400) < 0.4
    noise = rng.normal(size=(400, 3))
    assert abs(property_auc(noise, labels) - 0.5) < 0.1
    telling = np.column_stack([noise, labels + rng.normal(size=400)])
    assert property_auc(telling, labels) > 0.7


def pool(fractured_side: int, normal_side: int) -> list[CachedFilm]:
    rng, films = np.random.default_rng(0), []
    for index in range(240):
        fractured = index % 3 == 0
        side = fractured_side if fractured else normal_side
        boxes = np.array([[side * 0.4, side * 0.4, side * 0.1, side * 0.1]])[: int(fractured)]
        record = FilmRecord(Path(f"{index}.png"), "one", fractured, "train", "", boxes)
        pixels = rng.integers(40, 200, (side, side), dtype=np.uint8)
        films.append(CachedFilm(record, pixels, Outlines.of(boxes, (None,) * len(boxes))))
    return films


def test_large_films_that_are_all_fractured_are_seen_and_mixed_ones_say_nothing() -> None:
    properties, labels, names = sample_properties(pool(160, 80), CONFIG, 0)
    assert len(names) == properties.shape[1] and 0.2 < labels.mean() < 0.6
    assert property_auc(properties, labels) > 0.9
    assert property_auc(*sample_properties(pool(120, 120), CONFIG, 0)[:2]) < 0.65


def test_no_property_tells_the_label_of_a_sample_of_the_recipe(films_root: Path) -> None:
    """The default recipe on a part of the real films: first and last size of the canvas."""
    records = []
    for name in ("fracatlas", "sr2022", "multiregion_pictures", "normal_feet", "normal_knees"):
        found = [r for r in read_manifest(films_root / name) if r.split == "train"]
        if name == "multiregion_pictures":
            found = with_outlines(found, OUTLINES / "multiregion_pictures.json")
        records += found[:: 2 if name == "fracatlas" else 1]
    films, _ = cache_films(records, 2048)
    config = TrainConfig(negatives_per_epoch=700, normals_per_epoch=100, negative_crops=100)
    found = [sample_properties(films, config, epoch, 600) for epoch in (0, config.epochs - 1)]
    properties = np.concatenate([one for one, _, _ in found])
    labels = np.concatenate([one for _, one, _ in found])
    assert property_auc(properties, labels) <= 0.55
