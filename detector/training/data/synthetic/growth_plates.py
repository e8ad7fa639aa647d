"""Growth plates drawn near the end of a bone: whole ones, and fractures through one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from detector.training.data.synthetic.layers import Layers, overlapping, soft_step
from detector.training.data.synthetic.lines import band_height, outline_band


def _plate(rng: np.random.Generator, layers: Layers) -> tuple[np.ndarray, Callable, np.ndarray]:
    """A growth plate: what the bone's grey is multiplied by (h, w), its line, and s beyond it."""
    arch, wave = rng.normal(0, 0.12), rng.uniform(0, 0.06)
    phase, tilt = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.08)

    def line(t: np.ndarray) -> np.ndarray:
        return tilt * t + arch * t**2 + wave * np.sin(3.0 * t + phase)

    beyond = layers.s - line(layers.t)
    half = max(rng.uniform(0.07, 0.14), 1.0 * layers.soft)
    depth = rng.uniform(0.2, 0.65)
    edge = rng.uniform(0.15, 0.35)
    rim = max(0.05, 0.6 * layers.soft)
    band = -depth * np.exp(-np.abs(beyond / half) ** 3)
    rims = edge * (np.exp(-((np.abs(beyond) - half - rim) / rim) ** 2 / 2))
    return 1 + band + rims, line, beyond


def whole_plate(rng: np.random.Generator, layers: Layers) -> tuple[np.ndarray, None]:
    """Across the whole bone, both borders even and dense, no step."""
    factor, _, beyond = _plate(rng, layers)
    flare = rng.uniform(-0.05, 0.08) * layers.t * np.exp(-(beyond / 1.2) ** 2 / 2)
    return layers.tissue + layers.bone_at(0.0, flare) * factor, None


def stepped_plate(rng: np.random.Generator, layers: Layers) -> tuple[np.ndarray, np.ndarray]:
    """The same with the epiphysis moved aside, or opened on one side (Salter & Harris 1963)."""
    factor, line, beyond = _plate(rng, layers)
    step = rng.choice([-1, 1]) * rng.uniform(0.12, 0.35)
    end = 1.0 if abs(layers.bone.end) <= abs(layers.bone.start) else -1.0  # the nearer end moves
    fall = np.exp(-(np.maximum(beyond * end, 0) / rng.uniform(1.5, 3.0)) ** 2 / 2)
    turn = np.deg2rad(rng.uniform(-10, 10))
    dt = (step + turn * layers.s) * fall
    ds = (rng.uniform(0, 0.08) * end - turn * layers.t) * fall
    near = layers.bone_at(0.0, 0.0) * soft_step(-beyond * end / layers.soft)
    after = layers.s - ds - line(layers.t - dt)
    far = layers.bone_at(ds, dt) * soft_step(after * end / layers.soft)
    out = layers.tissue + overlapping(near, far) * factor
    return out, outline_band(line, -1.2, 1.2, band_height(layers, 0.45))
