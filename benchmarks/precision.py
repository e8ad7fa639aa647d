"""Is reduced precision harmless? Measured on val, film by film, against float32.

    python benchmarks/precision.py --data ../shared/data/fracatlas --data ../shared/data/sr2022

Harmless means: no probability moves by more than 0.01; no decision changes but within 0.01 of its
operating point; AUC and pointing stay equal to three digits. Only then may a precision become the
default (`detector.engines.base.DEFAULT_PRECISION`). Test films are not touched.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import measuring
import numpy as np
from measuring import table

MOST = 0.01


@dataclass
class Reading:
    """What one precision says of all films."""

    probabilities: np.ndarray
    decisions: list[str]
    hits: list[bool]


def read_all(detector, records) -> Reading:
    """Read every film; films with boxes also give a hit or a miss of the pointing."""
    from detector import RadiographError
    from detector.training.evaluation.metrics import pointing

    probabilities, decisions, hits = [], [], []
    results = detector.predict_batch(record.path for record in records)
    for record, prediction in zip(records, results, strict=True):
        if isinstance(prediction, RadiographError):
            raise SystemExit(f"{record.key}: {prediction}")
        probabilities.append(prediction.probability)
        decisions.append(prediction.decision)
        if len(record.boxes):
            hits.append(bool(pointing(prediction.heatmap, record.boxes)[0]))
    return Reading(np.array(probabilities), decisions, hits)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, action="append", required=True, metavar="FOLDER",
                        help="a folder with manifest.csv; may be given several times")
    parser.add_argument("--limit", type=int, help="read only so many films of each folder")
    arguments = parser.parse_args()

    from detector import FractureDetector
    from detector.engines.base import PRECISIONS
    from detector.training.data.layouts import read_manifest
    from detector.training.evaluation.metrics import auc

    records = []
    for folder in arguments.data:
        val = [record for record in read_manifest(folder) if record.split == "val"]
        records += val[: arguments.limit]
    exact = FractureDetector.from_pretrained(engine="openvino")
    print(measuring.machine_facts(
        weights=f"{exact.config.version}, sha256 {exact.model.sha256[:12]}",
        films=f"{len(records)} of val: {', '.join(folder.name for folder in arguments.data)}",
    ))
    base = read_all(exact, records)
    calibration = exact.config.calibration
    near = np.min([np.abs(base.probabilities - point)
                   for point in (calibration.rule_out, calibration.rule_in)], axis=0) <= MOST
    labels = np.array([record.fractured for record in records])
    sources = sorted({record.source for record in records})

    def figures(reading: Reading) -> dict[str, float]:
        """AUC of each source that has both classes, and the share of hits over all."""
        found = {}
        for source in sources:
            here = np.array([record.source == source for record in records])
            if len(set(labels[here])) == 2:
                found[f"AUC {source}"] = auc(labels[here], reading.probabilities[here])
        if reading.hits:
            found["pointing"] = float(np.mean(reading.hits))
        return found

    wanted = figures(base)
    rows = [("openvino float32", "", "", "",
             *(f"{value:.3f}" for value in wanted.values()), "")]
    for precision in PRECISIONS[1:]:
        try:
            detector = FractureDetector.from_pretrained(engine="openvino", precision=precision)
        except ValueError as error:
            print(f"\nnot measured: {precision}: {error}")
            continue
        reading = read_all(detector, records)
        moved = float(np.abs(reading.probabilities - base.probabilities).max())
        changed = np.array([a != b for a, b in zip(
            reading.decisions, base.decisions, strict=True)])
        far = int((changed & ~near).sum())
        got = figures(reading)
        same = all(f"{got[name]:.3f}" == f"{value:.3f}" for name, value in wanted.items())
        harmless = moved <= MOST and far == 0 and same
        rows.append((f"openvino {precision}", f"{moved:.4f}", int(changed.sum()), far,
                     *(f"{value:.3f}" for value in got.values()), "yes" if harmless else "no"))
    print()
    print(table(("", "largest change of probability", "decisions changed",
                 f"of them farther than {MOST} from the point", *wanted, "harmless"), rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
