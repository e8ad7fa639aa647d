"""The detector's predictions of labelled films, reduced to what figures are made of.

Also what the commands that measure have in common: their arguments and the films they read.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from tqdm import tqdm

from detector.errors import RadiographError
from detector.predictor import FractureDetector
from detector.training.data.layouts import read_films
from detector.training.data.records import FilmRecord
from detector.training.evaluation.metrics import pointing

log = logging.getLogger(__name__)
In, Out = TypeVar("In"), TypeVar("Out")


@dataclass(frozen=True)
class FilmPrediction:
    """What the detector said of a film, beside what is known of it.

    ``logit``: before calibration. ``hit``, ``strict``: pointing game with and without tolerance on
    the heatmap at film resolution; None on a film without boxes. ``box_fraction``: the part of the
    film's area that its largest box covers, 0 without boxes. ``marks``: number of regions that are
    shown.
    """

    record: FilmRecord
    logit: float
    probability: float
    decision: str
    in_scope: bool
    hit: bool | None = None
    strict: bool | None = None
    box_fraction: float = 0.0
    marks: int = 0

    @property
    def source(self) -> str:
        return source_of(self.record)


def source_of(record: FilmRecord) -> str:
    """The source that a film is counted under: its role if its data set has roles, or the set."""
    return record.attributes.get("role") or record.source


def predict_record(detector: FractureDetector, record: FilmRecord) -> FilmPrediction:
    """Read one film. Raises RadiographError where its file gives no film."""
    prediction = detector.predict(record.path)
    film = prediction.calibration.image
    # The logit from the probability: the true path, not a second one, is what is measured.
    certain = min(max(prediction.probability, 1e-15), 1 - 1e-15)
    hit = strict = None
    box_fraction = 0.0
    if len(record.boxes):
        hit, strict = pointing(prediction.heatmap, record.boxes)
        areas = record.boxes[:, 2] * record.boxes[:, 3]
        box_fraction = float(areas.max() / prediction.heatmap.size)
    return FilmPrediction(
        record=record,
        logit=float(film.value(certain)),
        probability=prediction.probability,
        decision=prediction.decision,
        in_scope=prediction.scope.in_scope,
        hit=hit,
        strict=strict,
        box_fraction=box_fraction,
        marks=len(prediction.regions),
    )


def predict_records(
    detector: FractureDetector, records: Sequence[FilmRecord], workers: int = 1
) -> tuple[list[FilmPrediction], list[FilmRecord]]:
    """All predictions in the records' order, and the films whose files give none."""

    def attempt(record: FilmRecord) -> FilmPrediction | FilmRecord:
        try:
            return predict_record(detector, record)
        except RadiographError as error:
            log.warning("%s: %s", record.key, error)
            return record

    done = list(spread(attempt, records, "films", workers))
    return (
        [one for one in done if isinstance(one, FilmPrediction)],
        [one for one in done if isinstance(one, FilmRecord)],
    )


def probability_of(detector: FractureDetector, film: np.ndarray | bytes) -> tuple[float, str]:
    """P(fracture) and the decision as if the film were in scope.

    What a change does to the probability is measured apart from what it does to the OOD check.
    """
    prediction = detector.predict(film)
    return prediction.probability, prediction.calibration.decide(prediction.probability)


def spread(
    function: Callable[[In], Out], items: Iterable[In], what: str, workers: int = 1
) -> Iterator[Out]:
    """``function`` over ``items`` on threads, results in order, with a progress bar."""
    items = list(items)
    with ThreadPoolExecutor(workers) as pool:
        done = pool.map(function, items)
        yield from tqdm(done, total=len(items), desc=what, leave=False, disable=None)


def films_of(folders: Iterable[Path], split: str) -> list[FilmRecord]:
    """The films of a split in all folders.

    All films of a folder without a split are taken; ``without_seen`` then leaves out those that the
    weights were trained on.

    Raises:
        ValueError: a folder has no known layout, or there is no such film.
    """
    chosen: list[FilmRecord] = []
    for folder in folders:
        records = read_films(folder).records
        whole = all(record.split is None for record in records)
        chosen += [record for record in records if whole or record.split == split]
    if not chosen:
        raise ValueError(f"there is no film of the split {split}")
    return chosen


def without_seen(
    records: Sequence[FilmRecord], provenance: Mapping[str, Any]
) -> list[FilmRecord]:
    """The films whose picture the model was not trained on.

    ``provenance``: the weights' own, in which training lists them: ``seen_in_training``, and of
    folders without a split ``used_without_split``.

    Raises:
        ValueError: no film is left.
    """
    seen = {*provenance.get("seen_in_training", ()), *provenance.get("used_without_split", ())}
    kept = [record for record in records if record.key not in seen]
    if not kept:
        raise ValueError("the model was trained or chosen on every one of these films")
    if len(kept) < len(records):
        log.warning("%d films were used in the model's training, or show a picture of it, and are "
                    "left out", len(records) - len(kept))
    return kept


def one_thread_each() -> int:
    """Number of threads to read films on, with one thread of the network each.

    Two films side by side are faster than two threads on one film.
    """
    torch.set_num_threads(1)
    return max(1, min(os.cpu_count() or 1, 16))


def some_films(records: Sequence[FilmRecord], count: int) -> list[FilmRecord]:
    """At most ``count`` films, half of them fractured where there are enough; always the same."""
    order = np.random.default_rng(0).permutation(len(records))
    fractured = [records[i] for i in order if records[i].fractured]
    normal = [records[i] for i in order if not records[i].fractured]
    half = max(count // 2, count - len(normal))
    chosen = fractured[:half]
    return chosen + normal[: count - len(chosen)]


def film_parser(description: str | None, *, split: str = "test") -> argparse.ArgumentParser:
    """The command line of a measurement: which weights, which films, how many.

    ``split``: the one that is read unless another is named.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", default="weights", help="folder or Hub id (default weights)")
    parser.add_argument("--data", type=Path, action="append", required=True, metavar="FOLDER",
                        help="a folder of films; may be given several times")
    parser.add_argument("--split", choices=("val", "test"), default=split,
                        help="which films (default %(default)s)")
    parser.add_argument("--films", type=int, metavar="N", help="only N of the films, a trial")
    return parser


def add_write(parser: argparse.ArgumentParser) -> None:
    """The option to keep what was measured; ``parse_films`` checks it."""
    parser.add_argument("--write", action="store_true",
                        help="keep the figures in the weights' config.json and write their card")


def parse_films(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None
) -> argparse.Namespace:
    """The arguments. Ends the program with a sentence where --write cannot be done."""
    arguments = parser.parse_args(argv)
    if getattr(arguments, "write", False):
        if arguments.films:
            parser.error("--write keeps figures of all films; leave --films out")
        if not Path(arguments.weights).is_dir():
            parser.error("--write needs a weights folder on this machine")
    return arguments


def open_films(arguments: argparse.Namespace) -> tuple[FractureDetector, list[FilmRecord]]:
    """The detector and the films, none of a picture that it was trained on.

    Raises:
        ValueError: the weights cannot be used (WeightsError), or there is no such film.
    """
    detector = FractureDetector.from_pretrained(arguments.weights)
    records = without_seen(
        films_of(arguments.data, arguments.split), detector.config.provenance
    )
    return detector, some_films(records, arguments.films) if arguments.films else records
