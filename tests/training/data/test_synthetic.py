"""Fractures drawn onto normal bone: on bone alone, seen, and the mimic no fracture."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from detector.phantom import random_phantom
from detector.training.data.synthetic.bones import find_bone
from detector.training.data.synthetic.draw import (
    FRACTURES,
    MIMICS,
    draw_fracture,
    draw_mimic,
)
from detector.training.data.synthetic.layers import feather, is_visible, take_apart
from detector.training.data.synthetic.lines import lucency
from detector.training.data.synthetic.margins import find_margin

HALF = 14.0  # pixels, of the drawn bone


def shaft(angle: float = 20.0, gap: bool = False) -> np.ndarray:
    """A canvas (320, 288) with one tubular bone through its middle, in soft tissue."""
    rows, cols = np.mgrid[:320, :288].astype(np.float32)
    turn = np.deg2rad(angle)
    across = (cols - 144) * np.cos(turn) + (rows - 160) * np.sin(turn)
    tissue = 60 - 0.002 * across**2
    tube = np.sqrt(np.clip(1 - (across / HALF) ** 2, 0, None))
    marrow = np.sqrt(np.clip(1 - (across / (0.6 * HALF)) ** 2, 0, None))
    canvas = tissue + 110 * tube - 55 * marrow
    canvas += np.random.default_rng(0).normal(0, 2.5, canvas.shape)
    return np.clip(cv2.GaussianBlur(canvas, (0, 0), 1.0), 0, 255).astype(np.uint8)


def nothing_to_break() -> dict[str, np.ndarray]:
    """Canvases without a bone: soft tissue, a saturated bar, an edge of the field, noise."""
    rows, cols = np.mgrid[:320, :288].astype(np.float32)
    noise = np.random.default_rng(1).normal(0, 2.5, (320, 288))
    limb = 30 + 70 * np.sqrt(np.clip(1 - ((cols - 144) / 60) ** 2, 0, None))
    bar = np.where(abs(cols - 144) < 9, 255.0, 50.0)
    field = np.where(cols > 140, 90.0, 0.0)
    canvases = {"limb": limb, "bar": bar, "field": field, "flat": np.full((320, 288), 80.0)}
    return {name: np.clip(c + noise * (c > 0), 0, 255).astype(np.uint8)
            for name, c in canvases.items()}


@pytest.mark.parametrize("angle", [0.0, 20.0, -65.0])
def test_a_bone_is_found_with_its_axis_and_its_borders(angle: float) -> None:
    canvas = shaft(angle)
    bones = [find_bone(np.random.default_rng(seed), canvas) for seed in range(6)]
    bone = next(bone for bone in bones if bone)
    across = np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))])
    assert abs(bone.across @ across) > 0.99
    assert abs((bone.centre - [144, 160]) @ across) < 2.5
    assert bone.half == pytest.approx(HALF, rel=0.2)
    assert bone.end - bone.start > 6 * HALF


@pytest.mark.parametrize("name", list(nothing_to_break()))
def test_nothing_is_drawn_where_there_is_no_bone(name: str) -> None:
    canvas = nothing_to_break()[name]
    for seed in range(5):
        assert find_bone(np.random.default_rng(seed), canvas) is None
        assert find_margin(np.random.default_rng(seed), canvas, 0.7) is None
        assert draw_fracture(np.random.default_rng(seed), canvas) is None


def test_taken_apart_a_canvas_is_its_tissue_and_its_bone() -> None:
    rng = np.random.default_rng(0)
    canvas = shaft()
    bone = next(bone for _ in range(6) if (bone := find_bone(rng, canvas)))
    layers = take_apart(rng, canvas, bone, zoom=1.0)
    assert np.allclose(layers.tissue + layers.bone_at(0.0, 0.0), canvas[layers.window], atol=1e-3)
    beside = abs(layers.t) > 1.8
    assert np.allclose(layers.tissue[beside], layers.grey[beside], atol=1.0)
    middle = (abs(layers.t) < 0.8) & (abs(layers.s) < 3)
    assert abs(layers.tissue[middle].mean() - 60) < 8  # as beside the bone
    assert feather(layers)[middle].min() == 1 and feather(layers)[abs(layers.t) > 3.3].max() == 0


def test_fractures_are_visible_on_the_bone_and_outlined() -> None:
    canvas, kinds = shaft(angle=0.0), set()  # the bone stands upright, at x = 144
    for seed in range(40):
        drawn = draw_fracture(np.random.default_rng(seed), canvas)
        if drawn is None:
            continue
        kinds.add(drawn.kind)
        low, high = drawn.outline.min(0), drawn.outline.max(0)
        assert low.min() >= 0 and (high <= [288, 320]).all()
        assert abs(drawn.outline.mean(0)[0] - 144) < 2.5 * HALF
        assert 4 < high[0] - low[0] < 5 * HALF and 6 < high[1] - low[1] < 12 * HALF
        change = abs(drawn.canvas.astype(int) - canvas)
        inside = np.zeros(canvas.shape, np.uint8)
        cv2.fillPoly(inside, [np.round(drawn.outline).astype(np.int32)[:, None]], 1)
        assert np.percentile(change[inside > 0], 95) > 6
        far = int(6 * HALF)  # soft tissue beside the bone stays
        assert change[:, :144 - far].max() == change[:, 144 + far:].max() == 0
    # A growth plate needs a shaft that widens.
    assert kinds == {"crack", *FRACTURES} - {"stepped plate"}


def jump(canvas: np.ndarray) -> float:
    """The largest step along the upright bone at its borders, beyond what the film has."""
    edge = np.concatenate([canvas[:, 144 - 20:144 - 9], canvas[:, 144 + 10:144 + 21]], 1)
    steps = abs(np.diff(cv2.GaussianBlur(edge.astype(np.float32), (0, 0), 0.8), axis=0))
    return float(np.percentile(steps.max(1), 99.5))


def drawn_of(kind: str, draw: Callable, most: int = 5) -> list[np.ndarray]:
    """Canvases of one kind, on an upright bone."""
    canvas, found = shaft(angle=0.0), []
    for seed in range(80):
        drawn = draw(np.random.default_rng(seed), canvas)
        if drawn is not None and drawn.kind == kind:
            found.append(drawn.canvas)
        if len(found) == most:
            break
    return found


def test_a_mimic_is_no_fracture_and_has_no_break() -> None:
    canvas, kinds = shaft(angle=0.0), set()
    for seed in range(12):
        mimic = draw_mimic(np.random.default_rng(seed), canvas)
        if mimic is not None:
            assert mimic.outline is None and not np.array_equal(mimic.canvas, canvas)
            kinds.add(mimic.kind)
    assert kinds <= {*MIMICS, "no crack"} and len(kinds) >= 3
    broken = [jump(c) for c in drawn_of("displaced", draw_fracture)]
    bent = [jump(c) for c in drawn_of("bent", draw_mimic)]
    assert np.median(broken) > 2 * np.median(bent)


def test_what_is_lost_in_the_texture_or_off_the_field_is_not_visible() -> None:
    outline = np.array([[40.0, 40], [60, 40], [60, 60], [40, 60]])
    flat = np.full((100, 100), 90, np.uint8)
    changed = flat.copy()
    changed[48:52, 42:58] += 25
    assert is_visible(flat, changed, outline)
    assert not is_visible(flat, flat, outline)
    assert not is_visible(flat, changed, outline + 50)  # beyond the canvas
    noise = np.random.default_rng(0).normal(0, 30, flat.shape).astype(np.int16)
    grainy = [np.clip(canvas + noise, 1, 255).astype(np.uint8) for canvas in (flat, changed)]
    assert not is_visible(*grainy, outline)
    unexposed = flat.copy()
    unexposed[:, 52:] = 0
    assert not is_visible(unexposed, np.minimum(unexposed, changed), outline)


def test_what_is_drawn_depends_on_the_generator_alone() -> None:
    canvas = shaft()
    once, again = (draw_fracture(np.random.default_rng(5), canvas.copy()) for _ in range(2))
    assert np.array_equal(once.canvas, again.canvas) and np.array_equal(once.outline, again.outline)
    assert np.array_equal(canvas, shaft())  # the canvas given is not written to


def test_a_blurred_film_gets_a_blurred_line() -> None:
    canvas = shaft(angle=0.0)
    bone = next(bone for seed in range(9)
                if (bone := find_bone(np.random.default_rng(seed), canvas)))

    def width(zoom: float) -> float:
        """Of the line on the bone's axis, in pixels: its area over its height."""
        rng = np.random.default_rng(0)
        layers = take_apart(rng, canvas, bone, zoom)
        taken = lucency(rng, layers, layers.s, depth=0.5) / (layers.grey - layers.tissue + 1e-6)
        column = taken[:, abs(layers.t[0]).argmin()]
        return float(column.sum() / column.max())

    assert width(4.0) > 1.25 * width(0.5)


def test_most_phantoms_have_a_bone_to_break() -> None:
    found = 0
    for seed in range(20):
        film = np.round(random_phantom(seed, fractured=False).pixels * 255).astype(np.uint8)
        found += draw_fracture(np.random.default_rng(seed), film) is not None
    assert found >= 10
