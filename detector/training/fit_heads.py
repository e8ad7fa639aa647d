"""Fit the heads of trained weights anew: OOD check, familiarity, anatomy. The network stays.

    python -m detector.training.fit_heads --weights weights --data ../shared/data/fracatlas \\
        --data ../shared/data/sr2022 --data ../shared/data/multiregion_pictures \\
        --data ../shared/data/normal_feet --data ../shared/data/normal_knees \\
        --ood-images ../shared/data/not_limbs --ood-images ../shared/data/multiregion

Reads train and val, no test film. A source in ``--data`` that the network was not trained on (its
``config.json`` says on which) counts as unseen: its films give the operating points of unfamiliar
films. Where there is none, ``--points-from`` takes those that other weights have, best of the same
recipe without a source, and what they measured on it. Writes
``heads.safetensors`` and ``config.json`` and the card; ``model.safetensors`` is not touched.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import detector
from detector.engines.base import Engine
from detector.engines.choice import make_engine
from detector.model.calibration import Calibration
from detector.model.familiarity import FamiliarityModel
from detector.model.heads import Heads
from detector.model.weights import Model, read_weights, write_heads
from detector.training.card.command import write_card
from detector.training.config import TrainConfig
from detector.training.data.layouts import read_films
from detector.training.data.records import FilmRecord
from detector.training.export import run_films
from detector.training.heads.anatomy import anatomy_figures, region_of
from detector.training.heads.familiarity import (
    FilmReadings,
    familiarity_figures,
    fit_familiarity,
    usual_normal,
    with_points,
)
from detector.training.heads.fit import fit_heads
from detector.training.ood_data import OodData, ood_data

VIEWS = 120


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m detector.training.fit_heads", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--weights", type=Path, default=Path("weights"), metavar="FOLDER",
                      help="the weights to fit heads for (default weights)")
    made.add_argument("--data", type=Path, action="append", required=True, metavar="FOLDER",
                      help="a folder of films with a split; may be given several times")
    made.add_argument("--ood-images", type=Path, action="append", default=[], metavar="FOLDER",
                      help="as for train.py: pictures that are no limb films")
    made.add_argument("--views", type=int, default=VIEWS, metavar="N",
                      help="of the pictures in a folder of --ood-images, whole or in part "
                      "(default %(default)s)")
    made.add_argument("--points-from", type=Path, metavar="WEIGHTS",
                      help="take the operating points of unfamiliar films from these weights")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        model = read_weights(arguments.weights)
        points = read_weights(arguments.points_from, build=False) if arguments.points_from else None
        heads, ood, facts, figures = fit(
            model, arguments.data, arguments.ood_images, points, arguments.views
        )
    except ValueError as error:
        print(f"heads: {error}", file=sys.stderr)
        return 2
    config = model.config
    config = replace(
        config,
        version=f"{detector.__version__}+{datetime.now(UTC):%Y%m%d.%H%M}",
        ood_zero=ood[0], ood_threshold=ood[1],
        provenance={**config.provenance, **facts},
        metrics={**config.metrics, **figures},
    )
    write_heads(arguments.weights, heads, config, model.sha256)
    write_card(arguments.weights)
    return 0


def fit(
    model: Model, folders: Sequence[Path], ood_images: Sequence[Path],
    points: Model | None = None, views: int = VIEWS,
) -> tuple[Heads, tuple[float, float], dict[str, Any], dict[str, Any]]:
    """The heads, the OOD check's zero and threshold, provenance and figures for ``config.json``.

    Raises:
        ValueError: no film of a source that the network was trained on, or none of its val.
    """
    config, engine = model.config, make_engine(model)
    left_out = set(config.provenance.get("left_out_of_training", ()))
    seen = set(config.provenance.get("seen_in_training", ()))
    known_sources = set(config.provenance.get("films", ()))
    records = [r for folder in folders for r in read_films(folder).records
               if r.split in ("train", "val")]
    train = [r for r in records if r.split == "train" and r.key not in left_out]
    val = [r for r in records if r.split == "val" and r.key not in left_out | seen]
    if not any(r.source in known_sources for r in train):
        raise ValueError("none of the films is of a source that these weights were trained on")
    settings = TrainConfig(
        sizes=(int(config.input_size),), input_scale=1.0, ood_images=tuple(ood_images)
    )
    data = ood_data(engine, train, settings, ood_images, views)
    held_out = read(engine, val, config.input_size, config.calibration, "val")
    ood = data.fit(held_out.embeddings)

    known = np.isin([r.source for r in data.records], list(known_sources))
    at_home = np.isin(held_out.sources, list(known_sources))
    if not at_home.any():
        raise ValueError("no film is of val of a source that these weights were trained on")
    unseen_records = [r for r in [*train, *val] if r.source not in known_sources]
    unseen = None
    if unseen_records:
        unseen = read(engine, unseen_records, config.input_size, config.calibration, "unseen")
    home = [r for r, inside in zip(data.records, known, strict=True) if inside]
    drawn = {record.key for record in home}
    more = [r for r in train
            if r.source in known_sources and r.key not in drawn and region_of(r) is not None]
    labelled = None
    if more:
        labelled = read(engine, more, config.input_size, config.calibration, "anatomy")
    heads = fit_heads(ood, home, data.whole[known], held_out[at_home].embeddings,
                      config.calibration, unseen, labelled)
    if unseen is None and points is not None and points.familiarity is not None:
        heads = replace(heads, familiarity=_taken_points(heads.familiarity, points, model))
    whole = FilmReadings(home, np.zeros(len(home)), data.whole[known])
    facts = {
        "heads_fitted": f"{datetime.now(UTC):%Y-%m-%d}",
        "unseen_sources": sorted({r.source for r in unseen_records}),
        "ood_reference": {
            "images": [folder.name for folder in ood_images] or ["drawn"],
            "number": len(np.unique(data.images)), "views": len(data.images),
        },
    }
    figures = {
        "val": {**config.metrics.get("val", {}),
                "normal_log_odds": round(usual_normal(held_out[at_home]), 4)},
        "familiarity": left_out_figures(
            whole, held_out[at_home], unseen, config.calibration, heads.familiarity
        ),
        "ood_left_out": ood_figures(data, held_out),
    }
    if unseen is None and points is not None:
        facts["unfamiliar_points_from"] = f"weights {points.config.version}"
        if measured := points.config.metrics.get("familiarity", {}).get("unseen"):
            figures["familiarity"] |= {"unseen": measured, "unseen_by": points.config.version}
    if heads.anatomy is not None:
        figures["anatomy"] = anatomy_figures(
            heads.anatomy, held_out.records, held_out.embeddings
        )
    return heads, (ood.zero, ood.threshold), facts, figures


def _taken_points(
    fitted: FamiliarityModel, points: Model, model: Model
) -> FamiliarityModel:
    """The operating points of other weights, where they are not those weights' usual ones."""
    usual, theirs, taken = model.config.calibration, points.config.calibration, points.familiarity
    rule_out = usual.rule_out if taken.rule_out == theirs.rule_out else taken.rule_out
    rule_in = usual.rule_in if taken.rule_in == theirs.rule_in else taken.rule_in
    return replace(fitted, rule_out=rule_out, rule_in=max(rule_in, usual.rule_in))


def read(
    engine: Engine, records: Sequence[FilmRecord], size: int, calibration: Calibration, what: str
) -> FilmReadings:
    """The network's answers to films."""
    outputs, _ = run_films(engine, records, size, what)
    return FilmReadings(
        records, calibration.image.probability(np.array([o.logit for o in outputs])),
        np.stack([o.embedding for o in outputs]),
    )


def left_out_figures(
    train: FilmReadings, val: FilmReadings, unseen: FilmReadings | None, usual: Calibration,
    fitted: FamiliarityModel,
) -> dict[str, Any]:
    """How the distance and its operating points do on films that they were not fitted on.

    ``known``: val films of known sources. ``left_out``: the distance fitted without a known source,
    read on its val; the network itself has seen the source. ``unseen``: sources that the network
    never saw, each read at the operating points that the others of them give.
    """
    figures: dict[str, Any] = {"known": familiarity_figures(fitted, usual, val)}
    left_out: dict[str, Any] = {}
    for source in dict.fromkeys(train.sources):
        rest, own = train[train.sources != source], val[val.sources == source]
        home = val[val.sources != source]
        asked = own if len(own.records) else train[train.sources == source]
        if len(rest.records) and len(home.records):
            model = fit_familiarity(rest.embeddings, home.embeddings, usual)
            unfamiliar = [model.score(e) > 1 for e in asked.embeddings]
            left_out[source] = {"films": len(unfamiliar),
                                "unfamiliar": round(float(np.mean(unfamiliar)), 4)}
    figures["left_out"] = left_out
    if unseen is not None:
        figures["unseen"] = {}
        plain = replace(fitted, rule_out=usual.rule_out, rule_in=usual.rule_in)
        for source in dict.fromkeys(unseen.sources):
            model = with_points(plain, usual, unseen[unseen.sources != source])
            own = familiarity_figures(model, usual, unseen[unseen.sources == source])
            figures["unseen"][source] = {**own[source], "rule_in": round(model.rule_in, 4),
                                         "rule_out": round(model.rule_out, 4)}
    return figures


def ood_figures(data: OodData, held_out: FilmReadings) -> Mapping[str, Any]:
    """The OOD check fitted without a source: the share of the source's films that it lets in.

    Of a source with val its val, else its training films.
    """
    sources = np.array([record.source for record in data.records])
    figures: dict[str, Any] = {}
    for source in dict.fromkeys(sources):
        known, home = sources != source, held_out.sources != source
        if known.any() and home.any():
            part = OodData([r for r in data.records if r.source != source], data.whole[known],
                           data.parts[known], data.others, data.images)
            check = part.fit(held_out.embeddings[home])
            asked = data.whole[~known] if home.all() else held_out.embeddings[~home]
            figures[source] = {
                "films": len(asked),
                "let_in": round(float(np.mean([check.score(e) <= 1 for e in asked])), 4),
            }
    return figures


if __name__ == "__main__":
    sys.exit(main())
