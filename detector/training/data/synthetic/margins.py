"""Finds a place on the border of a bone of any form: a joint, a heel, a hip."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Margin:
    """``point`` (2,) x, y in canvas pixels on the border; ``inward``: unit vector into the bone."""

    point: np.ndarray
    inward: np.ndarray


def find_margin(rng: np.random.Generator, canvas: np.ndarray, blur: float) -> Margin | None:
    """A random place where cortex borders on soft tissue or a joint; None where none is found.

    ``canvas``: (H, W) uint8. ``blur``: of the film's edges, canvas pixels.
    """
    smooth = cv2.GaussianBlur(canvas, (0, 0), max(1.2, blur)).astype(np.float32)
    gx, gy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    steep = np.hypot(gx, gy)
    edge = 24
    steep[:edge] = steep[-edge:] = 0
    steep[:, :edge] = steep[:, -edge:] = 0
    film = canvas[canvas > 8]
    if len(film) < canvas.size / 10:
        return None
    y, x = np.nonzero(steep > np.percentile(steep[canvas > 8], 88))
    if not len(x):
        return None
    bright = np.percentile(film, 50)
    scale = max(1.0, blur)
    depth = np.arange(-14, 26) * scale
    for k in rng.integers(len(x), size=40):
        point = np.array([x[k], y[k]], float)
        inward = np.array([gx[y[k], x[k]], gy[y[k], x[k]]]) / steep[y[k], x[k]]
        beside = np.array([-inward[1], inward[0]])
        profiles = []
        for offset in np.linspace(-9, 9, 7) * scale:
            at = point + beside * offset + np.outer(depth, inward)
            profiles.append(cv2.remap(
                canvas, at[None, :, 0].astype(np.float32), at[None, :, 1].astype(np.float32),
                cv2.INTER_LINEAR)[0])
        profiles = np.array(profiles, np.float32)
        mean = profiles.mean(0)
        outside, rim, inside = mean[2:10].mean(), mean[13:20].max(), mean[20:38].mean()
        crest = np.abs(np.diff(cv2.GaussianBlur(profiles, (0, 0), 1.5), axis=1).argmax(1) - 13.5)
        if (
            rim - outside > 18 and inside - outside > 10 and rim > inside + 0.03 * (rim - outside)
            and inside > bright and outside > 8 and profiles[:, :10].std() > 1.5
            and (profiles > 248).mean() < 0.1 and (crest < 5).mean() > 0.7
        ):
            return Margin(point, inward)
    return None
