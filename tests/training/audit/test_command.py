from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.phantom import random_phantom
from detector.training.audit.command import audit, main
from detector.training.audit.duplicates import find_matches
from detector.training.audit.fingerprint import fingerprint_all, is_truncated
from detector.training.audit.leakage import leakage
from detector.training.audit.shortcuts import find_shortcuts
from detector.training.data.layouts import read_films
from detector.training.data.records import FilmRecord, Unreadable
from tests.support.copied_films import film, save, turned

COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "turned by 18 degrees": lambda p: turned(p, 18),
    "turned by -7 degrees": lambda p: turned(p, -7),
    "mirrored": lambda p: p[:, ::-1],
    "upside down": lambda p: p[::-1],
    "mirrored and turned": lambda p: turned(p[:, ::-1], 10),
    "on its side": np.rot90,
    "squeezed to 224x224": lambda p: cv2.resize(p, (224, 224), interpolation=cv2.INTER_AREA),
    "brighter": lambda p: np.uint8(255 * (p / 255.0) ** 0.6),
    "a negative": lambda p: 255 - p,
    "broken off": lambda p: p[: int(len(p) * 0.85)],
}


@pytest.fixture(scope="module")
def films() -> list[np.ndarray]:
    return [film(seed) for seed in range(8)]


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_is_found_and_nothing_else(way: str, films: list, tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i}.png", p) for i, p in enumerate(films)]
    paths += [save(tmp_path / f"copy{i}.png", COPIES[way](films[i])) for i in (2, 5)]
    matches, groups = find_matches(list(fingerprint_all(paths)), paths)
    assert groups.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 2, 5]
    assert {m.kind for m in matches} == {"picture"}


def test_the_match_says_how_the_copy_was_turned(tmp_path: Path) -> None:
    paths = [save(tmp_path / "a.png", film(1)), save(tmp_path / "b.png", turned(film(1), 14))]
    (match,), _ = find_matches(list(fingerprint_all(paths)), paths)
    assert abs(abs(match.degrees) - 14) < 3 and not match.flipped


def test_two_limbs_of_one_kind_are_two_pictures(tmp_path: Path) -> None:
    paths = []
    for seed in range(4):
        pixels = random_phantom(seed, fractured=False).pixels
        paths.append(save(tmp_path / f"{seed}.png", np.uint8(np.asarray(pixels) * 255)))
    _, groups = find_matches(list(fingerprint_all(paths)), paths)
    assert len(set(groups.tolist())) == 4


def test_cache_gives_the_same_and_sees_a_changed_file(tmp_path: Path) -> None:
    path, cache = save(tmp_path / "a.png", film(1)), tmp_path / "cache"
    first, second = (next(fingerprint_all([path], cache=cache)) for _ in range(2))
    assert first.digest == second.digest and first.facts == second.facts
    np.testing.assert_array_equal(first.rings, second.rings)
    save(path, film(2, height=310))
    assert next(fingerprint_all([path], cache=cache)).digest != first.digest


def test_kept_matches_are_those_that_were_found(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i}.png", turned(film(i % 3), 5 * i)) for i in range(6)]
    prints, cache = list(fingerprint_all(paths)), tmp_path / "cache"
    (first, groups), (second, again) = (find_matches(prints, paths, cache=cache) for _ in range(2))
    assert first == second and groups.tolist() == again.tolist() == [0, 1, 2, 0, 1, 2]
    _, fewer = find_matches(prints[:4], paths[:4], cache=cache)
    assert fewer.tolist() == [0, 1, 2, 0]


def test_truncation() -> None:
    for suffix in (".jpg", ".png"):
        data = cv2.imencode(suffix, film(1))[1].tobytes()
        assert not is_truncated(data)
        assert is_truncated(data[:-40])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A multi-region folder with one fault of every kind."""
    root = tmp_path / "set"
    train, test = root / "train", root / "test"
    for i in range(6):
        label = "fractured" if i % 2 else "not fractured"
        save(train / label / f"{i}.png", film(i))
        save(test / label / f"{i}.png", film(20 + i))
    shutil.copy(train / "fractured" / "1.png", test / "fractured" / "same file.png")
    save(test / "fractured" / "turned.png", turned(film(3), 9))
    save(train / "not fractured" / "other label.png", film(5)[:, ::-1])
    whole = cv2.imencode(".jpg", film(40))[1].tobytes()
    (train / "fractured" / "cut.jpg").write_bytes(whole[:-30])
    (train / "fractured" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    (train / "fractured" / "empty.png").write_bytes(b"")
    return root


def test_audit_finds_every_fault(folder: Path) -> None:
    films = read_films(folder)
    report = audit(films.records, films.unreadable)
    assert {u.path.name for u in report.unreadable} == {"broken.png", "empty.png"}
    assert [p.name for p in report.truncated] == ["cut.jpg"]
    assert report.byte_copies == 1
    (conflict,) = report.conflicts
    assert {conflict.first.name, conflict.second.name} == {"5.png", "other label.png"}
    found = report.leakage
    assert found.leaks and found.films["test", "train"] == 2
    assert found.same_bytes["test", "train"] == 1
    assert {p.first.name: p.kind for p in found.pairs} == {
        "same file.png": "bytes", "turned.png": "picture",
    }  # fmt: skip
    assert "2 of 8 test films" in found.sentence
    kept = [r for r in films.records if r.path not in found.removable]
    assert not leakage(kept).leaks


def test_command_writes_text_json_and_a_page(folder: Path, tmp_path: Path, capsys) -> None:
    data, page = tmp_path / "a.json", tmp_path / "a.html"
    assert main([str(folder), "--json", str(data), "--html", str(page)]) == 0
    text = capsys.readouterr().out
    assert "The split leaks: 2 of 8 test films" in text and "broken.png" in text
    written = json.loads(data.read_text())
    assert written["leakage"]["leaks"] and len(written["both_labels"]) == 1
    shown = page.read_text()
    assert shown.count("data:image/jpeg;base64,") >= 6
    assert "src=\"http" not in shown and "<script" not in shown


def test_command_names_the_layouts_for_an_unknown_folder(tmp_path: Path, capsys) -> None:
    assert main([str(tmp_path)]) == 2
    assert "subfolder per class" in capsys.readouterr().err


def test_given_groups_alone_are_a_leak(tmp_path: Path) -> None:
    records = [
        FilmRecord(save(tmp_path / f"{s}.png", film(i)), "s", True, split=s, group="7")
        for i, s in enumerate(("train", "val"))
    ]
    found = leakage(records)
    assert found.leaks and found.pairs[0].kind == "group"
    assert json.loads(json.dumps(found.summary()))["shared"][0]["films"] == 1


def test_a_clean_split_does_not_leak(tmp_path: Path) -> None:
    records = [
        FilmRecord(save(tmp_path / f"{i}.png", film(i)), "s", True, split=("train", "test")[i % 2])
        for i in range(6)
    ]
    found = leakage(records)
    assert not found.leaks and not found.removable
    assert found.sentence == "No picture is in more than one split."


def test_shortcuts_are_told_from_chance(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    records, paths = [], []
    for i in range(80):
        fractured = i % 2 == 0
        size = 60 if fractured else 90
        pixels = rng.integers(0, 255, (size, size), np.uint8)
        paths.append(save(tmp_path / f"{i}.png", pixels))
        attributes = {"hand": str(int(rng.random() < 0.5)), "number": str(i),
                      "ward": str(int(i // 2 % 20 < (17 if fractured else 12)))}  # fmt: skip
        records.append(FilmRecord(paths[-1], "s", fractured, attributes=attributes))
    facts = [p.facts for p in fingerprint_all(paths) if not isinstance(p, Unreadable)]
    found = {s.name: s for s in find_shortcuts(records, facts, range(80))}
    assert found["width"].flagged and found["width"].auc > 0.95
    assert found["hand"].flagged is False and found["hand"].auc < 0.65
    # Of ward 0 6 of 22 are fractured: less than half at 95 %, but not by enough to be flagged.
    assert found["ward"].flagged is False and found["ward"].proportion == 6 / 22
    assert "number" not in found
