"""Perceptual fingerprints: what stays of a film's picture when it is rotated, flipped or rescaled.

A film is band-passed and normalised to its local contrast (so exposure, brightness and the grey of
a black border do not matter), then sampled on circles round its centre. A rotation of the film is a
shift along the circles, a flip a reversal. From the circles come

- a ``signature``: magnitudes of the Fourier coefficients along each coarse circle, unchanged by any
  rotation or flip, short enough to compare every film with every other by a matrix product;
- ``rings``: finer circles, kept so that a candidate pair is verified, and its angle found, by
  circular correlation (the registration of De Castro and Morandi, 1987, at a known centre).

Both are taken in three views:

- the central disc of the film;
- the central disc of the film squeezed into a square, as data sets hold copies resized to 224x224;
- the central disc of its upper part, as a file that broke off in a transfer lacks its lower part.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from detector.io.atomic_io import replace_file
from detector.io.radiograph import load_radiograph
from detector.training.data.records import Unreadable

# A change of anything that alters a fingerprint must change this: it is part of the cache's name.
VERSION = 1
VIEWS = 3
RINGS, ANGLES = 32, 128
_COARSE_RINGS, _COARSE_ANGLES, _FREQUENCIES = 24, 72, 20
_FINE_SIZE, _COARSE_SIZE = 128, 160
_QUANTUM = 3.0 / 127


@dataclass(frozen=True)
class FileFacts:
    """What a file says of itself apart from the picture: where shortcuts hide."""

    width: int
    height: int
    mode: str
    format: str
    bytes: int
    mean: float
    contrast: float


@dataclass(frozen=True)
class Fingerprint:
    """What identifies a film's picture.

    ``digest``, ``pixels``: hashes of the file's bytes and of its decoded grey values. ``rings``:
    (3, 32, 128) int8. ``signature``: (3, 480) float16, unit length per view. ``truncated``: the
    file ends before its picture does.
    """

    digest: str
    pixels: str
    rings: np.ndarray
    signature: np.ndarray
    facts: FileFacts
    truncated: bool


def is_truncated(data: bytes) -> bool:
    """Whether a JPEG lacks its end marker behind the last scan, or a PNG its last chunk."""
    if data.startswith(b"\xff\xd8"):
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    return data.startswith(b"\x89PNG") and b"IEND" not in data[-64:]


def decode_grey(data: bytes) -> np.ndarray:
    """File bytes -> uint8 (H, W). Raises ValueError with the reason where there is no picture.

    The file's own grey values, without the reader's window: copies have the same ones.
    """
    if not data:
        raise ValueError("the file is empty")
    try:
        grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error:
        grey = None
    if grey is None:  # DICOM and the rest
        grey = np.round(load_radiograph(data).pixels * 255).astype(np.uint8)
    if min(grey.shape) < 16:
        raise ValueError(f"the picture is only {grey.shape[1]}x{grey.shape[0]} pixels")
    return grey


def local_contrast(grey: np.ndarray, fine: float, coarse: float) -> np.ndarray:
    """Band-pass between two Gaussian scales (pixels), over the local standard deviation."""
    image = grey.astype(np.float32)
    band = cv2.GaussianBlur(image, (0, 0), fine) - cv2.GaussianBlur(image, (0, 0), coarse)
    spread = np.sqrt(cv2.GaussianBlur(band * band, (0, 0), 1.5 * coarse))
    # 4 grey levels of floor: noise on an empty background must not look like structure.
    return np.clip(band / (spread + 4), -3, 3)


def resize_view(grey: np.ndarray, size: int, view: int) -> np.ndarray:
    """uint8 (H, W) at about ``size`` pixels.

    View 0: the shorter side becomes ``size`` pixels. View 1: the film becomes a square. View 2: a
    square at the top, three quarters of the film's width.
    """
    height, width = grey.shape
    if view == 2:
        side, left = round(0.75 * width), round(0.125 * width)
        grey = grey[:side, left : left + side]
    factor = size / min(height, width)
    shape = (round(width * factor), round(height * factor)) if view == 0 else (size, size)
    return cv2.resize(grey, shape, interpolation=cv2.INTER_AREA)


def _circles(image: np.ndarray, rings: int, angles: int, size: int) -> np.ndarray:
    radius = (np.arange(rings)[:, None] + 0.5) / rings * size / 2 * 0.98
    angle = np.arange(angles) * 2 * np.pi / angles
    x = (image.shape[1] - 1) / 2 + radius * np.cos(angle)
    y = (image.shape[0] - 1) / 2 + radius * np.sin(angle)
    return cv2.remap(image, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)


def _unit(circles: np.ndarray) -> np.ndarray:
    """Circles weighted by their area, mean 0 and length 1, so that a product is a correlation."""
    rings = circles.shape[-2]
    centred = circles - circles.mean((-2, -1), keepdims=True)
    weighted = centred * np.sqrt((np.arange(rings)[:, None] + 0.5) / rings)
    return weighted / (np.sqrt((weighted**2).sum((-2, -1), keepdims=True)) + 1e-9)


def spectrum(rings: np.ndarray) -> np.ndarray:
    """(N, 32, 128) int8 rings of one view -> (N, 32, 65) complex64, for circular correlation."""
    return np.fft.rfft(_unit(rings.astype(np.float32)), axis=-1).astype(np.complex64)


def fingerprint(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (H, W) -> (rings, signature), as in ``Fingerprint``."""
    rings, signatures = [], []
    for view in range(VIEWS):
        fine = local_contrast(resize_view(grey, _FINE_SIZE, view), 0.8, 4)
        circles = _circles(fine, RINGS, ANGLES, _FINE_SIZE)
        rings.append(np.round(circles / _QUANTUM).astype(np.int8))
        coarse = local_contrast(resize_view(grey, _COARSE_SIZE, view), 1, 8)
        circles = _unit(_circles(coarse, _COARSE_RINGS, _COARSE_ANGLES, _COARSE_SIZE))
        # The square root keeps a few strong edges from drowning the rest.
        signature = np.sqrt(np.abs(np.fft.rfft(circles, axis=-1))[:, :_FREQUENCIES]).ravel()
        signatures.append(signature / (np.linalg.norm(signature) + 1e-9))
    return np.stack(rings), np.stack(signatures).astype(np.float16)


def read_fingerprint(path: Path) -> Fingerprint:
    """Reads one film. Raises OSError or ValueError where it gives no picture."""
    data = path.read_bytes()
    grey = decode_grey(data)
    try:
        with Image.open(io.BytesIO(data)) as image:
            mode, kind = image.mode, image.format or ""
    except OSError:
        mode, kind = "unknown", path.suffix.lstrip(".").upper()
    rings, signature = fingerprint(grey)
    facts = FileFacts(
        grey.shape[1], grey.shape[0], mode, kind, len(data), float(grey.mean()), float(grey.std())
    )
    shape = repr(grey.shape).encode()
    pixels = hashlib.blake2b(shape + grey.tobytes(), digest_size=16).hexdigest()
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    return Fingerprint(digest, pixels, rings, signature, facts, is_truncated(data))


def _cache_file(cache: Path, path: Path) -> Path:
    stat = path.stat()
    key = f"{VERSION}|{path.resolve()}|{stat.st_mtime_ns}|{stat.st_size}"
    name = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    return cache / name[:2] / f"{name}.npz"


def _load(file: Path) -> Fingerprint | None:
    try:
        with np.load(file, allow_pickle=False) as data:
            width, height, size = (int(v) for v in data["sizes"])
            mean, contrast = (float(v) for v in data["tones"])
            digest, pixels, mode, kind, cut = (str(v) for v in data["texts"])
            facts = FileFacts(width, height, mode, kind, size, mean, contrast)
            return Fingerprint(
                digest, pixels, data["rings"], data["signature"], facts, cut == "truncated"
            )
    except (OSError, KeyError, ValueError, EOFError):
        return None  # absent, or cut off while it was written: computed again


def _save(file: Path, one: Fingerprint) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    facts = one.facts
    cut = "truncated" if one.truncated else "whole"
    data = io.BytesIO()
    np.savez(
        data,
        rings=one.rings,
        signature=one.signature,
        sizes=np.array([facts.width, facts.height, facts.bytes]),
        tones=np.array([facts.mean, facts.contrast]),
        texts=np.array([one.digest, one.pixels, facts.mode, facts.format, cut]),
    )
    replace_file(file, data.getvalue())


def fingerprint_all(
    paths: Sequence[Path],
    cache: Path | None = None,
    workers: int = 2,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Iterator[Fingerprint | Unreadable]:
    """Fingerprints in the order of ``paths``; a file without a picture gives its ``Unreadable``.

    One file's pixels per worker are held at a time. ``cache``: a folder that keeps fingerprints by
    path, time of change and size; hard links and symbolic links to one file are read once.
    """
    by_inode: dict[tuple[int, int], Fingerprint | Unreadable] = {}

    def read(path: Path) -> Fingerprint | Unreadable:
        try:
            stat = path.stat()
            if (known := by_inode.get((stat.st_dev, stat.st_ino))) is not None:
                return known
            file = _cache_file(cache, path) if cache else None
            found = _load(file) if file else None
            if found is None:
                found = read_fingerprint(path)
                if file:
                    _save(file, found)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            return Unreadable(path, reason or type(error).__name__)
        if stat.st_nlink > 1 or path.is_symlink():
            by_inode[stat.st_dev, stat.st_ino] = found
        return found

    with ThreadPoolExecutor(workers) as pool:
        yield from progress(pool.map(read, paths))
