"""The same answer in the browser as from the detector: files, network, regions, refusals."""

from __future__ import annotations

import ast
import csv
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from detector import RadiographError, load_radiograph
from detector.phantom import random_phantom
from tests.support import odd_films as odd
from tests.support.browser_page import differences, judge, read_file, read_whole

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from detector import FractureDetector

ROOT = Path(__file__).resolve().parents[2]
# Read by the detector, and refused with a way out in the browser, whose small readers lack them.
NOT_HERE = ("jpeg cmyk", "tiff jpeg", "tiff fax", "tiff packbits", "tiff cmyk")
PROBABILITY, REGION = 1e-3, 2.0  # what may differ at most; the region in pixels of a 512 px film


@pytest.mark.parametrize("seed", range(6))
def test_the_same_reading_of_a_phantom(opened: Page, detector: FractureDetector, seed: int):
    size = [(640, 520), (400, 512), (333, 219), (1200, 900), (512, 512), (96, 700)][seed]
    film = load_radiograph(random_phantom(seed, fractured=seed % 2 == 0, size=size).pixels)
    prediction = detector.predict(film)
    reading = judge(opened, film)
    assert reading["decision"] == prediction.decision
    found = differences(reading, prediction)
    assert found["probability"] < 1e-5 and found["score"] < 1e-3 and found["region"] < 0.05
    rows = np.linspace(0, film.height - 1, 40).astype(int)
    columns = np.linspace(0, film.width - 1, 40).astype(int)
    height, width = reading["heat"].shape
    ours = reading["heat"][np.ix_(rows * height // film.height, columns * width // film.width)]
    theirs = 255 * prediction.heatmap[np.ix_(rows, columns)]
    assert np.abs(ours - theirs).max() < (3 if max(size) <= 1024 else 12)


@pytest.mark.parametrize("picture", ["blank", "ramp", "noise", "colour"])
def test_the_same_refusal_of_what_is_no_film(
    opened: Page, detector: FractureDetector, picture: str
):
    shown = {
        "blank": np.full((300, 200), 90, np.uint8),
        "ramp": np.tile(np.linspace(20, 80, 300).astype(np.uint8)[:, None], (1, 240)),
        "noise": np.random.default_rng(1).integers(0, 256, (300, 260), dtype=np.uint8),
        "colour": odd.colour(300, 260),
    }[picture]
    data = odd.saved(shown, "PNG")
    prediction, reading = detector.predict(data), read_whole(opened, data)
    assert prediction.decision == "out of scope"
    assert reading["decision"] == prediction.decision
    assert reading["scope"]["reason"] == prediction.scope.reason
    assert reading["scope"]["score"] == pytest.approx(prediction.scope.score, rel=1e-3)


def _screenshot() -> np.ndarray:
    """A film in the window of a viewer."""
    window = np.full((700, 900), 60, np.uint8)
    window[:60], window[60:, :160] = 200, 90
    window[90:670, 230:680] = np.rint(255 * random_phantom(4, size=(580, 450)).pixels)
    return window


OBJECTIONS = {
    "ct": lambda: odd.dicom(_deep(), Modality="CT"),
    "chest": lambda: odd.dicom(_deep(), BodyPartExamined="CHEST"),
    "a child": lambda: odd.dicom(_deep(), PatientAge="007Y"),
    "oblong pixels": lambda: odd.dicom(_deep()[::2], PixelSpacing=[0.4, 0.2]),
    "screenshot": lambda: odd.saved(_screenshot(), "PNG"),
    "deep colour": lambda: odd.saved(odd.colour(200, 160), "PNG"),
}


def _deep() -> np.ndarray:
    return np.rint(4095 * random_phantom(2, fractured=True).pixels).astype(np.uint16)


@pytest.mark.parametrize("name", OBJECTIONS)
def test_the_same_reading_of_what_the_file_says(
    opened: Page, detector: FractureDetector, name: str
):
    data = OBJECTIONS[name]()
    prediction, reading = detector.predict(data), read_whole(opened, data)
    found = differences(reading, prediction)
    assert reading["decision"] == prediction.decision
    assert found["probability"] <= PROBABILITY and found["region"] <= REGION
    assert reading["scope"]["reason"] == prediction.scope.reason
    assert reading["warnings"] == list(prediction.warnings)


@pytest.mark.parametrize("name", odd.FILMS)
def test_the_same_film_from_an_odd_file(opened: Page, name: str):
    data = odd.FILMS[name]()
    ours = read_file(opened, data)
    if name in NOT_HERE:
        assert ours["error"]["kind"] == "unsupported"
        assert "Save it as a plain JPEG or PNG." in ours["error"]["message"]
        return
    try:
        theirs = load_radiograph(data)
    except RadiographError as error:
        assert (ours["error"]["kind"], ours["error"]["message"]) == (error.kind, str(error))
        return
    assert "error" not in ours, ours["error"]
    assert ours["data"].shape == theirs.pixels.shape
    assert np.abs(ours["data"] - theirs.pixels).max() < 1e-6
    assert ours["colourfulness"] == pytest.approx(theirs.facts["colourfulness"], abs=1e-6)
    assert ours["warnings"] == list(theirs.warnings)
    assert ours["facts"]["bits"] == theirs.facts["bits"]


def _damaged(data: bytes) -> bytes:
    """A file whose compressed picture lost its middle."""
    return data[:-1500] + b"\xff\xd9" * 20 + data[-1460:]


BROKEN = {
    "nothing": lambda: b"",
    "text": lambda: b"not a film at all",
    "pdf": lambda: b"%PDF-1.7 ...",
    "zip": lambda: b"PK\x03\x04" + bytes(60),
    "page": lambda: b"<!doctype html><title>x</title>",
    "bytes": lambda: bytes(range(1, 200)) * 3,
    "thumbnail": lambda: odd.saved(odd.grey(31, 40), "PNG"),
    "png bomb": lambda: odd.png(12_000, 12_000, b"\0"),
    "png cut": lambda: odd.saved(odd.grey(), "PNG")[:-200],
    "jpeg half": lambda: odd.saved(odd.grey(400, 300), "JPEG")[:3000],
    "jpeg cut a little": lambda: odd.saved(odd.grey(400, 300), "JPEG")[:-150],
    "dicom cut": lambda: odd.dicom(odd.DEEP)[:-2000],
    "dicom without pixels": lambda: odd.dicom(odd.DEEP, remove=("PixelData",)),
    "dicom of no size": lambda: odd.dicom(odd.DEEP, Rows=0),
    "dicom of four samples": lambda: odd.dicom(odd.DEEP, SamplesPerPixel=4),
    "dicom of another size": lambda: odd.dicom(
        odd.grey(), odd.JPEGBaseline8Bit, stream=odd.saved(odd.grey(80, 48), "JPEG")
    ),
    "jpeg-ls damaged": lambda: _damaged(odd.dicom(odd.DEEP, odd.JPEGLSLossless)),
    "jpeg 2000 damaged": lambda: _damaged(odd.dicom(odd.DEEP, odd.JPEG2000Lossless)),
    "all padding": lambda: odd.dicom(np.full((64, 48), 7, np.uint16), PixelPaddingValue=7),
    "empty window": lambda: odd.dicom(odd.DEEP, WindowCenter=60_000, WindowWidth=10),
    "one shade": lambda: odd.saved(np.full((64, 64), 40, np.uint8), "PNG"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_same_sentence_for_a_broken_file(opened: Page, name: str):
    data = BROKEN[name]()
    ours = read_file(opened, data)
    try:
        theirs = load_radiograph(data)
    except RadiographError as error:
        assert ours["error"]["message"] == str(error)
        assert ours["error"]["kind"] == error.kind
        return
    assert "error" not in ours, ours["error"]
    assert np.abs(ours["data"] - theirs.pixels).max() < 1e-6
    assert ours["warnings"] == list(theirs.warnings)


def test_every_sentence_of_the_reader_is_the_detectors():
    known = []
    for path in (ROOT / "detector").rglob("*.py"):
        known += map(_as_text, ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    known = {text for text in known if text}
    sentences = json.loads((ROOT / "browser" / "io" / "sentences.json").read_text())
    own = {"picture not read"}  # of what only the detector reads
    for key, sentence in sentences.items():
        if key not in own:
            assert re.sub(r"\{\w+\}", "{}", sentence) in known, key


def _as_text(node: ast.AST) -> str | None:
    """A string constant, or an f-string with ``{}`` for each value."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else "{}" for part in node.values
        )
    return None


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_sixty_real_films(opened: Page, detector: FractureDetector, fracatlas: Path):
    with (fracatlas / "manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    rows = [*_spread([r for r in rows if r["fractured"] == "1"], 30),
            *_spread([r for r in rows if r["fractured"] == "0"], 30)]  # fmt: skip
    assert len(rows) == 60
    for row in rows:
        data = (fracatlas / "images" / row["file"]).read_bytes()
        prediction, reading = detector.predict(data), read_whole(opened, data)
        found = differences(reading, prediction)
        assert reading["decision"] == prediction.decision
        assert found["probability"] <= PROBABILITY and found["region"] <= REGION
        assert reading["warnings"] == list(prediction.warnings)


def _spread(rows: list[dict[str, str]], count: int) -> list[dict[str, str]]:
    return rows[:: max(1, len(rows) // count)][:count]
