"""The anatomy that `detector.phantom` projects: bones and flesh as solids that know their chords.

A solid is a swept ellipse. Along its axis run tables of half-widths, wall thickness and depth;
its two ends have their own shape (condyles, plateau, styloid, malleolus). The length of a
vertical ray inside it follows from the distance to its outline, so one formula gives the shaft,
the flare, the rounded end and the thin plate under a joint. Sizes are adult means in
millimetres, rounded from textbook osteometry; a seed varies them by a few per cent.

The frame is that of a right limb seen from the front, x to the viewer's right and y towards the
fingers or toes. The wrist joint is y = 0 of the arm, the knee joint is y = 0 of the leg.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

_STEPS = 1024  # entries per table: a quarter of a millimetre on a tibia, below any detector pixel

Array = np.ndarray
Stations = Sequence[tuple[float, float, float, float, float]]
Ends = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Solid:
    """A swept ellipse with a wall: cortex around marrow, or fat around muscle. Millimetres."""

    name: str
    start: tuple[float, float]
    end: tuple[float, float]
    bow: float  # sideways bulge of the axis at half its length
    corner: float  # rounding where a side meets an end
    left: Array  # the four tables along the axis: half-width to each side, ...
    right: Array
    wall: Array  # ... thickness of the wall, ...
    depth: Array  # ... and half-thickness along the beam
    near: Array  # how far each end lies inside the axis' end, over -reach..reach across it
    far: Array
    porosity: float = 1.0  # how much of the inside near the ends is trabecular bone

    @property
    def length(self) -> float:
        return float(np.hypot(self.end[0] - self.start[0], self.end[1] - self.start[1]))

    @property
    def reach(self) -> float:
        """Largest half-width."""
        return float(max(self.left.max(), self.right.max()))

    def row(self, s: Array | float) -> Array:
        """Table index of the point s mm along the axis."""
        return np.clip(np.asarray(s) * ((_STEPS - 1) / self.length), 0, _STEPS - 1).astype(np.intp)

    def to_axis(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Plane (x, y) to (s along the axis from its start, t across it)."""
        ux = (self.end[0] - self.start[0]) / self.length
        uy = (self.end[1] - self.start[1]) / self.length
        dx, dy = x - self.start[0], y - self.start[1]
        return dx * ux + dy * uy, dx * uy - dy * ux

    def to_plane(self, s: Array, t: Array) -> tuple[Array, Array]:
        """The inverse of `to_axis`."""
        ux = (self.end[0] - self.start[0]) / self.length
        uy = (self.end[1] - self.start[1]) / self.length
        return self.start[0] + s * ux + t * uy, self.start[1] + s * uy - t * ux

    def centre(self, s: Array | float) -> Array:
        """Where the bowed axis runs: t at the point s."""
        part = np.clip(np.asarray(s) / self.length, 0.0, 1.0)
        return 4.0 * self.bow * part * (1.0 - part)

    def chords(self, s: Array, t: Array, bulge: Array | float = 0.0) -> tuple[Array, Array, Array]:
        """Ray lengths through the whole solid and through its inside, and the trabecular share.

        `bulge` pushes the sides outwards by that many millimetres. The ray length at distance d
        from the outline is that of an ellipse, 2·depth·sqrt(q(2 - q)) with q = d / half-width.
        """
        rows = self.row(s)
        across = t - self.centre(s)
        left, right = self.left[rows] + bulge, self.right[rows] + bulge
        sides = np.minimum(right - across, across + left)
        columns = np.clip((across / self.reach + 1.0) * (0.5 * (_STEPS - 1)), 0, _STEPS - 1)
        columns = columns.astype(np.intp)
        ends = np.minimum(s - self.near[columns], self.length - s - self.far[columns])
        r = self.corner
        inside = np.maximum(np.minimum(sides, ends), r) - np.hypot(
            np.maximum(r - sides, 0.0), np.maximum(r - ends, 0.0)
        )
        half = 0.5 * (left + right)
        wall, depth = self.wall[rows], self.depth[rows]
        q = np.clip(inside / half, 0.0, 1.0)
        outer = 2.0 * depth * np.sqrt(q * (2.0 - q))
        core = np.maximum(half - wall, 0.1)
        q = np.clip((inside - wall) / core, 0.0, 1.0)
        inner = 2.0 * np.maximum(depth - wall, 0.1) * np.sqrt(q * (2.0 - q))
        # Spongy bone sits where the wall is thin for the width: flares, condyles, carpals.
        spongy = self.porosity * np.clip((half / wall - 3.5) / 6.0, 0.0, 1.0)
        return outer, np.minimum(inner, outer), spongy


@dataclass(frozen=True)
class Limb:
    """Bones by name and the flesh around them, in millimetres of the limb's own frame."""

    bones: tuple[Solid, ...]
    flesh: tuple[Solid, ...]


def _table(knots: Sequence[tuple[float, float]], low: float, high: float, blur: float) -> Array:
    """Knots to a smooth table: linear between knots, then a Gaussian so that no corner shows."""
    positions, values = zip(*knots, strict=True)
    table = np.interp(np.linspace(low, high, _STEPS), positions, values)
    width = max(1, int(blur * _STEPS))
    kernel = np.exp(-0.5 * (np.arange(-3 * width, 3 * width + 1) / width) ** 2)
    padded = np.pad(table, 3 * width, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid").astype(np.float32)


def _solid(
    rng: np.random.Generator,
    name: str,
    start: tuple[float, float],
    end: tuple[float, float],
    stations: Stations,
    *,
    near: Ends = ((0.0, 0.0),),
    far: Ends = ((0.0, 0.0),),
    bow: float = 0.0,
    corner: float = 3.0,
    ripple: float = 0.02,
    porosity: float = 1.0,
) -> Solid:
    """`stations`: (part of the length, half-width left, right, wall, half-depth)."""
    columns = []
    for index in range(1, 5):
        table = _table([(row[0], row[index]) for row in stations], 0.0, 1.0, 0.014)
        # No two bones are alike: a few per cent of slow waviness, each table its own.
        waves = [(x, 1.0 + ripple * rng.standard_normal()) for x in np.linspace(0.0, 1.0, 9)]
        columns.append((table * _table(waves, 0.0, 1.0, 0.05)).astype(np.float32))
    shapes = [_table(shape, -1.0, 1.0, 0.02) for shape in (near, far)]
    return Solid(name, start, end, bow, corner, *columns, *shapes, porosity)


def _pebble(
    rng: np.random.Generator,
    name: str,
    centre: tuple[float, float],
    length: float,
    width: float,
    angle: float,
    depth: float,
) -> Solid:
    """A short bone: carpal, tarsal, patella."""
    length *= 1.0 + 0.05 * rng.standard_normal()
    lean = np.deg2rad(angle + 5.0 * rng.standard_normal())
    dx, dy = 0.5 * length * np.sin(lean), 0.5 * length * np.cos(lean)
    half = 0.5 * width
    # Facets: the sides and ends of a carpal are flat or hollow where a neighbour sits.
    sides = half * rng.uniform(0.84, 1.08, (5, 2))
    waist = [(0.25 * k, *sides[k], 0.7, depth) for k in range(5)]
    near, far = (
        [(-1.0, a), (0.0, b), (1.0, c)] for a, b, c in rng.uniform(0, 0.14, (2, 3)) * length
    )
    return _solid(
        rng, name, (centre[0] - dx, centre[1] - dy), (centre[0] + dx, centre[1] + dy), waist,
        near=near, far=far, corner=0.33 * min(length, width), ripple=0.03,
    )  # fmt: skip


def _digit(
    rng: np.random.Generator,
    base: tuple[float, float],
    angles: Sequence[float],
    bones: Sequence[tuple[str, float, float]],
    flesh: tuple[float, float],
) -> tuple[list[Solid], Solid]:
    """A ray of hand or foot: (name, length, half-width of the base) from the base outwards."""
    solids, (x, y), joint = [], base, 0.1
    for (name, length, wide), angle in zip(bones, angles, strict=True):
        lean = np.deg2rad(angle)
        tip = (x + length * np.sin(lean), y + length * np.cos(lean))
        last = name.startswith("distal")
        head = 0.55 * wide if last else 0.86 * wide
        waist = (0.45 if last else 0.56) * wide
        metacarpal = name.startswith("meta")
        stations = [
            (0.0, wide, wide, 0.7, 0.95 * wide),
            (0.10, 0.95 * wide, 0.95 * wide, 0.7, 0.9 * wide),
            (0.30, 1.1 * waist, 1.1 * waist, 1.5, 1.05 * waist),
            (0.55, waist, waist, 1.9, 0.95 * waist),
            (0.76, 1.12 * waist, 1.12 * waist, 1.4, waist),
            (0.90, head, head, 0.7, 0.95 * head),
            (1.0, head * 0.92, head * 0.92, 0.7, 0.9 * head),
        ]
        dome = [(-1.0, 2.2), (-0.4, 0.4), (0.0, 0.0), (0.4, 0.4), (1.0, 2.2)]
        notch = [(-1.0, 0.9), (-0.4, 0.0), (0.0, 0.8), (0.4, 0.0), (1.0, 0.9)]
        cup = [(-1.0, 0.0), (0.0, 1.3), (1.0, 0.0)]
        solids.append(
            _solid(rng, name, (x, y), tip, stations, near=cup, ripple=0.03,
                   far=dome if metacarpal or last else notch, corner=0.3 * wide)
        )  # fmt: skip
        x, y = tip[0] + joint * np.sin(lean), tip[1] + joint * np.cos(lean)
    lean = np.deg2rad(angles[-1])
    root, thick = solids[0].to_plane(np.float64(0.45 * solids[0].length), np.float64(0.0)), flesh
    pad = (x + 4.0 * np.sin(lean), y + 4.0 * np.cos(lean))
    skin = _solid(
        rng, "digit", (float(root[0]), float(root[1])), pad,
        [(0.0, thick[0], thick[0], 1.5, thick[0] * 0.9),
         (1.0, thick[1], thick[1], 1.2, thick[1] * 0.9)],
        corner=0.9 * thick[1], ripple=0.03,
    )  # fmt: skip
    # The skin follows a bent finger as a bowed sweep; its bow is the joint's offset from the chord.
    middle = solids[1].start
    skin = replace(skin, bow=float(skin.to_axis(np.float64(middle[0]), np.float64(middle[1]))[1]))
    return solids, skin


def arm(rng: np.random.Generator) -> Limb:
    """Distal humerus, radius, ulna, eight carpals, five rays of the hand; right side."""
    bones = [
        _solid(rng, "humerus", (4.0, -420.0), (1.0, -238.0), [
            (0.0, 11, 11, 3.5, 11), (0.5, 11, 11, 3.2, 10), (0.75, 16, 16, 2.0, 9),
            (0.88, 29, 27, 1.1, 9), (0.95, 31, 27, 0.9, 10), (1.0, 26, 25, 0.9, 10),
        ], far=[(-1, 7), (-0.6, 0), (-0.1, 5), (0.4, 1), (1, 6)], corner=9),
        _solid(rng, "radius", (10.0, -236.0), (8.5, 0.0), [
            (0.0, 11.5, 11.5, 0.9, 11), (0.035, 11.5, 11.5, 0.9, 11), (0.09, 7.4, 7.4, 2.0, 7.4),
            (0.16, 9.6, 7.8, 2.6, 8.2), (0.24, 7.6, 7.2, 3.1, 7.2), (0.55, 7.6, 7.2, 3.3, 6.8),
            (0.78, 8.4, 8.0, 2.5, 7.2), (0.89, 11.5, 11.2, 1.4, 8.6), (0.955, 15.5, 15.2, 0.9, 11),
            (1.0, 16.0, 16.5, 0.8, 11),
        ], near=[(-1, 0), (0, 1.5), (1, 0)], bow=float(rng.normal(7.0, 1.0)), corner=3.4,
            far=[(-1, 10), (-0.7, 9.5), (-0.1, 8.6), (0.35, 6.0), (0.8, 0.4), (1, 0.0)]),
        _solid(rng, "ulna", (-8.0, -262.0), (-15.5, -5.0), [
            (0.0, 11, 11, 1.0, 11), (0.06, 12.5, 12, 1.2, 13), (0.12, 12, 12.5, 1.6, 13),
            (0.2, 8.8, 9.2, 2.6, 9.5), (0.4, 7.3, 7.3, 3.0, 7), (0.7, 6.4, 6.4, 2.8, 6),
            (0.88, 5.6, 5.6, 1.9, 5.4), (0.96, 7.8, 7.6, 0.9, 7.4), (1.0, 8.4, 8.0, 0.8, 7.6),
        ], bow=float(rng.normal(-2.0, 1.5)), corner=4.0,
            near=[(-1, 13), (-0.6, 3), (0.0, 0), (0.6, 4), (1, 14)],
            far=[(-1, 0.6), (-0.82, 0), (-0.55, 4.2), (0.0, 4.8), (1, 5.2)]),
    ]  # fmt: skip
    carpals = (
        ("scaphoid", 13.5, 3.0, 26, 13, 48, 8), ("lunate", -1, 0.0, 14.5, 16.5, 8, 9),
        ("triquetrum", -14, 5.5, 17, 13.5, -38, 8), ("pisiform", -16, 9, 11.5, 9.5, 0, 3.5),
        ("trapezium", 22.5, 16, 16.5, 15, 30, 8), ("trapezoid", 12, 19, 13.5, 12.5, 10, 7.5),
        ("capitate", 1, 16.5, 24.5, 14, 4, 9), ("hamate", -11, 19, 19, 15.5, -18, 8.5),
    )  # fmt: skip
    for name, x, y, length, width, angle, depth in carpals:
        bones.append(_pebble(rng, name, (x, y), length, width, angle, depth))
    flesh = [
        _solid(rng, "forearm", (2.0, -430.0), (0.0, 40.0), [
            (0.0, 48, 48, 5, 40), (0.36, 45, 45, 5, 36), (0.5, 44, 46, 4, 34),
            (0.68, 38, 39, 3.5, 30), (0.82, 29, 30, 2.5, 23), (0.93, 27, 29, 2, 19),
            (1.0, 30, 34, 2, 16),
        ], corner=18, ripple=0.04),
        _solid(rng, "palm", (1.0, -22.0), (-2.0, 112.0), [
            (0.0, 25, 27, 2, 18), (0.3, 33, 36, 2, 17), (0.55, 41, 36, 2, 16),
            (0.85, 45, 34, 2, 12), (1.0, 45, 33, 2, 9),
        ], corner=14, ripple=0.03),
        _solid(rng, "thenar", (6.0, -8.0), (52.0, 58.0), [
            (0.0, 15, 16, 2, 17), (0.5, 21, 17, 2, 16), (1.0, 14, 12, 1.5, 11),
        ], corner=12, ripple=0.03),
    ]  # fmt: skip
    spread = float(rng.uniform(0.55, 1.5))
    curl = float(rng.uniform(-1.0, 1.0))
    rays = (
        # base x, y, angle of the metacarpal and of the finger, then lengths and half-widths
        (1, 25.0, 23.0, 38 + 6 * curl, 26 + 9 * curl, (45, 31, 22), (7.6, 7.2, 5.8), (13.5, 11)),
        (2, 13.5, 26.0, 8.0, 7.0 * spread, (66, 40, 23, 17), (8.4, 7.6, 6.6, 5.4), (12, 9.2)),
        (3, 2.5, 28.5, 0.5, 0.5 * spread, (63, 44, 28, 18), (8.0, 7.8, 6.8, 5.6), (12, 9.2)),
        (4, -7.0, 29.0, -7.0, -5.5 * spread, (56, 41, 26, 18), (7.2, 7.2, 6.4, 5.4), (11.5, 8.9)),
        (5, -15.0, 27.5, -15.5, -13 * spread, (52, 32, 19, 16), (7.4, 6.8, 5.6, 4.8), (10.5, 8.2)),
    )
    for ray, x, y, meta, finger, lengths, widths, skin in rays:
        kinds = ("metacarpal", "proximal_phalanx", "middle_phalanx", "distal_phalanx")
        kinds = kinds if ray > 1 else (kinds[0], kinds[1], kinds[3])
        names = [(f"{k}{ray}", n, w) for k, n, w in zip(kinds, lengths, widths, strict=True)]
        bend = [meta, *(finger + float(rng.normal(0, 2.0)) for _ in lengths[1:])]
        solids, cover = _digit(rng, (x, y), bend, names, skin)
        bones += solids
        flesh.append(cover)
    return Limb(tuple(bones), tuple(flesh))


def leg(rng: np.random.Generator) -> Limb:
    """Femur, patella, tibia, fibula, tarsals and the five rays of the foot; right side."""
    bones = [
        _solid(rng, "femur", (-40.0, -430.0), (0.0, 0.0), [
            (0.0, 15, 15, 6.5, 15), (0.5, 14, 14, 6.5, 14), (0.70, 15.5, 15.5, 5.0, 14),
            (0.80, 16.5, 17, 3.6, 15), (0.86, 20, 21, 2.2, 17), (0.90, 28, 29, 1.3, 22),
            (0.93, 38, 38, 1.0, 27), (0.95, 40.5, 40.5, 1.0, 27), (1.0, 39, 39, 1.0, 27),
        ], far=[(-1, 10), (-0.7, 4.6), (-0.45, 4.0), (-0.24, 6), (-0.13, 15), (0.09, 15), (0.2, 6),
                (0.5, 0.0), (0.75, 0.0), (1, 4)], bow=float(rng.normal(-3, 1.5)), corner=11,
            porosity=0.62),
        _pebble(rng, "patella", (-4.0, -33.0), 43, 41, 0, 3.2),
        _solid(rng, "tibia", (0.0, -6.0), (4.0, 352.0), [
            (0.0, 37, 37, 1.0, 24), (0.06, 38, 38, 1.0, 24), (0.085, 34, 34, 1.1, 22),
            (0.13, 24, 24, 2.0, 18), (0.19, 18, 18, 3.6, 15), (0.26, 15.5, 15.5, 5.0, 14.5),
            (0.45, 13.5, 13.5, 6.0, 13),
            (0.7, 12.2, 12.2, 5.2, 11.5), (0.84, 13.5, 13.5, 3.2, 12), (0.92, 18.5, 19, 1.5, 15),
            (0.97, 22, 23, 1.0, 17), (1.0, 22, 23, 0.9, 15),
        ], near=[(-1, 9), (-0.55, 8.6), (-0.24, 7), (-0.14, 2.5), (0, 4.5), (0.13, 1.5),
                 (0.25, 7), (0.6, 9), (1, 8.6)],
            far=[(-1, 13), (0.2, 12.5), (0.34, 11), (0.43, 2), (0.55, 0), (1, 1)],
            bow=float(rng.normal(3, 1)), corner=5.0, porosity=0.68),
        _solid(rng, "fibula", (-34.0, 19.0), (-24.0, 362.0), [
            (0.0, 9, 9, 0.8, 9), (0.035, 11.5, 10.5, 0.8, 10), (0.08, 8, 7.5, 1.2, 8),
            (0.15, 5.8, 5.8, 1.9, 5.8), (0.5, 5.8, 5.8, 2.3, 5.6), (0.82, 5.8, 5.8, 1.9, 5.6),
            (0.92, 9, 9, 1.0, 8), (0.965, 9.5, 9.5, 0.9, 9), (1.0, 6.5, 6.5, 0.8, 7),
        ], near=[(-1, 3), (-0.3, 0), (1, 7)], far=[(-1, 5), (0, 0), (1, 3)],
            bow=float(rng.normal(2, 2)), corner=4.5),
    ]  # fmt: skip
    bones.append(
        _solid(rng, "talus", (1.5, 341.5), (6.0, 386.0), [
            (0.0, 18, 16.5, 0.9, 17), (0.35, 20, 18, 0.8, 18), (0.6, 21, 17, 0.7, 17),
            (0.8, 16, 17, 0.7, 16), (1.0, 14, 18, 0.7, 15),
        ], near=[(-1, 1), (-0.5, 0), (0.0, 1.2), (0.5, 0), (1, 1)], corner=5.0)
    )  # fmt: skip
    tarsals = (
        ("calcaneus", -9, 379, 52, 38, 14, 13),
        ("navicular", 11, 388, 18, 41, 8, 12),
        ("cuboid", -20, 400, 34, 29, 8, 11),
        ("cuneiform1", 23, 407, 27, 20, -4, 11),
        ("cuneiform2", 9, 404, 20, 16, 0, 9),
        ("cuneiform3", -4, 406, 25, 17, 4, 9),
    )
    for name, x, y, length, width, angle, depth in tarsals:
        bones.append(_pebble(rng, name, (x, y), length, width, angle, depth))
    build = float(rng.uniform(0.86, 1.18))  # slim to stout
    flesh = [
        _solid(rng, "leg", (-14.0, -440.0), (0.0, 384.0), [
            (0.0, 84 * build, 80 * build, 9, 66 * build),
            (0.26, 74 * build, 68 * build, 7, 56 * build), (0.45, 58, 59, 6, 47),
            (0.53, 56, 56, 5, 45), (0.58, 55, 55, 5, 43),
            (0.68, 58 * build, 56 * build, 5, 50 * build),
            (0.8, 45 * build, 44 * build, 4, 40 * build), (0.92, 36, 34, 3, 33),
            (1.0, 40, 36, 3, 36),
        ], corner=24, ripple=0.03),
        _solid(rng, "foot", (-2.0, 335.0), (-3.0, 500.0), [
            (0.0, 32, 30, 3, 40), (0.2, 40, 38, 3, 46), (0.4, 43, 41, 3, 34),
            (0.7, 46, 44, 3, 18), (1.0, 46, 45, 2, 12),
        ], corner=22, ripple=0.03),
    ]  # fmt: skip
    rays = (
        (1, 24.0, 421.0, 5.0, -2.0, (58, 30, 22), (10.5, 9.0, 8.5), (15, 12)),
        (2, 10.0, 414.0, 1.0, 0.0, (70, 24, 11, 9), (7.2, 5.8, 4.6, 4.2), (10, 8)),
        (3, -2.0, 419.0, -4.0, -2.0, (65, 22, 9, 8), (7.0, 5.4, 4.4, 4.0), (9.5, 8)),
        (4, -14.0, 418.0, -8.0, -4.0, (63, 20, 8, 8), (7.0, 5.2, 4.4, 4.0), (9, 7.5)),
        (5, -26.0, 413.0, -12.0, -6.0, (62, 18, 7, 8), (8.0, 5.0, 4.4, 4.0), (9, 7.5)),
    )
    for ray, x, y, meta, toe, lengths, widths, skin in rays:
        kinds = ("metatarsal", "proximal_toe", "middle_toe", "distal_toe")
        kinds = kinds if ray > 1 else (kinds[0], kinds[1], kinds[3])
        names = [(f"{k}{ray}", n, w) for k, n, w in zip(kinds, lengths, widths, strict=True)]
        solids, cover = _digit(rng, (x, y), [meta, *([toe] * (len(names) - 1))], names, skin)
        bones += solids
        flesh.append(cover)
    return Limb(tuple(bones), tuple(flesh))
