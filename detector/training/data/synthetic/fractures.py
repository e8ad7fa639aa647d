"""Fractures of a tubular bone. Each takes ``Layers`` and returns grey (h, w) and the outline (M, 2)
of the fracture, s and t in half widths of the bone."""

from __future__ import annotations

import cv2
import numpy as np

from detector.training.data.synthetic.layers import Layers, overlapping, soft_step
from detector.training.data.synthetic.lines import (
    band_height,
    lucency,
    outline_band,
    random_line,
)


def displaced(rng: np.random.Generator, layers: Layers) -> tuple[np.ndarray, np.ndarray]:
    """Transverse, oblique or spiral: a step, a gap, an overlap, an angle, or several of them."""
    line = random_line(rng, rng.uniform(0.02, 0.09), (0, 10, 20, 35, 45, 60))
    step = rng.choice([-1, 1]) * rng.uniform(0.08, 0.55) * (rng.random() < 0.8)
    along = rng.uniform(0.02, 0.22) if rng.random() < 0.65 else -rng.uniform(0.02, 0.22)
    turn = np.deg2rad(rng.choice([-1, 1]) * rng.uniform(2, 16)) * (rng.random() < 0.6)
    beyond = layers.s - line(layers.t)
    reach = rng.uniform(2.2, 4.0)
    fall = np.exp(-(np.maximum(beyond, 0) / reach) ** 2 / 2)
    # The far piece turns about the middle of the line; both fade back along the bone.
    ds = (along - turn * layers.t) * fall
    dt = (step + turn * np.clip(layers.s, 0, None)) * fall
    near = layers.bone_at(0.0, 0.0) * soft_step(-beyond / layers.soft)
    far = layers.bone_at(ds, dt) * soft_step((layers.s - ds - line(layers.t - dt)) / layers.soft)
    tissue = layers.tissue + layers.grain * np.clip(1 - soft_step(np.abs(beyond) / 0.3), 0, 0.5)
    out = tissue + overlapping(near, far)
    out -= lucency(rng, layers, beyond, rng.uniform(0.1, 0.5)) * (along > 0)
    side = max(0.35, abs(step) + 0.2, abs(along) + 0.2)
    return out, outline_band(line, -1.15, 1.15, band_height(layers, side))


def hairline(rng: np.random.Generator, layers: Layers) -> tuple[np.ndarray, np.ndarray]:
    """A lucent line without a step, through the whole bone or from one cortex."""
    line = random_line(rng, rng.uniform(0.01, 0.06), (0, 15, 30, 50, 60))
    low, high = -1.3, 1.3
    if rng.random() < 0.35:  # from one cortex
        low, high = (-1.3, rng.uniform(-0.1, 0.6)) if rng.random() < 0.5 else (
            rng.uniform(-0.6, 0.1), 1.3)
    beyond = layers.s - line(layers.t)
    tiny = rng.uniform(-0.06, 0.06)
    smooth = soft_step(beyond / 1.2)
    base = layers.tissue + layers.bone_at(0.0, tiny * smooth * np.exp(-(beyond / 3) ** 2))
    out = base - lucency(rng, layers, beyond, rng.uniform(0.35, 0.8), low, high)
    if rng.random() < 0.5:  # a notch, or a tiny step, where it leaves the cortex
        side = 1.0 if high > 1 and (low > -1 or rng.random() < 0.5) else -1.0
        deep, wide = (layers.t * side - 0.95) / 0.25, beyond / max(0.12, layers.soft)
        notch = np.exp(-(deep**2 + wide**2) / 2)
        out -= rng.uniform(0.2, 0.6) * notch * (layers.grey - layers.tissue)
    return out, outline_band(line, max(low, -1.15), min(high, 1.15), band_height(layers))


def buckle(rng: np.random.Generator, layers: Layers) -> tuple[np.ndarray, np.ndarray]:
    """A child's torus fracture: one cortex, or both, bulge out, and are denser where pressed."""
    both = rng.random() < 0.3
    side = rng.choice([-1.0, 1.0])
    size = rng.uniform(0.10, 0.28)
    steep, flat = rng.uniform(0.10, 0.22), rng.uniform(0.35, 0.8)
    if rng.random() < 0.5:
        steep, flat = flat, steep
    shape = np.exp(-np.abs(layers.s) / np.where(layers.s > 0, steep, flat))
    shape = cv2.GaussianBlur(shape.astype(np.float32), (0, 0), max(0.6, 0.05 * layers.bone.half))
    out_left = np.clip(-layers.t, 0, 1) * shape * size
    out_right = np.clip(layers.t, 0, 1) * shape * size
    dt = (out_right if side > 0 or both else 0.0) - (out_left if side < 0 or both else 0.0)
    bend = rng.uniform(-0.10, 0.10) * np.exp(-np.abs(layers.s) / 2.5) * np.abs(layers.s)
    bone = layers.bone_at(-0.04 * np.sign(layers.s) * shape, dt + bend)
    where = 1.0 if both else soft_step(layers.t * side / 0.5)
    dense = rng.uniform(0.05, 0.35) * np.exp(-(layers.s / rng.uniform(0.10, 0.3)) ** 2 / 2) * where
    out = layers.tissue + bone * (1 + dense)
    low, high = (-1.35, 1.35) if both else ((-0.2, 1.35) if side > 0 else (-1.35, 0.2))
    return out, outline_band(np.zeros_like, low, high, band_height(layers, 0.5))


def greenstick(rng: np.random.Generator, layers: Layers) -> tuple[np.ndarray, np.ndarray]:
    """A bend, with the cortex torn on its outer side and bent on its inner one."""
    side = rng.choice([-1.0, 1.0])
    turn = np.deg2rad(rng.uniform(5, 16)) * -side
    reach = rng.uniform(2.5, 4.0)
    s = layers.s
    bone = layers.bone_at(0.0, 0.5 * turn * np.abs(s) * np.exp(-(s / reach) ** 2 / 2))
    line = random_line(rng, rng.uniform(0.03, 0.08), (0, 10, 20))
    beyond = s - line(layers.t)
    outer = np.clip((layers.t * side + rng.uniform(-0.1, 0.3)) / 1.1, 0, 1)
    width = np.maximum(0.5 * layers.soft, rng.uniform(0.06, 0.16) * outer)
    tear = np.exp(-np.abs(beyond / width) ** 2.5) * (outer > 0) * soft_step((outer - 0.1) / 0.1)
    inner = np.exp(-((s / 0.25) ** 2 + ((layers.t * side + 0.9) / 0.3) ** 2) / 2)
    out = layers.tissue + bone * (1 - rng.uniform(0.5, 0.9) * tear + rng.uniform(0, 0.25) * inner)
    low, high = (-0.6, 1.25) if side > 0 else (-1.25, 0.6)
    return out, outline_band(line, low, high, band_height(layers, 0.5))
