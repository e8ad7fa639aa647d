"""How the recipe fares on a style of films that nobody trained on: leave one source out.

    python benchmarks/leave_one_source_out.py --init tf_efficientnetv2_b0.in1k.safetensors \\
        --data ../shared/data/fracatlas --data ../shared/data/sr2022 \\
        --data ../shared/data/multiregion_pictures \\
        --places detector/training/places/multiregion_pictures.json [--write weights]

For each source `train.py` trains on the others, shorter and at one smaller size than the shipped
weights (``EPOCHS``, ``SIZE``), to the last epoch: val of the two small sources is too small to
choose one. The balanced threshold comes from val of the others; a source without val gives a
quarter of its training films for that. Then the films of train and val of the source left out are
read at that threshold, but for those whose picture the others hold. No test film is read.
``--write`` keeps the figures in the card of the weights in that folder.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from detector.predictor import FractureDetector  # noqa: E402
from detector.training.card import keep_metrics  # noqa: E402
from detector.training.evaluate import UNRANKED  # noqa: E402
from detector.training.layouts import read_manifest  # noqa: E402
from detector.training.leakage import leakage  # noqa: E402
from detector.training.readings import (  # noqa: E402
    Reading,
    one_thread_each,
    read_records,
    without_seen,
)
from detector.training.records import FilmRecord  # noqa: E402
from detector.training.splits import group_films, split_films  # noqa: E402
from detector.training.summary import summarise  # noqa: E402

EPOCHS, SIZE = 6, 320
FOR_VAL = 0.25  # of the training films of a source without val


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


def unshared(
    films: Sequence[FilmRecord], others: Sequence[FilmRecord], cache: Path | None = None
) -> list[FilmRecord]:
    """The films whose picture none of the others shows."""
    marked = [replace(r, split="train") for r in others] + [replace(r, split="test") for r in films]
    seen = leakage(marked, cache=cache).seen
    return [r for r in films if r.path not in seen]


def style_figures(readings: Sequence[Reading], threshold: float) -> dict[str, dict[str, Any]]:
    """Figures per style: AUC, sensitivity, specificity at the threshold, pointing."""
    styles: dict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        styles[reading.source].append(reading)
    figures = {}
    for style, group in styles.items():
        whole = summarise(group, {"balanced": threshold}, ranked=style not in UNRANKED)
        point = whole["operating_points"]["balanced"]
        parts = {k: whole[k] for k in ("auc", "pointing", "pointing_strict") if k in whole}
        parts |= {k: point[k] for k in ("sensitivity", "specificity") if k in point}
        figures[style] = {"films": whole["films"], "fractured": whole["fractured"], **parts}
    return figures


def leave_out(index: int, arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train without the source ``index`` in ``folder`` and read it."""
    cache = arguments.runs / "fingerprints"
    left_out = arguments.data[index]
    home: list[FilmRecord] = []
    command = [sys.executable, str(ROOT / "train.py"), "--runs", str(arguments.runs),
               "--out", str(folder / "weights"), "--epochs", str(arguments.epochs),
               "--sizes", str(arguments.size), "--seed", str(arguments.seed), "--keep", "last"]
    for source in arguments.data:
        if source != left_out:
            records = known_films(source, cache)
            lay_out(records, source, folder / source.name)
            home += records
            command += ["--data", str(folder / source.name)]
    if arguments.init:
        command += ["--init", str(arguments.init.resolve())]
    if arguments.places:
        command += ["--places", str(arguments.places.resolve())]
    subprocess.run(command, cwd=ROOT, check=True)

    detector = FractureDetector.from_pretrained(folder / "weights")
    workers = one_thread_each()
    val = without_seen([r for r in home if r.split == "val"], detector.config.provenance)
    at_home, _ = read_records(detector, val, workers)
    threshold = detector.config.metrics["val"]["balanced_threshold"]
    away, _ = read_records(detector, unshared(known_films(left_out, cache), home, cache), workers)
    return {
        "threshold": round(threshold, 4),
        "others": style_figures(at_home, threshold),
        "left_out": style_figures(away, threshold),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, action="append", required=True, metavar="FOLDER",
                        help="a source in the manifest layout; three or more times")
    parser.add_argument("--init", type=Path, help="ImageNet weights, as for train.py")
    parser.add_argument("--places", type=Path, metavar="FILE", help="as for train.py")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs")
    parser.add_argument("--write", type=Path, metavar="WEIGHTS",
                        help="keep the figures in the card of these weights")
    arguments = parser.parse_args()
    if len(arguments.data) < 3:
        parser.error("leave one of at least three sources out: give --data three times")
    figures: dict[str, Any] = {
        "recipe": f"{arguments.epochs} epochs at {arguments.size} px, seed {arguments.seed}"
    }
    for index, source in enumerate(arguments.data):
        with tempfile.TemporaryDirectory(prefix="leave-out-") as folder:
            figures[source.name] = leave_out(index, arguments, Path(folder))
        print(source.name, json.dumps(figures[source.name]), flush=True)
    if arguments.write:
        keep_metrics(arguments.write, {"leave_one_source_out": figures})


if __name__ == "__main__":
    main()
