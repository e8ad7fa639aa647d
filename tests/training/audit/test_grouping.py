"""Films are grouped by the picture that they show, copies included."""

from __future__ import annotations

from pathlib import Path

from detector.training.audit.grouping import group_films, join_groups
from detector.training.data.records import FilmRecord
from tests.support.copied_films import film, save, turned


def test_given_groups_and_pictures_join_transitively() -> None:
    records = [
        FilmRecord(Path(f"{i}.png"), "s", True, group=group)
        for i, group in enumerate(["a", "a", "", "b"])
    ]
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
