"""How the recipe fares on films of a source that nobody trained on: leave one source out.

    python benchmarks/leave_one_source_out.py --init tf_efficientnetv2_b0.in1k.safetensors \\
        --data ../shared/data/fracatlas --data ../shared/data/sr2022 \\
        --data ../shared/data/multiregion_pictures \\
        --data ../shared/data/normal_feet --data ../shared/data/normal_knees \\
        --outlines detector/training/data/outlines/multiregion_pictures.json \\
        [--only normal_feet] [--fractured-fraction 0] [--write weights]

For each source (or those of ``--only``) `train.py` trains on the others, shorter and at one smaller
size than the shipped weights (``EPOCHS``, ``SIZE``). Options of `train.py`, here
``--fractured-fraction``, try another recipe by the same judge. The balanced threshold comes from
val of the others; a source without val gives a quarter of its training films for that. Then the
films of train and val of the source left out are read at that threshold, but for those whose
picture the others hold. No test film is read. Of normal films it also counts which are called
'fracture likely' and which are cleared. ``--write`` keeps the figures in the card of the weights in
that folder.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from retraining import (
    known_films,
    lay_out,
    parse,
    parser_of,
    recipe_in_words,
    source_figures,
    train_short,
)

from detector.training.audit.leakage import leakage
from detector.training.card.command import keep_metrics
from detector.training.data.records import FilmRecord
from detector.training.evaluation.predictions import one_thread_each, predict_records, without_seen


def unshared(
    films: Sequence[FilmRecord], others: Sequence[FilmRecord], cache: Path | None = None
) -> list[FilmRecord]:
    """The films whose picture none of the others shows."""
    marked = [replace(r, split="train") for r in others] + [replace(r, split="test") for r in films]
    seen = leakage(marked, cache=cache).seen
    return [r for r in films if r.path not in seen]


def leave_out(index: int, arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train without the source ``index`` in ``folder`` and read it."""
    cache = arguments.runs / "fingerprints"
    left_out = arguments.data[index]
    home: list[FilmRecord] = []
    folders = []
    for source in arguments.data:
        if source != left_out:
            records = known_films(source, cache)
            lay_out(records, source, folder / source.name)
            home += records
            folders.append(folder / source.name)
    detector = train_short(folders, arguments, folder / "weights")

    workers = one_thread_each()
    val = without_seen([r for r in home if r.split == "val"], detector.config.provenance)
    at_home, _ = predict_records(detector, val, workers)
    threshold = detector.config.metrics["val"]["balanced_threshold"]
    films = unshared(known_films(left_out, cache), home, cache)
    away, _ = predict_records(detector, films, workers)
    return {
        "threshold": round(threshold, 4),
        "others": source_figures(at_home, threshold),
        "left_out": source_figures(away, threshold),
    }


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--only", action="append", metavar="NAME",
                        help="leave out just this source; several times (default: each in turn)")
    arguments = parse(parser)
    if unknown := set(arguments.only or ()) - {source.name for source in arguments.data}:
        parser.error(f"--only names no source: {', '.join(sorted(unknown))}")
    if len(arguments.data) < 3:
        parser.error("leave one of at least three sources out: give --data three times")
    figures: dict[str, Any] = {"recipe": recipe_in_words(arguments)}
    for index, source in enumerate(arguments.data):
        if arguments.only and source.name not in arguments.only:
            continue
        with tempfile.TemporaryDirectory(prefix="leave-out-") as folder:
            figures[source.name] = leave_out(index, arguments, Path(folder))
        print(source.name, json.dumps(figures[source.name]), flush=True)
        if arguments.write:  # after each, as each takes long
            keep_metrics(arguments.write, {"leave_one_source_out": figures})


if __name__ == "__main__":
    main()
