"""What the shipped weights answer: six phantoms and a DICOM film, pinned for each engine.

    python -m tests.test_golden     # new weights: reads the films again and rewrites golden.json

A change of preprocessing, of an engine or of the weights that moves an answer fails here. The
tolerances are those between processors and releases of the runtimes, not between models: the same
film on the two engines differs by less than a hundredth of them.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector import FractureDetector, Prediction
from detector.model.hub import shipped_weights
from detector.phantom import random_phantom
from tests.support import odd_films

GOLDEN = Path(__file__).with_name("golden.json")
COMMAND = "python -m tests.test_golden"
SEEDS = (0, 3, 5, 6, 12, 20)
ENGINES = ("torch", "openvino")
PROBABILITY, PIXELS = 2e-3, 2.0  # absolute tolerances


def golden_films() -> dict[str, np.ndarray | bytes]:
    """The films by name: grey arrays, and one as a 12-bit MONOCHROME1 file."""
    films: dict[str, np.ndarray | bytes] = {
        f"phantom {seed}": random_phantom(seed).pixels for seed in SEEDS
    }
    levels = np.round((1 - films["phantom 0"]) * 4095).astype(np.uint16)
    films["DICOM"] = odd_films.dicom(levels, PhotometricInterpretation="MONOCHROME1", BitsStored=12)
    return films


def answer(prediction: Prediction) -> dict[str, Any]:
    """What is pinned of a prediction."""
    region = prediction.regions[0] if prediction.regions else None
    return {
        "probability": round(prediction.probability, 5),
        "decision": str(prediction.decision),
        "region": region and [
            round(v, 1) for v in (region.x, region.y, region.width, region.height)
        ],
    }


@pytest.mark.parametrize("engine", ENGINES)
def test_the_shipped_weights_answer_as_they_did(engine: str) -> None:
    if engine == "openvino" and find_spec("openvino") is None:
        pytest.skip("openvino is not installed")
    golden = json.loads(GOLDEN.read_text())
    detector = FractureDetector.from_pretrained(engine=engine)
    assert detector.model.sha256 == golden["model_sha256"], f"other weights: run {COMMAND}"
    decisions = set()
    for name, film in golden_films().items():
        expected, found = golden["films"][name], answer(detector.predict(film))
        assert found["probability"] == pytest.approx(expected["probability"], abs=PROBABILITY), name
        assert found["decision"] == expected["decision"], name
        assert (found["region"] is None) == (expected["region"] is None), name
        if expected["region"]:
            assert found["region"] == pytest.approx(expected["region"], abs=PIXELS), name
        decisions.add(found["decision"])
    assert len(decisions) >= 2  # films on either side of a threshold, so that a moved one shows


def main() -> None:
    """Rewrite golden.json from the shipped weights in PyTorch, the reference."""
    detector = FractureDetector.from_pretrained(shipped_weights(), engine="torch")
    films = {name: answer(detector.predict(film)) for name, film in golden_films().items()}
    golden = {"command": COMMAND, "model_sha256": detector.model.sha256, "films": films}
    GOLDEN.write_text(json.dumps(golden, indent=2) + "\n")


if __name__ == "__main__":
    main()
