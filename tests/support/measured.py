"""A detector that reads by a rule that a test can do in its head, and films for it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np

from detector.io.radiograph import load_radiograph
from detector.model.architecture import Architecture
from detector.model.calibration import Calibration, Logistic
from detector.model.ood import ScopeCheck
from detector.model.weights import ModelConfig

CALIBRATION = Calibration(Logistic(0.5, -0.25), Logistic(1.0, 0.0), 0.3, 0.7, 1.5, 0.25)
SHAPE = (120, 90)
BOX = (30, 40, 12, 10)  # x, y, width, height of what counts as a fracture


def make_config(metrics: dict | None = None) -> ModelConfig:
    return ModelConfig(
        "0.0.0", Architecture(), 448, CALIBRATION, -1.0, 1.0,
        {"trained": "2026-03-04", "recipe": {"epochs": 3}}, metrics or {},
    )


@dataclass
class RuleDetector:
    """P(fracture) is the brightest grey level; the heatmap is the film; colour is out of scope."""

    config: ModelConfig = field(default_factory=make_config)
    engine: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(name="rule", precision="exact")
    )
    model: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(sha256="0" * 64))

    def predict(self, film: object) -> SimpleNamespace:
        radiograph = load_radiograph(film)
        probability = float(radiograph.pixels.max())
        in_scope = radiograph.facts.get("colourfulness", 0) < 0.12
        return SimpleNamespace(
            film=radiograph,
            probability=probability,
            decision=CALIBRATION.decide(probability, in_scope),
            calibration=CALIBRATION,
            heatmap=radiograph.pixels,
            regions=("the brightest spot",) if probability >= CALIBRATION.rule_out else (),
            scope=ScopeCheck(in_scope, 0.5 if in_scope else 2.0),
        )


def write_film(path: Path, peak: float, at: tuple[int, int] = (35, 45)) -> None:
    """A film whose brightest spot, of ``peak`` in [0, 1], lies at ``at`` (x, y)."""
    film = np.random.default_rng(0).integers(0, 10, SHAPE, dtype=np.uint8)
    film[at[1], at[0]] = round(peak * 255)
    cv2.imwrite(str(path), film)


def write_set(folder: Path, rows: list[dict]) -> Path:
    """A data set in the manifest layout. A row: file, peak, fractured, and any of at, boxed,
    split, group and further columns."""
    (folder / "images").mkdir(parents=True)
    columns = ["file", "split", "fractured", "duplicate_group"]
    own = {"peak", "at", "boxed", "group", *columns}
    columns += sorted({name for row in rows for name in row} - own)
    images, annotations = [], []
    lines = [",".join(columns)]
    for number, row in enumerate(rows):
        write_film(folder / "images" / row["file"], row["peak"], row.get("at", (35, 45)))
        known = {"split": "val", **row, "duplicate_group": row.get("group", "")}
        lines.append(",".join(str(known.get(name, "")) for name in columns))
        images.append({"id": number, "file_name": row["file"]})
        if row["fractured"] and row.get("boxed", True):
            annotations.append({"image_id": number, "bbox": list(BOX)})
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    (folder / "annotations.json").write_text(
        json.dumps({"images": images, "annotations": annotations})
    )
    return folder
