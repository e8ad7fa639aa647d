"""Does the OOD check accept films of other sources and refuse other pictures? Never reads test.

    python benchmarks/ood_fit.py --data ../shared/data/fracatlas --data ../shared/data/sr2022 \\
        --data ../shared/data/multiregion_pictures --ood-images FOLDER... --unseen FOLDER...

Fits the check on films of train and val and on the pictures of ``--ood-images``, as `train.py`
does: with all sources, and with each one left out. Then it reads how many films of that source are
accepted, and how many pictures of ``--unseen`` are refused, which the fit did not see. Only the
check is fitted anew; the network has seen all sources.

"line" is what is exported. "line, whole films" leaves out the changed parts of films. "distance" is
how the check was fitted before, on films alone: the Mahalanobis distance from them, each level of
the backbone whitened by its own covariance, with a cut of 1.1 times the conformal one for 99 % of
val.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import measuring
import numpy as np
from measuring import table

Inside = Callable[[np.ndarray], np.ndarray]  # embeddings (N, E) -> whether each is let in


def distance_check(films: np.ndarray, held_out: np.ndarray, levels: Sequence[int]) -> Inside:
    """The check by distance from the films alone."""
    from sklearn.covariance import LedoitWolf

    cuts = np.cumsum(levels)[:-1]
    fits = [LedoitWolf().fit(part) for part in np.split(films, cuts, axis=1)]

    def distance(embeddings: np.ndarray) -> np.ndarray:
        parts = np.split(embeddings, cuts, axis=1)
        squared = [fit.mahalanobis(part) / part.shape[1]
                   for fit, part in zip(fits, parts, strict=True)]
        return np.sqrt(np.mean(squared, axis=0))

    known = np.sort(distance(held_out))[::-1]
    cut = 1.1 * known[max(int((len(known) + 1) * 0.01), 1) - 1]
    return lambda embeddings: distance(embeddings) <= cut


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, action="append", required=True, metavar="FOLDER",
                        help="a folder of films with a split; may be given several times")
    parser.add_argument("--ood-images", type=Path, action="append", default=[], metavar="FOLDER",
                        help="as for train.py")
    parser.add_argument("--unseen", type=Path, action="append", required=True, metavar="FOLDER",
                        help="other pictures to refuse; may be given several times")
    parser.add_argument("--weights", type=Path, default=None, help="default: the shipped ones")
    arguments = parser.parse_args()

    from detector.engines.torch import TorchEngine
    from detector.model.weights import read_weights
    from detector.training.config import TrainConfig
    from detector.training.data.ood_images import reference_images
    from detector.training.evaluation.predictions import films_of, without_seen
    from detector.training.export import run_films
    from detector.training.ood_data import OodData, embed, ood_data

    model = read_weights(arguments.weights or measuring.ROOT / "weights")
    engine, size = TorchEngine(model.network), model.config.input_size
    config = TrainConfig.from_dict(model.config.provenance["recipe"])
    train = films_of(arguments.data, "train")
    val = without_seen(films_of(arguments.data, "val"), model.config.provenance)
    data = ood_data(engine, train, config, arguments.ood_images)
    held_out = np.stack([o.embedding for o in run_films(engine, val, size, "val")[0]])
    unseen = {
        folder.name: np.stack([
            embed(engine, pixels, size) for _, pixels in reference_images([folder], config.seed)
        ])
        for folder in arguments.unseen
    }
    print(measuring.machine_facts(
        weights=f"{model.config.version}, sha256 {model.sha256[:12]}",
        films=f"{len(data.records)} of train, {len(val)} of val",
        ood_reference=f"{len(data.others)} views of {len(np.unique(data.images))} pictures",
        unseen=", ".join(f"{len(views)} views in {name}" for name, views in unseen.items()),
    ))

    def line(part: OodData, inside: np.ndarray) -> Inside:
        scope = part.fit(inside)
        return lambda embeddings: np.array([scope.score(e) <= 1 for e in embeddings])

    fits: dict[str, Callable[[OodData, np.ndarray], Inside]] = {
        "distance": lambda part, home: distance_check(
            part.whole, home, model.network.embedding_levels
        ),
        "line, whole films": lambda part, home: line(replace(part, parts=part.parts[:0]), home),
        "line": line,
    }
    source_of = np.array([record.source for record in data.records])
    source_of_val = np.array([record.source for record in val])
    rows = []
    for name, fit in fits.items():
        for left_out in (None, *dict.fromkeys(source_of)):
            known, home = source_of != left_out, source_of_val != left_out
            part = replace(data, whole=data.whole[known], parts=data.parts[known])
            let_in = fit(part, held_out[home])
            asked = held_out if left_out is None else data.whole[~known]
            rows.append((
                name, left_out or "none: val", f"{len(asked)}", f"{let_in(asked).mean():.3f}",
                *(f"{1 - let_in(views).mean():.3f}" for views in unseen.values()),
            ))
    print()
    print(table(("fit", "source left out", "its films", "of them let in",
                 *(f"refused: {folder}" for folder in unseen)), rows))


if __name__ == "__main__":
    main()
