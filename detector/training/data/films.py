"""Films in memory: grey pixels at their own size, and the outlines of their fractures."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from detector.errors import RadiographError
from detector.io.radiograph import load_radiograph
from detector.training.data.records import FilmRecord
from detector.training.data.spatial import Outlines


@dataclass(frozen=True)
class CachedFilm:
    """A film in memory: grey uint8 (H, W), and the outlines of its fractures in those pixels."""

    record: FilmRecord
    pixels: np.ndarray
    outlines: Outlines

    @property
    def longest(self) -> int:
        """The longest side in pixels."""
        return max(self.pixels.shape)

    @cached_property
    def bone_points(self) -> np.ndarray:
        """Points (N, 2) x, y in film pixels with much to see: what a close-up is centred on."""
        small, step = _thumbnail(self.pixels, 96)
        grey = cv2.GaussianBlur(small, (0, 0), 1.0).astype(np.float32)
        steep = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
        busy = cv2.blur(steep, (5, 5)) * (grey > 12) * (grey < 245)
        busy[:4] = busy[-4:] = 0
        busy[:, :4] = busy[:, -4:] = 0
        busy = np.minimum(busy, np.percentile(busy, 92)).ravel()
        if not busy.any():
            return np.empty((0, 2))
        chosen = np.random.default_rng(0).choice(len(busy), 64, p=busy / busy.sum())
        y, x = np.unravel_index(chosen, grey.shape)
        return (np.stack([x, y], 1) + 0.5) * step


def _thumbnail(pixels: np.ndarray, longest: int) -> tuple[np.ndarray, float]:
    """A small copy, and how many pixels each of its pixels was."""
    step = max(pixels.shape) / longest
    size = max(1, round(pixels.shape[1] / step)), max(1, round(pixels.shape[0] / step))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), step


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
