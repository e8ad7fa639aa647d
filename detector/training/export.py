"""From a trained network to a weights folder: calibrated on val, as it will be served."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import detector
from detector.checkpoint import ModelConfig, is_halved, write_weights
from detector.engine import EngineOutput
from detector.engine_torch import TorchEngine
from detector.geometry import Letterbox
from detector.network import EvidenceNetwork
from detector.radiograph import load_radiograph
from detector.training.fitting import fit_calibration, fit_scope
from detector.training.recipe import Recipe
from detector.training.records import FilmRecord

# Training films of each source for the scope model. In proportion to their number, the largest
# source would be what a film looks like, and films of the others would be refused.
_SCOPE_FILMS = 300


def run_films(
    engine: TorchEngine, records: Sequence[FilmRecord], size: int, what: str
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
    recipe: Recipe,
    provenance: dict[str, Any],
    folder: Path,
) -> None:
    """Write ``folder`` with the network rounded as it is stored, then calibrated on val.

    Raises:
        ValueError: val lacks fractured or intact films.
    """
    version = f"{detector.__version__}+{datetime.now(UTC):%Y%m%d.%H%M}"
    rounded = _rounded(network)
    engine = TorchEngine(rounded)

    known = scope_films(train, recipe.seed)
    at_home, _ = run_films(engine, known, recipe.input_size, "scope")
    outputs, letterboxes = run_films(engine, val, recipe.input_size, "calibration")
    scope = fit_scope(
        np.stack([o.embedding for o in at_home]), np.stack([o.embedding for o in outputs]),
        network.embedding_levels,
    )
    labels = np.array([record.fractured for record in val])
    logits = np.array([output.logit for output in outputs])
    calibration = fit_calibration(
        logits, labels, [o.evidence for o in outputs], letterboxes, [r.boxes for r in val]
    )
    config = ModelConfig(
        version=version,
        architecture=network.architecture,
        input_size=recipe.input_size,
        calibration=calibration,
        scope_cut=scope.cut,
        provenance={"trained": f"{datetime.now(UTC):%Y-%m-%d}", "recipe": recipe.to_dict(),
                    **provenance},
        metrics={"val": {
            "films": len(val), "fractured": int(labels.sum()),
            # Where probabilities are calibrated, sensitivity plus specificity is largest at the
            # share of fractured films. The cut at which it is largest on these films (Youden 1950)
            # is a noisy estimate of that: docs/experiments.md.
            "balanced_threshold": calibration.prevalence,
        }},
    )
    write_weights(folder, rounded, scope, config)


def scope_films(
    records: Sequence[FilmRecord], seed: int, most: int = _SCOPE_FILMS
) -> list[FilmRecord]:
    """What the scope is fitted on: at most ``most`` films of each source, drawn at random."""
    by_source: dict[str, list[FilmRecord]] = defaultdict(list)
    for index in np.random.default_rng(seed).permutation(len(records)):
        by_source[records[index].source].append(records[index])
    return [record for films in by_source.values() for record in films[:most]]


def _rounded(network: EvidenceNetwork) -> EvidenceNetwork:
    """The network as it comes back from its half-precision file: that one is calibrated."""
    copy = EvidenceNetwork(network.architecture)
    copy.load_state_dict({
        name: value.half().float() if is_halved(value) else value
        for name, value in network.state_dict().items()
    })
    return copy.eval()
