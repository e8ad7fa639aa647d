"""``python main.py``: what it prints, what it writes, how it ends."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import main as script
from detector.io.find_films import list_films
from detector.model import hub
from detector.model.weights import read_weights, write_config
from detector.phantom import random_phantom
from detector.report import results


@pytest.fixture(autouse=True)
def one_model(detector, monkeypatch):
    """The model that the other tests use, loaded once; another one is loaded as it is named."""
    from detector import FractureDetector

    load = FractureDetector.from_pretrained
    monkeypatch.setattr(
        FractureDetector, "from_pretrained",
        lambda weights=None, **chosen: load(weights, **chosen) if weights or chosen else detector,
    )  # fmt: skip


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """film.png, more/film.png, more/below/third.jpg and a text file."""
    folder = tmp_path / "films"
    (folder / "more" / "below").mkdir(parents=True)
    for seed, name in enumerate(("film.png", "more/film.png", "more/below/third.jpg")):
        pixels = random_phantom(seed, size=(320, 256)).pixels
        cv2.imwrite(str(folder / name), (pixels * 255).astype(np.uint8))
    (folder / "notes.txt").write_text("not a film")
    return folder


def test_it_prints_class_confidence_decision_and_region(films, detector, capsys):
    assert script.main([str(films / "film.png")]) == 0
    said = capsys.readouterr().out
    reading = detector.predict(films / "film.png")
    assert f"film.png: {reading.decision}\n" in said
    assert f"{reading.label}, confidence " in said
    assert ("strongest" in said) == bool(reading.regions)


def test_json_is_one_object_per_line(films, detector, capsys):
    assert script.main([str(films), "--json"]) == 0
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(e["file"]).name for e in entries] == ["film.png", "film.png", "third.jpg"]
    first = detector.predict(films / "film.png").to_dict()
    assert {k: v for k, v in entries[0].items() if k != "file"} == first


def test_an_unreadable_film_is_reported_and_the_others_too(films, capsys):
    (films / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    missing = str(films / "missing.png")
    assert script.main([str(films / "broken.jpg"), missing, str(films / "film.png")]) == 3
    said = capsys.readouterr().out
    assert "broken.jpg: not read" in said and "There is no such file" in said
    assert "film.png: " in said and "confidence" in said


def test_overlays_are_written_and_told_apart(films, tmp_path, detector):
    out = tmp_path / "overlays"
    assert script.main([str(films), "--overlay", str(out)]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["film-2.png", "film.png", "third.png"]
    expected = detector.predict(films / "more" / "film.png").overlay(boxes=True)
    assert np.array_equal(cv2.imread(str(out / "film-2.png"))[..., ::-1], expected)


def test_films_are_not_overwritten_by_overlays(films):
    film, before = films / "film.png", (films / "film.png").read_bytes()
    assert script.main([str(film), "--overlay", str(films)]) == 0
    assert film.read_bytes() == before and (films / "film-2.png").exists()
    with pytest.raises(SystemExit) as end:
        script.main([str(films), "--overlay", str(films)])
    assert end.value.code == 2


def test_who_reads_no_further_ends_it_quietly(films, monkeypatch, capsys):
    def closed(*_):
        raise BrokenPipeError

    monkeypatch.setattr(results.ResultFile, "write", closed)
    assert script.main([str(films / "film.png")]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("arguments", [[], ["--nonsense", "x"], ["x.png", "--model", "/no/such"]])
def test_wrong_usage_is_2(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        script.main(arguments)
    assert end.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_another_model_is_taken(films, tmp_path, capsys):
    shutil.copytree(hub.shipped_weights(), tmp_path / "weights")
    model = read_weights(tmp_path / "weights", build=False)
    write_config(tmp_path / "weights", replace(model.config, version="another"), model.sha256)
    arguments = [str(films / "film.png"), "--json", "--model", str(tmp_path / "weights")]
    assert script.main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["model"]["version"] == "another"


def test_another_engine_is_taken(films, detector, capsys):
    arguments = [str(films / "film.png"), "--json", "--engine", "torch", "--precision", "float32"]
    assert script.main(arguments) == 0
    said = json.loads(capsys.readouterr().out)
    expected = detector.predict(films / "film.png").probability
    assert said["probability"] == pytest.approx(expected, abs=1e-3)
    with pytest.raises(SystemExit) as end:
        script.main([str(films / "film.png"), "--engine", "torch", "--precision", "float16"])
    assert end.value.code == 2 and "float32 or bfloat16" in capsys.readouterr().err


# Which films are meant


def names(folder: Path, found: list[str]) -> list[str]:
    return [str(Path(f).relative_to(folder)) for f in found]


def test_a_folder_stands_for_its_films_by_suffix_or_content(films):
    (films / "IM0001").write_bytes(bytes(128) + b"DICM" + bytes(64))
    (films / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(64))
    (films / ".hidden.png").write_bytes(b"")
    (films / "empty.jpg").write_bytes(b"")
    expected = ["IM0001", "empty.jpg", "film.png", "more/film.png", "more/below/third.jpg"]
    assert names(films, list_films([str(films)])) == expected


def test_patterns_are_for_shells_that_leave_them(films):
    found = list_films([str(films / "**" / "*.png")])
    assert names(films, found) == ["film.png", "more/film.png"]


def test_a_name_with_brackets_is_a_name(films):
    odd = films / "film[1].png"
    shutil.copy(films / "film.png", odd)
    assert list_films([str(odd)]) == [str(odd)]


def test_each_film_once_and_what_is_missing_stays(films):
    one = str(films / "film.png")
    assert list_films([one, "nowhere-*.png", one]) == [one, "nowhere-*.png"]
