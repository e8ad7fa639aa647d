from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from detector.training.data.records import FilmRecord
from detector.training.data.splits import split_films


def record(index: int, fractured: bool, group: str = "", source: str = "s") -> FilmRecord:
    return FilmRecord(Path(f"{index}.png"), source, fractured, group=group)


def test_groups_never_straddle_and_labels_keep_their_share() -> None:
    records = [record(i, i % 4 == 0, group=f"g{i // 8}" if i < 160 else "") for i in range(800)]
    found = split_films(records, {"train": 0.7, "val": 0.15, "test": 0.15}, seed=3)
    sides = defaultdict(set)
    for r in found:
        if r.group:
            sides[r.group].add(r.split)
    assert all(len(s) == 1 for s in sides.values())
    for split, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
        for fractured, total in ((True, 200), (False, 600)):
            count = sum(r.split == split and r.fractured is fractured for r in found)
            assert abs(count - share * total) <= 8


def test_seed_decides_and_repeats() -> None:
    records = [record(i, i % 2 == 0) for i in range(60)]
    half = {"train": 0.5, "test": 0.5}
    first, again, other = (
        [r.split for r in split_films(records, half, seed=s)] for s in (1, 1, 2)
    )
    assert first == again != other


def test_wrong_fractions_are_refused() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        split_films([record(0, True)], {"train": 0.5, "test": 0.4})
