"""Appearance of a training sample: what differs between hospitals, screens and web pages.

Every function takes and returns a canvas (H, W) uint8. Nothing here moves the bone, so outlines
stay valid. Marks (letters, arrows, metal, casts, borders) are drawn on normal and fractured films
alike, so that none of them becomes a sign of a fracture.
"""

from __future__ import annotations

import cv2
import numpy as np

_LEVELS = np.arange(256, dtype=np.float32)


def random_appearance(
    rng: np.random.Generator, canvas: np.ndarray, reference: np.ndarray | None = None
) -> np.ndarray:
    """A random appearance; ``reference`` is another film whose histogram may be taken on."""
    if reference is not None and rng.random() < 0.4:
        canvas = exchange_histogram(canvas, reference, rng.uniform(0.4, 1.0))
    for chance, change in (
        (0.12, _hardware), (0.05, _cast), (0.6, _tone), (0.15, _clahe), (0.2, _sharpness),
        (0.12, _resolution), (0.2, _noise), (0.3, _marks), (0.15, _collimate), (0.15, _jpeg),
        (0.12, _invert),
    ):
        if rng.random() < chance:
            canvas = change(rng, canvas)
    return canvas


def exchange_histogram(canvas: np.ndarray, reference: np.ndarray, amount: float) -> np.ndarray:
    """Grey levels of ``canvas`` mapped onto those of ``reference``, blended by ``amount`` [0, 1].

    Pure black is left out of both, as it is mostly border.
    """
    ours = np.bincount(canvas.ravel(), minlength=256).astype(np.float64)
    theirs = np.bincount(reference.ravel(), minlength=256).astype(np.float64)
    ours[:3] = theirs[:3] = 0
    if ours.sum() == 0 or theirs.sum() == 0:
        return canvas
    ours, theirs = np.cumsum(ours) / ours.sum(), np.cumsum(theirs) / theirs.sum()
    table = np.interp(ours, theirs, _LEVELS)
    table[:3] = _LEVELS[:3]
    table = table * amount + _LEVELS * (1 - amount)
    return cv2.LUT(canvas, np.clip(table, 0, 255).astype(np.uint8))


def _tone(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Gamma, contrast and brightness in one look-up."""
    table = 255 * (_LEVELS / 255) ** np.exp(rng.uniform(-0.5, 0.5))
    table = (table - 110) * rng.uniform(0.7, 1.4) + 110 + rng.uniform(-30, 30)
    return cv2.LUT(canvas, np.clip(table, 0, 255).astype(np.uint8))


def _clahe(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    tiles = int(rng.integers(4, 10))
    return cv2.createCLAHE(rng.uniform(1.0, 4.0), (tiles, tiles)).apply(canvas)


def _sharpness(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    blurred = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.5, 1.5))
    amount = rng.uniform(-1.0, 1.2)  # below zero it blurs
    return cv2.addWeighted(canvas, 1 + amount, blurred, -amount, 0)


def _resolution(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    factor = rng.uniform(0.4, 0.8)
    small = cv2.resize(canvas, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, canvas.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _noise(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    grain = rng.standard_normal(canvas.shape, dtype=np.float32) * rng.uniform(2, 10)
    return np.clip(canvas + grain, 0, 255).astype(np.uint8)


def _jpeg(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    data = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 85))])[1]
    return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)


def _invert(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    return 255 - canvas


def _point(rng: np.random.Generator, canvas: np.ndarray) -> tuple[int, int]:
    return int(rng.integers(canvas.shape[1])), int(rng.integers(canvas.shape[0]))


def _marks(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Laterality letters, captions, arrows, rulers: what people put on films."""
    canvas = canvas.copy()
    for _ in range(int(rng.integers(1, 4))):
        grey = int(rng.choice([0, 255, rng.integers(120, 255)]))
        x, y = _point(rng, canvas)
        kind = rng.random()
        if kind < 0.5:
            text = str(rng.choice(["L", "R", "AP", "LAT", "PA", "a", "b", "12", "2019", "LEFT"]))
            cv2.putText(
                canvas, text, (x, y), int(rng.integers(0, 4)), rng.uniform(0.4, 1.6), grey,
                int(rng.integers(1, 4)), cv2.LINE_AA,
            )
        elif kind < 0.8:
            length, angle = rng.uniform(20, 90), rng.uniform(0, 2 * np.pi)
            end = (int(x + length * np.cos(angle)), int(y + length * np.sin(angle)))
            cv2.arrowedLine(
                canvas, (x, y), end, grey, int(rng.integers(1, 5)), cv2.LINE_AA,
                tipLength=rng.uniform(0.15, 0.5),
            )
        else:
            w, h = int(rng.integers(8, 60)), int(rng.integers(8, 30))
            cv2.rectangle(canvas, (x, y), (x + w, y + h), grey, -1 if rng.random() < 0.6 else 2)
    return canvas


def _hardware(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Plates, screws, wires and rings: most films with metal in public sets are fractured ones."""
    canvas = canvas.copy()
    grey = int(rng.integers(225, 256))
    x, y = _point(rng, canvas)
    length, angle = rng.uniform(30, 160), rng.uniform(0, np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    width = rng.uniform(3, 10)
    corners = [along * length + across * width, along * length - across * width]
    corners += [-across * width, across * width]
    plate = (np.array(corners) + [x, y]).astype(np.int32)
    if rng.random() < 0.6:
        cv2.fillPoly(canvas, [plate[:, None]], grey, cv2.LINE_AA)
        for t in np.linspace(0.1, 0.9, int(rng.integers(2, 7))):
            start = np.array([x, y]) + along * length * t
            end = start + across * rng.uniform(10, 40) * rng.choice([-1, 1])
            cv2.line(canvas, tuple(start.astype(int)), tuple(end.astype(int)), grey, 3, cv2.LINE_AA)
    elif rng.random() < 0.5:
        end = (int(x + along[0] * length), int(y + along[1] * length))
        cv2.line(canvas, (x, y), end, grey, int(rng.integers(1, 5)), cv2.LINE_AA)
    else:
        axes = int(rng.integers(6, 16)), int(rng.integers(3, 8))
        cv2.ellipse(
            canvas, (x, y), axes, float(np.rad2deg(angle)), 0, 360, grey,
            int(rng.integers(2, 5)), cv2.LINE_AA,
        )
    return canvas


def _cast(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Plaster: a bright, cloudy veil over part of the film."""
    cloud = rng.random((9, 9), dtype=np.float32)
    cloud = cv2.resize(cloud, canvas.shape[::-1], interpolation=cv2.INTER_CUBIC)
    veil = np.clip(cloud * rng.uniform(20, 70), 0, 255)
    return np.clip(canvas * rng.uniform(0.7, 0.95) + veil * (canvas > 5), 0, 255).astype(np.uint8)


def _collimate(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Black (or a plain grey) beyond a slightly turned rectangle."""
    rows, cols = canvas.shape
    inset = rng.uniform(-0.02, 0.14, size=4) * [cols, rows, cols, rows]
    corners = np.array(
        [[inset[0], inset[1]], [cols - inset[2], inset[1]],
         [cols - inset[2], rows - inset[3]], [inset[0], rows - inset[3]]]
    ) + rng.uniform(-8, 8, size=(4, 2))
    mask = np.zeros_like(canvas)
    cv2.fillPoly(mask, [corners.astype(np.int32)[:, None]], 255)
    border = 0 if rng.random() < 0.75 else int(rng.integers(0, 256))
    return np.where(mask > 0, canvas, np.uint8(border))
