"""Mimics of a fracture on a tubular bone, and none of them one. Each takes ``Layers`` and returns
grey (h, w) and None for the outline."""

from __future__ import annotations

import numpy as np

from detector.training.data.synthetic.layers import Layers, soft_step


def bent(rng: np.random.Generator, layers: Layers) -> tuple[np.ndarray, None]:
    """Moved as a broken bone is, but smoothly: a curved, narrower or flared bone."""
    smooth = soft_step(layers.s / rng.uniform(2.5, 4.0))
    smooth = smooth * np.exp(-(np.maximum(layers.s, 0) / 4) ** 2 / 2)
    step = rng.choice([-1, 1]) * rng.uniform(0.05, 0.3)
    turn = np.deg2rad(rng.uniform(-8, 8))
    flare = rng.uniform(-0.15, 0.15) * np.clip(layers.t, -1.2, 1.2)
    flare = flare * np.exp(-(layers.s / rng.uniform(1.2, 2.5)) ** 2 / 2)
    dt = (step + turn * np.clip(layers.s, 0, None)) * smooth + flare
    return layers.tissue + layers.bone_at(rng.uniform(-0.2, 0.2) * smooth, dt), None


def crossing_line(rng: np.random.Generator, layers: Layers) -> tuple[np.ndarray, None]:
    """A fold, a cord or an edge of a bandage: an even line that runs on beyond the bone."""
    tilt, arch = np.tan(np.deg2rad(rng.uniform(-55, 55))), rng.normal(0, 0.06)
    beyond = layers.s - tilt * layers.t - arch * layers.t**2
    width = max(0.6 * layers.soft, rng.uniform(0.03, 0.12))
    depth = rng.uniform(6, 30) * rng.choice([-1, -1, 1])
    if rng.random() < 0.5:
        change = depth * np.exp(-(beyond / width) ** 2 / 2)
    else:  # a step of grey
        change = 0.7 * depth * soft_step(beyond / layers.soft)
        change = change * np.exp(-np.maximum(beyond, 0) / 1.5)
    nudge = rng.uniform(-0.1, 0.1) * np.exp(-(layers.s / 3) ** 2)
    same = layers.tissue + layers.bone_at(0.0, nudge)
    return same + change, None
