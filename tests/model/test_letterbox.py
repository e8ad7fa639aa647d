"""The letterbox and its inverse: nothing drifts on the way to the network and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.model.letterbox import MOST_ENLARGED, MULTIPLE, Letterbox

SHAPES = [(454, 373), (373, 454), (448, 448), (2880, 2304), (100, 900), (64, 64), (2000, 1337)]


@pytest.mark.parametrize("shape", SHAPES)
def test_fit(shape: tuple[int, int]) -> None:
    box = Letterbox.fit(*shape, 448)
    assert max(box.inner) == min(448, round(MOST_ENLARGED * max(shape)))
    for inner, canvas in zip(box.inner, box.canvas, strict=True):
        assert inner <= canvas < inner + MULTIPLE and canvas % MULTIPLE == 0
    assert box.inner[0] / box.inner[1] == pytest.approx(shape[0] / shape[1], rel=0.02)


def test_a_small_film_is_enlarged_no_further_than_is_sharp() -> None:
    box = Letterbox.fit(224, 200, 576)
    assert box.scale == pytest.approx((MOST_ENLARGED, MOST_ENLARGED), rel=0.01)
    assert box.canvas == (288, 256)
    flat = Letterbox.fit(100, 224, 576, aspect=2)  # of pixels twice as high as wide
    assert flat.inner == (240, 269)


def test_a_film_as_narrow_as_a_hair_keeps_a_pixel() -> None:
    assert Letterbox.fit(4000, 2, 448).inner == (448, 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("stride", [8, 16])
def test_a_dot_survives_the_round_trip_to_half_a_cell(shape: tuple[int, int], stride: int) -> None:
    """One bright film pixel, letterboxed, pooled to the map, back on the film, is where it was."""
    box = Letterbox.fit(*shape, 448)
    rng = np.random.default_rng(0)
    for _ in range(6):
        row, column = (int(rng.integers(side)) for side in shape)
        film = np.zeros(shape, np.float32)
        film[row, column] = 1
        canvas = box.apply(film)
        height, width = (side // stride for side in box.canvas)
        cells = canvas.reshape(height, stride, width, stride).max(axis=(1, 3))
        back = box.map_to_film(cells)
        assert back.shape == shape and back.dtype == np.float32
        y, x = np.unravel_index(int(back.argmax()), shape)
        off = np.array([y - row, x - column]) * box.scale
        assert np.abs(off).max() <= stride / 2 + 1


@pytest.mark.parametrize("shape", SHAPES)
def test_a_film_in_the_middle_of_a_cell_keeps_its_peak_there(shape: tuple[int, int]) -> None:
    box = Letterbox.fit(*shape, 448)
    cells = np.zeros((box.canvas[0] // 8, box.canvas[1] // 8), np.float32)
    row, column = cells.shape[0] // 3, cells.shape[1] // 2
    cells[row, column] = 1
    y, x = np.unravel_index(int(box.map_to_film(cells).argmax()), shape)
    middle = (np.array([row, column]) + 0.5) * 8 / box.scale - 0.5
    assert np.abs(np.array([y, x]) - middle).max() <= max(0.51, 0.51 / min(box.scale))


def test_a_plane_stays_a_plane() -> None:
    """No half-pixel drift. The kernel ripples by a fifth of a cell around what is linear."""
    box = Letterbox.fit(300, 200, 448)
    rows, cols = np.mgrid[: box.canvas[0] // 8, : box.canvas[1] // 8]
    x = (cols + 0.5) * 8 / box.scale[1]
    y = (rows + 0.5) * 8 / box.scale[0]
    back = box.map_to_film((2 * x + 3 * y).astype(np.float32))
    film_y, film_x = np.mgrid[:300, :200] + 0.5
    inner = (slice(20, -20), slice(20, -20))
    off = (back - 2 * film_x - 3 * film_y)[inner]
    assert abs(off.mean()) < 0.02
    assert np.abs(off).max() < 0.2 * (2 + 3) * 8 * 300 / 448


@pytest.mark.parametrize("step", [2, 3, 7])
def test_samples_lie_in_the_middle_of_their_pixels(step: int) -> None:
    box = Letterbox.fit(210, 126, 448)
    values = np.random.default_rng(0).random((56, 34)).astype(np.float32)
    whole, sampled = box.map_to_film(values), box.map_to_film(values, step)
    assert sampled.shape == (-(-210 // step), -(-126 // step))
    if step % 2:
        np.testing.assert_allclose(
            sampled, whole[step // 2 :: step, step // 2 :: step][: len(sampled)], atol=1e-4
        )
    assert box.map_to_film(values, 1000).shape == (1, 1)


def test_a_film_is_averaged_when_it_shrinks_and_padded_with_black() -> None:
    film = np.zeros((896, 700), np.float32)
    film[::2, ::2] = 1
    box = Letterbox.fit(896, 700, 448)
    canvas = box.apply(film)
    assert canvas.shape == box.canvas == (448, 352)
    np.testing.assert_allclose(canvas[:448, :350], 0.25, atol=1e-6)
    assert not canvas[:, 350:].any()


def test_dtype_is_kept() -> None:
    assert Letterbox.fit(50, 40, 64).apply(np.full((50, 40), 7, np.uint8)).dtype == np.uint8


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 5000), st.integers(1, 5000),
    st.lists(st.floats(0, 5000), min_size=4, max_size=4),
)  # fmt: skip
def test_boxes_come_back(height: int, width: int, box: list[float]) -> None:
    letterbox = Letterbox.fit(height, width, 448)
    back = letterbox.box_to_film(letterbox.box_to_canvas(np.array(box)))
    np.testing.assert_allclose(back, box, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("aspect", [0.25, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("shape", [(2880, 2304), (100, 900), (600, 400)])
def test_pixels_that_are_not_square_are_so_on_the_canvas(shape: tuple, aspect: float) -> None:
    box = Letterbox.fit(*shape, 448, aspect)
    assert max(box.inner) == 448
    assert box.scale[0] / box.scale[1] == pytest.approx(aspect, rel=0.04)
    film = np.zeros(shape, np.float32)
    film[shape[0] // 4 : shape[0] // 2, shape[1] // 2 :] = 1
    canvas = box.apply(film)
    assert canvas.mean() * canvas.size == pytest.approx(np.prod(box.inner) / 8, rel=0.03)
    half = np.array([shape[1] // 2, shape[0] // 4, shape[1] // 2, shape[0] // 4])
    np.testing.assert_allclose(box.box_to_film(box.box_to_canvas(half)), half)
    assert box.map_to_film(canvas).shape == shape
