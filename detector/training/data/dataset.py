"""The samples that an epoch draws from films in memory.

A sample depends on (seed, epoch, index) only: the same with any number of loader processes, and
after ``--resume``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from detector.training.config import TrainConfig
from detector.training.data.appearance import random_appearance
from detector.training.data.films import CachedFilm
from detector.training.data.plan import Drawing, SampleSpec, by_source, plan_epoch
from detector.training.data.spatial import (
    Outlines,
    Target,
    View,
    make_target,
    random_part,
    random_warp,
    warp_film,
)
from detector.training.data.synthetic.draw import draw_fracture, draw_mimic

_TRIES = 4  # views of a film in which a bone to break is looked for


@dataclass(frozen=True)
class Shown:
    """What a sample shows of its film: canvas (H, W) uint8, the fractures on it, and canvas pixels
    per film pixel."""

    canvas: np.ndarray
    outlines: Outlines
    zoom: float


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
            sample for sample in self.samples if sample.drawing is not Drawing.FRACTURE
            and (sample.view is View.NEGATIVE or not films[sample.film].record.fractured)
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
        return self.draw_single(rng, sample, self.canvas)[:2]

    def draw_single(
        self, rng: np.random.Generator, sample: SampleSpec, canvas: tuple[int, int]
    ) -> tuple[np.ndarray, Target, float]:
        """One film on a canvas (height, width), its target, and canvas pixels per film pixel."""
        film = self.films[sample.film]
        shown = self._show(rng, sample, canvas)
        if sample.drawing is Drawing.FRACTURE:
            for _ in range(_TRIES - 1):
                if shown.outlines.polygons:
                    break
                shown = self._show(rng, sample, canvas)
        # Every source lends its grey levels equally often, however few films it has.
        source = self.sources[int(rng.integers(len(self.sources)))]
        reference = self.films[source[int(rng.integers(len(source)))]]
        step = max(1, reference.longest // 512)
        pixels = random_appearance(rng, shown.canvas, reference.pixels[::step, ::step])
        not_outlined = film.record.fractured and not film.outlines.polygons
        fractured = not_outlined or bool(shown.outlines.polygons)
        target = make_target(shown.outlines, fractured, canvas, self.config.stride)
        if fractured and sample.drawing is Drawing.FRACTURE:
            weight = target.label_weight * self.config.drawn_label_weight
            target = replace(target, label_weight=weight)
        return pixels, target, shown.zoom

    def _show(
        self, rng: np.random.Generator, sample: SampleSpec, canvas: tuple[int, int]
    ) -> Shown:
        film = self.films[sample.film]
        pixels, outlines, view = film.pixels, film.outlines, sample.view
        if sample.part and (part := random_part(
            rng, pixels.shape, outlines, film.bone_points, view is View.NEGATIVE
        )):
            pixels, view = pixels[part], View.RANDOM
            outlines = outlines.within(part)
        matrix = random_warp(
            rng, pixels.shape, canvas, outlines, view,
            film.bone_points if view is View.NEGATIVE else None,
        )
        zoom = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
        shown = Shown(warp_film(pixels, matrix, canvas), outlines.moved(matrix), zoom)
        if sample.drawing is Drawing.NONE:
            return shown
        draw = draw_fracture if sample.drawing is Drawing.FRACTURE else draw_mimic
        drawn = draw(rng, shown.canvas, zoom)
        if drawn is None:
            return shown
        if drawn.outline is None:
            return replace(shown, canvas=drawn.canvas)
        if not _on_film(drawn.outline, matrix, pixels.shape):
            return shown
        return Shown(drawn.canvas, Outlines((drawn.outline,)), zoom)

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
        halves = [self.draw_single(rng, one, shape)[:2]
                  for one, shape in zip((sample, partner), shapes, strict=True)]
        if rng.random() < 0.5:
            halves.reverse()
        (first, target), (second, other) = halves
        return np.concatenate([first, second], axis), target.beside(other, axis)


def _on_film(
    outline: np.ndarray, matrix: np.ndarray, shape: tuple[int, int], margin: float = 0.04
) -> bool:
    """Whether an outline (canvas pixels) lies on the film, ``margin`` of its side from its edge."""
    back = cv2.invertAffineTransform(matrix)
    points = outline @ back[:, :2].T + back[:, 2]
    room = margin * max(shape)
    return bool((points > room).all() and (points < np.array(shape[::-1]) - room).all())
