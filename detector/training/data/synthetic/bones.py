"""Finds a stretch of a tubular bone on a canvas: two even borders, brighter than what lies beside.

A soft-tissue outline has no cortex, a letter or a collimator's edge is saturated or has nothing
beside it: both are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

# Half widths that are looked for, in pixels.
_RADII = (4.5, 6.5, 9.0, 13.0, 19.0, 27.0, 38.0, 54.0, 76.0)
_GRAIN = 10  # samples per half width
_LENGTH, _WIDTH = 9.0, 2.8  # of the straightened patch, in half widths from its middle
_TRIES = 10  # ridges looked at per half width


@dataclass(frozen=True)
class Bone:
    """A stretch of bone. Lengths in canvas pixels.

    ``centre`` (2,) x, y; ``along``, ``across``: unit vectors; ``half``: half its width;
    ``left``, ``right``: (offset, slope) of its borders, t = offset + slope * s, with s along and t
    across from the centre; ``start``, ``end``: the s between which both borders were followed;
    ``beside`` (K, 3): s, and the grey of the soft tissue on either side there.
    """

    centre: np.ndarray
    along: np.ndarray
    across: np.ndarray
    half: float
    left: tuple[float, float]
    right: tuple[float, float]
    start: float
    end: float
    beside: np.ndarray

    def coordinates(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Canvas points -> s along the bone and t across it."""
        dx, dy = x - self.centre[0], y - self.centre[1]
        return (dx * self.along[0] + dy * self.along[1], dx * self.across[0] + dy * self.across[1])

    def points(self, s: np.ndarray, t: np.ndarray) -> np.ndarray:
        """s, t (N,) -> canvas points (N, 2)."""
        return self.centre + np.outer(s, self.along) + np.outer(t, self.across)


def find_bone(rng: np.random.Generator, canvas: np.ndarray, smallest: float = 4.0) -> Bone | None:
    """A random stretch of bone on the canvas (H, W) uint8; None where none is found.

    ``smallest``: the least half width, pixels.
    """
    radii = [r for r in _RADII if smallest <= r <= min(canvas.shape) / 4]
    for radius in rng.permutation(radii):
        ridges = _ridges(canvas, radius)
        if len(ridges) < 3:
            continue
        for k in rng.permutation(len(ridges))[:_TRIES]:
            x, y, angle = ridges[k]
            bone = _follow(canvas, np.array([x, y]), angle, radius)
            if bone is not None and bone.half >= smallest:
                return bone
    return None


def follow_from(canvas: np.ndarray, bone: Bone, s: float) -> Bone | None:
    """The same bone followed anew from ``s`` pixels along it; None where it cannot be."""
    middle = sum(o + k * s for o, k in (bone.left, bone.right)) / 2
    half = sum(sign * (o + k * s) for sign, (o, k) in ((-1, bone.left), (1, bone.right))) / 2
    if half < 2:
        return None
    centre = bone.centre + bone.along * s + bone.across * middle
    return _follow(canvas, centre, float(np.arctan2(bone.across[1], bone.across[0])), half)


def _ridges(canvas: np.ndarray, radius: float) -> np.ndarray:
    """Ridges of about this half width: (N, 3) x, y and the direction across in radians."""
    shrink = min(1.0, 6.0 / radius)
    small = cv2.resize(canvas, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small.astype(np.float32), (0, 0), 1.0)
    width = radius * shrink
    gx, gy = cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1)
    xx, yy, xy = (cv2.GaussianBlur(v, (0, 0), width) for v in (gx * gx, gy * gy, gx * gy))
    energy = xx + yy
    even = np.sqrt((xx - yy) ** 2 + 4 * xy**2) / (energy + 1.0)
    near, far = (cv2.GaussianBlur(small, (0, 0), width * k) for k in (0.5, 2.2))
    good = (even > 0.6) & (near - far > 4) & (energy > np.percentile(energy, 50))
    edge = int(width) + 1
    good[:edge] = good[-edge:] = False
    good[:, :edge] = good[:, -edge:] = False
    y, x = np.nonzero(good)
    angle = 0.5 * np.arctan2(2 * xy[y, x], xx[y, x] - yy[y, x])
    return np.stack([(x + 0.5) / shrink - 0.5, (y + 0.5) / shrink - 0.5, angle], 1)


def _straightened(
    canvas: np.ndarray, centre: np.ndarray, along: np.ndarray, across: np.ndarray, radius: float
) -> np.ndarray:
    """The canvas along the axis (rows) and across it (columns), ``_GRAIN`` samples a radius; NaN
    beyond the canvas."""
    step = radius / _GRAIN
    rows, cols = int(_LENGTH * _GRAIN), int(_WIDTH * _GRAIN)
    s, t = np.mgrid[-rows:rows + 1, -cols:cols + 1].astype(np.float32) * step
    x = (centre[0] + s * along[0] + t * across[0]).astype(np.float32)
    y = (centre[1] + s * along[1] + t * across[1]).astype(np.float32)
    blurred = canvas if step < 1.5 else cv2.GaussianBlur(canvas, (0, 0), step * 0.5)
    patch = cv2.remap(blurred, x, y, cv2.INTER_LINEAR).astype(np.float32)
    beyond = (x < 0) | (y < 0) | (x > canvas.shape[1] - 1) | (y > canvas.shape[0] - 1)
    patch[beyond] = np.nan
    return patch


def _follow(canvas: np.ndarray, centre: np.ndarray, angle: float, radius: float) -> Bone | None:
    """The bone at a ridge, if its borders can be followed."""
    for _ in range(2):  # the second time on its own axis
        along, across = _axes(angle)
        patch = _straightened(canvas, centre, along, across, radius)
        found = _borders(patch)
        if found is None:
            return None
        bands, left, right = found
        near = np.abs(bands) <= 3 * _GRAIN
        if near.sum() < 4:
            return None
        fits = [np.polyfit(bands[near], side[near], 1) for side in (left, right)]
        half = (fits[1][1] - fits[0][1]) / 2
        middle, turn = (fits[0][1] + fits[1][1]) / 2, (fits[0][0] + fits[1][0]) / 2
        step = radius / _GRAIN
        angle += -np.arctan(turn)
        centre = centre + across * middle * step
        radius = float(np.clip(half * step, 0.5 * radius, 2 * radius))
    patch = _straightened(canvas, centre, *_axes(angle), radius)
    found = _borders(patch)
    if found is None:
        return None
    bands, left, right = found
    near = np.abs(bands) <= 3 * _GRAIN
    if near.sum() < 5:
        return None
    step = radius / _GRAIN
    fits = [np.polyfit(bands[near], side[near], 1) for side in (left, right)]
    half = (fits[1][1] - fits[0][1]) / 2
    for fit, side in zip(fits, (left, right), strict=True):
        if np.std(side[near] - np.polyval(fit, bands[near])) > 0.08 * half:
            return None
    if abs(fits[0][0] - fits[1][0]) > 0.5 or not _looks_like_bone(patch, fits, half):
        return None
    along, across = _axes(angle)
    beside = _beside(patch, fits, half)
    beside[:, 0] *= step
    return Bone(
        centre, along, across, half * step,
        *((float(f[1] * step), float(f[0])) for f in fits),
        float(bands.min() * step), float(bands.max() * step), beside,
    )


def _axes(angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors along and across a bone whose direction across is ``angle``."""
    across = np.array([np.cos(angle), np.sin(angle)])
    return np.array([-across[1], across[0]]), across


def _borders(patch: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Borders of a bone in a straightened patch: band, left and right, in samples from its middle.

    Bands are followed from the middle outwards while the grey rises on the left and falls on the
    right near where it did in the band before.
    """
    rows, cols = patch.shape[0] // 2, patch.shape[1] // 2
    thick = _GRAIN // 2
    valid = ~np.isnan(patch).any(axis=1)
    filled = np.where(np.isnan(patch), 0, patch)
    smooth = cv2.GaussianBlur(filled, (0, 0), sigmaX=1.2, sigmaY=thick * 0.7)
    slope = np.gradient(smooth, axis=1)

    def at(row: int, side: int, low: float, high: float) -> tuple[float, float]:
        a, b = (max(0, int(cols + low)), min(2 * cols, int(cols + high)) + 1)
        if b - a < 2:
            return 0.0, 0.0
        part = side * slope[row, a:b]
        k = int(part.argmax())
        return a + k - cols, float(part[k])

    middle = rows
    if not valid[middle]:
        return None
    g = _GRAIN
    left, rise = at(middle, 1, -2.0 * g, -0.4 * g)
    right, fall = at(middle, -1, 0.4 * g, 2.0 * g)
    if min(rise, fall) < 0.8 or max(rise, fall) > 6 * min(rise, fall):
        return None
    half = (right - left) / 2
    found = {0: (left, right)}
    for direction in (-1, 1):
        before, last = (left, right), (left, right)
        for band in range(direction * thick, direction * (rows - thick), direction * thick):
            if not valid[middle + band]:
                break
            reach = 0.22 * half
            ahead = [2 * b - a if band != direction * thick else b
                     for a, b in zip(last, before, strict=True)]
            new_left, up = at(middle + band, 1, ahead[0] - reach, ahead[0] + reach)
            new_right, down = at(middle + band, -1, ahead[1] - reach, ahead[1] + reach)
            width = (new_right - new_left) / 2
            if up < 0.35 * rise or down < 0.35 * fall or not 0.6 * half < width < 1.8 * half:
                break
            last, before = before, (new_left, new_right)
            found[band] = before
    if len(found) < 7:
        return None
    bands = np.array(sorted(found))
    sides = np.array([found[b] for b in bands])
    return bands.astype(float), sides[:, 0].astype(float), sides[:, 1].astype(float)


def _looks_like_bone(patch: np.ndarray, fits: list[np.ndarray], half: float) -> bool:
    """Cortex at both borders, soft tissue beside, neither saturated nor cut out of black."""
    rows, cols = patch.shape[0] // 2, patch.shape[1] // 2
    near = patch[rows - 2 * _GRAIN:rows + 2 * _GRAIN + 1]
    s, t = np.mgrid[-2 * _GRAIN:2 * _GRAIN + 1, -cols:cols + 1].astype(np.float32)
    left, right = (np.polyval(f, s) for f in fits)
    place = 2 * (t - left) / np.maximum(right - left, 1) - 1  # -1 and 1 at the borders
    near = np.where(np.isnan(near), 0, near)

    def mean(low: float, high: float) -> float:
        chosen = (place >= low) & (place <= high)
        return float(near[chosen].mean()) if chosen.sum() > 5 else 0.0

    bins = [mean(a, a + 0.2) for a in np.arange(-1, 1, 0.2)]
    core = mean(-0.4, 0.4)
    outside = mean(-1.7, -1.25), mean(1.25, 1.7)
    cortex = max(bins[:4]), max(bins[-4:])
    contrast = min(cortex) - max(outside)
    hollow = min(mean(a, a + 0.16) for a in np.arange(-0.72, 0.6, 0.08))
    inside = near[(place > -0.9) & (place < 0.9)]
    beside = [near[(place > a) & (place < b)] for a, b in ((-1.7, -1.2), (1.2, 1.7))]
    return (
        contrast > 14
        and hollow - max(outside) > max(6, 0.42 * contrast)  # not two bones and what is between
        and min(cortex) >= core - 0.03 * contrast
        and sum(cortex) / 2 >= core + 0.04 * contrast
        and abs(outside[0] - outside[1]) < 0.7 * contrast  # not one cortex of a wider bone
        and float((inside > 248).mean()) < 0.1
        and inside.std() > 2.5
        and all(len(b) > 10 and b.mean() > 8 and b.std() > 0.8 for b in beside)
        and all(float((b > 248).mean()) < 0.05 for b in beside)
    )


def _beside(patch: np.ndarray, fits: list[np.ndarray], half: float) -> np.ndarray:
    """(K, 3): row of the patch in samples, and the grey beside either border, smoothed along."""
    rows, cols = patch.shape[0] // 2, patch.shape[1] // 2
    filled = np.where(np.isnan(patch), 0, patch)
    smooth = cv2.GaussianBlur(filled, (0, 0), sigmaX=0.15 * half, sigmaY=0.5 * half)
    s = np.arange(-rows, rows + 1)
    columns = []
    for fit, sign in ((fits[0], -1), (fits[1], 1)):
        t = np.clip(np.polyval(fit, s) + sign * 0.35 * half + cols, 0, 2 * cols)
        columns.append(smooth[s + rows, t.astype(int)])
    return np.stack([s, *columns], 1).astype(float)

