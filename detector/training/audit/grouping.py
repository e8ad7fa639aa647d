"""Films grouped by the picture that they show, before they are divided into splits.

A film and its rotated, flipped or resized copy in two splits turn a test into a memory exercise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.cluster.hierarchy import DisjointSet

from detector.training.audit.duplicates import find_matches, labels_of
from detector.training.audit.fingerprint import Fingerprint, fingerprint_all
from detector.training.data.records import FilmRecord


def join_groups(records: Sequence[FilmRecord], pictures: Sequence[int]) -> np.ndarray:
    """(N,) labels: films joined by ``pictures`` (any labels per film) or by their own group."""
    sets = DisjointSet(range(len(records)))
    first: dict[object, int] = {}
    for index, (record, picture) in enumerate(zip(records, pictures, strict=True)):
        for key in ((0, int(picture)), (1, record.cluster if record.group else index)):
            sets.merge(first.setdefault(key, index), index)
    return labels_of(sets)


def group_films(
    records: Sequence[FilmRecord], cache: Path | None = None, workers: int = 2
) -> list[FilmRecord]:
    """The records with ``group`` set: the given groups, joined where films show one picture.

    The names are new and hold across sources, unlike ``FilmRecord.cluster``, which adds the source.
    A film alone has an empty one. Files that give no picture keep the group they had. ``cache``:
    see ``fingerprint_all``.
    """
    found = list(fingerprint_all([r.path for r in records], cache=cache, workers=workers))
    read = [i for i, one in enumerate(found) if isinstance(one, Fingerprint)]
    pictures = -1 - np.arange(len(records))
    if read:
        paths = [records[i].path for i in read]
        _, labels = find_matches([found[i] for i in read], paths, cache=cache)
        pictures[read] = labels
    labels = join_groups(records, pictures)
    sizes = np.bincount(labels, minlength=len(records))
    return [
        replace(r, group=f"picture{label}" if sizes[label] > 1 else "")
        for r, label in zip(records, labels, strict=True)
    ]
