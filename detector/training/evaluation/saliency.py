"""Saliency checks: can the heatmap be trusted? From the detector itself, on films and phantoms.

    python -m detector.training.evaluation.saliency --weights weights --split val --out saliency \\
        --data ../shared/data/fracatlas --data ../shared/data/sr2022
    ... --second other_weights    # of another seed: do the maps repeat?
    ... --split test --write      # keep the figures in config.json and write the model card
    ... --quick                   # the slower checks on fewer films, a first impression

Prints a table; with --out also ``saliency.json`` and ``saliency.png``. The test split is read once
per shipped model. Films count where their fractures are boxed; normal ones only for false boxes.
"""

from __future__ import annotations

import copy
import json
import logging
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detector.errors import RadiographError
from detector.predictor import FractureDetector
from detector.training.card.command import keep_metrics
from detector.training.card.saliency import SALIENCY_FILE
from detector.training.card.tables import flat
from detector.training.data.records import FilmRecord
from detector.training.evaluation.froc import average_precision, found_at, froc, match
from detector.training.evaluation.localisation import GAMES, pixel_precision
from detector.training.evaluation.metrics import bootstrap, estimate, mean, proportion
from detector.training.evaluation.phantom_pairs import pair_figures, read_pairs
from detector.training.evaluation.predictions import (
    add_write,
    film_parser,
    one_thread_each,
    open_films,
    parse_films,
    source_of,
    spread,
)
from detector.training.evaluation.saliency_checks import check_figures
from detector.training.evaluation.saliency_figure import draw_figures
from detector.training.evaluation.saliency_films import (
    BoxedPrediction,
    FoundBoxes,
    predict_boxed,
    predict_boxes,
    with_baseline,
)

log = logging.getLogger(__name__)

OVERLAPS = (0.1, 0.3, 0.5)
FALSE_PER_FILM = (0.25, 0.5, 1.0)
POINTS_OF_A_CURVE = 60
_DETAILS = {"curve", "fractions", "by_view", "hottest_at_break", "probability_change",
            "same_decision"}  # fmt: skip


@dataclass(frozen=True)
class Effort:
    """How many films go through the slower checks, and how many limbs of each view are broken."""

    films: int
    limbs: int


FULL, QUICK = Effort(films=40, limbs=4), Effort(films=12, limbs=1)


def saliency_report(
    detector: FractureDetector,
    records: Sequence[FilmRecord],
    *,
    second: FractureDetector | None = None,
    effort: Effort = FULL,
    workers: int = 1,
) -> dict[str, Any]:
    """``{"froc": ..., "saliency": ...}``: figures with 95 % intervals, curves as lists; JSON-ready.

    Args:
        records: films of one split; fractured films without boxes are left out.
        second: a detector that was trained alike from another seed.

    Raises:
        ValueError: no film has a boxed fracture.
    """
    boxed = [r for r in records if r.fractured and r.located]
    if not boxed:
        raise ValueError("none of the films has a boxed fracture")
    network = copy.deepcopy(detector.model.network).cpu().float().eval()
    predictions = [
        one
        for one in spread(_attempt(predict_boxed, detector), boxed, "boxed films", workers)
        if one is not None
    ]
    predictions = with_baseline(network, predictions)
    by_source: dict[str, list[BoxedPrediction]] = defaultdict(list)
    for one in predictions:
        by_source[source_of(one.record)].append(one)
    figures: dict[str, Any] = {
        source: _localisation(group) for source, group in sorted(by_source.items())
    }
    chosen = _evenly(predictions, effort.films)
    figures["checks"] = check_figures(detector, network, chosen, second)
    figures["phantoms"] = pair_figures(list(read_pairs(detector, range(effort.limbs))))

    normal = [r for r in records if not r.fractured and source_of(r) in by_source]
    found = [
        (record, film)
        for record, film in zip(
            boxed + normal,
            spread(_attempt(predict_boxes, detector), boxed + normal, "boxes", workers),
            strict=True,
        )
        if film is not None
    ]
    boxes = {
        source: _froc([(r, f) for r, f in found if source_of(r) == source])
        for source in sorted(by_source)
    }
    return {"froc": boxes, "saliency": figures}


def _attempt(read: Callable, detector: FractureDetector) -> Callable[[FilmRecord], Any]:
    def attempt(record: FilmRecord) -> Any:
        try:
            return read(detector, record)
        except RadiographError as error:
            log.warning("%s: %s", record.key, error)
            return None

    return attempt


def _evenly(items: Sequence, count: int) -> list:
    """At most ``count`` items, spread over the whole sequence."""
    if len(items) <= count:
        return list(items)
    return [items[round(i)] for i in np.linspace(0, len(items) - 1, count)]


def _localisation(predictions: Sequence[BoxedPrediction]) -> dict[str, Any]:
    clusters = [r.record.cluster for r in predictions]
    figures: dict[str, Any] = {"films": len(predictions), "pointing": {}}
    for game in GAMES:
        at = [i for i, r in enumerate(predictions) if game in r.evidence]
        if at:
            figures["pointing"][game] = {
                "films": len(at),
                "evidence": proportion(
                    [predictions[i].evidence[game] for i in at], [clusters[i] for i in at]
                ),
                "plain_gradcam": proportion(
                    [predictions[i].baseline[game] for i in at], [clusters[i] for i in at]
                ),
                "centre_point": proportion(
                    [predictions[i].centre[game] for i in at], [clusters[i] for i in at]
                ),
                "random_point": mean(
                    [predictions[i].chance[game] for i in at], [clusters[i] for i in at]
                ),
            }
    figures["overlap"] = {
        "strongest_region_and_box": mean([r.region_overlap for r in predictions], clusters),
        "map_as_shown_and_outline": mean([r.map_overlap for r in predictions], clusters),
    }
    figures["pixel_precision_recall"] = {
        name: _pixels(np.stack([getattr(r, counts) for r in predictions]), clusters)
        for name, counts in (("evidence", "counts"), ("plain_gradcam", "baseline_counts"))
    }
    for name, key in (("by_size", lambda r: r.size), ("by_decision", lambda r: r.decision)):
        groups: dict[str, list[BoxedPrediction]] = defaultdict(list)
        for one in predictions:
            groups[key(one)].append(one)
        figures[name] = {
            group: {
                "films": len(members),
                "pointing": proportion([m.evidence["boxes"] for m in members],
                                  [m.record.cluster for m in members]),
                "strict": proportion([m.evidence["boxes_strict"] for m in members],
                                [m.record.cluster for m in members]),
            }
            for group, members in sorted(groups.items())
        }  # fmt: skip
    return figures


def _pixels(counts: np.ndarray, clusters: Sequence[str]) -> dict[str, Any]:
    recall, precision, area = pixel_precision(counts.sum(axis=0))
    low, high = bootstrap(
        lambda chosen: pixel_precision(counts[chosen].sum(axis=0))[2], clusters, rounds=500
    )
    curve = np.stack([recall, precision], axis=1)
    return {"area": estimate(area, low, high), "curve": _thinned(curve)}


def _thinned(curve: np.ndarray) -> list[list[float]]:
    return [[round(float(v), 5) for v in row] for row in _evenly(list(curve), POINTS_OF_A_CURVE)]


def _froc(films: Sequence[tuple[FilmRecord, FoundBoxes]]) -> dict[str, Any]:
    boxed = [film.all for _, film in films]
    clusters = [record.cluster for record, _ in films]
    figures: dict[str, Any] = {
        "films": len(films),
        "fractures": sum(len(film.truth) for film in boxed),
    }

    def interval(matches: list, statistic: Callable[[list], float]) -> dict[str, float]:
        def of(chosen: np.ndarray) -> float:
            drawn = [matches[i] for i in chosen]
            return statistic(drawn) if any(m.fractures for m in drawn) else float("nan")

        return estimate(statistic(matches), *bootstrap(of, clusters, rounds=300))

    matches = [match(film, OVERLAPS[0]) for film in boxed]
    figures["found"] = {
        f"at {false:g} false boxes per film": interval(matches, lambda m, f=false: found_at(m, f))
        for false in FALSE_PER_FILM
    }
    shown = [match(film.shown, OVERLAPS[0]) for _, film in films]
    figures["as_shown"] = {
        "found": interval(
            shown, lambda ms: sum(m.right.sum() for m in ms) / sum(m.fractures for m in ms)
        ),
        "false_boxes_per_film": mean([float((~m.right).sum()) for m in shown], clusters),
    }
    figures["average_precision"] = {
        f"from IoU {least:g}": interval([match(f, least) for f in boxed], average_precision)
        for least in OVERLAPS
    }
    false, found, _ = froc(matches)
    figures["curve"] = _thinned(np.stack([false, found], axis=1))
    return figures


def without_details(figures: Any) -> Any:
    """The report without its curves and finer divisions: what a model card can hold."""
    if not isinstance(figures, Mapping):
        return figures
    return {n: without_details(value) for n, value in figures.items() if n not in _DETAILS}


def keep_figures(folder: Path, split: str, report: Mapping[str, Any]) -> None:
    """Keep the figures beside those of ``evaluate`` in ``config.json`` and the card; draw them."""
    draw_figures(report, folder / SALIENCY_FILE)
    keep_metrics(folder, {split: {**without_details(report), "saliency_figure": SALIENCY_FILE}})


def main(argv: list[str] | None = None) -> int:
    parser = film_parser(__doc__)
    parser.add_argument("--second", metavar="WEIGHTS", help="a second training, to compare maps")
    parser.add_argument("--out", type=Path, metavar="FOLDER",
                        help="write saliency.json and saliency.png")
    parser.add_argument("--quick", action="store_true", help="slower checks on fewer films")
    add_write(parser)
    arguments = parse_films(parser, argv)
    try:
        detector, records = open_films(arguments)
        second = FractureDetector.from_pretrained(arguments.second) if arguments.second else None
        report = saliency_report(detector, records, second=second, workers=one_thread_each(),
                              effort=QUICK if arguments.quick else FULL)
    except ValueError as error:
        print(f"saliency: {error}", file=sys.stderr)
        return 2
    rows = list(flat(report))
    width = max(len(what) for what, _ in rows)
    print("\n".join(f"{what:{width}}  {value}" for what, value in rows))
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(report, indent=2, ensure_ascii=False)
        (arguments.out / "saliency.json").write_text(text + "\n", encoding="utf-8")
        draw_figures(report, arguments.out / SALIENCY_FILE)
    if arguments.write:
        keep_figures(Path(arguments.weights), arguments.split, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
