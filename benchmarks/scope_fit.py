"""Does the scope check let other styles in and photographs out? Read on train and val, not test.

    python benchmarks/scope_fit.py --data ../shared/data/fracatlas --data ../shared/data/sr2022 \\
        --data ../shared/data/multiregion_pictures --photographs FOLDER

Fits the check as `detector.training.export` does, on all sources and with each one left out, and
reads how many of its films are then taken for films. "per level" is what is exported: each level
of the backbone is whitened by its own covariance and weighs the same; "one covariance" whitens all
of them together. ``--photographs``: pictures of your own, of which parts are shown in grey; let
them be other ones than the card's, as this is what the check is chosen by.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import measuring
import numpy as np
from measuring import table

PARTS = 8  # of each photograph


def read_photographs(folder: Path) -> list[np.ndarray]:
    pictures = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted(folder.iterdir())]
    return [picture for picture in pictures if picture is not None]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, action="append", required=True, metavar="FOLDER",
                        help="a folder of films with a split; may be given several times")
    parser.add_argument("--photographs", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--weights", type=Path, default=None, help="default: the shipped ones")
    arguments = parser.parse_args()

    from detector.checkpoint import read_weights
    from detector.engine_torch import TorchEngine
    from detector.geometry import Letterbox
    from detector.training.export import run_films, scope_films
    from detector.training.fitting import fit_scope
    from detector.training.readings import films_of, without_seen
    from detector.training.records import FilmRecord
    from detector.training.strangers import part_of_photograph

    model = read_weights(arguments.weights or measuring.ROOT / "weights")
    engine, size = TorchEngine(model.network), model.config.input_size

    def embeddings(records: Sequence[FilmRecord], what: str) -> np.ndarray:
        return np.stack([o.embedding for o in run_films(engine, records, size, what)[0]])

    train = scope_films(films_of(arguments.data, "train"), seed=0)
    val = without_seen(films_of(arguments.data, "val"), model.config.provenance)
    pictures = read_photographs(arguments.photographs)
    parts = []
    for number, picture in enumerate(pictures):
        for part in range(PARTS):
            seen = part_of_photograph(np.random.default_rng((number, part)), [picture])
            parts.append(seen.astype(np.float32) / 255)
    known, held_out = embeddings(train, "train"), embeddings(val, "val")
    strangers = np.stack([
        engine.run(Letterbox.fit(*part.shape, size).apply(part)).embedding for part in parts
    ])
    source_of = np.array([record.source for record in train])
    source_of_val = np.array([record.source for record in val])
    print(measuring.machine_facts(
        weights=f"{model.config.version}, sha256 {model.sha256[:12]}",
        films=f"{len(train)} of train, {len(val)} of val",
        photographs=f"{len(parts)} parts of {len(pictures)}",
    ))

    levels = model.network.embedding_levels
    rows = []
    for name, blocks in (("one covariance", (sum(levels),)), ("per level", levels)):
        for left_out in (None, *dict.fromkeys(source_of)):
            inside, others = source_of != left_out, source_of_val != left_out
            scope = fit_scope(known[inside], held_out[others], blocks)
            asked = held_out if left_out is None else known[~inside]
            accepted = np.mean([scope.distance(e) <= scope.cut for e in asked])
            refused = np.mean([scope.distance(e) > scope.cut for e in strangers])
            rows.append((name, left_out or "none: val", f"{len(asked)}", f"{accepted:.3f}",
                         f"{refused:.3f}"))
    print()
    print(table(("fit", "source left out", "its films", "of them accepted", "photographs refused"),
                rows))


if __name__ == "__main__":
    main()
