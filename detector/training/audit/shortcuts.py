"""Does a property of the file, or of the table, give the label away without the picture?

Scanners, hospitals and web pages differ in size, colour mode and compression. Where one of them
brought mostly fractured films, a network may learn the source in place of the fracture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from detector.training.audit.fingerprint import FileFacts
from detector.training.data.records import FilmRecord

_FOLDS = 5
_BINS = 12
_MOST_VALUES = 20
# Flagged: an AUC that a picture-blind guess should not have, or a value that (at 95 %) moves the
# proportion of fractured films by this much.
FLAG_AUC = 0.65
FLAG_SHIFT = 0.25
# Named after the label in the sets that are read here; they are the label and no shortcut to it.
_LABEL_COLUMNS = {"fracture_count", "label"}


@dataclass(frozen=True)
class Shortcut:
    """One property against the label.

    ``auc``: of the label guessed from this property alone, cross-validated over groups of films; at
    0.5 or less the property says nothing that holds in another group. ``value``: the value whose
    films differ most from the rest. ``pictures``: how many have it. ``proportion``: of those that
    are fractured. ``base``: the proportion over all pictures. ``flagged``: a likely shortcut.
    """

    name: str
    auc: float
    value: str
    pictures: int
    proportion: float
    base: float
    flagged: bool


def _properties(
    records: Sequence[FilmRecord], facts: Sequence[FileFacts]
) -> Mapping[str, np.ndarray]:
    """Property -> (N,) numbers, or (N,) texts where the property is a kind."""
    width, height, size = (
        np.array([getattr(f, n) for f in facts], float) for n in ("width", "height", "bytes")
    )
    found: dict[str, np.ndarray] = {
        "width": width,
        "height": height,
        "aspect": width / height,
        "file size": size,
        "bits per pixel": 8 * size / (width * height),
        "mean grey": np.array([f.mean for f in facts]),
        "contrast": np.array([f.contrast for f in facts]),
        "mode": np.array([f.mode for f in facts]),
        "format": np.array([f.format for f in facts]),
        "source": np.array([r.source for r in records]),
    }
    for name in sorted({n for r in records for n in r.attributes} - _LABEL_COLUMNS):
        values = np.array([r.attributes.get(name, "") for r in records])
        # More values than that are names and numbers of films, which fit any label.
        if len(np.unique(values)) <= _MOST_VALUES:
            found[name] = values
    return {n: v for n, v in found.items() if len(np.unique(v)) > 1}


def _codes(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(N,) codes 0..K-1 and their names; numbers are cut at quantiles, without the label."""
    if values.dtype.kind != "f":
        names, codes = np.unique(values, return_inverse=True)
        return codes, [str(n) or "(empty)" for n in names]
    cuts = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]))
    codes = np.searchsorted(cuts, values, side="left")
    edges = [f"{c:.4g}" for c in cuts]
    names = [f"up to {edges[0]}"]
    names += [f"{a} to {b}" for a, b in zip(edges[:-1], edges[1:], strict=True)]
    return codes, [*names, f"above {edges[-1]}"]


def find_shortcuts(
    records: Sequence[FilmRecord], facts: Sequence[FileFacts], groups: Sequence[int]
) -> tuple[Shortcut, ...]:
    """Every property that varies, strongest first. Empty where there is one label only."""
    labels = np.array([r.fractured for r in records], float)
    if len(labels) < 2 * _FOLDS or labels.min() == labels.max():
        return ()
    _, pictures, unit = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    base = float(labels[pictures].mean())
    fold = np.random.default_rng(0).permutation(unit.max() + 1)[unit] % _FOLDS
    rows = []
    for name, values in _properties(records, facts).items():
        codes, names = _codes(values)
        guess = np.full(len(labels), base)
        for k in range(_FOLDS):
            seen = fold != k
            count = np.bincount(codes[seen], minlength=len(names))
            hits = np.bincount(codes[seen], labels[seen], minlength=len(names))
            # Drawn towards the base rate, so that two films of a rare value decide little.
            guess[~seen] = ((hits + 2 * base) / (count + 2))[codes[~seen]]
        # A picture counts once for a value, however many copies of it there are: copies are no
        # further evidence.
        _, first = np.unique(np.stack([codes, unit]), axis=1, return_index=True)
        count = np.bincount(codes[first], minlength=len(names))
        hits = np.bincount(codes[first], labels[first], minlength=len(names))
        shifts = [_shift(int(h), int(c), base) for h, c in zip(hits, count, strict=True)]
        best = int(np.argmax(shifts))
        value = float(roc_auc_score(labels, guess))
        flagged = value >= FLAG_AUC or shifts[best] >= FLAG_SHIFT
        proportion = float(hits[best] / count[best]) if count[best] else base
        rows.append(Shortcut(name, value, names[best], int(count[best]), proportion, base, flagged))
    return tuple(sorted(rows, key=lambda s: (-s.flagged, -s.auc)))


def _shift(hits: int, count: int, base: float) -> float:
    """How far the proportion of fractured films lies from ``base`` at least, at 95 %."""
    if not count:
        return 0.0
    interval = binomtest(hits, count).proportion_ci(method="wilson")
    return float(max(0.0, interval.low - base, base - interval.high))
