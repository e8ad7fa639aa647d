"""How many normal films of its own does a hospital need, so that its normal films read as normal?

    python benchmarks/adapt.py --data ../shared/data/normal_feet --data ../shared/data/normal_knees

Each folder of normal films (train and val, no test film) stands for a hospital; leave out sources
that the weights were trained on. Of ``N`` films drawn at random two thirds fit and a third judges,
as in ``fracture-detector adapt``; then all films that were not drawn are read. Means of ``DRAWS``
draws. "refused": of how many draws the judge refused the adapted weights, which then stay as they
were. Fractured films of these sources are not at hand: how many fractures are found is not
measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import measuring
import numpy as np
from measuring import table

COUNTS = (30, 60, 120)
DRAWS = 20


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, action="append", required=True, metavar="FOLDER",
                        help="normal films of a source; may be given several times")
    parser.add_argument("--weights", type=Path, default=measuring.ROOT / "weights")
    arguments = parser.parse_args(argv)

    from detector.engines.choice import make_engine
    from detector.model.calibration import Decision
    from detector.model.weights import read_weights
    from detector.training.adapt.command import adapt_from
    from detector.training.adapt.judge import decided
    from detector.training.adapt.recalibrate import with_calibration
    from detector.training.data.layouts import read_films
    from detector.training.fit_heads import read
    from detector.training.heads.familiarity import FilmReadings

    model = read_weights(arguments.weights)
    usual, engine = model.config.calibration, make_engine(model)
    normal_log_odds = model.config.metrics["val"]["normal_log_odds"]
    rows = []
    for folder in arguments.data:
        records = [r for r in read_films(folder).records if r.split in ("train", "val")]
        films = read(engine, records, model.config.input_size, usual, folder.name)

        def shares(said: np.ndarray) -> list[float]:
            return [np.mean(said == d)
                    for d in (Decision.FRACTURE_LIKELY, Decision.NO_FRACTURE_SEEN)]

        likely, cleared = shares(decided(films, usual, model.familiarity))
        rows.append((folder.name, "0", f"{len(records)}", f"{likely:.2f}", f"{cleared:.2f}", "–"))
        for count in (n for n in COUNTS if n < len(records)):
            results, refused = [], 0
            for draw in range(DRAWS):
                order = np.random.default_rng((count, draw)).permutation(len(records))
                split = ["test" if i % 3 == 2 else "train" for i in range(count)]
                drawn = FilmReadings(
                    [replace(records[i], split=s)
                     for i, s in zip(order[:count], split, strict=True)],
                    films.probabilities[order[:count]], films.embeddings[order[:count]],
                )
                rest = films[np.isin(np.arange(len(records)), order[count:])]
                adapted, worse = adapt_from(model, drawn, folder.name, normal_log_odds)
                refused += bool(worse)
                own = model if worse else adapted
                moved = with_calibration(rest, usual, own.config.calibration)
                results.append(shares(decided(moved, own.config.calibration, own.familiarity)))
            likely, cleared = np.mean(results, axis=0)
            rows.append((folder.name, f"{count}", f"{len(records) - count}", f"{likely:.2f}",
                         f"{cleared:.2f}", f"{refused} of {DRAWS}"))
    print(measuring.machine_facts(
        weights=f"{model.config.version}, sha256 {model.sha256[:12]}",
    ))
    print()
    print(table(("source", "own films", "others read", "of them 'fracture likely'",
                 "of them cleared", "refused"), rows))


if __name__ == "__main__":
    main()
