"""Appearance of a training sample: any film stays a film, and the bone stays where it is."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from detector.training.data import appearance

Change = Callable[[np.random.Generator, np.ndarray], np.ndarray]
TONAL = [
    appearance._tone, appearance._clahe, appearance._sharpness, appearance._resolution,
    appearance._noise, appearance._jpeg, appearance._cast,
]
MARKING = [appearance._marks, appearance._hardware, appearance._collimate]


def film(seed: int = 0, shape: tuple[int, int] = (128, 96)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.random((8, 6)).astype(np.float32), shape[::-1])
    return np.round(40 + 140 * np.clip(coarse, 0, 1)).astype(np.uint8)


def test_any_draw_gives_a_canvas_of_the_same_shape_and_leaves_its_input_alone() -> None:
    canvas, reference = film(1), film(2, (70, 90))
    before, changed = canvas.copy(), 0
    for seed in range(150):
        out = appearance.random_appearance(np.random.default_rng(seed), canvas, reference)
        assert out.shape == canvas.shape and out.dtype == np.uint8
        changed += not np.array_equal(out, canvas)
    assert np.array_equal(canvas, before) and changed > 120


def test_the_draw_comes_from_the_generator_alone() -> None:
    first, second = (
        [appearance.random_appearance(np.random.default_rng(s), film(), film(3)) for s in range(30)]
        for _ in range(2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("change", TONAL, ids=lambda c: c.__name__)
def test_tones_move_nothing(change: Change) -> None:
    """The difference that a bright spot makes stays at the spot."""
    plain = np.full((128, 96), 90, np.uint8)
    spot = plain.copy()
    cv2.circle(spot, (60, 40), 4, 200, -1)
    for seed in range(10):
        one, other = (
            change(np.random.default_rng(seed), canvas).astype(float) for canvas in (spot, plain)
        )
        light = np.clip(one - other, 0, None)
        light[light < 0.3 * light.max()] = 0
        rows, cols = np.nonzero(light)
        assert abs(np.median(rows) - 40) <= 1 and abs(np.median(cols) - 60) <= 1


@pytest.mark.parametrize("change", MARKING, ids=lambda c: c.__name__)
def test_marks_cover_part_of_the_film_only(change: Change) -> None:
    canvas = film()
    left = [(change(np.random.default_rng(s), canvas) == canvas).mean() for s in range(40)]
    assert min(left) > 0.3 and np.mean(left) < 1


def test_inversion_is_its_own_inverse() -> None:
    rng = np.random.default_rng(0)
    assert np.array_equal(appearance._invert(rng, appearance._invert(rng, film())), film())


def test_histogram_exchange_takes_on_the_reference() -> None:
    canvas, reference = film(1), (film(2) // 3 + 100).astype(np.uint8)
    assert np.array_equal(appearance.exchange_histogram(canvas, reference, 0.0), canvas)
    out = appearance.exchange_histogram(canvas, reference, 1.0)
    shares = [5, 25, 50, 75, 95]
    assert np.percentile(out, shares) == pytest.approx(np.percentile(reference, shares), abs=3)
    order = np.argsort(canvas, axis=None, kind="stable")
    assert (np.diff(out.ravel()[order].astype(int)) >= 0).all()  # brighter stays brighter


def test_histogram_exchange_leaves_black_borders_black() -> None:
    canvas = film()
    canvas[:, :20] = 0
    bright = np.full((9, 9), 200, np.uint8)
    assert not appearance.exchange_histogram(canvas, bright, 1.0)[:, :20].any()
    black = np.zeros((16, 16), np.uint8)
    assert np.array_equal(appearance.exchange_histogram(black, canvas, 1.0), black)
