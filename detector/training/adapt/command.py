"""Adapt weights to the films of one hospital: calibration and operating points of its own.

    fracture-detector adapt FOLDER --normal --out adapted      # normal films alone, from 30 on
    fracture-detector adapt FOLDER --out adapted               # two folders, or a manifest
    fracture-detector predict film.dcm --model adapted

30 to 300 films; seconds once they are read. The network stays: what a film is called is decided
anew, from two thirds of the films. The other third judges; where it is read worse than before,
nothing is written. With normal films alone nobody can say how many fractures are then found: add
fractured films, ten or more, and see the card of the new weights.

Exit code: 0 done; 1 the held-out films are read worse, nothing was written; 2 wrong usage or films.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from detector.engines.choice import make_engine
from detector.errors import RadiographError
from detector.io.find_films import list_films
from detector.io.radiograph import load_radiograph
from detector.model.hub import resolve_weights
from detector.model.weights import MODEL_FILE, Model, read_weights, write_heads
from detector.training.adapt.judge import decided, got_worse, held_out_figures
from detector.training.adapt.recalibrate import recalibrate, with_calibration
from detector.training.audit.grouping import group_films
from detector.training.calibrate.operating_points import outermost
from detector.training.card.command import write_card
from detector.training.data.layouts import read_films
from detector.training.data.records import FilmRecord
from detector.training.data.splits import split_films
from detector.training.fit_heads import read
from detector.training.heads.familiarity import FAMILIAR, FilmReadings

PARTS = {"train": 2 / 3, "test": 1 / 3}  # what is fitted on, and what judges
MOST = 2000  # films; more are better used for training


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="fracture-detector adapt", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("folder", type=Path, metavar="FOLDER",
                      help="films: a folder per class, a manifest, or with --normal any folder")
    made.add_argument("--out", type=Path, required=True, metavar="FOLDER",
                      help="a new folder for the adapted weights")
    made.add_argument("--weights", metavar="WEIGHTS",
                      help="what to adapt: a folder or a Hub id (default: the shipped weights)")
    made.add_argument("--normal", action="store_true", help="no film of FOLDER shows a fracture")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        if arguments.out.exists() and any(arguments.out.iterdir()):
            raise ValueError(f"{arguments.out} is not empty. Choose a new folder.")
        source = resolve_weights(arguments.weights)
        model = read_weights(source, build=False)
        records = films(arguments.folder, arguments.normal)
        adapted, worse = adapt(model, records, arguments.folder.name)
    except (ValueError, OSError) as error:
        print(f"adapt: {error}", file=sys.stderr)
        return 2
    figures = adapted.config.metrics["adaptation"]
    print(f"fitted on {figures['fitted_on']}; held out: {figures['before']} before, "
          f"{figures['after']} after")
    if worse:
        print(f"adapt: of the held-out films, {worse}. Nothing was written.", file=sys.stderr)
        return 1
    arguments.out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / MODEL_FILE, arguments.out / MODEL_FILE)
    write_heads(arguments.out, adapted.heads, adapted.config, adapted.sha256)
    write_card(arguments.out)
    print(f"weights written to {arguments.out}")
    return 0


def films(folder: Path, normal: bool) -> list[FilmRecord]:
    """The films of a folder that can be read, each with the group of its copies; no test film.

    Raises:
        ValueError: no known layout, no film, or far too many.
    """
    if normal:
        found = [
            FilmRecord(Path(path), folder.name, False, name=str(Path(path).relative_to(folder)))
            for path in list_films([str(folder)])
        ]
    else:
        found = [r for r in read_films(folder).records if r.split != "test"]
    if len(found) > MOST:
        raise ValueError(f"{len(found)} films are enough to train on: see `train`.")
    readable = [record for record in found if _readable(record)]
    if not readable:
        raise ValueError(f"{folder} holds no film that can be read.")
    if len(readable) < len(found):
        print(f"{len(found) - len(readable)} files are no films and are left out", file=sys.stderr)
    return group_films([replace(record, split=None) for record in readable])


def _readable(record: FilmRecord) -> bool:
    try:
        load_radiograph(record.path)
    except (RadiographError, OSError):
        return False
    return True


def adapt(model: Model, records: Sequence[FilmRecord], name: str) -> tuple[Model, str]:
    """The adapted model, and why it is worse on the held-out films (empty: it is not).

    Raises:
        ValueError: the weights lack what adapting needs, or there are too few films.
    """
    normal_log_odds = model.config.metrics.get("val", {}).get("normal_log_odds")
    if normal_log_odds is None:
        raise ValueError("these weights do not say how they read normal films; fit their heads "
                         "first (python -m detector.training.fit_heads).")
    usual = model.config.calibration
    divided = split_films(records, PARTS)
    answers = read(make_engine(model), divided, model.config.input_size, usual, "films")
    return adapt_from(model, answers, name, float(normal_log_odds))


def adapt_from(
    model: Model, answers: FilmReadings, name: str, normal_log_odds: float
) -> tuple[Model, str]:
    """``adapt`` for films that were read: those of the split "train" fit, the others judge."""
    usual = model.config.calibration
    fitting = np.array([record.split == "train" for record in answers.records], bool)
    fit, held_out = answers[fitting], answers[~fitting]
    if not len(held_out.records):
        raise ValueError("no film is left to judge by")
    own = recalibrate(usual, fit, normal_log_odds)
    after = with_calibration(held_out, usual, own)

    familiarity = model.familiarity
    said = decided(held_out, usual, familiarity)
    if familiarity is not None:
        # The new operating points are of these films: as far out as they lie is familiar.
        reach = outermost(np.array([familiarity.score(e) for e in fit.embeddings]), FAMILIAR)
        familiarity = replace(
            familiarity, threshold=familiarity.threshold * max(1.0, reach),
            rule_in=max(familiarity.rule_in, own.rule_in),
            rule_out=min(familiarity.rule_out, own.rule_out),
        )
    said_after = decided(after, own, familiarity)
    worse = got_worse(held_out, said, after, said_after)
    figures = {
        "of": f"weights {model.config.version}", "films_of": name,
        "fitted_on": {"normal": int((~fit.fractured).sum()), "fractured": int(fit.fractured.sum())},
        "before": held_out_figures(held_out, said),
        "after": held_out_figures(after, said_after),
    }
    kept = {k: v for k, v in model.config.metrics.items() if k in ("val", "data")}
    config = replace(
        model.config,
        version=f"{model.config.version}.adapted{datetime.now(UTC):%Y%m%d%H%M}",
        calibration=own,
        provenance={**model.config.provenance, "adapted": f"{datetime.now(UTC):%Y-%m-%d}"},
        # Figures of the weights before say nothing of these operating points.
        metrics={**kept, "adaptation": figures},
    )
    return Model(
        model.tensors, model.ood, config, model.sha256,
        familiarity=familiarity, anatomy=model.anatomy,
    ), worse


if __name__ == "__main__":
    sys.exit(main())
