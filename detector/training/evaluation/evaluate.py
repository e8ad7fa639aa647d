"""Every figure of the model card, from the detector itself, film by film.

    python -m detector.training.evaluation.evaluate --weights weights --split val \\
        --data ../shared/data/fracatlas --data ../shared/data/sr2022 \\
        --data ../shared/data/multiregion_pictures
    ... --split test --write      # keep the figures in config.json and write the model card

The test split is read once per shipped model, val as often as one likes. A folder whose films
carry no split is taken whole: an external test.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detector.model.config import read_config
from detector.predictor import FractureDetector
from detector.training.card.command import keep_metrics
from detector.training.card.limitations import limitations
from detector.training.data.layouts import read_films
from detector.training.data.records import SPLITS, FilmRecord
from detector.training.evaluation.metrics import proportion
from detector.training.evaluation.ood_rejection import refusal_figures
from detector.training.evaluation.predictions import (
    FilmPrediction,
    add_write,
    film_parser,
    one_thread_each,
    open_films,
    parse_films,
    predict_records,
    some_films,
    source_of,
)
from detector.training.evaluation.robustness import change_figures, corner_figures, crop_figures
from detector.training.evaluation.summary import calibration_figures, summarise_source, thresholds

log = logging.getLogger(__name__)

# Over these films class goes with source and body region, so classes must not be compared.
UNRANKED = frozenset({"other"})
CHANGED_FILMS = 60  # each is read once per change


def evaluate(
    detector: FractureDetector,
    records: Sequence[FilmRecord],
    *,
    balanced: float | None = None,
    outside: Sequence[Path] = (),
    workers: int = 1,
) -> dict[str, Any]:
    """All figures over ``records``, per source and of the whole, JSON-ready.

    ``balanced``: a third threshold, chosen on val. ``outside``: folders of pictures that are no
    limb films. ``summary``, ``robustness`` and ``ood_rejection`` say what each part holds.
    """
    predictions, unreadable = predict_records(detector, records, workers)
    if not predictions:
        raise ValueError("none of the films could be read")
    points = thresholds(detector.config.calibration, balanced)
    by_source: dict[str, list[FilmPrediction]] = defaultdict(list)
    for one in predictions:
        by_source[one.source].append(one)
    figures: dict[str, Any] = {
        source: summarise_source(group, points, ranked=source not in UNRANKED)
        for source, group in by_source.items()
    }
    figures["all"] = {
        "films": len(predictions),
        "fractured": sum(r.record.fractured for r in predictions),
        "unreadable": len(unreadable),
        "calibration": calibration_figures(predictions),
        "runtime": f"{detector.engine.name}, {detector.engine.precision}",
    }
    figures["ood"] = {
        "accepted": {
            source: proportion([r.in_scope for r in group], [r.record.cluster for r in group])
            for source, group in by_source.items()
        },
        "refused": refusal_figures(detector, outside, workers),
    }
    read = [r.record for r in predictions]
    figures["robustness"] = change_figures(detector, some_films(read, CHANGED_FILMS), workers)
    figures["normal_crops"] = crop_figures(detector, read, workers)
    ranked = [r for r in read if "auc" in figures[source_of(r)]]
    if ranked:
        figures["corners_only"] = {
            source: corner_figures(detector, [r for r in ranked if source_of(r) == source], workers)
            for source in dict.fromkeys(source_of(r) for r in ranked)
        }
    return figures


def data_figures(folders: Sequence[Path]) -> dict[str, Any]:
    """Films per source and split, and what train shares with the held-out splits.

    ``identical_files``: held-out files whose bytes are also a training file's. ``shared_groups``:
    duplicate groups with films on both sides.
    """
    records = [record for folder in folders for record in read_films(folder).records]
    counts: dict[str, dict[str, dict[str, int]]] = defaultdict(dict)
    for record in records:
        cell = counts[source_of(record)].setdefault(
            record.split or "without split", {"films": 0, "fractured": 0}
        )
        cell["films"] += 1
        cell["fractured"] += record.fractured
    digests: dict[str, set[str]] = {"train": set(), "held out": set()}
    groups: dict[str, set[str]] = {"train": set(), "held out": set()}
    identical = 0
    for record in sorted(records, key=lambda r: r.split != "train"):
        side = "train" if record.split == "train" else "held out"
        digest = hashlib.sha256(record.path.read_bytes()).hexdigest()
        identical += side == "held out" and digest in digests["train"]
        digests[side].add(digest)
        if record.group:
            groups[side].add(record.cluster)
    return {
        "sources": {
            source: {split: of_split[split] for split in (*SPLITS, "without split")
                     if split in of_split}
            for source, of_split in sorted(counts.items())
        },
        "identical_files": identical,
        "shared_groups": len(groups["train"] & groups["held out"]),
    }


def keep_figures(
    folder: Path, split: str, figures: Mapping[str, Any], data: Mapping[str, Any]
) -> None:
    """Keep the figures, and the sentences about them, in ``config.json`` and the card."""
    said: dict[str, Any] = {}
    if split == "test":
        reads = read_config(folder)[0].metrics.get("test_reads", 0)
        said = {"limitations": limitations(figures), "test_reads": reads + 1}
    keep_metrics(folder, {split: figures, "data": dict(data), **said})


def lines(figures: Mapping[str, Any]) -> list[str]:
    """A few lines to read on a terminal; the rest is in the JSON."""

    def number(figure: Mapping[str, float] | None) -> str:
        if not figure:
            return "-".ljust(20)
        return f"{figure['value']:.3f} ({figure['low']:.3f}-{figure['high']:.3f})"

    names = [n for n, f in figures.items() if isinstance(f, Mapping) and "operating_points" in f]
    out = [f"{'source':10} {'films':>5} {'fract.':>6}  {'AUC':20}  {'pointing':20}  {'strict':20}"]
    for name in names:
        f = figures[name]
        out.append(
            f"{name:10} {f['films']:5} {f['fractured']:6}  {number(f.get('auc')):20}  "
            f"{number(f.get('pointing')):20}  {number(f.get('pointing_strict')):20}"
        )
    out.append(f"{'':10} {'operating point':>15}  {'sensitivity':20}  {'specificity':20}")
    for name in names:
        for point, f in figures[name]["operating_points"].items():
            out.append(
                f"{name:10} {point:>9} {f['threshold']:.3f}  {number(f.get('sensitivity')):20}  "
                f"{number(f.get('specificity')):20}"
            )
    return out


def main(argv: list[str] | None = None) -> int:
    parser = film_parser(__doc__)
    parser.add_argument("--outside", type=Path, action="append", default=[], metavar="FOLDER",
                        help="pictures that are no limb films, to be refused; several times")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    add_write(parser)
    arguments = parse_films(parser, argv)
    try:
        detector, records = open_films(arguments)
        balanced = detector.config.metrics.get("val", {}).get("balanced_threshold")
        figures = evaluate(detector, records, balanced=balanced, outside=arguments.outside,
                           workers=one_thread_each())
    except ValueError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines(figures)))
    if arguments.json:
        text = json.dumps(figures, indent=2, ensure_ascii=False)
        arguments.json.write_text(text + "\n", encoding="utf-8")
    if arguments.write:
        data = data_figures(arguments.data)
        keep_figures(Path(arguments.weights), arguments.split, figures, data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
