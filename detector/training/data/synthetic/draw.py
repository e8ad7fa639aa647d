"""Fractures drawn onto normal bone, and mimics that look like them but are none.

A source of films that comes only without fractures would teach that its look means 'normal'; and
what tells a fracture from a joint or a growth plate is best seen where all else is equal. So a bone
on a normal film is either broken (a displaced, hairline, buckle or greenstick fracture, a growth
plate with a step, a crack from a bone's border) or only changed: bent without a break, with a whole
growth plate, with a line that runs on beyond the bone. Both go through the same resampling, so that
neither seam nor blur is a sign.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from detector.training.data.synthetic.bones import Bone, find_bone, follow_from
from detector.training.data.synthetic.cracks import crack
from detector.training.data.synthetic.fractures import buckle, displaced, greenstick, hairline
from detector.training.data.synthetic.growth_plates import stepped_plate, whole_plate
from detector.training.data.synthetic.layers import Layers, feather, is_visible, take_apart
from detector.training.data.synthetic.mimics import bent, crossing_line


@dataclass(frozen=True)
class Drawn:
    """A canvas (H, W) uint8 that was drawn on. ``kind``: what was drawn. ``outline``: the fracture,
    (M, 2) x, y in canvas pixels; None for a mimic."""

    canvas: np.ndarray
    outline: np.ndarray | None
    kind: str


Form = Callable[[np.random.Generator, Layers], tuple[np.ndarray, np.ndarray | None]]
# How often each form is drawn on a tubular bone. The first also stands in for a growth plate where
# the bone has no place for one.
FRACTURES: dict[str, tuple[float, Form]] = {
    "displaced": (0.34, displaced), "hairline": (0.22, hairline), "buckle": (0.24, buckle),
    "greenstick": (0.1, greenstick), "stepped plate": (0.1, stepped_plate),
}
MIMICS: dict[str, tuple[float, Form]] = {
    "bent": (0.3, bent), "whole plate": (0.45, whole_plate), "crossing line": (0.25, crossing_line),
}
_CRACKS = 0.12  # of all that is drawn, also where there is a tubular bone


def draw_fracture(
    rng: np.random.Generator, canvas: np.ndarray, zoom: float = 1.0
) -> Drawn | None:
    """The canvas (H, W) uint8 with a fracture; None where no bone is found, or nothing is visible.

    ``zoom``: canvas pixels per film pixel. Nothing is drawn sharper than the film is.
    """
    return _draw(rng, canvas, zoom, FRACTURES)


def draw_mimic(rng: np.random.Generator, canvas: np.ndarray, zoom: float = 1.0) -> Drawn | None:
    """As ``draw_fracture``, but what is drawn is none."""
    return _draw(rng, canvas, zoom, MIMICS)


def _draw(
    rng: np.random.Generator, canvas: np.ndarray, zoom: float, forms: dict[str, tuple[float, Form]]
) -> Drawn | None:
    names = list(forms)
    chances = np.array([chance for chance, _ in forms.values()])
    name = names[int(rng.choice(len(names), p=chances / chances.sum()))]
    found = find_bone(rng, canvas, max(4.0, 3.5 * zoom))
    if found is None or rng.random() < _CRACKS:
        fracture = forms is FRACTURES
        cracked = crack(rng, canvas, zoom, fracture)
        return cracked and Drawn(*cracked, "crack" if fracture else "no crack")
    bone = _site(rng, canvas, found, name)
    if bone is None:
        name = names[0]
        bone = _site(rng, canvas, found, name)
    layers = take_apart(rng, canvas, bone, zoom)
    if layers is None:
        return None
    changed, outline = forms[name][1](rng, layers)
    changed = layers.grey + (changed - layers.grey) * feather(layers)
    after = canvas.copy()
    after[layers.window] = np.clip(np.round(changed), 0, 255).astype(np.uint8)
    if outline is None:
        return Drawn(after, None, name)
    points = layers.bone.points(*(outline.T * layers.bone.half))
    return Drawn(after, points, name) if is_visible(canvas, after, points) else None


def _site(rng: np.random.Generator, canvas: np.ndarray, bone: Bone, name: str) -> Bone | None:
    """The bone seen from where such a form is drawn: growth plates, and most buckles, near an end.

    None where there is no place for a growth plate: a shaft widens towards its plate, and an even
    band across a shaft is a fracture.
    """
    low, high = bone.start + 1.2 * bone.half, bone.end - 1.2 * bone.half
    ends = [((low, -1), (high, 1))[k] for k in rng.permutation(2)]
    if "plate" in name:
        for beyond in (0.9, 0.4, 0.0):
            for end, sign in ends:
                s = end + sign * beyond * bone.half
                there = follow_from(canvas, bone, s)
                if (there is not None and sign * (there.right[1] - there.left[1]) > 0.1
                        and _film_goes_on(canvas, bone, s + sign * 2.0 * bone.half)):
                    return there
        return None
    at_end = name == "buckle" and rng.random() < 0.7
    s = ends[0][0] if at_end else rng.uniform(low, max(low, high))
    return follow_from(canvas, bone, s) or bone


def _film_goes_on(canvas: np.ndarray, bone: Bone, s: float) -> bool:
    """Whether the film goes on at ``s``, so that the bone ends there and not the film."""
    x, y = np.round(bone.centre + bone.along * s).astype(int)
    return bool(0 <= x < canvas.shape[1] and 0 <= y < canvas.shape[0]
                and canvas[y, x] > 0.5 * bone.beside[:, 1:].mean())
