"""Films in memory and the samples that an epoch draws from them.

A sample depends on (seed, epoch, index) only: the same with any number of loader processes, and
after ``--resume``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from detector.errors import RadiographError
from detector.io.radiograph import load_radiograph
from detector.training.config import TrainConfig
from detector.training.data.appearance import random_appearance
from detector.training.data.records import FilmRecord
from detector.training.data.spatial import (
    Outlines,
    Target,
    View,
    make_target,
    random_warp,
    warp_film,
)


@dataclass(frozen=True)
class CachedFilm:
    """A film in memory: grey uint8 (H, W), and the outlines of its fractures in those pixels."""

    record: FilmRecord
    pixels: np.ndarray
    outlines: Outlines


def read_film(record: FilmRecord, longest: int) -> CachedFilm:
    """Read a film and shrink it to at most ``longest`` pixels on its longest side.

    Raises:
        RadiographError: the film cannot be read.
    """
    pixels = load_radiograph(record.path).pixels
    scale = min(1.0, longest / max(pixels.shape))
    if scale < 1:
        size = round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    outlines = Outlines.of(record.boxes, record.outlines)
    matrix = np.array([[scale, 0, 0], [0, scale, 0]])
    grey = np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    return CachedFilm(record, grey, outlines.moved(matrix))


def cache_films(
    records: Sequence[FilmRecord], longest: int, workers: int = 2
) -> tuple[list[CachedFilm], list[tuple[FilmRecord, str]]]:
    """All films that can be read, and the others with the reason."""

    def attempt(record: FilmRecord) -> CachedFilm | str:
        try:
            return read_film(record, longest)
        except RadiographError as error:
            return str(error)

    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(attempt, records))
    films = [r for r in results if isinstance(r, CachedFilm)]
    broken = [(k, r) for k, r in zip(records, results, strict=True) if isinstance(r, str)]
    return films, broken


@dataclass(frozen=True)
class SampleSpec:
    """One sample of an epoch: the film's index, and what of the film is shown."""

    film: int
    view: View


def plan_epoch(films: Sequence[CachedFilm], config: TrainConfig, epoch: int) -> list[SampleSpec]:
    """The samples of one epoch, shuffled; see ``TrainConfig`` for what it holds.

    How much of a film is shown must not tell its label, so in each source the same fraction of the
    normal and of the fractured films is shown close. Of a fracture without an outline nothing may
    be cut off, so it is shown in full, and the same fraction of the source's normal films with it.
    That is half of them at most where other fractures are shown close: an appearance that was only
    ever taught in full is read badly from close.
    """
    rng = np.random.default_rng([config.seed, epoch, 2**31])
    samples: list[SampleSpec] = []
    plenty: list[SampleSpec] = []
    crops: list[SampleSpec] = []
    all_outlined = [i for i, film in enumerate(films) if film.outlines.polygons]
    for indices in by_source(films):
        normal = [i for i in indices if not films[i].record.fractured]
        fractured = [i for i in indices if films[i].record.fractured]
        outlined = [i for i in fractured if films[i].outlines.polygons]
        views = dict.fromkeys(normal + outlined, View.RANDOM)
        views |= dict.fromkeys(set(fractured) - set(outlined), View.FULL)
        chosen = _choose(rng, outlined, round(config.lesion_crop_fraction * len(outlined)))
        views |= dict.fromkeys(chosen, View.LESION)
        full_fraction = 1 - len(outlined) / len(fractured) if fractured else 0.0
        full_fraction = min(full_fraction, 0.5) if all_outlined else full_fraction
        order = list(_choose(rng, normal, len(normal)))
        full = round(full_fraction * len(normal))
        close = round(config.lesion_crop_fraction * (len(normal) - full))
        views |= dict.fromkeys(order[:full], View.FULL)
        views |= dict.fromkeys(order[full:full + close], View.NEGATIVE)
        if len(indices) < 100:
            samples += [SampleSpec(i, views[i]) for i in indices] * config.repeats
        else:
            samples += [SampleSpec(i, views[i]) for i in fractured]
            plenty += [SampleSpec(i, views[i]) for i in normal]
        lacking = max(0, len(fractured) - len(normal))
        crops += [SampleSpec(i, View.NEGATIVE) for i in _choose(rng, outlined, lacking)]
    samples += crops
    chosen = _choose(rng, range(len(plenty)), config.negatives_per_epoch)
    samples += [plenty[k] for k in chosen]
    chosen = _choose(rng, all_outlined, config.negative_crops)
    samples += [SampleSpec(i, View.NEGATIVE) for i in chosen]
    return [samples[i] for i in rng.permutation(len(samples))]


def by_source(films: Sequence[CachedFilm]) -> list[list[int]]:
    """The indices of each source's films."""
    sources: dict[str, list[int]] = {}
    for index, film in enumerate(films):
        sources.setdefault(film.record.source, []).append(index)
    return list(sources.values())


def _choose(rng: np.random.Generator, indices: Sequence[int], count: int) -> Iterable[int]:
    return (int(i) for i in rng.permutation(indices)[:count]) if len(indices) else ()


class EpochDataset(Dataset):
    """The samples of one epoch.

    Each item: canvas (1, H, W) float32 in [0, 1]; label and its weight, float32 scalars; the target
    of the map's cells and its weight, float32 (h, w).
    """

    def __init__(self, films: Sequence[CachedFilm], config: TrainConfig, epoch: int):
        self.films, self.config, self.epoch = films, config, epoch
        self.samples = plan_epoch(films, config, epoch)
        self.sources = by_source(films)
        self.canvas = config.canvas(epoch)
        self.negatives = [
            sample for sample in self.samples
            if sample.view is View.NEGATIVE or not films[sample.film].record.fractured
        ]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        rng = np.random.default_rng([self.config.seed, self.epoch, index])
        canvas, target = self.draw(rng, self.samples[index])
        return (
            torch.from_numpy(canvas)[None].float() / 255,
            torch.tensor(target.label),
            torch.tensor(target.label_weight),
            torch.from_numpy(target.cells),
            torch.from_numpy(target.cell_weight),
        )

    def draw(self, rng: np.random.Generator, sample: SampleSpec) -> tuple[np.ndarray, Target]:
        """Canvas (H, W) uint8 and its target: one film, or a pair."""
        if self.negatives and rng.random() < self.config.pair_fraction:
            return self._pair(rng, sample)
        return self._single(rng, sample, self.canvas)

    def _single(
        self, rng: np.random.Generator, sample: SampleSpec, canvas: tuple[int, int]
    ) -> tuple[np.ndarray, Target]:
        film = self.films[sample.film]
        matrix = random_warp(rng, film.pixels.shape, canvas, film.outlines, sample.view)
        pixels = warp_film(film.pixels, matrix, canvas)
        # Every source lends its grey levels equally often, however few films it has.
        source = self.sources[int(rng.integers(len(self.sources)))]
        reference = self.films[source[int(rng.integers(len(source)))]].pixels
        pixels = random_appearance(rng, pixels, reference)
        moved = film.outlines.moved(matrix)
        return pixels, make_target(moved, film.record.fractured, canvas, self.config.stride)

    def _pair(self, rng: np.random.Generator, sample: SampleSpec) -> tuple[np.ndarray, Target]:
        """Two films on one canvas, as in Mosaic (Bochkovskiy et al. 2020), the second a negative.

        Neither the rest of a canvas nor the appearance of its other half then says anything of a
        fracture, and a film that lies across is seen as it lies. A pair is as often fractured as
        one film.
        """
        partner = self.negatives[int(rng.integers(len(self.negatives)))]
        axis = int(rng.random() < 0.3)  # mostly one above the other: a half then lies across
        side = self.canvas[axis]
        step = 16  # a cell of the map never lies on both films, at either stride
        cut = int(np.clip(round(side * rng.uniform(0.4, 0.6) / step), 1, side // step - 1)) * step
        sides = [cut, side - cut]
        shapes = [tuple(part if k == axis else whole for k, whole in enumerate(self.canvas))
                  for part in sides]
        halves = [self._single(rng, d, s) for d, s in zip((sample, partner), shapes, strict=True)]
        if rng.random() < 0.5:
            halves.reverse()
        (first, target), (second, other) = halves
        return np.concatenate([first, second], axis), target.beside(other, axis)
