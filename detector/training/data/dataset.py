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
from detector.training.config import Recipe
from detector.training.data.appearance import random_style
from detector.training.data.records import FilmRecord
from detector.training.data.spatial import Places, Target, View, make_target, random_warp, warp_film


@dataclass(frozen=True)
class CachedFilm:
    """A film in memory: grey uint8 (H, W), and its fractures in those pixels."""

    record: FilmRecord
    pixels: np.ndarray
    places: Places


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
    places = Places.of(record.boxes, record.outlines)
    matrix = np.array([[scale, 0, 0], [0, scale, 0]])
    grey = np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    return CachedFilm(record, grey, places.moved(matrix))


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
class Draw:
    """One sample of an epoch: which film, and what of it."""

    film: int
    view: View


def plan_epoch(films: Sequence[CachedFilm], recipe: Recipe, epoch: int) -> list[Draw]:
    """The draws of one epoch, shuffled; see ``Recipe`` for what it holds.

    How much of a film is shown must not tell its label. So as large a share of the intact films as
    of the fractured ones is shown close; close-ups beside fractures come to them. Where a source
    has fractures without a known place, of which nothing may be cut off, as large a share of its
    intact films is shown whole too; but half of them at most where other fractures are shown
    close, as a style of which only whole films were ever taught is read badly close.
    """
    rng = np.random.default_rng([recipe.seed, epoch, 2**31])
    shown: list[Draw] = []
    plenty: list[Draw] = []
    aside: list[Draw] = []
    everywhere = [i for i, film in enumerate(films) if film.places.polygons]
    for indices in by_source(films):
        intact = [i for i in indices if not films[i].record.fractured]
        fractured = [i for i in indices if films[i].record.fractured]
        located = [i for i in fractured if films[i].places.polygons]
        views = dict.fromkeys(intact + located, View.FREE)
        views |= dict.fromkeys(set(fractured) - set(located), View.WHOLE)
        chosen = _choose(rng, located, round(recipe.close * len(located)))
        views |= dict.fromkeys(chosen, View.FOCUS)
        whole = 1 - len(located) / len(fractured) if fractured else 0.0
        whole = min(whole, 0.5) if everywhere else whole
        order = list(_choose(rng, intact, len(intact)))
        cut = round(whole * len(intact))
        close = round(recipe.close * (len(intact) - cut))
        views |= dict.fromkeys(order[:cut], View.WHOLE)
        views |= dict.fromkeys(order[cut:cut + close], View.ASIDE)
        if len(indices) < 100:
            shown += [Draw(i, views[i]) for i in indices] * recipe.repeats
        else:
            shown += [Draw(i, views[i]) for i in fractured]
            plenty += [Draw(i, views[i]) for i in intact]
        lacking = max(0, len(fractured) - len(intact))
        aside += [Draw(i, View.ASIDE) for i in _choose(rng, located, lacking)]
    draws = shown + aside + [plenty[k] for k in _choose(rng, range(len(plenty)), recipe.intact)]
    draws += [Draw(i, View.ASIDE) for i in _choose(rng, everywhere, recipe.crops)]
    return [draws[i] for i in rng.permutation(len(draws))]


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

    Each item: film (1, H, W) float32 in [0, 1]; label and its weight, float32 scalars; place target
    and its weight, float32 (h, w).
    """

    def __init__(self, films: Sequence[CachedFilm], recipe: Recipe, epoch: int):
        self.films, self.recipe, self.epoch = films, recipe, epoch
        self.draws = plan_epoch(films, recipe, epoch)
        self.sources = by_source(films)
        self.canvas = recipe.canvas(epoch)
        self.intact = [
            draw for draw in self.draws
            if draw.view is View.ASIDE or not films[draw.film].record.fractured
        ]

    def __len__(self) -> int:
        return len(self.draws)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        rng = np.random.default_rng([self.recipe.seed, self.epoch, index])
        canvas, target = self.sample(rng, self.draws[index])
        return (
            torch.from_numpy(canvas)[None].float() / 255,
            torch.tensor(target.film),
            torch.tensor(target.film_weight),
            torch.from_numpy(target.places),
            torch.from_numpy(target.place_weight),
        )

    def sample(self, rng: np.random.Generator, draw: Draw) -> tuple[np.ndarray, Target]:
        """Canvas (H, W) uint8 and its target: one film, or a pair."""
        if self.intact and rng.random() < self.recipe.pairs:
            return self._pair(rng, draw)
        return self._single(rng, draw, self.canvas)

    def _single(
        self, rng: np.random.Generator, draw: Draw, canvas: tuple[int, int]
    ) -> tuple[np.ndarray, Target]:
        film = self.films[draw.film]
        matrix = random_warp(rng, film.pixels.shape, canvas, film.places, draw.view)
        pixels = warp_film(film.pixels, matrix, canvas)
        # Every source lends its grey levels equally often, however few films it has.
        source = self.sources[int(rng.integers(len(self.sources)))]
        reference = self.films[source[int(rng.integers(len(source)))]].pixels
        pixels = random_style(rng, pixels, reference)
        moved = film.places.moved(matrix)
        return pixels, make_target(moved, film.record.fractured, canvas, self.recipe.stride)

    def _pair(self, rng: np.random.Generator, draw: Draw) -> tuple[np.ndarray, Target]:
        """Two films on one canvas, as in Mosaic (Bochkovskiy et al. 2020); the second is intact.

        So the rest of a canvas, and the style of its other half, say nothing of a fracture, and a
        film that lies across is seen as it lies. A pair is as often fractured as one film.
        """
        partner = self.intact[int(rng.integers(len(self.intact)))]
        axis = int(rng.random() < 0.3)  # mostly one above the other: a half then lies across
        side = self.canvas[axis]
        unit = 16  # a place of the evidence never lies on both films, at either stride
        cut = int(np.clip(round(side * rng.uniform(0.4, 0.6) / unit), 1, side // unit - 1)) * unit
        sides = [cut, side - cut]
        shapes = [tuple(part if k == axis else whole for k, whole in enumerate(self.canvas))
                  for part in sides]
        halves = [self._single(rng, d, s) for d, s in zip((draw, partner), shapes, strict=True)]
        if rng.random() < 0.5:
            halves.reverse()
        (first, target), (second, other) = halves
        return np.concatenate([first, second], axis), target.beside(other, axis)
