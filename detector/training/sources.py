"""The films that a training run uses: read, checked for leakage, split, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from detector.phantom import random_phantom
from detector.training.dataset import CachedFilm, cache_films
from detector.training.layouts import read_films
from detector.training.leakage import find_leakage
from detector.training.provenance import data_digest
from detector.training.records import FilmRecord
from detector.training.splits import group_films, split_films

FRACTIONS = {"train": 0.8, "val": 0.1, "test": 0.1}  # for data that has no split of its own
_PHANTOMS = {"train": 160, "val": 60}
_PHANTOM_SIZE = (256, 208)


@dataclass(frozen=True)
class TrainingData:
    """Films of train and val in memory, and what the run keeps about where they come from."""

    train: Sequence[CachedFilm]
    val: Sequence[CachedFilm]
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        def count(films: Sequence[CachedFilm]) -> str:
            return f"{len(films)} ({sum(f.record.fractured for f in films)} fractured)"

        return f"films: train {count(self.train)}, val {count(self.val)}"


def real_data(
    folders: Sequence[Path],
    longest: int,
    seed: int,
    *,
    allow_leakage: bool = False,
    cache: Path | None = None,
) -> TrainingData:
    """Read the films of all folders, at most ``longest`` pixels on a side.

    A folder without a split is grouped by picture and divided 80 : 10 : 10.

    Raises:
        ValueError: an unknown layout; a split that leaks (unless allowed); no film in train or val,
            or only one class.
    """
    sets = [read_films(folder) for folder in folders]
    records: list[FilmRecord] = []
    for films in sets:
        if all(record.split is None for record in films.records):
            grouped = group_films(films.records, cache=cache)
            records += split_films(grouped, FRACTIONS, seed)
        else:
            records += films.records
    finding = find_leakage(records, cache=cache)
    if finding.leaks and not allow_leakage:
        raise ValueError(
            f"{finding.sentence} Split by picture, or pass --allow-leakage to reproduce figures "
            "that were published on such a split."
        )
    # Held-out films of a set without val still choose nothing: a tenth of train is taken instead.
    if not any(record.split == "val" for record in records):
        records = _carve_val(records, seed)
    used = [record for record in records if record.split in ("train", "val")]
    films, broken = cache_films(used, longest)
    data = TrainingData(
        [film for film in films if film.record.split == "train"],
        [film for film in films if film.record.split == "val"],
        {
            "data_sha256": data_digest(used),
            "films": {
                source: {
                    split: sum(r.source == source and r.split == split for r in used)
                    for split in ("train", "val")
                }
                for source in dict.fromkeys(r.source for r in used)
            },
            "unreadable": sorted(
                [u.path.name for films in sets for u in films.unreadable]
                + [record.path.name for record, _ in broken]
            ),
            "leakage": finding.summary(),
        },
    )
    for name, part in (("train", data.train), ("val", data.val)):
        if len({film.record.fractured for film in part}) < 2:
            raise ValueError(f"{name} needs fractured and intact films; it has {len(part)} films")
    return data


def _carve_val(records: Sequence[FilmRecord], seed: int) -> list[FilmRecord]:
    """A tenth of train as val, groups kept whole."""
    train = [replace(r, split=None) for r in records if r.split == "train"]
    rest = [r for r in records if r.split != "train"]
    return split_films(train, {"train": 0.9, "val": 0.1}, seed) + rest


def phantom_data(folder: Path, longest: int, seed: int) -> TrainingData:
    """Synthetic films, drawn into ``folder`` as PNG and labelled as such."""
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for split, count in _PHANTOMS.items():
        for index in range(count):
            number = seed * 10_000 + index + (5_000 if split == "val" else 0)
            phantom = random_phantom(number, fractured=index % 2 == 0, size=_PHANTOM_SIZE)
            path = folder / f"{split}_{index:03d}.png"
            cv2.imwrite(str(path), np.round(phantom.pixels * 255).astype(np.uint8))
            boxes = np.array([phantom.box]) if phantom.box else np.zeros((0, 4))
            outlines = (phantom.outline,) if phantom.fractured else ()
            records.append(
                FilmRecord(path, "phantoms", phantom.fractured, split, "", boxes, outlines)
            )
    films, _ = cache_films(records, longest)
    return TrainingData(
        [film for film in films if film.record.split == "train"],
        [film for film in films if film.record.split == "val"],
        {"data_sha256": data_digest(records), "films": {"phantoms": dict(_PHANTOMS)}},
    )
