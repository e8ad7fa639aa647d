"""From optical depth to a finished film: beam, scatter, noise, detector, plate processing.

The steps that `detector.phantom` shares with a digital plate: collimated beam with a heel effect,
Beer-Lambert, scatter, quantum noise, detector blur, logarithm, edge enhancement and a toned
display range. Everything random comes from the generator handed in, and how many numbers are
drawn never depends on the limb, so a pair of films gets the same exposure and noise.
"""

from __future__ import annotations

import cv2
import numpy as np

Array = np.ndarray


def lead_letter(marker: str, flesh: Array, rng: np.random.Generator) -> Array:
    """The lead letter, 0..1, on the emptiest of a few spots beside the limb."""
    height, width = flesh.shape
    scale = height / 512.0
    best, least = (0, 0), np.inf
    side = int(34 * scale) + 2
    for _ in range(12):
        x = int(rng.uniform(0.07, 0.93) * (width - side))
        y = int(rng.uniform(0.07, 0.93) * (height - side))
        covered = float(flesh[y : y + side, x : x + side].max())
        if covered < least:
            best, least = (x, y), covered
    canvas = np.zeros((height, width), np.uint8)
    cv2.putText(canvas, marker, (best[0] + int(5 * scale), best[1] + int(28 * scale)),
                cv2.FONT_HERSHEY_DUPLEX, 0.85 * scale, 255, max(1, round(3 * scale)),
                cv2.LINE_AA)  # fmt: skip
    return canvas.astype(np.float32) / 255.0


def expose(
    depth: Array,
    density: float,
    pixel: float,
    noise: float,
    collimated: bool,
    rng: np.random.Generator,
) -> Array:
    """Optical depth to the finished film in [0, 1]."""
    height, width = depth.shape
    y, x = np.mgrid[-1.0 : 1.0 : height * 1j, -1.0 : 1.0 : width * 1j].astype(np.float32)
    heel = float(rng.uniform(-0.08, 0.08)) * y + float(rng.uniform(-0.03, 0.03)) * x
    shutter = _shutter(height, width, rng)
    beam = np.exp(heel)
    if collimated:
        beam = beam * shutter
    primary = beam * np.exp(-depth)
    # Scatter: a share of what the limb stops comes back, spread over centimetres.
    small = cv2.resize(beam - primary, (max(8, width // 8), max(8, height // 8)),
                       interpolation=cv2.INTER_AREA)  # fmt: skip
    spread = cv2.GaussianBlur(small, (0, 0), 22.0 / (8.0 * pixel), borderType=cv2.BORDER_REFLECT)
    photons = primary + 0.035 * cv2.resize(spread, (width, height)) + 0.0015
    count = float(rng.uniform(5000, 12000)) * pixel**2 / 0.35  # per pixel in the open beam
    grain = rng.standard_normal((height, width), dtype=np.float32)
    dots = rng.random((height, width), dtype=np.float32)
    photons = photons + noise * np.sqrt(photons / count) * grain
    photons = cv2.GaussianBlur(photons, (0, 0), 0.28 / pixel + 0.25)
    film = -np.log(np.maximum(photons, 0.0012)) / (density * float(rng.uniform(0.95, 1.3)))
    # Plate: fixed faint streaks along the read-out, dust, then edge enhancement and toe.
    film += 0.0015 * noise * rng.standard_normal((1, width), dtype=np.float32)
    film += 0.05 * noise * (dots > 0.99997)
    edge = film - cv2.GaussianBlur(film, (0, 0), 5.0 / pixel)
    film = film + float(rng.uniform(0.3, 0.6)) * np.clip(edge, -0.12, 0.12)
    base, gain = float(rng.uniform(0.06, 0.16)), float(rng.uniform(0.85, 1.05))
    film = base + gain * np.maximum(film, 0.0) ** float(rng.uniform(1.1, 1.4))
    shoulder = 0.8
    over = np.maximum(film - shoulder, 0.0)
    film = np.minimum(film, shoulder) + 0.2 * (1.0 - np.exp(-over / 0.2))
    return np.clip(film, 0.0, 1.0).astype(np.float32)


def _shutter(height: int, width: int, rng: np.random.Generator) -> Array:
    """Transmission of the collimator: 1 in the field, little behind its leaves."""
    open_field = np.zeros((height, width), np.float32)
    sliver = (rng.random(4) < 0.45) * rng.uniform(0.0, 0.008, 4)
    inset = sliver + (rng.random(4) < 0.08) * rng.uniform(0.01, 0.06, 4)
    top, bottom = round(inset[0] * height), height - round(inset[1] * height)
    left, right = round(inset[2] * width), width - round(inset[3] * width)
    open_field[top:bottom, left:right] = 1.0
    soft = cv2.GaussianBlur(open_field, (0, 0), height / 512.0, borderType=cv2.BORDER_REPLICATE)
    return 0.03 + 0.97 * soft
