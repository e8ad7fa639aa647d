"""The films that a training run uses: read, checked for leakage, split, in memory."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from detector.phantom import random_phantom
from detector.training.audit.grouping import group_films
from detector.training.audit.leakage import leakage
from detector.training.config import TrainConfig
from detector.training.data.annotations import with_outlines
from detector.training.data.films import CachedFilm, cache_films
from detector.training.data.layouts import read_films, read_manifest
from detector.training.data.plan import plan_epoch
from detector.training.data.records import FilmRecord
from detector.training.data.splits import split_films
from detector.training.provenance import data_digest

log = logging.getLogger(__name__)

MAX_REMOVED = 0.05  # fraction of the films that may be left out so that a split no longer leaks
FRACTIONS = {"train": 0.8, "val": 0.1, "test": 0.1}  # for data that has no split of its own
PHANTOMS = {"train": 160, "val": 60}
PHANTOM_SIZE = (256, 208)
# Films are kept in memory at their own size, up to this many pixels on their longest side: a close
# view of a large film shows real detail.
CACHED_SIDE = 2048


@dataclass(frozen=True)
class TrainingData:
    """Films of train and val in memory, and what the run keeps about where they come from."""

    train: Sequence[CachedFilm]
    val: Sequence[CachedFilm]
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def unseen_val(self) -> list[FilmRecord]:
        """Val without films that show a picture of train: what may be calibrated on."""
        seen = set(self.provenance.get("seen_in_training", ()))
        return [film.record for film in self.val if film.record.key not in seen]

    @property
    def sentence(self) -> str:
        def count(films: Sequence[CachedFilm]) -> str:
            return f"{len(films)} ({sum(f.record.fractured for f in films)} fractured)"

        size = sum(film.pixels.nbytes for film in (*self.train, *self.val)) / 2**20
        return (f"films: train {count(self.train)}, val {count(self.val)}; "
                f"{size:.0f} MiB in memory")


def training_data(config: TrainConfig, phantoms: Path, cache: Path) -> TrainingData:
    """The films that ``config`` names, or phantoms drawn into ``phantoms`` where it names none.

    ``cache``: a folder that keeps the films' fingerprints for the next run.

    Raises:
        ValueError: data that cannot be trained on; the sentence says why.
    """
    if config.data:
        data = real_data(
            config.data, CACHED_SIDE, config.seed, allow_leakage=config.allow_leakage, cache=cache,
            outlines=config.outlines,
        )
    else:
        data = phantom_data(phantoms, CACHED_SIDE, config.seed)
    samples = len(plan_epoch(data.train, config, 0))
    if samples < config.batch:
        raise ValueError(f"an epoch has {samples} samples, fewer than one --batch {config.batch}")
    return data


def real_data(
    folders: Sequence[Path],
    longest: int,
    seed: int,
    *,
    allow_leakage: bool = False,
    cache: Path | None = None,
    outlines: Path | None = None,
) -> TrainingData:
    """Read the films of all folders, at most ``longest`` pixels on a side.

    A few films that straddle the splits are left out of training; many are refused. Films of
    folders without a split are grouped by picture and divided 80 : 10 : 10. ``cache``: a folder
    that keeps the films' fingerprints for the next run; ``outlines``: a COCO json of fractures in
    training films whose folder outlines none (val is scored by what its folder says).

    Raises:
        ValueError: an unknown layout; no such ``outlines``; a split that leaks a lot (unless
            allowed); no film in train or val, or only one class.
    """
    sets = [read_films(folder) for folder in folders]
    records: list[FilmRecord] = []
    loose: list[FilmRecord] = []
    for films in sets:
        has_split = any(record.split for record in films.records)
        (records if has_split else loose).extend(films.records)
    without_split = {record.path for record in loose}
    if loose:
        records += split_films(group_films(loose, cache=cache), FRACTIONS, seed)
    finding = leakage(records, cache=cache)
    removed: list[str] = []
    if finding.leaks and not allow_leakage:
        if len(finding.removable) > MAX_REMOVED * len(records):
            raise ValueError(
                f"{finding.sentence} Split by picture, or pass --allow-leakage to reproduce "
                "figures that were published on such a split."
            )
        # A few copies: train gives way to val, and both to test.
        removed = sorted(r.key for r in records if r.path in finding.removable)
        log.warning("%s %d films are left out for it", finding.sentence, len(removed))
        records = [r for r in records if r.path not in finding.removable]
    # Test never chooses anything: data without val gives a tenth of its train for that.
    if not any(record.split == "val" for record in records):
        records = _carve_val(records, seed, cache)
    used = [record for record in records if record.split == "train"]
    bare = {record.key for record in used if not record.located}
    if outlines:
        used = with_outlines(used, outlines)
    outlined = sorted(r.key for r in used if r.located and r.key in bare)
    used += [record for record in records if record.split == "val"]
    cached, broken = cache_films(used, longest)
    data = TrainingData(
        [film for film in cached if film.record.split == "train"],
        [film for film in cached if film.record.split == "val"],
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
            "left_out_of_training": removed,
            # What is held out but known: never calibrated on, never counted in a figure.
            "seen_in_training": sorted(
                r.key for r in records if r.path in finding.seen and not removed
            ),
            # A folder without a split looks the same to a later evaluation, which takes it whole.
            "used_without_split": sorted(r.key for r in used if r.path in without_split),
            **({"outlines_added": outlined} if outlines else {}),
        },
    )
    for name, part in (("train", data.train), ("val", data.val)):
        if len({film.record.fractured for film in part}) < 2:
            raise ValueError(f"{name} needs fractured and normal films; it has {len(part)} films")
    return data


def _carve_val(
    records: Sequence[FilmRecord], seed: int, cache: Path | None
) -> list[FilmRecord]:
    """A tenth of train as val, all films of one picture on one side."""
    train = [replace(r, split=None) for r in records if r.split == "train"]
    rest = [r for r in records if r.split != "train"]
    grouped = group_films(train, cache=cache)
    return split_films(grouped, {"train": 0.9, "val": 0.1}, seed) + rest


def phantom_data(folder: Path, longest: int, seed: int) -> TrainingData:
    """Synthetic films, drawn into ``folder`` unless it holds them already."""
    if not (folder / "manifest.csv").exists():
        draw_phantoms(folder, PHANTOMS, seed)
    records = read_manifest(folder)
    films, _ = cache_films(records, longest)
    return TrainingData(
        [film for film in films if film.record.split == "train"],
        [film for film in films if film.record.split == "val"],
        {"data_sha256": data_digest(records), "films": {"phantoms": dict(PHANTOMS)}},
    )


def draw_phantoms(
    folder: Path, counts: Mapping[str, int], seed: int, size: tuple[int, int] = PHANTOM_SIZE
) -> None:
    """Draw synthetic films in the manifest layout, every second one fractured.

    ``counts``: films per split; ``size``: (height, width) in pixels. The manifest is written last,
    so that a folder with one is whole.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    images, annotations = [], []
    for split, count in counts.items():
        for index in range(count):
            phantom = random_phantom(
                seed * 100_000 + len(rows), fractured=index % 2 == 0, size=size
            )
            name = f"synthetic_{split}_{index:04d}.png"
            grey = np.round(phantom.pixels * 255).astype(np.uint8)
            (folder / "images" / name).write_bytes(cv2.imencode(".png", grey)[1].tobytes())
            images.append({"id": len(rows), "file_name": name})
            if phantom.outline is not None:
                annotations.append({
                    "id": len(annotations), "image_id": len(rows), "bbox": list(phantom.box),
                    "segmentation": [phantom.outline.ravel().tolist()],
                })
            rows.append({"file": name, "split": split, "fractured": int(phantom.fractured),
                         "duplicate_group": "", "view": phantom.view})
    (folder / "annotations.json").write_text(
        json.dumps({"images": images, "annotations": annotations})
    )
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
