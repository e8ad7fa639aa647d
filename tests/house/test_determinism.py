"""The same film gives the same bytes in every process and with any number of threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What one process says of three films with each engine: to_dict() as bytes, and a digest of the
# unrounded heatmap.
SCRIPT = """
import hashlib, json, sys
from detector import FractureDetector
from detector.phantom import random_phantom
first = FractureDetector.from_pretrained(engine=sys.argv[1])
said = {"engine": first.engine.name}
for seed, size in ((1, (454, 373)), (2, (300, 420)), (3, (900, 700))):
    prediction = first.predict(random_phantom(seed, size=size).pixels)
    said[str(seed)] = [
        json.dumps(prediction.to_dict()),
        repr(prediction.probability),
        hashlib.sha256(prediction.heatmap.tobytes()).hexdigest(),
        hashlib.sha256(prediction.overlay().tobytes()).hexdigest(),
    ]
print(json.dumps(said))
"""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_every_process_and_thread_count_says_the_same(engine: str) -> None:
    if engine == "openvino" and find_spec("openvino") is None:
        pytest.skip("OpenVINO is not installed (extra 'fast')")
    said = []
    for threads in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, engine],
            cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True,
            env={**os.environ, "OMP_NUM_THREADS": threads, "PYTHONHASHSEED": threads},
        )
        said.append(json.loads(done.stdout))
    first, second = said
    assert first.pop("engine") == second.pop("engine") == engine
    if engine == "torch":  # its last bits depend on the number of threads, what is told does not
        first, second = ({k: v[0] for k, v in one.items()} for one in said)
    assert second == first
