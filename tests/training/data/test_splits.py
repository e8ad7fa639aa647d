from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from detector.training.data.records import FilmRecord
from detector.training.data.splits import group_films, join_groups, split_films
from tests.support.copied_films import film, save, turned


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


def test_given_groups_and_pictures_join_transitively() -> None:
    records = [record(0, True, "a"), record(1, True, "a"), record(2, True), record(3, True, "b")]
    labels = join_groups(records, [5, 6, 6, 7])
    assert labels[0] == labels[1] == labels[2] != labels[3]


def test_a_turned_copy_joins_its_original_across_sources(tmp_path: Path) -> None:
    original, other = film(1), film(2)
    paths = [
        save(tmp_path / "a.png", original),
        save(tmp_path / "b.png", turned(original, 12)),
        save(tmp_path / "c.png", other),
        tmp_path / "absent.png",
    ]
    records = [
        FilmRecord(p, source, True) for p, source in zip(paths, "xyxx", strict=True)
    ]
    found = group_films(records)
    assert found[0].group and found[0].group == found[1].group
    assert found[2].group == found[3].group == ""
