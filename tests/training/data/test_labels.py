"""Class folders by their exact names."""

from __future__ import annotations

import pytest

from detector.training.data.labels import class_of, split_of


@pytest.mark.parametrize(
    ("name", "fractured"),
    [
        ("fractured", True), ("Fractured", True), ("not fractured", False),
        ("Non_fractured", False), ("not-fractured", False), ("unfractured", False),
        ("nonfractured", False), ("no fracture", False), ("normal", False), ("1", True),
        ("0", False), ("images", None), ("2024", None), ("abnormal", None), ("not normal", None),
        ("healed fracture", None), ("fracture excluded", None), ("positive controls", None),
    ],
)  # fmt: skip
def test_class_folders(name: str, fractured: bool | None) -> None:
    assert class_of(name) is fractured


def test_split_folders() -> None:
    assert [split_of(n) for n in ("Train", "validation", " test ", "fold 1")] == [
        "train", "val", "test", None
    ]
