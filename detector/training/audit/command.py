"""What is wrong with a data set, before a network learns it.

    python -m detector.training.audit FOLDER [--json FILE] [--html FILE]

Broken and truncated files, copies (same bytes, same pixels, same picture turned, flipped or
resized), one picture under both labels, pictures that several splits share, and properties of the
files that give the label away.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from sklearn.metrics import adjusted_rand_score
from tqdm import tqdm

from detector.training.audit.findings import AuditReport
from detector.training.audit.leakage import Progress, compare_films, find_leakage
from detector.training.audit.page import render_html, render_text
from detector.training.audit.shortcuts import find_shortcuts
from detector.training.data.layouts import FilmSet, read_films
from detector.training.data.records import FilmRecord, Unreadable


def audit(
    records: Sequence[FilmRecord],
    unreadable: Sequence[Unreadable] = (),
    cache: Path | None = None,
    workers: int = 2,
    reading: Progress = iter,
    matching: Progress = iter,
) -> AuditReport:
    """Audit films.

    Args:
        records: the films.
        unreadable: files that their reader has already found broken.
        cache: see ``fingerprint_all``.
        workers: threads that read files.
        reading, matching: wrap the two long loops, for a progress bar.
    """
    compared = compare_films(records, cache, workers, reading, matching)
    films = compared.records
    first = {int(g): i for i, g in reversed(list(enumerate(compared.joined)))}
    conflicts = []
    sides: dict[tuple[int, bool], list[int]] = defaultdict(list)
    for index, (record, group) in enumerate(zip(films, compared.joined, strict=True)):
        sides[int(group), record.fractured].append(index)
    for group in first:
        if sides[group, True] and sides[group, False]:
            one = sides[group, True][0]
            conflicts.append(compared.pair(one, compared.partner(one, sides[group, False])))
    kinds = Counter(m.kind for m in compared.matches)
    given = [r.cluster if r.group else str(i) for i, r in enumerate(films)]
    agreement = None
    if any(r.group for r in films):
        agreement = float(adjusted_rand_score(given, compared.found))
    return AuditReport(
        films=tuple(r.path for r in films),
        counts=_counts(films),
        unreadable=(*unreadable, *compared.broken),
        truncated=tuple(
            r.path for r, p in zip(films, compared.prints, strict=True) if p.truncated
        ),
        byte_copies=kinds["bytes"],
        pixel_copies=kinds["pixels"],
        pictures=len(set(compared.found)),
        groups=tuple(sorted((n for n in Counter(compared.found).values() if n > 1), reverse=True)),
        matches=tuple(compared.matches),
        picture_of=compared.found,
        near=tuple(
            compared.pair(m.first, m.second) for m in compared.matches if m.kind == "picture"
        ),
        conflicts=tuple(conflicts),
        leakage=find_leakage(compared),
        shortcuts=find_shortcuts(films, [p.facts for p in compared.prints], compared.joined),
        group_agreement=agreement,
    )


def _counts(films: Sequence[FilmRecord]) -> dict[tuple[str, str], int]:
    counts = Counter(
        (r.split or "no split", "fractured" if r.fractured else "not fractured") for r in films
    )
    return dict(sorted(counts.items()))


def audit_folder(films: FilmSet, cache: Path | None = None, workers: int = 2) -> AuditReport:
    """Audits a folder that was read, with progress bars on stderr."""
    bar = partial(tqdm, file=sys.stderr, mininterval=1.0, unit="film")
    return audit(
        films.records,
        films.unreadable,
        cache,
        workers,
        reading=partial(bar, total=len(films.records), desc="reading"),
        matching=partial(bar, desc="comparing", unit="pair"),
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="a folder of films, in any known layout")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the findings as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE",
                        help="write a page with the offending pairs (it shows the films)")
    parser.add_argument("--cache", type=Path, metavar="FOLDER",
                        help="keep the fingerprints here, so that the next audit is quick")
    parser.add_argument("--workers", type=int, default=2, help="threads that read files")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.ERROR)  # what is broken is in the report
    try:
        films = read_films(arguments.folder)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    report = audit_folder(films, arguments.cache, arguments.workers)
    print(render_text(report, films.layout))
    if arguments.json:
        arguments.json.write_text(json.dumps(report.to_dict(), indent=1) + "\n")
    if arguments.html:
        arguments.html.write_text(render_html(report, films.layout, films.folder))
    return 0

