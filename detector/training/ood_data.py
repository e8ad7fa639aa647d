"""What the scope check is fitted on: embeddings of training films and of other pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from detector.engines.torch import TorchEngine
from detector.io.radiograph import load_radiograph
from detector.model.letterbox import Letterbox
from detector.model.ood import ScopeModel
from detector.training.calibrate import fit_scope
from detector.training.config import Recipe
from detector.training.data.appearance import random_style
from detector.training.data.dataset import read_film
from detector.training.data.ood_images import other_pictures
from detector.training.data.records import FilmRecord
from detector.training.data.spatial import View, random_warp, warp_film

# Training films of each source. In proportion to their number, the largest source would be what a
# film looks like, and films of the others would be refused.
_FILMS = 300


@dataclass(frozen=True)
class ScopeData:
    """Embeddings (N, E), one row for each of ``records``; other pictures (M, E).

    ``whole``: the films as the detector sees them. ``parts``: each once more as training shows it,
    a part of it in another style, since users crop and export as they like. ``pictures`` (M,)
    numbers what ``others`` show.
    """

    records: Sequence[FilmRecord]
    whole: np.ndarray
    parts: np.ndarray
    others: np.ndarray
    pictures: np.ndarray

    def fit(self, held_out: np.ndarray) -> ScopeModel:
        """The check, for embeddings (L, E) of films held out; see ``fit_scope``."""
        films = np.concatenate([self.whole, self.parts])
        return fit_scope(films, self.others, self.pictures, self.whole, held_out)


def scope_films(
    records: Sequence[FilmRecord], seed: int, most: int = _FILMS
) -> list[FilmRecord]:
    """At most ``most`` films of each source, drawn at random."""
    by_source: dict[str, list[FilmRecord]] = defaultdict(list)
    for index in np.random.default_rng(seed).permutation(len(records)):
        by_source[records[index].source].append(records[index])
    return [record for films in by_source.values() for record in films[:most]]


def scope_data(
    engine: TorchEngine, train: Sequence[FilmRecord], recipe: Recipe, strangers: Sequence[Path]
) -> ScopeData:
    """Draw films from ``train`` and other pictures from ``strangers``, and embed them."""
    records = scope_films(train, recipe.seed)
    size = recipe.input_size
    bar = tqdm(records, desc="scope, films", unit="film", leave=False)
    whole = [embed(engine, load_radiograph(record.path).pixels, size) for record in bar]
    parts = [embed(engine, part, size) for part in film_parts(records, recipe)]
    numbers: dict[str, int] = {}
    others, pictures = [], []
    shown = other_pictures(strangers, recipe.seed)
    for name, pixels in tqdm(shown, desc="scope, other pictures", unit="picture", leave=False):
        others.append(embed(engine, pixels, size))
        pictures.append(numbers.setdefault(name, len(numbers)))
    return ScopeData(
        records, np.stack(whole), np.stack(parts), np.stack(others), np.array(pictures)
    )


def embed(engine: TorchEngine, pixels: np.ndarray, size: int) -> np.ndarray:
    """Pixels (H, W) in [0, 1] -> embedding (E,), letterboxed to ``size`` as the detector does."""
    return engine.run(Letterbox.fit(*pixels.shape, size).apply(pixels)).embedding


def film_parts(records: Sequence[FilmRecord], recipe: Recipe) -> Iterator[np.ndarray]:
    """A part of each film, float32 in [0, 1], in the style of another film of its source."""
    size = recipe.input_size
    by_source: dict[str, list[FilmRecord]] = defaultdict(list)
    for record in records:
        by_source[record.source].append(record)
    for index, record in enumerate(records):
        rng = np.random.default_rng((recipe.seed, index))
        film = read_film(record, size)
        others = by_source[record.source]
        style = read_film(others[int(rng.integers(len(others)))], size).pixels
        canvas = recipe.canvas(recipe.epochs - 1)
        if film.pixels.shape[1] > film.pixels.shape[0]:
            canvas = canvas[::-1]
        matrix = random_warp(rng, film.pixels.shape, canvas, film.places, View.FREE)
        part = random_style(rng, warp_film(film.pixels, matrix, canvas), style)
        yield part.astype(np.float32) / 255
