"""What the OOD check is fitted on: embeddings of training films and of reference images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from detector.engines.base import Engine
from detector.io.radiograph import load_radiograph
from detector.model.letterbox import Letterbox
from detector.model.ood import OodModel
from detector.training.calibrate.ood_fit import fit_ood
from detector.training.config import TrainConfig
from detector.training.data.appearance import random_appearance
from detector.training.data.films import read_film
from detector.training.data.ood_images import reference_images
from detector.training.data.records import FilmRecord
from detector.training.data.spatial import View, random_warp, warp_film

# Training films of each source. In proportion to their number, the largest source would be what a
# film looks like, and films of the others would be refused.
_FILMS = 300
_VIEWS = (View.RANDOM, View.NEGATIVE, View.FULL)
_SIZES = (0.4, 1.0)  # longest side of a part, of the network's
_ASPECTS = (0.7, 1.0)


@dataclass(frozen=True)
class OodData:
    """Embeddings of training films and of the images that they are told from.

    ``whole`` (N, E): the films of ``records`` as the detector sees them. ``parts`` (N, E): each
    film once more, cropped, smaller and in another appearance, since users crop and export as they
    like. ``others`` (M, E): views of the reference images. ``images`` (M,): the
    number of the image that each view is of.
    """

    records: Sequence[FilmRecord]
    whole: np.ndarray
    parts: np.ndarray
    others: np.ndarray
    images: np.ndarray

    def fit(self, held_out: np.ndarray) -> OodModel:
        """The check, for embeddings (L, E) of films held out; see ``fit_ood``."""
        films = np.concatenate([self.whole, self.parts])
        return fit_ood(films, self.others, self.images, self.whole, held_out)


def ood_films(
    records: Sequence[FilmRecord], seed: int, most: int = _FILMS
) -> list[FilmRecord]:
    """At most ``most`` films of each source, drawn at random."""
    by_source: dict[str, list[FilmRecord]] = defaultdict(list)
    for index in np.random.default_rng(seed).permutation(len(records)):
        by_source[records[index].source].append(records[index])
    return [record for films in by_source.values() for record in films[:most]]


def ood_data(
    engine: Engine, train: Sequence[FilmRecord], config: TrainConfig, folders: Sequence[Path],
    views: int = 300,
) -> OodData:
    """Draw films from ``train`` and reference images from ``folders``, and embed them.

    ``views``: of reference images, at most so many from each folder.
    """
    records = ood_films(train, config.seed)
    size = config.input_size
    bar = tqdm(records, desc="OOD check, films", unit="film", leave=False)
    whole = [embed(engine, load_radiograph(record.path).pixels, size) for record in bar]
    parts = [embed(engine, part, size) for part in film_parts(records, config)]
    numbers: dict[str, int] = {}
    others, images = [], []
    shown = reference_images(folders, config.seed, views)
    for name, pixels in tqdm(shown, desc="OOD check, reference images", unit="image", leave=False):
        others.append(embed(engine, pixels, size))
        images.append(numbers.setdefault(name, len(numbers)))
    return OodData(
        records, np.stack(whole), np.stack(parts), np.stack(others), np.array(images)
    )


def embed(engine: Engine, pixels: np.ndarray, size: int) -> np.ndarray:
    """Pixels (H, W) in [0, 1] -> embedding (E,), letterboxed to ``size`` as the detector does."""
    return engine.run(Letterbox.fit(*pixels.shape, size).apply(pixels)).embedding


def film_parts(records: Sequence[FilmRecord], config: TrainConfig) -> Iterator[np.ndarray]:
    """A part of each film, float32 in [0, 1], as large or as small as pictures come, with the
    appearance of another film of any source: what a film of an unknown source may look like."""
    size = config.input_size
    by_source: dict[str, list[FilmRecord]] = defaultdict(list)
    for record in records:
        by_source[record.source].append(record)
    sources = list(by_source.values())
    for index, record in enumerate(records):
        rng = np.random.default_rng((config.seed, index))
        film = read_film(record, 2 * size)
        others = sources[int(rng.integers(len(sources)))]
        reference = read_film(others[int(rng.integers(len(others)))], size).pixels
        longest = size * rng.uniform(*_SIZES)
        canvas = round(longest), round(longest * rng.uniform(*_ASPECTS))
        if film.pixels.shape[1] > film.pixels.shape[0]:
            canvas = canvas[::-1]
        view = _VIEWS[int(rng.integers(len(_VIEWS)))]
        matrix = random_warp(
            rng, film.pixels.shape, canvas, film.outlines, view, film.bone_points
        )
        part = random_appearance(rng, warp_film(film.pixels, matrix, canvas), reference)
        yield part.astype(np.float32) / 255
