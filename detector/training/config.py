"""The recipe: every number that decides what ``train.py`` makes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. ``train.py --<name>`` sets each field; the run folder keeps all.

    Films seen per epoch: every fractured film; ``intact`` of the intact ones; of sources with fewer
    than a hundred films each film ``repeats`` times; ``crops`` close-ups of fractured films that
    leave every outline out, as intact, and more of them from a source that has fewer intact films
    than fractured ones, until it has as many: a source's look must not be a sign of a fracture. Nor
    must a close look: a share ``close`` of the fractured films is shown as close-ups of the
    fracture, and of the intact ones as close-ups of anything. A share ``pairs`` of the
    samples shows an intact film beside it on the same canvas, each in a style of its own.
    """

    epochs: int = 26
    batch: int = 16
    sizes: tuple[int, ...] = (320, 384, 448, 448)  # longest side in equal shares of the epochs
    # The input in use against the last of the sizes, to the next 32 pixels: training zooms in, so
    # a film that fits shows its fractures smaller than they were taught (Touvron et al. 2019).
    input_scale: float = 8 / 7
    intact: int = 1000
    repeats: int = 5
    crops: int = 200
    close: float = 0.4
    pairs: float = 0.25

    channels: int = 128
    stride: int = 8
    drop_path: float = 0.1

    backbone_lr: float = 3e-4
    head_lr: float = 1e-3
    weight_decay: float = 0.02
    warmup: float = 0.03  # share of all steps
    ema: float = 0.998
    smoothing: float = 0.05  # of the film's label
    place_weight: float = 1.0  # of the outline loss against the film loss
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch, self.repeats) < 1:
            raise ValueError("epochs, batch and repeats must be at least 1")
        if min(self.intact, self.crops) < 0:
            raise ValueError("intact and crops must not be negative")
        if not self.sizes or any(size < 64 or size % 32 for size in self.sizes):
            raise ValueError(f"sizes must be multiples of 32 from 64 on, not {self.sizes}")
        if not 0.5 <= self.input_scale <= 2:
            raise ValueError(f"input_scale must be in [0.5, 2], not {self.input_scale}")
        for name in ("close", "pairs"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share in [0, 1], not {getattr(self, name)}")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is a share of the steps in [0, 1), not {self.warmup}")

    def canvas(self, epoch: int) -> tuple[int, int]:
        """(height, width) of the training canvas: portrait 7:6, as most limb films are."""
        size = self.sizes[min(epoch * len(self.sizes) // self.epochs, len(self.sizes) - 1)]
        return size, max(32, round(size * 6 / 7 / 32) * 32)

    @property
    def input_size(self) -> int:
        """The longest side in use after training."""
        return max(32, round(self.sizes[-1] * self.input_scale / 32) * 32)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        known = {field.name for field in fields(cls)}
        values = {name: value for name, value in values.items() if name in known}
        return cls(**{**values, "sizes": tuple(values.get("sizes", cls.sizes))})
