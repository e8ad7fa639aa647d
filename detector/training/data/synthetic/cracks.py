"""A crack from the border of a bone inwards, for bones of any form."""

from __future__ import annotations

import cv2
import numpy as np

from detector.training.data.synthetic.layers import is_visible, soft_step
from detector.training.data.synthetic.margins import find_margin


def crack(
    rng: np.random.Generator, canvas: np.ndarray, zoom: float, fracture: bool
) -> tuple[np.ndarray, np.ndarray | None] | None:
    """The canvas with a crack, a piece beside it moved a little, and the crack's outline (M, 2).

    Not a ``fracture``: the piece is moved without a break, or a faint line runs on beyond the
    border, and there is no outline. None where no border is found, or nothing is visible.
    """
    blur = max(0.7, 0.5 * zoom)
    margin = find_margin(rng, canvas, blur)
    if margin is None:
        return None
    size = rng.uniform(14, 42) * max(1.0, min(zoom, 2.0))
    low = np.maximum(np.floor(margin.point - 1.8 * size), 0).astype(int)
    high = np.minimum(np.ceil(margin.point + 1.8 * size) + 1, canvas.shape[::-1]).astype(int)
    window = slice(low[1], high[1]), slice(low[0], high[0])
    y, x = np.mgrid[low[1]:high[1], low[0]:high[0]].astype(np.float32)
    angle = np.deg2rad(rng.uniform(-50, 50))
    cos, sin = np.cos(angle), np.sin(angle)
    into = np.array([cos * margin.inward[0] - sin * margin.inward[1],
                     sin * margin.inward[0] + cos * margin.inward[1]])
    beside = np.array([-into[1], into[0]])
    dx, dy = x - margin.point[0], y - margin.point[1]
    deep, aside = ((dx * v[0] + dy * v[1]) / size for v in (into, beside))
    knots = np.linspace(-0.3, 1.3, 17)
    walk = np.cumsum(rng.normal(0, 0.035, 17)) + rng.uniform(-0.25, 0.25) * knots**2
    walk -= np.interp(0, knots, walk)
    beyond = aside - np.interp(deep, knots, walk)
    shift = rng.uniform(0.02, 0.12) * rng.choice([-1, 1]), rng.uniform(0.0, 0.08)
    soft = blur / size
    side = soft_step(beyond / soft) if fracture else soft_step(beyond / 0.5)
    fades = np.exp(-(np.maximum(beyond, 0) / 0.7) ** 2 / 2)
    fades *= np.exp(-(np.maximum(np.abs(deep - 0.3) - 0.5, 0) / 0.2) ** 2 / 2) * side
    rows, cols = np.mgrid[:x.shape[0], :x.shape[1]].astype(np.float32)
    grey = canvas[window].astype(np.float32)
    move = [(shift[0] * into[k] + shift[1] * beside[k]) * size * fades for k in (0, 1)]
    out = cv2.remap(grey, (cols - move[0]).astype(np.float32), (rows - move[1]).astype(np.float32),
                    cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    level = float(np.percentile(grey, 15))
    width = max(0.55 * soft, rng.uniform(0.012, 0.045))
    if fracture:
        depth = rng.uniform(0.3, 0.7) * np.clip(1.1 - np.clip(deep, 0, None), 0, 1)
        depth = depth * soft_step((deep + 0.05) / 0.05) * soft_step((1 - deep) / 0.05)
    elif rng.random() < 0.5:
        depth = rng.uniform(0.05, 0.3) * np.ones_like(deep)
        beyond = aside - rng.uniform(-0.15, 0.15) * deep**2
    else:
        depth = np.zeros_like(deep)
    out -= depth * np.exp(-(beyond / width) ** 2 / 2) * np.maximum(out - level, 0)
    feather = np.clip((1.7 - np.maximum(np.abs(deep), np.abs(aside))) / 0.4, 0, 1)
    whole = canvas.copy()
    whole[window] = np.clip(np.round(grey + (out - grey) * feather), 0, 255).astype(np.uint8)
    if not fracture:
        return whole, None
    d = np.linspace(-0.1, 0.95, 8)
    a = np.interp(d, knots, walk)
    thick = max(0.18, 4.0 / size)
    ring = np.concatenate([np.stack([d, a - thick], 1), np.stack([d, a + thick], 1)[::-1]])
    points = margin.point + size * (ring[:, :1] * into + ring[:, 1:] * beside)
    return (whole, points) if is_visible(canvas, whole, points) else None
