"""Whether any picture is in two splits: what a training run asks before it starts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detector.training.audit.duplicates import Match, find_matches
from detector.training.audit.fingerprint import Fingerprint, fingerprint_all
from detector.training.audit.grouping import join_groups
from detector.training.data.records import SPLITS, FilmRecord, Unreadable

Progress = Callable[[Iterable], Iterable]


@dataclass(frozen=True)
class FilmPair:
    """Two films of one picture that do not belong in these splits, or under these labels.

    ``kind``: as in ``Match``, or "group" where only the data set says that they show one picture.
    """

    first: Path
    second: Path
    kind: str
    splits: tuple[str | None, str | None]
    fractured: tuple[bool, bool]


@dataclass(frozen=True)
class LeakageFinding:
    """Pictures that several splits share.

    ``films``: for each (split, other split), how many films of ``split`` show a picture that
    ``other`` has too. ``same_bytes``: how many of those are the same file. ``sizes``: films per
    split. ``removable``: the fewest films whose removal ends all sharing; train gives way to val,
    both to test. ``pairs``: one for each film of the later split. ``seen``: the held-out films that
    show a picture of train.
    """

    films: Mapping[tuple[str, str], int]
    same_bytes: Mapping[tuple[str, str], int]
    sizes: Mapping[str, int]
    pairs: tuple[FilmPair, ...]
    removable: frozenset[Path]
    seen: frozenset[Path]

    @property
    def leaks(self) -> bool:
        return any(self.films.values())

    @property
    def sentence(self) -> str:
        """One sentence for a log, a refusal or a card."""
        if not self.leaks:
            return "No picture is in more than one split."
        parts = [
            f"{count} of {self.sizes[split]} {split} films show a picture that {other} has too "
            f"({self.same_bytes[split, other]} of them the same file)"
            for (split, other), count in self.films.items()
            if count and SPLITS.index(split) > SPLITS.index(other)
        ]
        return "The split leaks: " + "; ".join(parts) + "."

    def summary(self) -> dict[str, Any]:
        """JSON-ready, without paths."""
        return {
            "leaks": self.leaks,
            "sentence": self.sentence,
            "films": dict(self.sizes),
            "shared": [
                {"split": a, "with": b, "films": n, "same_bytes": self.same_bytes[a, b]}
                for (a, b), n in self.films.items()
            ],
            "removable": len(self.removable),
        }


@dataclass(frozen=True)
class ComparedFilms:
    """The readable films (N) with their fingerprints, and the files that could not be read.

    ``found``: (N,) label of the picture that each film shows. ``joined``: (N,) the same, joined
    with the groups that the data set gives.
    """

    records: list[FilmRecord]
    prints: list[Fingerprint]
    matches: list[Match]
    found: np.ndarray
    joined: np.ndarray
    broken: list[Unreadable]

    def pair(self, a: int, b: int) -> FilmPair:
        p, q = self.prints[a], self.prints[b]
        if p.digest == q.digest:
            kind = "bytes"
        elif p.pixels == q.pixels:
            kind = "pixels"
        else:
            kind = "picture" if self.found[a] == self.found[b] else "group"
        r, s = self.records[a], self.records[b]
        return FilmPair(r.path, s.path, kind, (r.split, s.split), (r.fractured, s.fractured))

    def partner(self, a: int, others: Sequence[int]) -> int:
        """The member of ``others`` that is most plainly the same as ``a``."""
        rank = {"bytes": 0, "pixels": 1, "picture": 2, "group": 3}
        return min(others, key=lambda b: rank[self.pair(a, b).kind])


def compare_films(
    records: Sequence[FilmRecord],
    cache: Path | None,
    workers: int,
    reading: Progress,
    matching: Progress,
) -> ComparedFilms:
    """Fingerprints the films and finds which show one picture."""
    paths = [r.path for r in records]
    results = list(fingerprint_all(paths, cache=cache, workers=workers, progress=reading))
    read = [i for i, one in enumerate(results) if isinstance(one, Fingerprint)]
    films, prints = [records[i] for i in read], [results[i] for i in read]
    matches, found = find_matches(prints, [r.path for r in films], progress=matching, cache=cache)
    broken = [one for one in results if isinstance(one, Unreadable)]
    return ComparedFilms(films, prints, matches, found, join_groups(films, found), broken)


def find_leakage(compared: ComparedFilms) -> LeakageFinding:
    """The pictures that several splits share, among films that were compared."""
    members: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, (record, group) in enumerate(zip(compared.records, compared.joined, strict=True)):
        if record.split in SPLITS:
            members[int(group)][record.split].append(index)
    films: Counter[tuple[str, str]] = Counter()
    same: Counter[tuple[str, str]] = Counter()
    pairs, removable = [], set()
    for splits in members.values():
        for split, own in splits.items():
            for other, theirs in splits.items():
                if other == split:
                    continue
                films[split, other] += len(own)
                digests = {compared.prints[i].digest for i in theirs}
                same[split, other] += sum(compared.prints[i].digest in digests for i in own)
                if SPLITS.index(split) > SPLITS.index(other):
                    pairs += [compared.pair(i, compared.partner(i, theirs)) for i in own]
                else:
                    removable |= {compared.records[i].path for i in own}
    sizes = Counter(r.split for r in compared.records if r.split in SPLITS)
    order = [(a, b) for a in SPLITS for b in SPLITS if a != b and sizes[a] and sizes[b]]
    return LeakageFinding(
        films={key: films[key] for key in order},
        same_bytes={key: same[key] for key in order},
        sizes={s: sizes[s] for s in SPLITS if sizes[s]},
        pairs=tuple(pairs),
        removable=frozenset(removable),
        seen=frozenset(p.first for p in pairs if p.splits[1] == "train"),
    )


def leakage(
    records: Sequence[FilmRecord], cache: Path | None = None, workers: int = 2
) -> LeakageFinding:
    """Whether any picture is in two splits: by the given groups, bytes, pixels and fingerprints.

    Films without a split, and files that cannot be read, take no part. ``cache``: a folder for the
    fingerprints, which makes the next call on the same files quick.
    """
    return find_leakage(compare_films([r for r in records if r.split], cache, workers, iter, iter))
