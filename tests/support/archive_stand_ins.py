"""Films drawn into files for the tests of `archive`, and the lines that one process writes."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np

from detector import FractureDetector
from detector.phantom import random_phantom
from detector.report.results import ResultFile


def phantom_file(path: Path, seed: int, size: tuple[int, int] = (96, 72)) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = random_phantom(seed, size=size).pixels
    cv2.imwrite(str(path), (pixels * 255).astype(np.uint8))
    return str(path)


def one_process(reader: FractureDetector, names: list[str], form: str) -> str:
    """What `fracture-detector predict` writes without Ray."""
    out = io.StringIO(newline="")
    results = ResultFile(out, form)
    for name, reading in zip(names, reader.predict_batch(names), strict=True):
        results.write(name, reading)
    return out.getvalue()


def lines_of(out: Path, form: str) -> list[str]:
    """The lines of all parts, without the heads of CSV files."""
    texts = [path.read_text() for path in sorted(out.glob(f"part-*.{form}"))]
    return [line for text in texts for line in text.splitlines()[form == "csv" :]]
