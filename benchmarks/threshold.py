"""Which rule finds the balanced operating point best? Bootstrap over val, never test.

    python benchmarks/threshold.py --data ../shared/data/fracatlas --data ../shared/data/sr2022

Each round draws val films with replacement, takes a threshold from them by each rule and reads the
films that were not drawn at it. "Youden": the cut with the highest sensitivity plus specificity
(Youden 1950). "Prevalence": the share of fractured films, where that sum is largest if
probabilities are calibrated; it is what `detector.training.export` writes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import measuring
import numpy as np
from measuring import table


def youden(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The cut with the highest sensitivity + specificity, halfway to the next probability."""
    cuts = np.unique(probabilities)
    middles = (cuts[1:] + cuts[:-1]) / 2
    sums = [(probabilities[labels] >= cut).mean() + (probabilities[~labels] < cut).mean()
            for cut in middles]
    return float(middles[int(np.argmax(sums))])


def prevalence(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return float(labels.mean())


RULES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "Youden": youden, "prevalence": prevalence,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, action="append", required=True, metavar="FOLDER",
                        help="a folder of films with a split; may be given several times")
    parser.add_argument("--weights", type=Path, default=None, help="default: the shipped ones")
    parser.add_argument("--rounds", type=int, default=1000)
    arguments = parser.parse_args()

    from detector import FractureDetector
    from detector.training.evaluation.predictions import (
        films_of,
        one_thread_each,
        predict_records,
        without_seen,
    )

    detector = FractureDetector.from_pretrained(arguments.weights or measuring.ROOT / "weights")
    records = without_seen(films_of(arguments.data, "val"), detector.config.provenance)
    predictions, _ = predict_records(detector, records, one_thread_each())
    labels = np.array([one.record.fractured for one in predictions])
    probabilities = np.array([one.probability for one in predictions])
    print(measuring.machine_facts(
        weights=f"{detector.config.version}, sha256 {detector.model.sha256[:12]}",
        films=f"{len(labels)} of val ({labels.sum()} fractured)", rounds=arguments.rounds,
    ))

    rng = np.random.default_rng(0)
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in RULES}
    for _ in range(arguments.rounds):
        drawn = rng.integers(len(labels), size=len(labels))
        rest = np.setdiff1d(np.arange(len(labels)), drawn)
        p, fractured = probabilities[rest], labels[rest]
        for name, rule in RULES.items():
            cut = rule(labels[drawn], probabilities[drawn])
            found[name].append((cut, (p[fractured] >= cut).mean(), (p[~fractured] < cut).mean()))
    rows = []
    for name, rule in RULES.items():
        cuts, sensitivity, specificity = np.array(found[name]).T
        both = sensitivity + specificity
        spread = [f"{x.mean():.3f} (± {x.std():.3f})" for x in (cuts, sensitivity, specificity,
                                                                both)]
        rows.append((name, f"{rule(labels, probabilities):.3f}", *spread))
    print()
    print(table(("rule", "on all films", "threshold, mean (± sd)", "sensitivity", "specificity",
                 "sum of both"), rows))


if __name__ == "__main__":
    main()
