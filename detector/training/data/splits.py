"""Splits that keep every group of films on one side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from detector.training.data.records import FilmRecord


def split_films(
    records: Sequence[FilmRecord], fractions: Mapping[str, float], seed: int = 0
) -> list[FilmRecord]:
    """The records with ``split`` set, a group never in two splits, both labels in proportion.

    ``fractions``: split -> fraction, summing to 1. Groups are dealt largest first, in an order that
    ``seed`` fixes, each to the split that lacks most of its films of that label. A group with both
    labels counts as its majority. Groups of one name in two sources stay together, which is the
    safe side where the names are chance. Same input and seed, same split.

    Raises:
        ValueError: the fractions are negative or do not sum to 1.
    """
    if any(v < 0 for v in fractions.values()) or abs(sum(fractions.values()) - 1) > 1e-6:
        raise ValueError(f"The fractions must be positive and sum to 1, not {dict(fractions)}.")
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
