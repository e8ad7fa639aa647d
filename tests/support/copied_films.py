"""Drawn films for the tests of the audit, and the ways in which data sets copy films."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def film(seed: int, height: int = 300, width: int = 240) -> np.ndarray:
    """A picture with outlines and texture of its own, uint8 (H, W)."""
    rng = np.random.default_rng(seed)
    canvas = np.full((height, width), 20, np.uint8)
    for _ in range(12):
        centre = rng.integers(0, (width, height))
        axes = rng.integers(8, width // 3, 2)
        shade = int(rng.integers(40, 230))
        angle = float(rng.uniform(0, 180))
        place = tuple(int(v) for v in centre), tuple(int(v) for v in axes)
        cv2.ellipse(canvas, *place, angle, 0, 360, shade, -1)
    grain = cv2.GaussianBlur(rng.normal(0, 1, canvas.shape).astype(np.float32), (0, 0), 2)
    return np.clip(canvas + grain * 60, 0, 255).astype(np.uint8)


def turned(pixels: np.ndarray, degrees: float) -> np.ndarray:
    """In the same frame, with black corners."""
    height, width = pixels.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
    return cv2.warpAffine(pixels, matrix, (width, height))


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.ascontiguousarray(pixels))
    return path
