"""How the recipe reads films of a source that it knows but that has no val: cross-validation.

    python benchmarks/cross_validate.py --source ../shared/data/multiregion_pictures \\
        --init tf_efficientnetv2_b0.in1k.safetensors \\
        --data ../shared/data/fracatlas --data ../shared/data/sr2022 \\
        --outlines detector/training/data/outlines/multiregion_pictures.json [--write weights]

The training films of ``--source`` are dealt into folds, films of one picture into one fold and both
labels in proportion. For each fold `train.py` trains on the other folds and all of ``--data``,
shorter and at one smaller size than the shipped weights, and reads the fold at the threshold that
is balanced on val of ``--data``. The figures are those of all folds together. No test film is read.
``--write`` keeps them in the card of the weights in that folder.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from retraining import lay_out, parse, parser_of, recipe_in_words, source_figures, train_short

from detector.training.audit.grouping import group_films
from detector.training.card.command import keep_metrics
from detector.training.data.layouts import read_manifest
from detector.training.data.records import FilmRecord
from detector.training.data.splits import split_films
from detector.training.evaluation.predictions import (
    FilmPrediction,
    one_thread_each,
    predict_records,
)

FOLDS = 3


def deal(source: Path, folds: int, seed: int, cache: Path | None = None) -> list[FilmRecord]:
    """The training films of a folder, their ``split`` the fold's number."""
    films = [replace(r, split=None) for r in read_manifest(source) if r.split == "train"]
    shares = {str(fold): 1 / folds for fold in range(folds)}
    return split_films(group_films(films, cache=cache), shares, seed)


def read_fold(
    fold: str, dealt: Sequence[FilmRecord], arguments: argparse.Namespace, folder: Path
) -> tuple[list[FilmPrediction], float]:
    """Train without the fold in ``folder`` and read it: its predictions and the threshold."""
    taught = [replace(r, split="train") for r in dealt if r.split != fold]
    source = folder / arguments.source.name
    lay_out(taught, arguments.source, source)
    detector = train_short([*arguments.data, source], arguments, folder / "weights")
    films = [r for r in dealt if r.split == fold]
    predictions, _ = predict_records(detector, films, one_thread_each())
    return predictions, detector.config.metrics["val"]["balanced_threshold"]


def together(folds: Sequence[tuple[Sequence[FilmPrediction], float]]) -> dict[str, Any]:
    """Figures of all folds' films.

    Raises:
        ValueError: the folds do not share one threshold, so their films cannot be pooled.
    """
    thresholds = {round(threshold, 4) for _, threshold in folds}
    if len(thresholds) > 1:
        raise ValueError(f"the folds' thresholds differ: {sorted(thresholds)}")
    threshold = thresholds.pop()
    films = [one for predictions, _ in folds for one in predictions]
    sources = source_figures(films, threshold)
    return {"threshold": threshold, "folds": len(folds), "sources": sources}


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--source", type=Path, required=True, metavar="FOLDER",
                        help="the source whose training films are dealt, in the manifest layout")
    parser.add_argument("--folds", type=int, default=FOLDS)
    arguments = parse(parser)
    dealt = deal(arguments.source, arguments.folds, arguments.seed,
                 arguments.runs / "fingerprints")
    folds = []
    for fold in sorted({str(r.split) for r in dealt}):
        with tempfile.TemporaryDirectory(prefix="fold-") as folder:
            folds.append(read_fold(fold, dealt, arguments, Path(folder)))
        print(f"fold {fold}", json.dumps(together(folds[-1:])), flush=True)
    figures = {"recipe": recipe_in_words(arguments), **together(folds)}
    print("all folds", json.dumps(figures), flush=True)
    if arguments.write:
        keep_metrics(arguments.write, {"cross_validation": {arguments.source.name: figures}})


if __name__ == "__main__":
    main()
