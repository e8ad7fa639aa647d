"""Geometry of a training sample: film and outlines move as one, and labels follow what is seen."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from detector.training.data.spatial import (
    Outlines,
    Target,
    View,
    make_target,
    random_part,
    random_warp,
    warp_film,
    zoom_range,
)

CANVAS, STRIDE = (128, 96), 8


def disc(shape: tuple[int, int], x: float, y: float, radius: float) -> tuple[np.ndarray, Outlines]:
    """A film with one soft bright disc, and its outline."""
    rows, cols = np.mgrid[: shape[0], : shape[1]] + 0.5
    away = np.hypot(cols - x, rows - y)
    film = np.round(255 * np.clip(radius + 0.5 - away, 0, 1)).astype(np.uint8)
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return film, Outlines((np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1),))


def centroid(canvas: np.ndarray) -> np.ndarray:
    weight = canvas.astype(np.float64)
    rows, cols = np.mgrid[: canvas.shape[0], : canvas.shape[1]] + 0.5
    return np.array([(weight * cols).sum(), (weight * rows).sum()]) / weight.sum()


def test_fractures_without_an_outline_are_the_ellipse_in_the_box() -> None:
    square = np.array([[0, 0], [4, 0], [4, 4]])
    outlines = Outlines.of(np.array([[10.0, 20, 8, 4], [0, 0, 4, 4]]), (None, square))
    ellipse, outline = outlines.polygons
    assert ellipse.min(0) == pytest.approx([10, 20]) and ellipse.max(0) == pytest.approx([18, 24])
    assert (((ellipse - [14, 22]) / [4, 2]) ** 2).sum(1) == pytest.approx(1)
    assert np.array_equal(outline, square)


@pytest.mark.parametrize("shape", [(150, 110), (300, 500), (900, 700)])
def test_film_and_outline_stay_in_register(shape: tuple[int, int]) -> None:
    """To a fifth of a canvas pixel, whether the film grows, shrinks, turns or is mirrored."""
    rng = np.random.default_rng(1)
    seen = 0
    for _ in range(30):
        x, y = rng.uniform(0.3, 0.7, 2) * shape[::-1]
        film, outlines = disc(shape, x, y, max(shape) / 25)
        matrix = random_warp(rng, shape, CANVAS, outlines, View.RANDOM)
        outline = outlines.moved(matrix).polygons[0]
        if outline.min() < 3 or (outline.max(0) > np.array(CANVAS[::-1]) - 3).any():
            continue
        seen += 1
        canvas = warp_film(film, matrix, CANVAS)
        assert centroid(canvas) == pytest.approx(outline.mean(0), abs=0.2)
    assert seen > 15


@pytest.mark.parametrize("stride", [8, 16])
def test_a_drawn_dot_lands_in_the_positive_cells(stride: int) -> None:
    rng = np.random.default_rng(2)
    for _ in range(60):
        x, y = rng.uniform(0.1, 0.9, 2) * (220, 300)
        film, outlines = disc((300, 220), x, y, 12)
        matrix = random_warp(rng, film.shape, CANVAS, outlines, View.RANDOM)
        target = make_target(outlines.moved(matrix), True, CANVAS, stride)
        canvas = warp_film(film, matrix, CANVAS) / 255
        light = cv2.resize(canvas, target.cells.shape[::-1], interpolation=cv2.INTER_AREA)
        # No light falls where the map is taught that there is no fracture.
        taught_normal = (target.cells == 0) & (target.cell_weight > 0)
        assert light[taught_normal].max() < 0.1
        if target.label == 1 and target.label_weight == 1:
            assert light[target.cells == 1].max() > 0.75 * light.max()


def test_a_full_view_cuts_nothing_off() -> None:
    rng = np.random.default_rng(3)
    for _ in range(300):
        shape = tuple(int(v) for v in rng.integers(60, 600, 2))
        matrix = random_warp(rng, shape, CANVAS, Outlines(), View.FULL)
        corners = np.array([[0, 0], [shape[1], 0], [0, shape[0]], shape[::-1]])
        moved = corners @ matrix[:, :2].T + matrix[:, 2]
        assert moved.min() >= -1e-6 and (moved.max(0) <= np.array(CANVAS[::-1]) + 1e-6).all()


def test_views_keep_the_fracture_or_leave_it_out() -> None:
    rng = np.random.default_rng(4)
    film, outlines = disc((300, 220), 170, 60, 8)

    def labels(view: View) -> list[tuple[float, float]]:
        found = []
        for _ in range(150):
            moved = outlines.moved(random_warp(rng, film.shape, CANVAS, outlines, view))
            target = make_target(moved, True, CANVAS, STRIDE)
            found.append((target.label, target.label_weight))
        return found

    assert np.mean([label == (1, 1) for label in labels(View.RANDOM)]) > 0.9
    assert np.mean([label == (1, 1) for label in labels(View.LESION)]) > 0.95
    assert np.mean([label == (0, 1) for label in labels(View.NEGATIVE)]) > 0.75


def test_both_close_ups_zoom_alike_and_stay_on_the_film() -> None:
    rng = np.random.default_rng(5)
    film, outlines = disc((300, 220), 170, 60, 8)
    zooms = {}
    for view in (View.LESION, View.NEGATIVE):
        found = [random_warp(rng, film.shape, CANVAS, outlines, view) for _ in range(400)]
        zooms[view] = [np.sqrt(abs(np.linalg.det(m[:, :2]))) for m in found]
        white = np.full(film.shape, 255, np.uint8)
        assert np.mean([(warp_film(white, m, CANVAS) > 0).mean() for m in found]) > 0.85
    for share in (0.05, 0.5, 0.95):
        assert np.quantile(zooms[View.LESION], share) == pytest.approx(
            np.quantile(zooms[View.NEGATIVE], share), rel=0.1
        )


def test_a_close_look_shows_a_large_films_own_pixels_and_enlarges_no_small_film() -> None:
    for view in (View.LESION, View.NEGATIVE):
        low, high = zoom_range(view, fit=0.25)  # the film is four times as large as the canvas
        assert low == pytest.approx(0.3) and high == pytest.approx(1.0)
        low, high = zoom_range(view, fit=1.0)  # as large as the canvas
        assert high == pytest.approx(1.2) and low < high
        low, high = zoom_range(view, fit=2.0)  # half as large: no further than when it is read
        assert high == pytest.approx(1.2) and low < high
    assert zoom_range(View.RANDOM, 0.25) == pytest.approx((0.2, 0.475))


def test_parts_hold_a_fracture_or_none_and_are_equally_large() -> None:
    rng = np.random.default_rng(6)
    outlines = Outlines((*square(60, 40, 20).polygons, *square(150, 220, 15).polygons))
    bone_points = rng.uniform(0, 1, (64, 2)) * (220, 300)
    sizes = {}
    for negative in (False, True):
        parts = [random_part(rng, (300, 220), outlines, bone_points, negative) for _ in range(80)]
        parts = [part for part in parts if part]
        assert len(parts) > 60
        sizes[negative] = [(r.stop - r.start) * (c.stop - c.start) for r, c in parts]
        for part in parts:
            rows, cols = part
            assert 0 <= rows.start < rows.stop <= 300 and 0 <= cols.start < cols.stop <= 220
            inside = outlines.within(part).polygons
            whole = [p for p in inside if p.min() >= -1 and p[:, 0].max() <= cols.stop - cols.start
                     + 1 and p[:, 1].max() <= rows.stop - rows.start + 1]
            assert not inside if negative else whole
    assert np.median(sizes[True]) == pytest.approx(np.median(sizes[False]), rel=0.3)
    everywhere = square(-5, -5, 320)
    assert random_part(rng, (300, 220), everywhere, bone_points, negative=True) is None


def square(x: float, y: float, side: float) -> Outlines:
    return Outlines((np.array([[x, y], [x + side, y], [x + side, y + side], [x, y + side]]),))


def test_the_label_is_open_where_the_border_cuts_the_fracture() -> None:
    def film(x: float) -> tuple[float, float]:
        target = make_target(square(x, 40, 20), True, CANVAS, STRIDE)
        return target.label, target.label_weight

    assert film(40) == (1, 1)  # in view
    assert film(-200) == (0, 1)  # out of view: what is seen is normal
    assert film(-10)[1] == 0  # half of it: nobody knows


def test_cells_that_are_partly_fracture_are_left_out_of_the_loss() -> None:
    # The square covers cells (5, 5) whole and a tenth of their neighbours on the right.
    target = make_target(square(40, 40, 8.9), True, CANVAS, STRIDE)
    assert target.cells[5, 5] == 1 and target.cells.sum() == 1
    assert target.cell_weight[5, 5] == 1 and target.cell_weight[5, 6] == 0
    assert target.cell_weight[5, 3] == 1 and target.cell_weight.sum() > 100


def test_a_fracture_smaller_than_a_cell_teaches_its_best_cell() -> None:
    target = make_target(square(45, 45, 2), True, CANVAS, STRIDE)
    assert np.argwhere(target.cells).tolist() == [[5, 5]] and target.cell_weight[5, 5] == 1


def test_normal_films_and_films_without_an_outline() -> None:
    normal = make_target(Outlines(), False, CANVAS, STRIDE)
    assert (normal.label, normal.label_weight) == (0, 1)
    assert not normal.cells.any() and normal.cell_weight.all()
    unknown = make_target(Outlines(), True, CANVAS, STRIDE)
    assert (unknown.label, unknown.label_weight) == (1, 1) and not unknown.cell_weight.any()


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [((0, 1), (0, 1), (0, 1)), ((1, 1), (0, 1), (1, 1)), ((1, 1), (0, 0), (1, 1)),
     ((0, 0), (0, 1), (0, 0)), ((1, 0), (0, 1), (0, 0)),
     ((1, 0.5), (0, 1), (1, 0.5)), ((0, 1), (1, 0.5), (1, 0.5))],
)
def test_two_films_on_one_canvas_are_fractured_if_one_of_them_is(one, other, both) -> None:
    def target(label: tuple[int, int], cell: int) -> Target:
        cells = np.full((4, 6), float(cell), np.float32)
        return Target(float(label[0]), float(label[1]), cells, 1 - cells)

    for axis, shape in ((0, (8, 6)), (1, (4, 12))):
        pair = target(one, 0).beside(target(other, 1), axis)
        assert (pair.label, pair.label_weight) == both
        assert pair.cells.shape == shape and pair.cells.sum() == 24
        assert pair.cells[0, 0] == 0 and pair.cells[-1, -1] == 1
        assert np.array_equal(pair.cell_weight, 1 - pair.cells)
