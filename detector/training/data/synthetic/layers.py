"""A bone and what surrounds it, taken apart: the grey of the bone, and that of the soft tissue.

Bone that is moved leaves soft tissue behind, and two pieces of bone that overlap are denser: what
makes a drawn fracture look like one. Lengths are half widths of the bone: s along it, t across.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from detector.training.data.synthetic.bones import Bone


@dataclass(frozen=True)
class Layers:
    """The surroundings of a bone, taken apart. Arrays are (h, w) float32, of ``window``.

    ``window``: rows and columns of the canvas. ``s``, ``t``: along and across the bone, in half
    widths. ``grey``: the canvas; ``tissue``: what it would be without the bone. ``soft``: how soft
    the film's edges are, in half widths. ``grain``: noise as strong as the film's.
    """

    bone: Bone
    window: tuple[slice, slice]
    s: np.ndarray
    t: np.ndarray
    grey: np.ndarray
    tissue: np.ndarray
    soft: float
    grain: np.ndarray

    def bone_at(self, ds: np.ndarray | float, dt: np.ndarray | float) -> np.ndarray:
        """The bone's own grey (h, w), moved by ds, dt half widths (linear interpolation)."""
        along, across = self.bone.along, self.bone.across
        half = self.bone.half
        rows, cols = np.mgrid[:self.s.shape[0], :self.s.shape[1]].astype(np.float32)
        x = cols - (ds * along[0] + dt * across[0]) * half
        y = rows - (ds * along[1] + dt * across[1]) * half
        return cv2.remap(self.grey - self.tissue, x.astype(np.float32), y.astype(np.float32),
                         cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def take_apart(
    rng: np.random.Generator, canvas: np.ndarray, bone: Bone, zoom: float
) -> Layers | None:
    """The surroundings of a bone on the canvas (H, W) uint8; None where too little of it is there.

    ``zoom``: canvas pixels per film pixel.
    """
    reach = 6.5 * bone.half
    low = np.maximum(np.floor(bone.centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(bone.centre + reach) + 1, canvas.shape[::-1]).astype(int)
    if (high - low < 3 * bone.half).any():
        return None
    window = slice(low[1], high[1]), slice(low[0], high[0])
    y, x = np.mgrid[low[1]:high[1], low[0]:high[0]].astype(np.float32)
    s, t = (v / bone.half for v in bone.coordinates(x, y))
    grey = canvas[window].astype(np.float32)
    left, right = (o / bone.half + k * s for o, k in (bone.left, bone.right))
    share = np.clip((t - left) / np.maximum(right - left, 0.2), 0, 1)
    beside = [np.interp(s * bone.half, bone.beside[:, 0], bone.beside[:, k]) for k in (1, 2)]
    tissue = beside[0] * (1 - share) + beside[1] * share
    soft = max(0.7, 0.5 * zoom) / bone.half
    # How much of a point belongs to the bone: borders widened by the blur of its edge.
    wide = 0.1 + 0.8 / bone.half
    inside = soft_step((t - left + wide) / soft / 1.5) * soft_step((right + wide - t) / soft / 1.5)
    bony = np.maximum(grey - tissue, 0) * inside
    noise = rng.standard_normal(grey.shape).astype(np.float32)
    if zoom > 0.8:
        noise = cv2.GaussianBlur(noise, (0, 0), 0.5 * zoom)
        noise /= max(float(noise.std()), 1e-3)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 1.0 + 0.5 * zoom)
    level = float(np.median(np.abs(fine))) * 1.48
    return Layers(bone, window, s, t, grey, (grey - bony).astype(np.float32), soft, noise * level)


def soft_step(x: np.ndarray) -> np.ndarray:
    """A soft step from 0 to 1 over about two units of ``x``."""
    return 1 / (1 + np.exp(-np.clip(2.5 * x, -30, 30)))


def feather(layers: Layers) -> np.ndarray:
    """1 where changes stand, falling to 0 before the window's border and far beside the bone."""
    aside = np.clip((3.2 - np.abs(layers.t)) / 0.8, 0, 1)
    ends = np.clip((6.3 - np.abs(layers.s)) / 1.5, 0, 1)
    return (aside * ends).astype(np.float32)


def is_visible(before: np.ndarray, after: np.ndarray, outline: np.ndarray) -> bool:
    """Whether the outline lies on the exposed field, and the change in it stands out of texture."""
    low = np.floor(outline.min(0)).astype(int)
    high = np.ceil(outline.max(0)).astype(int) + 1
    if (low < 0).any() or (high > before.shape[::-1]).any():
        return False
    part = slice(low[1], high[1]), slice(low[0], high[0])
    mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
    cv2.fillPoly(mask, [np.round(outline - low).astype(np.int32)[:, None]], 1)
    if (before[part][mask > 0] < 6).mean() > 0.03:  # beyond the exposed field
        return False
    change = cv2.GaussianBlur(after[part].astype(np.float32) - before[part], (0, 0), 0.7)
    inside = np.abs(change)[mask > 0]
    grey = before[part].astype(np.float32)
    texture = float((grey - cv2.GaussianBlur(grey, (0, 0), 1.5))[mask > 0].std())
    return len(inside) > 8 and float(np.percentile(inside, 93)) > max(9.0, 1.5 * texture)


def overlapping(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Two pieces of bone, one behind the other: dense, but a film saturates."""
    return np.maximum(one, other) + 0.45 * np.minimum(one, other)
