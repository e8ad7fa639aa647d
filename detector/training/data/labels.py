"""Labels as tables and folders give them: known words only, and nothing guessed.

A film whose label is read wrongly is worse than a film that is refused.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

from detector.training.data.records import SPLITS

_CELLS = {
    "1": True, "1.0": True, "true": True, "yes": True,
    "0": False, "0.0": False, "false": False, "no": False,
}  # fmt: skip
_SPLITS = {
    **{split: split for split in SPLITS},
    "training": "train", "valid": "val", "validation": "val", "testing": "test",
}  # fmt: skip
CLASS_FOLDERS = {
    True: ("fractured", "fracture", "fractures", "broken", "positive", "1"),
    False: ("normal", "not fractured", "non fractured", "nonfractured", "unfractured",
            "no fracture", "without fracture", "intact", "healthy", "negative", "0"),
}  # fmt: skip
_CLASSES = {name: label for label, names in CLASS_FOLDERS.items() for name in names}


def class_of(folder: str) -> bool | None:
    """Whether a folder of exactly that name holds fractured films; None for any other name.

    Case does not matter, nor what stands between words: "Non_fractured" is "non fractured".
    """
    return _CLASSES.get(" ".join(re.findall(r"[a-z0-9]+", folder.lower())))


def split_of(name: str) -> str | None:
    """``train``, ``val`` or ``test`` for a folder or a table's cell; None for any other name."""
    return _SPLITS.get(name.strip().lower())


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV with commas or semicolons, with or without a byte-order mark."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        head = file.readline()
        file.seek(0)
        delimiter = ";" if head.count(";") > head.count(",") else ","
        return list(csv.DictReader(file, delimiter=delimiter))


def read_label(row: Mapping[str, str], column: str, where: str) -> bool:
    """Whether a table's cell says fractured. ``where``: the table and the row, for the error.

    Raises:
        KeyError: the table has no such column.
        ValueError: the cell holds no known word. It is not quoted: a shifted row may hold a name.
    """
    label = _CELLS.get((row[column] or "").strip().lower())
    if label is None:
        raise ValueError(f"{where}, column {column}: no label is there. It must be 1 or 0, "
                         "true or false, yes or no.")
    return label


def read_split(row: Mapping[str, str], where: str) -> str | None:
    """The split that a table's row names; None where its cell is empty.

    Raises:
        KeyError: the table has no such column.
        ValueError: the cell holds no known word.
    """
    cell = (row["split"] or "").strip()
    split = split_of(cell)
    if cell and split is None:
        raise ValueError(f"{where}, column split: no split is there. It must be train, val or "
                         "test, or empty.")
    return split
