"""Phantoms: repeatable, physical, and a pair differs by its fracture alone."""

from __future__ import annotations

import dataclasses
import itertools

import cv2
import numpy as np
import pytest

from detector.phantom import (
    FRACTURE_KINDS,
    VIEWS,
    FractureSpec,
    Phantom,
    draw_phantom,
    random_phantom,
)
from detector.phantom.bones import arm, leg
from detector.phantom.exposure import expose
from detector.phantom.fracture import Fracture


def _inside(film: Phantom, grow: int = 0) -> np.ndarray:
    assert film.outline is not None
    mask = np.zeros(film.pixels.shape, np.uint8)
    cv2.fillPoly(mask, [np.round(film.outline).astype(np.int32)], 1)
    if grow:
        mask = cv2.dilate(mask, np.ones((2 * grow + 1, 2 * grow + 1), np.uint8))
    return mask.astype(bool)


@pytest.mark.parametrize(("view", "kind"), list(itertools.product(VIEWS, FRACTURE_KINDS)))
def test_every_view_draws_every_fracture_inside_the_film(view: str, kind: str) -> None:
    film = draw_phantom(view, size=(256, 208), seed=3, fracture=FractureSpec(kind))
    assert film.pixels.shape == (256, 208)
    assert film.pixels.dtype == np.float32
    assert 0.0 <= film.pixels.min() < 0.25 and 0.6 < film.pixels.max() <= 1.0
    assert film.fractured and film.view == view and film.seed == 3
    x, y = film.outline.T
    assert len(x) >= 4 and x.min() >= 0 and y.min() >= 0 and x.max() <= 207 and y.max() <= 255
    assert film.box == pytest.approx((x.min(), y.min(), np.ptp(x), np.ptp(y)), abs=1e-3)
    assert cv2.contourArea(film.outline) > 12.0


@pytest.mark.parametrize("view", VIEWS)
def test_a_seed_is_a_film(view: str) -> None:
    spec = FractureSpec("oblique", displacement=0.4)
    first = draw_phantom(view, size=(256, 208), seed=11, fracture=spec)
    again = draw_phantom(view, size=(256, 208), seed=11, fracture=spec)
    other = draw_phantom(view, size=(256, 208), seed=12, fracture=spec)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.outline, again.outline)
    assert np.abs(first.pixels - other.pixels).mean() > 0.01


@pytest.mark.parametrize(("view", "kind"), list(itertools.product(VIEWS, FRACTURE_KINDS)))
def test_an_undisplaced_fracture_changes_its_own_place_only(view: str, kind: str) -> None:
    spec = FractureSpec(kind, displacement=0.0, angulation=0.0)
    for seed in range(2):
        intact = draw_phantom(view, size=(384, 312), seed=seed)
        broken = draw_phantom(view, size=(384, 312), seed=seed, fracture=spec)
        change = np.abs(broken.pixels - intact.pixels)
        assert intact.outline is None and intact.box is None and not intact.fractured
        inside, near = _inside(broken), _inside(broken, grow=20)
        assert change[inside].max() > 0.02
        assert change[~near].max() < 0.01  # what is left is scatter and edge enhancement
        assert change[inside].mean() > 20.0 * change[~near].mean()


def test_a_displaced_shaft_leaves_the_other_bones_and_the_background_alone() -> None:
    spec = FractureSpec("transverse", displacement=0.6, angulation=6.0, bone="metacarpal5")
    intact = draw_phantom("hand", seed=5)
    broken = draw_phantom("hand", seed=5, fracture=spec)
    change = np.abs(broken.pixels - intact.pixels)
    near = _inside(broken, grow=70)  # all of a metacarpal
    assert change[_inside(broken)].mean() > 0.02
    assert change[~near].max() < 0.01


@pytest.mark.parametrize("kind", ["transverse", "oblique", "spiral", "comminuted"])
def test_pieces_keep_their_joints_and_meet_at_the_asked_step_and_angle(kind: str) -> None:
    bone = next(b for b in leg(np.random.default_rng(0)).bones if b.name == "tibia")
    site, displacement, angulation = 200.0, 0.5, 10.0
    rng = np.random.default_rng(1)
    fracture = Fracture.plan(bone, kind, site, displacement, angulation, rng)

    seen = {}

    def chord(s: np.ndarray, t: np.ndarray, bulge: np.ndarray | float) -> np.ndarray:
        seen[len(seen)] = (s.copy(), t.copy())  # where each piece looks for its own bone
        return bone.chords(s, t, bulge)[0]

    # The joints stay where they are, ...
    ends = np.array([0.0, bone.length])
    fracture.project(chord, ends, np.zeros(2), 0.5)
    near, far = seen[0], seen[1]
    assert (near[0][0], near[1][0]) == pytest.approx((0.0, 0.0), abs=1e-6)
    assert (far[0][1], far[1][1]) == pytest.approx((bone.length, 0.0), abs=1e-6)
    # ... the pieces are turned against each other by the angle ...
    turns = [np.arctan2(t[1] - t[0], s[1] - s[0]) for s, t in (near, far)]
    assert np.rad2deg(turns[0] - turns[1]) == pytest.approx(angulation, abs=1e-3)
    # ... and at the break they lie a step apart (to first order in the angle).
    seen.clear()
    fracture.project(chord, np.array([site]), np.zeros(1), 0.5)
    step = abs(float(seen[0][1][0] - seen[1][1][0]))
    assert step == pytest.approx(displacement * 2.0 * fracture.half, rel=0.05)


def test_a_wider_step_is_a_larger_change() -> None:
    intact = draw_phantom("lower_leg", seed=2, noise=0.0).pixels
    changes = [
        np.abs(
            draw_phantom(
                "lower_leg", seed=2, noise=0.0,
                fracture=FractureSpec("transverse", step, 0.0, position=0.5),
            ).pixels - intact
        ).sum()
        for step in (0.0, 0.2, 0.5, 0.9)
    ]  # fmt: skip
    assert changes == sorted(changes) and changes[-1] > 3.0 * changes[0]


def test_position_runs_from_proximal_to_distal() -> None:
    places = []
    for position in (0.0, 0.5, 1.0):
        spec = FractureSpec("transverse", 0.0, 0.0, position=position)
        film = draw_phantom("femur", seed=4, fracture=spec)
        places.append(film.outline[:, 1].mean())
    assert places[0] + 60 < places[1] and places[1] + 60 < places[2]


def test_the_named_bone_is_the_one_that_breaks() -> None:
    spec = {"displacement": 0.0, "angulation": 0.0, "position": 0.5}
    radius = draw_phantom("forearm", seed=1, fracture=FractureSpec("transverse", **spec))
    ulna = draw_phantom("forearm", seed=1, fracture=FractureSpec("transverse", bone="ulna", **spec))
    assert not (_inside(radius) & _inside(ulna)).any()


def test_more_cortex_is_brighter() -> None:
    """Beer-Lambert: the film grows with the optical depth, and no two depths look the same."""
    depth = np.tile(np.linspace(0.0, 3.0, 96, dtype=np.float32), (96, 1))
    film = expose(depth, 4.0, 0.6, 0.0, False, np.random.default_rng(0))
    profile = film[20:-20].mean(axis=0)
    assert (np.diff(profile[8:-8]) > 0).all()
    # A thicker cortex makes a longer path through cortex, wherever the ray meets marrow.
    bone = next(b for b in leg(np.random.default_rng(0)).bones if b.name == "tibia")
    thick = dataclasses.replace(bone, wall=1.3 * bone.wall)
    s = np.full(21, 0.5 * bone.length)
    t = bone.centre(s) + np.linspace(-6.0, 6.0, 21)
    paths = [np.subtract(*b.chords(s, t)[:2]).astype(np.float32) for b in (bone, thick)]
    assert (paths[1] > paths[0]).all()
    thin_film, thick_film = (
        expose(np.full((64, 64), 0.145 * p[10], np.float32), 4.0, 0.6, 0.0, False,
               np.random.default_rng(0)).mean() for p in paths
    )  # fmt: skip
    assert thick_film > thin_film


def test_chords_are_those_of_an_ellipse_with_a_wall() -> None:
    bone = next(b for b in arm(np.random.default_rng(0)).bones if b.name == "radius")
    s = np.full(201, 0.5 * bone.length)
    t = bone.centre(s) + np.linspace(-12.0, 12.0, 201)
    outer, inner, spongy = bone.chords(s, t)
    row = int(bone.row(0.5 * bone.length))
    assert outer.max() == pytest.approx(2.0 * bone.depth[row], rel=0.01)
    assert inner.max() == pytest.approx(2.0 * (bone.depth[row] - bone.wall[row]), rel=0.01)
    assert outer[0] == outer[-1] == 0.0 and (outer >= inner).all()
    # The cortex is longest in the beam at the edge of the marrow: the two white lines of a shaft.
    cortex = outer - inner
    assert cortex.max() > 1.2 * cortex[100]
    assert spongy[100] < 0.1
    flare = bone.chords(np.array([bone.length - 9.0]), bone.centre(bone.length - 9.0))
    assert flare[2].item() > 0.5


def test_noise_and_collimation_and_marker_do_what_they_say() -> None:
    quiet, usual, loud = (draw_phantom(seed=6, noise=level).pixels for level in (0.0, 1.0, 3.0))

    def roughness(film: np.ndarray) -> float:
        return float(np.abs(cv2.Laplacian(film, cv2.CV_32F)).mean())

    assert roughness(quiet) < roughness(usual) < roughness(loud)
    open_field = draw_phantom(seed=6, collimated=False).pixels
    seeds = range(8)
    shut = [draw_phantom(seed=s, size=(128, 104)).pixels for s in seeds]
    free = [draw_phantom(seed=s, size=(128, 104), collimated=False).pixels for s in seeds]
    assert any(np.abs(a - b).max() > 0.3 for a, b in zip(shut, free, strict=True))
    bare = draw_phantom(seed=6, marker=None).pixels
    right, left = (draw_phantom(seed=6, marker=m).pixels for m in "RL")
    assert open_field.shape == bare.shape
    assert np.abs(right - left).mean() > 0.01  # a left limb is the mirror image, not a new letter
    assert min(np.abs(bare - right).mean(), np.abs(bare - left).mean()) < 0.005


def test_random_phantoms_come_in_pairs() -> None:
    views, kinds = set(), 0
    for seed in range(24):
        broken = random_phantom(seed, fractured=True, size=(256, 208))
        intact = random_phantom(seed, fractured=False, size=(256, 208))
        drawn = random_phantom(seed, size=(256, 208))
        assert broken.fractured and not intact.fractured and broken.view == intact.view
        twin = broken if drawn.fractured else intact
        np.testing.assert_array_equal(drawn.pixels, twin.pixels)
        change = np.abs(broken.pixels - intact.pixels)
        assert change[_inside(broken, grow=2)].mean() > 2.0 * change.mean()
        views.add(broken.view)
        kinds += drawn.fractured
    assert views == set(VIEWS) and 4 < kinds < 20


@pytest.mark.parametrize(
    ("call", "known"),
    [
        (lambda: draw_phantom("skull"), "forearm, lower_leg, hand, femur"),
        (lambda: FractureSpec("greenstick"), "transverse, oblique"),
        (lambda: draw_phantom(fracture=FractureSpec("spiral", bone="femur")), "radius, ulna"),
        (lambda: draw_phantom(marker="X"), "R, L"),
        (lambda: FractureSpec("spiral", displacement=2.0), "0..1"),
        (lambda: FractureSpec("spiral", angulation=90.0), "-45..45"),
        (lambda: FractureSpec("spiral", position=1.2), "0..1"),
        (lambda: draw_phantom(size=(20, 400)), "64 x 64"),
        (lambda: draw_phantom(noise=-1.0), "negative"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_what_can(call, known: str) -> None:
    with pytest.raises(ValueError, match=known):
        call()
