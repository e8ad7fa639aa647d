"""What an audit found, as one value: ``audit.command`` makes it, ``audit.page`` shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detector.training.audit.duplicates import Match
from detector.training.audit.leakage import FilmPair, LeakageFinding
from detector.training.audit.shortcuts import Shortcut
from detector.training.data.records import Unreadable


@dataclass(frozen=True)
class AuditReport:
    """Everything the audit found.

    ``counts``: (split or "no split", label) -> number of films. ``groups``: sizes of the groups of
    two or more films that show one picture. ``picture_of``: (N,) int label of each readable film's
    picture, in the order of ``films``. ``near``: near-duplicates, enough pairs to join every group.
    ``conflicts``: one pair for each picture that has both labels.
    """

    films: tuple[Path, ...]
    counts: Mapping[tuple[str, str], int]
    unreadable: tuple[Unreadable, ...]
    truncated: tuple[Path, ...]
    byte_copies: int
    pixel_copies: int
    pictures: int
    groups: tuple[int, ...]
    matches: tuple[Match, ...]
    picture_of: np.ndarray
    near: tuple[FilmPair, ...]
    conflicts: tuple[FilmPair, ...]
    leakage: LeakageFinding
    shortcuts: tuple[Shortcut, ...]
    group_agreement: float | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""

        def pair(p: FilmPair) -> dict[str, Any]:
            return {**asdict(p), "first": str(p.first), "second": str(p.second)}

        near = [m for m in self.matches if m.kind == "picture"]

        return {
            "films": len(self.films),
            "counts": [{"split": s, "label": c, "films": n} for (s, c), n in self.counts.items()],
            "unreadable": [{"path": str(u.path), "reason": u.reason} for u in self.unreadable],
            "truncated": [str(p) for p in self.truncated],
            "byte_copies": self.byte_copies,
            "pixel_copies": self.pixel_copies,
            "pictures": self.pictures,
            "groups": list(self.groups),
            "near_duplicates": [
                {**pair(p), "similarity": m.similarity, "degrees": m.degrees, "flipped": m.flipped}
                for p, m in zip(self.near, near, strict=True)
            ],
            "both_labels": [pair(p) for p in self.conflicts],
            "leakage": {
                **self.leakage.summary(),
                "pairs": [pair(p) for p in self.leakage.pairs],
            },
            "shortcuts": [asdict(s) for s in self.shortcuts],
            "agreement_with_given_groups": self.group_agreement,
        }
