"""The line of a fracture: its course, its lucency, and the outline that training is taught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from detector.training.data.synthetic.layers import Layers, soft_step

_KNOTS = np.linspace(-1.6, 1.6, 33)  # t of a line's teeth


@dataclass(frozen=True)
class FractureLine:
    """s of a fracture line at t, in half widths: a tilt, an arch and teeth."""

    tilt: float
    arch: float
    teeth: np.ndarray

    def __call__(self, t: np.ndarray) -> np.ndarray:
        teeth = np.interp(t, _KNOTS, self.teeth)
        return self.tilt * t + self.arch * (t**2 - 0.3) + teeth


def random_line(
    rng: np.random.Generator, jag: float, tilts: tuple[float, ...]
) -> FractureLine:
    """A line about as tilted as one of ``tilts`` (degrees); ``jag``: how high its teeth are."""
    tilt = np.tan(np.deg2rad(float(rng.choice(tilts)) + rng.uniform(-10, 10)))
    tilt *= rng.choice([-1, 1])
    arch = rng.normal(0, 0.12)
    walk = np.cumsum(rng.normal(0, jag, len(_KNOTS)) * (rng.random(len(_KNOTS)) < 0.6))
    walk -= np.linspace(walk[0], walk[-1], len(_KNOTS))
    walk = np.convolve(np.pad(walk, 1, mode="edge"), [0.2, 0.6, 0.2], "valid")
    return FractureLine(float(tilt), float(arch), walk)


def outline_band(
    line: Callable[[np.ndarray], np.ndarray], low: float, high: float, height: float
) -> np.ndarray:
    """A band around a line between two t, ``height`` to either side: (M, 2) s, t in half widths."""
    t = np.linspace(low, high, 9)
    s = line(t)
    height *= np.sqrt(1 + getattr(line, "tilt", 0.0) ** 2)
    return np.concatenate([np.stack([s - height, t], 1), np.stack([s + height, t], 1)[::-1]])


def band_height(layers: Layers, least: float = 0.4) -> float:
    """Half the height of an outline, in half widths: not under four pixels."""
    return max(least, 4.0 / layers.bone.half)


def lucency(
    rng: np.random.Generator, layers: Layers, beyond: np.ndarray, depth: float,
    low: float = -1.3, high: float = 1.3,
) -> np.ndarray:
    """Grey (h, w) that a line takes from the bone between two t; uneven along its length.

    ``beyond``: s beyond the line. ``depth``: fraction of the bone's grey.
    """
    width = np.hypot(rng.uniform(0.02, 0.09), 0.6 * layers.soft)
    knots = np.linspace(-1.5, 1.5, 12)
    strength = np.interp(layers.t, knots, np.clip(rng.normal(0.9, 0.3, 12), 0.15, 1.3))
    ends = soft_step((layers.t - low) / 0.08) * soft_step((high - layers.t) / 0.08)
    taken = depth * strength * ends * np.exp(-(beyond / width) ** 2 / 2)
    return taken * (layers.grey - layers.tissue)
