"""Breaks one solid of `detector.phantom.bones`: where the crack runs and how the pieces move.

A bone between two joints stays with both of them, so a displaced or angulated shaft is two rigid
pieces, each turned about its own far end. Hairline and buckle fractures keep the bone in one
piece: it bends, with a crack or a fold in the cortex. The crack differs between the front and the
back of the bone, which is why real films often show two lines for one fracture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from detector.phantom.bones import Array, Solid

FRACTURE_KINDS = ("transverse", "oblique", "spiral", "comminuted", "buckle", "hairline")

# chord(s, t, bulge) -> line integral of the intact solid at axis coordinates
Projector = Callable[[Array, Array, "Array | float"], Array]

_USUAL = {  # where along the whole bone a kind is usually seen
    "transverse": (0.35, 0.80), "oblique": (0.35, 0.75), "spiral": (0.40, 0.70),
    "comminuted": (0.38, 0.68), "buckle": (0.85, 0.91), "hairline": (0.40, 0.80),
}  # fmt: skip


def usual_site(kind: str, rng: np.random.Generator) -> float:
    """A position along the bone, 0..1, where this kind of fracture is usual."""
    return float(rng.uniform(*_USUAL[kind]))


@dataclass(frozen=True)
class Fracture:
    """A resolved fracture of one solid; lengths in millimetres, angles in radians."""

    kind: str
    solid: Solid
    site: float  # along the axis
    offset: float  # sideways step of the far piece (buckle: height of the fold), signed
    angle: float  # turn of the far piece against the near one, signed
    slope: float
    side: float  # the side, -1 or 1, on which a crack starts or a wedge is broken out
    jags: Array  # three rough lines over -1..1 of the half-width
    pieces: Array  # comminuted: shift along, shift across, turn, of each loose piece

    @classmethod
    def plan(
        cls,
        solid: Solid,
        kind: str,
        site: float,
        displacement: float,
        angulation: float,
        rng: np.random.Generator,
    ) -> Fracture:
        """`displacement` in shares of the local width, `angulation` in degrees."""
        row = int(solid.row(site))
        half = 0.5 * float(solid.left[row] + solid.right[row])
        side = 1.0 if rng.random() < 0.5 else -1.0
        slopes = {"oblique": (0.7, 1.5), "spiral": (1.5, 2.3), "comminuted": (0.7, 1.3)}
        low, high = slopes.get(kind, (-0.22, 0.22))
        slope = float(rng.uniform(low, high)) * side
        rough = rng.standard_normal((3, 257)).cumsum(axis=1)
        jags = rough - cv2.GaussianBlur(rough, (0, 0), 40)
        jags *= min(1.0, 0.07 * half) / jags.std(axis=1, keepdims=True)
        loose = rng.uniform(-1.0, 1.0, (3, 3))
        scale = (0.4, 0.5 + 0.35 * abs(displacement) * half, 0.05 + 0.1 * abs(displacement))
        pieces = loose * np.array(scale)
        return cls(
            kind, solid, site, displacement * 2.0 * half * side, float(np.deg2rad(angulation)),
            slope, side, jags, pieces,
        )  # fmt: skip

    @property
    def half(self) -> float:
        row = int(self.solid.row(self.site))
        return 0.5 * float(self.solid.left[row] + self.solid.right[row])

    @property
    def sweep(self) -> float:
        """How far any point of the bone can move, in mm."""
        near, far = self._turns()
        lever = max(self.site * abs(near), (self.solid.length - self.site) * abs(far))
        return lever + 0.3 * self.half + 3.0

    def project(self, chord: Projector, s: Array, t: Array, pixel: float) -> Array:
        """Line integral through the broken bone at axis coordinates (s, t)."""
        if self.kind in ("buckle", "hairline"):
            return self._project_whole(chord, s, t, pixel)
        near, far = self._turns()
        gap = 0.25  # mm on each side: even a reduced fracture does not close
        s1, t1 = _turn(s, t, -near, 0.0)
        total = chord(s1, t1, 0.0) * self._share(s1, t1, -1.0, 0, gap, pixel)
        s2, t2 = _turn(s, t, -far, self.solid.length)
        total += chord(s2, t2, 0.0) * self._share(s2, t2, 1.0, 1, gap, pixel)
        if self.kind == "comminuted":
            total += self._loose(chord, s, t, gap, pixel)
        return total

    def outline(self) -> Array:
        """Convex outline of what a reader sees of the fracture, (N, 2) in the limb's plane."""
        half = self.half
        margin = 2.5 + 0.25 * half  # mm that a reader leaves around the crack
        if self.kind == "buckle":
            reach = 2.2 * self._fold + 1.5
            s = self.site + np.array([-reach, reach, reach, -reach])
            t = np.array([-1.0, -1.0, 1.0, 1.0]) * (half + abs(self._height) + 2.0)
            t += self.solid.centre(s) + self._bend(s)
            return np.stack(self.solid.to_plane(s, t), axis=1)
        u = np.linspace(-1.0, 1.0, 33)
        if self.kind == "hairline":
            u = u[u * self.side >= -0.35]
        t = u * half + np.sign(u) * margin * (np.abs(u) > 0.97)
        t = t + self.solid.centre(self.site)
        points = []
        near, far = self._turns()
        for surface, turn, pivot, slack in (
            (0, near, 0.0, -margin),
            (1, far, self.solid.length, margin),
        ):
            for back in (False, True):
                s = self._line(t, surface, back) + slack
                if self.kind == "hairline":
                    points.append((s, t + self._bend(s)))
                else:
                    points.append(_turn(s, t, turn, pivot))
        along = np.concatenate([p[0] for p in points])
        across = np.concatenate([p[1] for p in points])
        plane = np.stack(self.solid.to_plane(along, across), axis=1).astype(np.float32)
        return cv2.convexHull(plane)[:, 0]

    # The crack ------------------------------------------------------------------------------

    def _line(self, t: Array, surface: int, back: bool) -> Array:
        """The crack on the front or back cortex: s at each t. Surface 0 ends the near piece."""
        local = t - self.solid.centre(self.site)
        u = np.clip(local / self.half, -1.3, 1.3)
        column = np.clip((u + 1.0) * 128.0, 0, 256).astype(np.intp)
        rough = self.jags[2 if back else 0][column]
        if self.kind == "spiral":  # a helix: the two sides run the same way, bowed apart
            wave = 0.32 * np.sin(np.pi * u) * (-1.0 if back else 1.0)
            return self.site + self.slope * self.half * (u + wave) + 0.4 * rough
        if self.kind == "comminuted":  # two cracks that meet on one side and open to the other
            opening = abs(self.slope) * self.half * (0.25 + np.maximum(1.0 + u * self.side, 0.0))
            sign = -1.0 if surface == 0 else 1.0
            return self.site + sign * 0.5 * opening + self.jags[surface + bool(back)][column]
        shift = 0.0
        if back:
            shift = 0.16 * self.half * self.side if self.kind == "oblique" else 0.07 * self.half
        return self.site + self.slope * local + shift + rough

    def _share(
        self, s: Array, t: Array, sign: float, surface: int, gap: float, pixel: float
    ) -> Array:
        """How much of the ray at (s, t) belongs to the piece on this side of the crack, 0..1."""
        share = 0.0
        for back in (False, True):
            away = sign * (s - self._line(t, surface, back)) - gap
            share = share + 0.5 * np.clip(away / pixel + 0.5, 0.0, 1.0)
        return share

    def _loose(self, chord: Projector, s: Array, t: Array, gap: float, pixel: float) -> Array:
        """The pieces between the two cracks: carried with the ends, and each moved by itself."""
        near, far = self._turns()
        carried = 0.5 * (self.site * near - (self.solid.length - self.site) * far)
        total = np.zeros_like(s)
        zone = np.abs(s - self.site) < 3.0 * self.half + 5.0  # none of them reaches further
        s, t = s[zone], t[zone]
        cuts = (-9.0, -0.25, 0.4, 9.0)
        for index, (along, across, spin) in enumerate(self.pieces):
            turn = 0.5 * (near + far) + spin
            s1, t1 = _turn(s - along, t - across - carried, -turn, self.site)
            share = 1.0 - np.minimum(
                1.0,
                self._share(s1, t1, -1.0, 0, -gap, pixel)
                + self._share(s1, t1, 1.0, 1, -gap, pixel),
            )
            local = t1 - self.solid.centre(self.site) + 0.35 * (s1 - self.site)
            column = np.clip((s1 - self.site) / self.half * 64 + 128, 0, 256).astype(np.intp)
            local = local + 0.7 * self.jags[1][column]
            low, high = cuts[index] * self.half, cuts[index + 1] * self.half
            share = share * np.clip((local - low - 0.5 * gap) / pixel + 0.5, 0.0, 1.0)
            share = share * np.clip((high - 0.5 * gap - local) / pixel + 0.5, 0.0, 1.0)
            total[zone] += share * chord(s1, t1, 0.0)
        return total

    # How the pieces move --------------------------------------------------------------------

    def _turns(self) -> tuple[float, float]:
        """Turns of the near piece about s = 0 and of the far piece about s = length.

        At the crack the near piece moves sideways by site·near, the far one by
        -(length - site)·far; the difference is the offset, and far - near is the angle.
        """
        length = self.solid.length
        near = -(self.offset + (length - self.site) * self.angle) / length
        return near, near + self.angle

    def _bend(self, s: Array) -> Array:
        """Sideways shift of a bone that bends at the site and keeps both ends: a rounded tent."""
        length, site = self.solid.length, self.site
        ramp = self.half * 0.6
        tent = -self.angle * (length - site) / length * s
        # softplus keeps the tent's top as round as the fold is wide
        return tent + self.angle * ramp * np.logaddexp(0.0, (s - site) / ramp)

    # Bones that stay in one piece -----------------------------------------------------------

    @property
    def _fold(self) -> float:
        """Half-length of the buckle along the bone."""
        return 0.2 * self.half + 0.9

    @property
    def _height(self) -> float:
        return 0.06 * self.half + 0.2 * abs(self.offset)

    def _project_whole(self, chord: Projector, s: Array, t: Array, pixel: float) -> Array:
        straight = t - self._bend(s)
        local = straight - self.solid.centre(self.site)
        if self.kind == "buckle":
            near = np.exp(-0.5 * ((s - self.site) / self._fold) ** 2)
            ring = np.exp(-0.5 * ((s - self.site - 1.7 * self._fold) / self._fold) ** 2)
            lean = 0.65 + 0.35 * np.tanh(2.0 * self.side * local / self.half)
            bulge = self._height * lean * (near - 0.35 * ring)
            packed = 1.0 + 0.16 * near * lean  # the fold packs bone into less length
            return chord(s, straight, bulge) * packed
        u = self.side * local / self.half  # the crack starts at u = 1 and dies out inside
        depth = np.clip((u + 0.35) / 0.5, 0.0, 1.0)
        width = 0.28 + 0.5 * abs(self.offset) / self.half
        lost = 0.0
        for back, share in ((False, 0.55), (True, 0.3)):
            away = (s - self._line(straight, 0, back)) / max(width, 0.45 * pixel)
            lost = lost + share * depth * np.exp(-0.5 * away**2)
        return chord(s, straight, 0.0) * (1.0 - lost)


def _turn(s: Array, t: Array, angle: float, pivot: float) -> tuple[Array, Array]:
    """Rotate axis coordinates about (pivot, 0); positive angles raise t beyond the pivot."""
    cos, sin = np.cos(angle), np.sin(angle)
    ds = s - pivot
    return pivot + ds * cos - t * sin, ds * sin + t * cos
