"""Which films show the same picture: candidates by signature, proof by registration, disjoint sets.

Films of one body part look alike. Similar fingerprints therefore decide only where they are nearly
equal. Where they are merely similar, the two films are read again, registered (rotation, flip,
shift, scale) and compared in fine detail: another hand agrees in its outline, the same hand also in
its texture.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from scipy.cluster.hierarchy import DisjointSet

from detector.io.atomic_io import replace_file
from detector.training.audit.fingerprint import (
    ANGLES,
    VERSION,
    VIEWS,
    Fingerprint,
    decode_grey,
    local_contrast,
    resize_view,
    spectrum,
)

log = logging.getLogger(__name__)

# What counts as one picture. Rings: correlation of the fingerprints; detail: correlation after
# registration. Either alone where it is overwhelming, both where each is strong. Chosen by eye on
# pairs near these values of FracAtlas and of the multi-region set.
CERTAIN_RINGS = 0.90
CERTAIN_DETAIL = 0.88
STRONG_RINGS, STRONG_DETAIL = 0.80, 0.78
# Pairs below are not looked at again, or not once their outlines differ.
WORTH_A_LOOK = 0.45
SAME_OUTLINE = 0.6
_NEIGHBOURS = 16
_ROUNDS = 4
_BLOCK = 512
_PAIRS = 64  # their spectra fit the processor's cache
_DETAIL_SIZE = 128


@dataclass(frozen=True)
class Match:
    """Two films that show one picture.

    ``first``, ``second``: their indices. ``similarity``: in [-1, 1]. ``kind``: "bytes" (the same
    file), "pixels" (the same grey values in another file) or "picture" (rotated, flipped, resized,
    re-exposed). ``degrees``, ``flipped``: what turns the second into the first.
    """

    first: int
    second: int
    similarity: float
    kind: str
    degrees: float = 0.0
    flipped: bool = False


def labels_of(sets: DisjointSet) -> np.ndarray:
    """(n,) int for sets over 0..n-1: the smallest member of each item's set."""
    smallest: dict[int, int] = {}
    return np.array([smallest.setdefault(sets[item], item) for item in sorted(sets)], dtype=int)


def _candidates(signatures: np.ndarray, groups: np.ndarray, neighbours: int) -> np.ndarray:
    """(P, 2) pairs i < j: each film's nearest films outside its own group, in either view."""
    pairs = []
    for view in range(VIEWS):
        base = signatures[:, view].astype(np.float32)
        base = base - base.mean(0)  # what all films share says nothing about a pair
        base /= np.linalg.norm(base, axis=1, keepdims=True) + 1e-9
        for start in range(0, len(base), _BLOCK):
            likeness = base[start : start + _BLOCK] @ base.T
            rows = np.arange(start, start + len(likeness))
            likeness[groups[rows][:, None] == groups[None, :]] = -2
            count = min(neighbours, len(base) - 1)
            nearest = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
            found = np.stack([np.repeat(rows, count), nearest.ravel()], axis=1)
            keep = np.take_along_axis(likeness, nearest, 1).ravel() > -2
            pairs.append(np.sort(found[keep], axis=1))
    return np.unique(np.concatenate(pairs), axis=0) if pairs else np.zeros((0, 2), int)


def _correlate(rings: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(P, 5) per pair: correlation, view, shift (in rings' angles), flipped, sign."""
    best = np.full((len(pairs), 5), -1.0)
    for view in range(VIEWS):
        for start in range(0, len(pairs), _PAIRS):
            block = pairs[start : start + _PAIRS]
            used, inverse = np.unique(block, return_inverse=True)
            spectra = spectrum(rings[used, view])
            a, b = spectra[inverse.reshape(block.shape)].swapaxes(0, 1)
            target = best[start : start + _PAIRS]
            for flipped in (0, 1):
                product = a * (b if flipped else b.conj())
                turned = np.fft.irfft(product.sum(1), ANGLES, axis=-1)
                for sign in (1, -1):  # -1: one of the two is a negative
                    shift = (sign * turned).argmax(1)
                    value = sign * turned[np.arange(len(turned)), shift]
                    better = value > target[:, 0]
                    rest = [np.full(len(value), v) for v in (view, flipped, sign)]
                    row = np.stack([value, rest[0], shift, rest[1], rest[2]], axis=1)
                    target[better] = row[better]
    return best


def _start_warp(a: np.ndarray, b: np.ndarray, angle: float, flipped: bool) -> np.ndarray:
    """(2, 3): takes a point of ``a`` to its point in ``b``, both turned about their centres."""
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, s], [s, -c]] if flipped else [[c, s], [-s, c]])
    centre_a, centre_b = ((np.array(i.shape[::-1]) - 1) / 2 for i in (a, b))
    return np.column_stack([turn, centre_b - turn @ centre_a]).astype(np.float32)


def _warp(image: np.ndarray, warp: np.ndarray, like: np.ndarray) -> np.ndarray:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, warp, like.shape[::-1], flags=flags)


@dataclass(frozen=True)
class _Detail:
    """A film of about 128 pixels: its texture (``fine``), its outlines at half that size
    (``broad``), and where it is not empty (``filled``)."""

    fine: np.ndarray
    broad: np.ndarray
    filled: np.ndarray


def _prepare(small: np.ndarray, view: int) -> _Detail:
    image = resize_view(small, _DETAIL_SIZE, view)
    # Exactly even areas are no part of the picture: corners of a turned film, the grey that a
    # decoder puts where a file breaks off.
    low, high = (op(image, np.ones((5, 5), np.uint8)) for op in (cv2.erode, cv2.dilate))
    filled = (high > low).astype(np.float32)
    half = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return _Detail(local_contrast(image, 0.8, 4), local_contrast(half, 1, 6), filled)


def detail_correlation(
    a: _Detail, b: _Detail, angle: float, flipped: bool, sign: int
) -> float:
    """Correlation in fine detail of two films that are registered here, in [-1, 1].

    The registration starts from ``angle`` (radians) and ``flipped``, which turn the second film
    onto the first; ``sign`` is -1 where one film is a negative. It finds shift, scale and the rest
    of the angle (ECC: Evangelidis and Psarakis, 2008). The result is -1 where it fails, or where
    the films overlap in less than half of the smaller one.
    """
    warp = _start_warp(a.broad, b.broad, angle, flipped)
    turned = sign * _warp(b.broad, warp, a.broad)
    # A crop, or a file that breaks off, moves the centre: look for the middle part nearby.
    y, x = (side // 5 for side in turned.shape)
    middle = turned[y : turned.shape[0] - y, x : turned.shape[1] - x]
    likeness = cv2.matchTemplate(a.broad, middle, cv2.TM_CCOEFF_NORMED)
    if likeness.max() < SAME_OUTLINE:
        return -1.0
    dy, dx = np.unravel_index(likeness.argmax(), likeness.shape)
    warp[:, 2] -= warp[:, :2] @ np.array([dx - x, dy - y], np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 25, 5e-4)
    try:
        _, warp = cv2.findTransformECC(
            a.broad, sign * b.broad, warp, cv2.MOTION_AFFINE, criteria, None, 1
        )
    except cv2.error:  # its way to say that the films do not meet
        return -1.0
    stretch = np.linalg.svd(warp[:, :2], compute_uv=False)
    if stretch[0] > 1.5 or stretch[1] < 0.66:
        return -1.0
    # From pixels of the half size to those of the whole: centres of pixels are half a pixel in.
    warp[:, 2] = 2 * warp[:, 2] + 0.5 - warp[:, :2] @ np.array([0.5, 0.5], np.float32)
    seen = (_warp(b.filled, warp, a.fine) > 0.99) & (a.filled > 0)
    if seen.sum() < 0.5 * min(a.filled.sum(), b.filled.sum()):
        return -1.0
    p, q = a.fine[seen], sign * _warp(b.fine, warp, a.fine)[seen]
    p, q = p - p.mean(), q - q.mean()
    return float((p * q).sum() / (np.sqrt((p * p).sum() * (q * q).sum()) + 1e-9))


def one_picture(rings: float, detail: float) -> bool:
    """The decision, from both correlations."""
    strong = rings >= STRONG_RINGS and detail >= STRONG_DETAIL
    return rings >= CERTAIN_RINGS or detail >= CERTAIN_DETAIL or strong


def _key(prints: Sequence[Fingerprint]) -> str:
    """Names a comparison: the same files in the same order by the same rules."""
    rules = (VERSION, CERTAIN_RINGS, CERTAIN_DETAIL, STRONG_RINGS, STRONG_DETAIL, WORTH_A_LOOK,
             SAME_OUTLINE, _NEIGHBOURS, _ROUNDS, _DETAIL_SIZE)  # fmt: skip
    text = repr(rules) + "".join(one.digest for one in prints)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def find_matches(
    prints: Sequence[Fingerprint],
    paths: Sequence[Path],
    progress: Callable[[Iterable], Iterable] = iter,
    cache: Path | None = None,
) -> tuple[list[Match], np.ndarray]:
    """Matches that join the films into groups, and (N,) group labels (smallest index of each).

    The matches form a spanning forest of the groups; they are not every pair. A file of ``paths``
    is read again only for a pair that the fingerprints leave undecided. ``cache``: a folder that
    keeps the matches of a set of files, by the hashes of their bytes.
    """
    file = cache / f"matches-{_key(prints)}.json" if cache else None
    if file and file.exists():
        matches = [Match(*row) for row in json.loads(file.read_text())]
        sets = DisjointSet(range(len(prints)))
        for match in matches:
            sets.merge(match.first, match.second)
        return matches, labels_of(sets)
    matches, labels = _find(prints, paths, progress)
    if file:
        cache.mkdir(parents=True, exist_ok=True)
        replace_file(file, json.dumps([astuple(match) for match in matches]).encode())
    return matches, labels


def _find(
    prints: Sequence[Fingerprint], paths: Sequence[Path], progress: Callable[[Iterable], Iterable]
) -> tuple[list[Match], np.ndarray]:
    sets = DisjointSet(range(len(prints)))
    matches: list[Match] = []
    for kind in ("digest", "pixels"):
        first: dict[str, int] = {}
        for index, one in enumerate(prints):
            origin = first.setdefault(getattr(one, kind), index)
            if origin != index and sets.merge(origin, index):
                matches.append(Match(origin, index, 1.0, "bytes" if kind == "digest" else kind))
    unique = np.unique(labels_of(sets))
    if len(unique) < 2:
        return matches, labels_of(sets)
    signatures = np.stack([prints[i].signature for i in unique])
    rings = np.stack([prints[i].rings for i in unique])

    # Bounded, so that memory does not grow with the data: 20 and 200 kB apiece.
    @lru_cache(maxsize=4096)
    def small(index: int) -> np.ndarray:
        grey = decode_grey(paths[index].read_bytes())
        return grey if min(grey.shape) < _DETAIL_SIZE else resize_view(grey, _DETAIL_SIZE, 0)

    @lru_cache(maxsize=256)
    def detail(index: int, view: int) -> _Detail:
        return _prepare(small(index), view)

    known = np.zeros(0, np.int64)
    for _ in range(_ROUNDS):
        groups = labels_of(sets)[unique]
        pairs = _candidates(signatures, groups, _NEIGHBOURS)
        codes = pairs @ np.array([len(unique), 1])
        pairs = pairs[~np.isin(codes, known)]
        known = np.union1d(known, codes)
        scores = _correlate(rings, pairs)
        keep = np.flatnonzero(scores[:, 0] >= WORTH_A_LOOK)
        joined = 0
        # The sure ones first, they spare the others a look; then film by film, for the caches.
        unsure = scores[keep, 0] < CERTAIN_RINGS
        for row in progress(keep[np.lexsort((pairs[keep, 0], unsure))]):
            value, view, shift, flipped, sign = scores[row]
            a, b = (int(unique[i]) for i in pairs[row])
            if sets.connected(a, b):
                continue
            angle, view = shift * 2 * np.pi / ANGLES, int(view)
            if value < CERTAIN_RINGS:
                fine = detail_correlation(
                    detail(a, view), detail(b, view), angle, bool(flipped), int(sign)
                )
                if not one_picture(value, fine):
                    continue
                value = max(value, fine)
            degrees = (np.degrees(angle) + 180) % 360 - 180
            matches.append(Match(a, b, float(value), "picture", float(degrees), bool(flipped)))
            joined += sets.merge(a, b)
        log.debug("%d candidate pairs, %d joined", len(pairs), joined)
        if not joined:
            break
    return matches, labels_of(sets)
