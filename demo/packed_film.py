"""A film as the page keeps it: packed, lossless at the resolution that the viewer shows."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from detector import Prediction, Radiograph

FILM_PIXELS = 24_000_000  # above it a film is kept smaller; the largest flat detectors have 22


@dataclass(frozen=True, eq=False)
class PackedFilm:
    """Stands for a ``Radiograph``: all that one says, its pixels unpacked for who asks.

    ``png``: the film's grey levels, 8 bits or, if ``deep``, 16 bits as red and green. ``whole``:
    whether it has the film's own resolution. ``shell``: the film with its size and without levels.
    """

    png: bytes
    deep: bool
    whole: bool
    shell: Radiograph

    @classmethod
    def pack(cls, film: Radiograph) -> PackedFilm:
        pixels = film.pixels
        factor = (FILM_PIXELS / pixels.size) ** 0.5
        if factor < 1:
            size = (max(1, int(film.width * factor)), max(1, int(film.height * factor)))
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        deep = int(film.facts.get("bits", 8)) > 8
        levels = _two_bytes(pixels) if deep else cv2.convertScaleAbs(pixels, alpha=255.0)
        png = cv2.imencode(".png", levels, (cv2.IMWRITE_PNG_COMPRESSION, 1))[1].tobytes()
        nothing = np.broadcast_to(np.float32(0), film.pixels.shape)  # of four bytes
        return cls(png, deep, factor >= 1, replace(film, pixels=nothing))

    def __getattr__(self, name: str) -> Any:
        if name == "digest":  # of pixels that the shell has not
            raise AttributeError(name)
        return getattr(object.__getattribute__(self, "shell"), name)

    @property
    def pixels(self) -> np.ndarray:
        """float32 (H, W) in [0, 1], to the grey level that was packed; unpacked at each call."""
        levels = cv2.imdecode(np.frombuffer(self.png, np.uint8), cv2.IMREAD_UNCHANGED)
        if self.deep:  # blue, green, red
            values = levels[..., 2].astype(np.float32) * 256 + levels[..., 1]
            pixels = np.divide(values, 65535, out=values)
        else:
            pixels = levels.astype(np.float32) / 255
        if not self.whole:
            pixels = cv2.resize(pixels, (self.width, self.height), interpolation=cv2.INTER_LINEAR)
        return pixels

    def unpacked(self) -> Radiograph:
        """The film again."""
        return replace(self.shell, pixels=self.pixels)

    def uri(self) -> str:
        """The packed film as a ``data:`` address."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


def packed(film: Radiograph | PackedFilm) -> PackedFilm:
    """The film, packed if it is not yet."""
    return film if isinstance(film, PackedFilm) else PackedFilm.pack(film)


def unpacked(prediction: Prediction) -> Prediction:
    """The prediction with its film's pixels, for a moment; the kept one stays as small as it is."""
    film = prediction.film
    return replace(prediction, film=film.unpacked() if isinstance(film, PackedFilm) else film)



def _two_bytes(pixels: np.ndarray) -> np.ndarray:
    """Grey levels in [0, 1] -> BGR uint8 whose red is the high byte of 16 and green the low one."""
    values = np.rint(pixels * 65535).astype(np.uint16)
    out = np.zeros((*pixels.shape, 3), np.uint8)
    out[..., 2], out[..., 1] = values >> 8, values & 255
    return out
