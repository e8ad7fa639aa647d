"""Where a map lies, against fractures of known place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detector.explain.regions import Region
from detector.training.data.records import FilmRecord
from detector.training.evaluation.localisation import (
    GAMES,
    chance,
    fracture_mask,
    map_overlap,
    pixel_counts,
    pixel_precision,
    play,
    region_overlap,
    size_class,
)

SHAPE = (100, 80)
BOX = np.array([[20.0, 30.0, 10.0, 20.0]])
TRIANGLE = np.array([[20.0, 30.0], [30.0, 30.0], [20.0, 50.0]])


def _record(outlines: tuple = (TRIANGLE,)) -> FilmRecord:
    return FilmRecord(Path("film.png"), "set", True, boxes=BOX, outlines=outlines)


@pytest.mark.parametrize(
    ("point", "wins"),
    [
        ((22, 33), GAMES),
        ((29, 48), ("boxes", "boxes_strict")),  # the box's empty corner, far from the outline
        ((29, 34), ("boxes", "boxes_strict", "outlines")),
        ((17.5, 40), ("boxes", "outlines")),  # 2.5 px off; the tolerance is 3.3
        ((16, 40), ()),
    ],
)
def test_games(point: tuple[float, float], wins: tuple[str, ...]) -> None:
    result = play(point, _record(), SHAPE)
    assert tuple(game for game in GAMES if result[game]) == wins


def test_without_all_outlines_they_are_not_played() -> None:
    assert set(play((22, 33), _record((None,)), SHAPE)) == {"boxes", "boxes_strict"}
    assert set(chance(_record((None,)), SHAPE)) == {"boxes", "boxes_strict"}


def test_a_random_point_wins_its_share_of_pixels() -> None:
    record = _record()
    expected = chance(record, SHAPE)
    points = [(x + 0.5, y + 0.5) for y in range(SHAPE[0]) for x in range(SHAPE[1])]
    played = [play(point, record, SHAPE) for point in points]
    for game in ("boxes", "boxes_strict"):
        assert expected[game] == pytest.approx(np.mean([p[game] for p in played]))
    for game in ("outlines", "outlines_strict"):  # a mask's rim is worth half a pixel
        assert expected[game] == pytest.approx(np.mean([p[game] for p in played]), abs=0.004)


def test_mask_of_the_outline_or_else_of_the_box() -> None:
    # Their areas and up to half a pixel around.
    assert 100 <= fracture_mask(_record(), SHAPE).sum() <= 100 + 52 / 2
    assert 200 <= fracture_mask(_record((None,)), SHAPE).sum() <= 200 + 60 / 2 + 1


def test_overlaps() -> None:
    record = _record((None,))
    assert region_overlap((), record) == 0
    assert region_overlap((Region(20, 30, 10, 10, 0.9),), record) == pytest.approx(0.5)
    mask = fracture_mask(record, SHAPE)
    assert map_overlap(mask.astype(float), mask, 0.5) == 1
    assert map_overlap(np.ones(SHAPE), mask, 0.5) == pytest.approx(mask.mean())
    assert map_overlap(np.zeros(SHAPE), np.zeros(SHAPE, bool), 0.5) == 0


def test_area_of_the_pixel_curve() -> None:
    mask = fracture_mask(_record(), SHAPE)
    assert pixel_precision(pixel_counts(mask.astype(float), mask))[2] == pytest.approx(1)
    flat = pixel_precision(pixel_counts(np.full(SHAPE, 0.2), mask))[2]
    assert flat == pytest.approx(mask.mean())
    noise = np.random.default_rng(0).random(SHAPE)
    assert pixel_precision(pixel_counts(noise, mask))[2] < 3 * mask.mean()
    half = pixel_precision(pixel_counts(mask * 0.3 + noise * 0.5, mask))[2]
    assert mask.mean() < half < 1


@pytest.mark.parametrize(
    ("side", "name"), [(4, "below 0.25 %"), (6, "0.25 to 1 %"), (9, "from 1 %")]
)
def test_size_class(side: float, name: str) -> None:
    record = FilmRecord(Path("f"), "set", True, boxes=np.array([[1.0, 1.0, side, side]]))
    assert size_class(record, SHAPE) == name
