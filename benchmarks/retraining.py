"""What the benchmarks that train the recipe anew share: films, folders, a short run, figures."""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from detector.model.calibration import Decision  # noqa: E402
from detector.predictor import FractureDetector  # noqa: E402
from detector.training.audit.grouping import group_films  # noqa: E402
from detector.training.data.layouts import read_manifest  # noqa: E402
from detector.training.data.records import FilmRecord  # noqa: E402
from detector.training.data.splits import split_films  # noqa: E402
from detector.training.evaluation.evaluate import UNRANKED  # noqa: E402
from detector.training.evaluation.metrics import proportion  # noqa: E402
from detector.training.evaluation.predictions import FilmPrediction  # noqa: E402
from detector.training.evaluation.summary import summarise  # noqa: E402

EPOCHS, SIZE = 6, 320
FOR_VAL = 0.25  # of the training films of a source without val


def parser_of(description: str) -> argparse.ArgumentParser:
    """The options of a benchmark that trains: data, start, length, where the figures go.

    Options that it does not know are passed to `train.py`, see ``parse``.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--data", type=Path, action="append", required=True, metavar="FOLDER",
                        help="a source in the manifest layout; several times")
    parser.add_argument("--init", type=Path, help="ImageNet weights, as for train.py")
    parser.add_argument("--outlines", type=Path, metavar="FILE",
                        help="as for train.py; has the name of the source that it belongs to")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs")
    parser.add_argument("--write", type=Path, metavar="WEIGHTS",
                        help="keep the figures in the card of these weights")
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The command line; ``recipe`` holds the options of `train.py` that try another recipe."""
    arguments, recipe = parser.parse_known_args()
    return argparse.Namespace(**vars(arguments), recipe=recipe)


def recipe_in_words(arguments: argparse.Namespace) -> str:
    words = f"{arguments.epochs} epochs at {arguments.size} px, seed {arguments.seed}"
    return words + (f", {' '.join(arguments.recipe)}" if arguments.recipe else "")


def train_short(
    folders: Sequence[Path], arguments: argparse.Namespace, out: Path
) -> FractureDetector:
    """Train on ``folders`` by the command line's recipe, to the last epoch, and load the result."""
    command = [sys.executable, str(ROOT / "train.py"), "--runs", str(arguments.runs.resolve()),
               "--out", str(out), "--epochs", str(arguments.epochs),
               "--sizes", str(arguments.size), "--seed", str(arguments.seed), *arguments.recipe]
    for folder in folders:
        command += ["--data", str(folder.resolve())]
    if arguments.init:
        command += ["--init", str(arguments.init.resolve())]
    if arguments.outlines and arguments.outlines.stem in {folder.name for folder in folders}:
        command += ["--outlines", str(arguments.outlines.resolve())]
    subprocess.run(command, cwd=ROOT, check=True)
    return FractureDetector.from_pretrained(out)


def known_films(folder: Path, cache: Path | None = None) -> list[FilmRecord]:
    """Train and val of a folder in the manifest layout; some of train as val where it has none."""
    records = [r for r in read_manifest(folder) if r.split in ("train", "val")]
    if any(r.split == "val" for r in records):
        return records
    loose = group_films([replace(r, split=None) for r in records], cache=cache)
    return split_films(loose, {"train": 1 - FOR_VAL, "val": FOR_VAL})


def lay_out(records: Sequence[FilmRecord], source: Path, target: Path) -> None:
    """A folder in the manifest layout of just these films of ``source``, pictures by link."""
    target.mkdir(parents=True)
    (target / "images").symlink_to((source / "images").resolve())
    if (source / "annotations.json").exists():
        (target / "annotations.json").symlink_to((source / "annotations.json").resolve())
    split = {r.path.name: r.split for r in records}
    with (source / "manifest.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["file"] in split]
    with (target / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(row | {"split": split[row["file"]]} for row in rows)


def source_figures(
    predictions: Sequence[FilmPrediction], threshold: float
) -> dict[str, dict[str, Any]]:
    """Figures per source: AUC, sensitivity, specificity at the threshold, pointing.

    And of its normal films, what fraction is called 'fracture likely' (``called_fractured``) and
    'no fracture seen' (``cleared``), by the detector's own operating points.
    """
    sources: dict[str, list[FilmPrediction]] = defaultdict(list)
    for one in predictions:
        sources[one.source].append(one)
    figures = {}
    for source, group in sources.items():
        whole = summarise(group, {"balanced": threshold}, ranked=source not in UNRANKED)
        point = whole["operating_points"]["balanced"]
        parts = {k: whole[k] for k in ("auc", "pointing", "pointing_strict") if k in whole}
        parts |= {k: point[k] for k in ("sensitivity", "specificity") if k in point}
        normal = [one for one in group if not one.record.fractured]
        for name, decision in (("called_fractured", Decision.FRACTURE_LIKELY),
                               ("cleared", Decision.NO_FRACTURE_SEEN)):
            if normal:
                parts[name] = proportion([one.decision == decision for one in normal],
                                         [one.record.cluster for one in normal])
        figures[source] = {"films": whole["films"], "fractured": whole["fractured"], **parts}
    return figures
