"""A trained network becomes a weights folder: rounded as it is stored, calibrated on val."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import detector
from detector.engines.base import Engine, EngineOutput
from detector.engines.torch import TorchEngine
from detector.io.radiograph import load_radiograph
from detector.model.letterbox import Letterbox
from detector.model.network import EvidenceNetwork
from detector.model.weights import ModelConfig, is_halved, write_weights
from detector.training.calibrate.fit import fit_calibration
from detector.training.config import TrainConfig
from detector.training.data.records import FilmRecord
from detector.training.heads.familiarity import FilmReadings, usual_normal
from detector.training.heads.fit import fit_heads
from detector.training.ood_data import ood_data


def run_films(
    engine: Engine, records: Sequence[FilmRecord], size: int, what: str
) -> tuple[list[EngineOutput], list[Letterbox]]:
    """Run films as the detector does: read at full resolution, letterboxed once."""
    outputs, letterboxes = [], []
    for record in tqdm(records, desc=what, unit="film", leave=False):
        pixels = load_radiograph(record.path).pixels
        letterbox = Letterbox.fit(*pixels.shape, size)
        outputs.append(engine.run(letterbox.apply(pixels)))
        letterboxes.append(letterbox)
    return outputs, letterboxes


def export_weights(
    network: EvidenceNetwork,
    train: Sequence[FilmRecord],
    val: Sequence[FilmRecord],
    config: TrainConfig,
    provenance: dict[str, Any],
    folder: Path,
) -> None:
    """Write ``folder``: the network rounded as it is stored, and its calibration on val.

    Raises:
        ValueError: val lacks fractured or normal films.
    """
    version = f"{detector.__version__}+{datetime.now(UTC):%Y%m%d.%H%M}"
    rounded = _rounded(network)
    engine = TorchEngine(rounded)

    outputs, letterboxes = run_films(engine, val, config.input_size, "calibration")
    data = ood_data(engine, train, config, config.ood_images)
    embeddings = np.stack([output.embedding for output in outputs])
    ood = data.fit(embeddings)
    labels = np.array([record.fractured for record in val])
    logits = np.array([output.logit for output in outputs])
    calibration = fit_calibration(
        logits, labels, [o.evidence for o in outputs], letterboxes, [r.boxes for r in val]
    )
    model_config = ModelConfig(
        version=version,
        architecture=network.architecture,
        input_size=config.input_size,
        calibration=calibration,
        ood_zero=ood.zero,
        ood_threshold=ood.threshold,
        provenance={
            "trained": f"{datetime.now(UTC):%Y-%m-%d}", "recipe": config.recipe(), **provenance,
            "ood_reference": {
                "images": [folder.name for folder in config.ood_images] or ["drawn"],
                "number": len(np.unique(data.images)), "views": len(data.images),
            },
        },
        metrics={"val": {
            "films": len(val), "fractured": int(labels.sum()),
            # Where probabilities are calibrated, sensitivity plus specificity is largest at the
            # proportion of fractured films. The cut at which it is largest on these films (Youden
            # 1950) is a noisy estimate of that: docs/experiments.md.
            "balanced_threshold": calibration.prevalence,
            "normal_log_odds": round(usual_normal(FilmReadings(
                val, calibration.image.probability(logits), embeddings)), 4),
        }},
    )
    heads = fit_heads(ood, data.records, data.whole, embeddings, calibration)
    write_weights(folder, rounded, ood, model_config,
                  familiarity=heads.familiarity, anatomy=heads.anatomy)


def _rounded(network: EvidenceNetwork) -> EvidenceNetwork:
    """The network as it is read back from its half-precision file, which is what is calibrated."""
    copy = EvidenceNetwork(network.architecture)
    copy.load_state_dict({
        name: value.half().float() if is_halved(value) else value
        for name, value in network.state_dict().items()
    })
    return copy.eval()
