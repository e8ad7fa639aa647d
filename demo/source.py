"""Which film an answer is of: its name as given, its frame, its bytes' digest, when it was read."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from detector import Prediction
from detector.report.words import ENGLISH, Words

LONGEST = 120  # letters of a name


@dataclass(frozen=True)
class Source:
    """``name``: as the visitor's browser gave it, never from the file's patient fields.

    ``sha256``: of the file's bytes. ``frame``: counted from 1, None for a file of one picture.
    """

    name: str
    sha256: str
    frame: int | None = None
    read_at: datetime = field(default_factory=lambda: datetime.now().astimezone())

    def line(self, prediction: Prediction, words: Words = ENGLISH) -> str:
        """The film in one line: name, frame, pixel size, first 8 digits of the digest, time."""
        parts = [
            self.name,
            words.say("frame", number=self.frame) if self.frame else "",
            f"{prediction.film.width} × {prediction.film.height} px",
            f"sha256 {self.sha256[:8]}",
            f"{self.read_at:%Y-%m-%d %H:%M:%S %Z}".rstrip(),
        ]
        return " · ".join(filter(None, parts))


def source_of(file: str, frame: int | None = None, name: str = "") -> Source:
    """The source of a file on disk. ``frame`` is counted from 0, as the detector does.

    Raises:
        OSError: the file is gone.
    """
    with open(file, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Source(name or given_name(file), digest, None if frame is None else frame + 1)


def given_name(file: str) -> str:
    """The name of an upload as the browser gave it, without what cannot be shown, and not endless.

    A folder's films keep the folders within it: "day 2/wrist.dcm".
    """
    name = getattr(file, "given_name", None) or Path(file).name
    shown = "".join(letter for letter in name if letter.isprintable())
    return shown if len(shown) <= LONGEST else f"{shown[:60]}…{shown[-59:]}"


def distinct_names(files: Sequence[str]) -> list[str]:
    """The ``given_name`` of each file; those of one name get a number: "a.png (2)"."""
    names = [given_name(file) for file in files]
    total, seen, taken = Counter(names), Counter[str](), set(names)
    distinct = []
    for name in names:
        seen[name] += 1
        number, told_apart = seen[name], name
        while total[name] > 1 and number > 1 and told_apart in taken:
            told_apart = f"{name} ({number})"
            number += 1
        taken.add(told_apart)
        distinct.append(told_apart)
    return distinct
