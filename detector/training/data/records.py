"""What is known of a training film, whatever layout it came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Unreadable:
    """A file that gives no picture, and why, in one sentence."""

    path: Path
    reason: str


@dataclass(frozen=True)
class FilmRecord:
    """One film of a data set.

    ``boxes``: (N, 4) float64 x, y, width, height in film pixels; ``outlines``: per box the polygon
    (M, 2) x, y in film pixels, or None where only the box is known. A fractured film without boxes
    has a fracture at an unknown location. ``group``: films that show the same picture share one;
    empty means unique. ``split`` is None where the data set has none. ``attributes`` holds whatever
    else the set says of the film (region, view, hardware, role ...), as strings. ``name`` tells
    films apart where file names repeat within the source; empty: the file's name.
    """

    path: Path
    source: str
    fractured: bool
    split: str | None = None
    group: str = ""
    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    outlines: tuple[np.ndarray | None, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    name: str = ""

    @property
    def located(self) -> bool:
        """Whether every fracture of the film has a known location (true for a normal film)."""
        return not self.fractured or len(self.boxes) > 0

    @property
    def key(self) -> str:
        """Identifies the film across runs and machines: source and name, no path of a machine."""
        return f"{self.source}/{self.name or self.path.name}"

    @property
    def cluster(self) -> str:
        """What must be resampled or split as a whole: the duplicate group, or the film."""
        return f"{self.source}:{self.group}" if self.group else self.key
