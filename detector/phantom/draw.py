"""Synthetic radiographs of limbs with a fracture at a known location; always labelled as synthetic.

A phantom is drawn the way a film is made: ray lengths through cortex, spongy bone, marrow, fat
and muscle (`bones`), then Beer-Lambert attenuation, scatter, quantum noise, detector
blur, collimation, a lead marker and the processing of a digital plate (`exposure`). A
fracture (`fracture`) changes the bone and nothing else: the same seed gives the same
limb, pose, exposure and noise with and without it, so a pair differs by the fracture alone.

Attenuation coefficients, in 1/mm, are of the size of NIST's tables for cortical bone, adipose
and soft tissue between 35 and 50 keV (Hubbell and Seltzer, NISTIR 5632), where the beams used
for limbs lie. Within that range they were set so that the films look like real ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from detector.phantom.bones import Array, Limb, Solid, arm, leg
from detector.phantom.exposure import expose, lead_letter
from detector.phantom.fracture import FRACTURE_KINDS, Fracture, usual_site

__all__ = ["FRACTURE_KINDS", "VIEWS", "FractureSpec", "Phantom", "draw_phantom", "random_phantom"]

_CORTEX, _SPONGY, _MARROW, _MUSCLE, _FAT, _LEAD = 0.145, 0.058, 0.026, 0.0255, 0.0205, 7.0
_GRAIN_PITCH = 0.22  # mm per pixel of the trabecular texture


@dataclass(frozen=True)
class _View:
    limb: str
    bones: tuple[str, ...]  # that may be broken, the main one first
    windows: tuple[tuple[float, float, float], ...]  # centre along the limb, height, width; mm
    density: float  # optical depth that the display window spans


_RAYS = (5, 4, 3, 2, 1)
_VIEWS = {
    "forearm": _View("arm", ("radius", "ulna"),
                     ((-85, 290, 180), (-120, 340, 190), (-45, 250, 190)), 3.5),
    "lower_leg": _View("leg", ("tibia", "fibula"),
                       ((105, 330, 210), (275, 370, 220), (190, 470, 230)), 4.3),
    "hand": _View("arm", (*(f"metacarpal{n}" for n in _RAYS),
                          *(f"proximal_phalanx{n}" for n in _RAYS)),
                  ((78, 270, 225), (50, 330, 240)), 2.9),
    "femur": _View("leg", ("femur",), ((-120, 340, 230), (-170, 400, 250)), 4.7),
}  # fmt: skip
VIEWS: tuple[str, ...] = tuple(_VIEWS)


@dataclass(frozen=True)
class FractureSpec:
    """A fracture to draw.

    `displacement` is in shares of the bone's width at the fracture, 0 to 1: the sideways step
    between the two pieces. A buckle fracture has no step: there it is the height of the fold;
    a hairline crack has none either: there it opens the crack. `angulation` is in degrees.
    `position` runs from 0 (proximal) to 1 (distal) along the part of the bone that the film
    shows; None draws a usual position from the seed. `bone` None is the view's main bone.
    """

    kind: str
    displacement: float = 0.25
    angulation: float = 5.0
    position: float | None = None
    bone: str | None = None

    def __post_init__(self) -> None:
        _known("fracture kind", self.kind, FRACTURE_KINDS)
        if not 0.0 <= self.displacement <= 1.0:
            raise ValueError(f"displacement must lie in 0..1, got {self.displacement}")
        if not -45.0 <= self.angulation <= 45.0:
            raise ValueError(f"angulation must lie in -45..45 degrees, got {self.angulation}")
        if self.position is not None and not 0.0 <= self.position <= 1.0:
            raise ValueError(f"position must lie in 0..1, got {self.position}")


@dataclass(frozen=True)
class Phantom:
    """A drawn film. `outline` is a polygon (N, 2) of pixels (x, y); `box` is its bounding box."""

    pixels: np.ndarray  # float32 (H, W) in [0, 1], bone bright
    fractured: bool
    outline: np.ndarray | None
    box: tuple[float, float, float, float] | None  # x, y, width, height
    view: str
    seed: int


def draw_phantom(
    view: str = "forearm",
    *,
    size: tuple[int, int] = (512, 416),
    seed: int = 0,
    fracture: FractureSpec | None = None,
    marker: str | None = "R",
    noise: float = 1.0,
    collimated: bool = True,
) -> Phantom:
    """Draw one synthetic radiograph.

    `size` is (height, width) in pixels, at least 64; `noise` scales quantum noise, 0 for none,
    1 for an ordinary exposure; `marker` "R" or "L" lays the lead letter beside the limb and makes
    it that side's, None leaves the letter out and draws the side from the seed. Raises ValueError
    with the known names for an unknown view, fracture kind, bone or marker.
    """
    _known("view", view, VIEWS)
    if marker is not None:
        _known("marker", marker, ("R", "L"))
    height, width = int(size[0]), int(size[1])
    if min(height, width) < 64:
        raise ValueError(f"size must be at least 64 x 64 pixels, got {height} x {width}")
    if noise < 0.0:
        raise ValueError(f"noise must not be negative, got {noise}")
    # One stream per purpose: a fracture must not shift the draws of pose, anatomy or noise.
    anatomy, posing, exposing, breaking = (
        np.random.default_rng([stream, VIEWS.index(view), seed]) for stream in range(4)
    )
    recipe = _VIEWS[view]
    limb = (arm if recipe.limb == "arm" else leg)(anatomy)
    pose = _pose(recipe, height, width, marker, posing)
    broken = _plan(recipe, limb, pose, fracture, breaking)
    depth, flesh = _optical_depth(limb, pose, broken, anatomy)
    if marker is not None:
        depth = depth + _LEAD * lead_letter(marker, flesh, posing)
    pixels = expose(depth, recipe.density, pose.pixel, noise, collimated, exposing)
    if broken is None:
        return Phantom(pixels, False, None, None, view, seed)
    points = np.stack(pose.to_film(*broken.outline().T), axis=1)
    points = np.clip(points, 0.0, (width - 1.0, height - 1.0))
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    box = (float(left), float(top), float(right - left), float(bottom - top))
    return Phantom(pixels, True, points.astype(np.float32), box, view, seed)


def random_phantom(
    seed: int, *, fractured: bool | None = None, size: tuple[int, int] = (512, 416)
) -> Phantom:
    """A phantom whose view, side, fracture and exposure all come from the seed.

    `fractured` None lets the seed decide, one in two. The same seed drawn with True and with
    False is a pair: the same film with and without the fracture.
    """
    rng = np.random.default_rng([9, seed])
    view = VIEWS[int(rng.integers(len(VIEWS)))]
    marker = (None, "R", "L")[int(rng.integers(3))]
    noise, coin = float(rng.uniform(0.5, 1.6)), bool(rng.random() < 0.5)
    kind = FRACTURE_KINDS[int(rng.integers(len(FRACTURE_KINDS)))]
    bones = _VIEWS[view].bones
    bone = bones[int(rng.integers(len(bones)))]
    spec = FractureSpec(
        kind,
        displacement=float(rng.beta(1.2, 2.5)),
        angulation=float(np.clip(rng.normal(0.0, 6.0), -20.0, 20.0)),
        bone=bone,
    )
    broken = coin if fractured is None else fractured
    return draw_phantom(
        view, size=size, seed=seed, fracture=spec if broken else None, marker=marker, noise=noise
    )


def _known(what: str, name: str, names: tuple[str, ...]) -> None:
    if name not in names:
        raise ValueError(f"unknown {what} {name!r}; known are {', '.join(names)}")


# Pose: millimetres of the limb to pixels of the film ---------------------------------------------


@dataclass(frozen=True)
class _Pose:
    height: int
    width: int
    pixel: float  # mm per film pixel
    middle: tuple[float, float]  # the limb's point at the film's centre, mm
    angle: float  # of the limb on the film, radians
    mirror: float  # -1 for a left limb

    def to_limb(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Film pixels to the limb's plane."""
        dx = (x - 0.5 * (self.width - 1)) * (self.pixel * self.mirror)
        dy = (y - 0.5 * (self.height - 1)) * self.pixel
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return self.middle[0] + dx * cos + dy * sin, self.middle[1] - dx * sin + dy * cos

    def to_film(self, x: Array, y: Array) -> tuple[Array, Array]:
        """The inverse of `to_limb`."""
        dx, dy = x - self.middle[0], y - self.middle[1]
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return (
            (dx * cos - dy * sin) * (self.mirror / self.pixel) + 0.5 * (self.width - 1),
            (dx * sin + dy * cos) / self.pixel + 0.5 * (self.height - 1),
        )


def _pose(
    recipe: _View, height: int, width: int, marker: str | None, rng: np.random.Generator
) -> _Pose:
    centre, tall, wide = recipe.windows[int(rng.integers(len(recipe.windows)))]
    # Arms are often filmed on a plate far larger than the limb; legs fill theirs.
    zoom = float(rng.uniform(0.95, 1.4 if recipe.limb == "arm" else 1.1))
    pixel = max(tall / height, wide / width) * zoom
    slack = max(0.0, width * pixel - wide) * 0.5
    middle = (float(rng.normal(0.0, 6.0 + 0.35 * slack)), centre + float(rng.normal(0.0, 8.0)))
    angle = float(np.deg2rad(np.clip(rng.normal(0.0, 6.0), -14.0, 14.0)))
    left = marker == "L" if marker else bool(rng.random() < 0.5)
    upside = recipe.limb == "arm" and rng.random() < 0.25  # some hands lie with the fingers up
    return _Pose(height, width, pixel, middle, angle + (np.pi if upside else 0.0),
                 -1.0 if left else 1.0)  # fmt: skip


def _plan(
    recipe: _View,
    limb: Limb,
    pose: _Pose,
    spec: FractureSpec | None,
    rng: np.random.Generator,
) -> Fracture | None:
    if spec is None:
        return None
    name = recipe.bones[0] if spec.bone is None else spec.bone
    _known("bone of this view", name, recipe.bones)
    solid = next(bone for bone in limb.bones if bone.name == name)
    # Only the part of the bone that lies well on the film can be broken where a reader sees it.
    s = np.linspace(0.05, 0.95, 181) * solid.length
    x, y = pose.to_film(*solid.to_plane(s, solid.centre(s)))
    edge = 0.12 * min(pose.height, pose.width)
    seen = (x > edge) & (x < pose.width - edge) & (y > edge) & (y < pose.height - edge)
    if not seen.any():
        raise ValueError(f"this film does not show the {name}; draw another seed or bone")
    low, high = float(s[seen].min()), float(s[seen].max())
    usual = usual_site(spec.kind, rng) * solid.length
    site = np.clip(usual, low, high)
    if spec.position is not None:
        site = low + spec.position * (high - low)
    return Fracture.plan(solid, spec.kind, float(site), spec.displacement, spec.angulation, rng)


# The limb: line integrals ------------------------------------------------------------------------


def _grain(rng: np.random.Generator) -> Array:
    """Trabecular texture, a tile that repeats: plates along the load, struts across it."""
    white = rng.standard_normal((2, 384, 384)).astype(np.float32)
    along = cv2.GaussianBlur(np.pad(white[0], 32, mode="wrap"), (0, 0), 1.5, sigmaY=9.0)
    across = cv2.GaussianBlur(np.pad(white[1], 32, mode="wrap"), (0, 0), 4.5, sigmaY=1.5)
    tile = along / along.std() + 0.7 * across / across.std()
    tile = tile[32:-32, 32:-32]
    return tile / tile.std()


def _bone_depth(solid: Solid, grain: Array, s: Array, t: Array, bulge: Array | float) -> Array:
    """Optical depth that a bone adds to the flesh it replaces."""
    outer, inner, spongy = solid.chords(s, t, bulge)
    rows = (np.asarray(s / _GRAIN_PITCH).astype(np.int32)) % grain.shape[0]
    columns = (np.asarray(t / _GRAIN_PITCH).astype(np.int32)) % grain.shape[1]
    # The relief of many plates behind one another averages out: hence the root of the depth.
    relief = grain[rows, columns] * (0.009 * np.sqrt(inner) * (0.15 + 1.3 * spongy))
    filling = _MARROW + spongy * (_SPONGY - _MARROW) - _MUSCLE
    return (outer - inner) * (_CORTEX - _MUSCLE) + inner * filling + np.minimum(relief, inner)


def _optical_depth(
    limb: Limb, pose: _Pose, broken: Fracture | None, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Optical depth of the limb over the film, and that of its flesh alone."""
    grain = _grain(rng)
    muscle = np.zeros((pose.height, pose.width), np.float32)
    fat = np.zeros_like(muscle)
    for part in limb.flesh:
        window = _window(part, pose, 2.0)
        if window is None:
            continue
        rows, columns, s, t = window
        outer, inner, _ = part.chords(s, t)
        muscle[rows, columns] = np.maximum(muscle[rows, columns], inner)
        fat[rows, columns] = np.maximum(fat[rows, columns], outer)
    fat = fat - muscle
    streaks = cv2.resize(rng.standard_normal((5, 18)).astype(np.float32), muscle.shape[::-1],
                         interpolation=cv2.INTER_CUBIC)  # fmt: skip
    flesh = (_MUSCLE * muscle) * (1.0 + 0.03 * streaks) + _FAT * np.maximum(fat, 0.0)
    flesh = cv2.GaussianBlur(flesh, (0, 0), 1.4 / pose.pixel)
    depth = flesh.copy()
    for bone in limb.bones:
        is_broken = broken is not None and broken.solid is bone
        window = _window(bone, pose, broken.sweep if is_broken else 1.0)
        if window is None:
            continue
        rows, columns, s, t = window

        def chord(s: Array, t: Array, bulge: Array | float, bone: Solid = bone) -> Array:
            return _bone_depth(bone, grain, s, t, bulge)

        extra = broken.project(chord, s, t, pose.pixel) if is_broken else chord(s, t, 0.0)
        depth[rows, columns] += extra
    return depth, flesh


def _window(solid: Solid, pose: _Pose, margin: float) -> tuple[slice, slice, Array, Array] | None:
    """The film rectangle that a solid can touch and its axis coordinates there; None if outside."""
    reach = solid.reach + abs(solid.bow) + margin
    s = np.array([-margin, -margin, solid.length + margin, solid.length + margin])
    x, y = pose.to_film(*solid.to_plane(s, np.array([-reach, reach, -reach, reach])))
    left, right = max(0, int(x.min())), min(pose.width, int(x.max()) + 2)
    top, bottom = max(0, int(y.min())), min(pose.height, int(y.max()) + 2)
    if left >= right or top >= bottom:
        return None
    grid_x, grid_y = np.meshgrid(
        np.arange(left, right, dtype=np.float32), np.arange(top, bottom, dtype=np.float32)
    )
    axis = solid.to_axis(*pose.to_limb(grid_x, grid_y))
    return slice(top, bottom), slice(left, right), *axis
