"""Splits that keep every picture on one side.

A film and its rotated, flipped or resized copy in two splits turn a test into a memory exercise, so
films are grouped by the picture they show before they are divided.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from detector.training.audit.duplicates import UnionFind, find_matches
from detector.training.audit.fingerprint import Fingerprint, fingerprint_all
from detector.training.data.records import FilmRecord


def join_groups(records: Sequence[FilmRecord], pictures: Sequence[int]) -> np.ndarray:
    """(N,) labels: films joined by ``pictures`` (any labels per film) or by their own group."""
    sets = UnionFind(len(records))
    first: dict[object, int] = {}
    for index, (record, picture) in enumerate(zip(records, pictures, strict=True)):
        for key in ((0, int(picture)), (1, record.unit if record.group else index)):
            sets.join(first.setdefault(key, index), index)
    return sets.labels()


def group_films(
    records: Sequence[FilmRecord], cache: Path | None = None, workers: int = 2
) -> list[FilmRecord]:
    """The records with ``group`` set: the given groups, joined where films show one picture.

    The names are new and hold across sources (``FilmRecord.unit`` adds the source, so it is of no
    use for pictures that two sources share); a film alone has an empty one. Files that give no
    picture keep the group they had. ``cache``: see ``fingerprint_all``.
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


def split_films(
    records: Sequence[FilmRecord], fractions: Mapping[str, float], seed: int = 0
) -> list[FilmRecord]:
    """The records with ``split`` set, a group never in two splits, both labels in proportion.

    ``fractions``: split -> share, summing to 1. Groups are dealt largest first, in an order that
    ``seed`` fixes, each to the split that lacks most of its films of that label. A group with both
    labels counts as its majority. Groups of one name in two sources stay together, which is the
    safe side where the names are chance. Same input and seed, same split.

    Raises:
        ValueError: the fractions are negative or do not sum to 1.
    """
    if any(v < 0 for v in fractions.values()) or abs(sum(fractions.values()) - 1) > 1e-6:
        raise ValueError(f"The fractions must be shares that sum to 1, not {dict(fractions)}.")
    groups: dict[str, list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        groups[f"g:{record.group}" if record.group else f"f:{index}"].append(index)
    rng = np.random.default_rng(seed)
    members = list(groups.values())
    members = [members[i] for i in rng.permutation(len(members))]
    members.sort(key=len, reverse=True)  # stable: equal sizes stay in the order of the seed
    names = list(fractions)
    totals = np.bincount([int(r.fractured) for r in records], minlength=2)
    lacking = {n: totals * fractions[n] for n in names}
    splits: list[str] = [""] * len(records)
    for group in members:
        fractured = np.bincount([int(records[i].fractured) for i in group], minlength=2)
        label = int(fractured[1] * 2 > len(group))
        name = max(names, key=lambda n: (lacking[n][label], fractions[n]))
        lacking[name] = lacking[name] - fractured
        for i in group:
            splits[i] = name
    return [replace(r, split=s) for r, s in zip(records, splits, strict=True)]
