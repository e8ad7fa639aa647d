"""What an epoch shows: the samples, so that nothing but the bone tells a sample's label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from detector.training.config import TrainConfig
from detector.training.data.films import CachedFilm
from detector.training.data.spatial import View


class Drawing(Enum):
    """What is drawn onto a normal film: nothing, a fracture, or a mimic of one."""

    NONE = "none"
    FRACTURE = "fracture"
    MIMIC = "mimic"


@dataclass(frozen=True)
class SampleSpec:
    """One sample of an epoch: the film's index, what of the film is shown, whether only a part of
    it (as if no more had been exposed), and what is drawn onto it."""

    film: int
    view: View
    part: bool = False
    drawing: Drawing = Drawing.NONE


_SMALL = 100  # films: each film of a smaller source is shown several times
_LARGE = 1000  # pixels: a film that shows real detail from close
_ONE_LABEL_CLOSE = 0.9  # of the fractured films, where a source has no normal ones


def plan_epoch(films: Sequence[CachedFilm], config: TrainConfig, epoch: int) -> list[SampleSpec]:
    """The samples of one epoch, shuffled; see ``TrainConfig`` for what it holds.

    Neither the source nor the resolution of a film nor how much of it is shown may tell its label
    (`evaluation/sample_shortcuts.py` measures it):

    - In each source the same fraction of the normal and of the fractured films is shown close, and
      the same fraction of them are large films.
    - A source without normal films gives negative crops of its fractured ones, and nearly all of
      its fractures from as close.
    - Fractures are drawn onto normal films until ``fractured_fraction`` of the source's samples are
      fractured; a source without fractures then says nothing either.
    - Of a fracture without an outline nothing may be cut off, so it is shown in full, and the same
      fraction of the source's normal films with it. That is half of them at most where other
      fractures are shown close: an appearance that was only ever taught in full is read badly from
      close.
    """
    rng = np.random.default_rng([config.seed, epoch, 2**31])
    all_outlined = [i for i, film in enumerate(films) if film.outlines.polygons]
    crops = _choose(rng, all_outlined, config.negative_crops)
    samples: list[SampleSpec] = []
    for indices in by_source(films):
        of_source = _of_source(rng, films, indices, config, bool(all_outlined))
        source = films[indices[0]].record.source
        beside = [i for i in crops if films[i].record.source == source]
        outlined = [i for i in indices if films[i].outlines.polygons]
        if all(films[i].record.fractured for i in indices):
            # As many as make its fraction of fractured samples that of the others.
            wanted = round(len(outlined) * (1 / max(config.fractured_fraction, 0.3) - 1))
            beside += _cycled(rng, outlined, wanted - len(beside))
        of_source += [SampleSpec(i, View.NEGATIVE, part=True) for i in beside]
        samples += _with_drawings(rng, films, of_source, config)
    return [samples[i] for i in rng.permutation(len(samples))]


def by_source(films: Sequence[CachedFilm]) -> list[list[int]]:
    """The indices of each source's films."""
    sources: dict[str, list[int]] = {}
    for index, film in enumerate(films):
        sources.setdefault(film.record.source, []).append(index)
    return list(sources.values())


def _of_source(
    rng: np.random.Generator, films: Sequence[CachedFilm], indices: Sequence[int],
    config: TrainConfig, any_outlined: bool,
) -> list[SampleSpec]:
    """The samples of one source, but for negative crops and drawings."""
    normal = [i for i in indices if not films[i].record.fractured]
    fractured = [i for i in indices if films[i].record.fractured]
    outlined = [i for i in fractured if films[i].outlines.polygons]
    repeats = config.repeats if len(indices) < _SMALL else 1
    close = config.lesion_crop_fraction if normal else max(
        config.lesion_crop_fraction, _ONE_LABEL_CLOSE)
    parts = 0.5 if normal else 1.0
    shown = fractured * repeats
    lesions = _choose(rng, [k for k, i in enumerate(shown) if films[i].outlines.polygons], None)
    lesions = lesions[:round(close * len(lesions))]
    views = {k: View.RANDOM if films[i].outlines.polygons else View.FULL
             for k, i in enumerate(shown)} | dict.fromkeys(lesions, View.LESION)
    in_part = set(lesions[:round(parts * len(lesions))])
    samples = [SampleSpec(i, views[k], k in in_part) for k, i in enumerate(shown)]
    if repeats > 1:
        count = len(normal) * repeats
    else:
        most = config.negatives_per_epoch if fractured else config.normals_per_epoch
        count = min(most, len(normal))
    full = 1 - len(outlined) / len(fractured) if fractured else 0.0
    full = round((min(full, 0.5) if any_outlined else full) * count)
    crops = round(close * (count - full))
    views = [View.FULL] * full + [View.NEGATIVE] * crops + [View.RANDOM] * (count - full - crops)
    chosen = _choose(rng, _alike(rng, films, normal, fractured, count), None)
    return samples + [SampleSpec(i, view) for i, view in zip(chosen, views, strict=True)]


def _alike(
    rng: np.random.Generator, films: Sequence[CachedFilm], normal: Sequence[int],
    fractured: Sequence[int], count: int,
) -> list[int]:
    """``count`` of the normal films, the same fraction of them large as of the fractured ones."""
    large = [i for i in normal if films[i].longest >= _LARGE]
    small = [i for i in normal if films[i].longest < _LARGE]
    if not large or not small or not fractured:
        return _cycled(rng, normal, count)
    fraction = np.mean([films[i].longest >= _LARGE for i in fractured])
    # None more than twice as often as if all were alike: a few would become the source's only ones.
    most = 2 * count / len(normal)
    many = min(round(fraction * count), round(most * len(large)))
    many = max(many, count - round(most * len(small)))
    return _cycled(rng, large, many) + _cycled(rng, small, count - many)


def _with_drawings(
    rng: np.random.Generator, films: Sequence[CachedFilm], samples: list[SampleSpec],
    config: TrainConfig,
) -> list[SampleSpec]:
    """The samples of a source, with fractures and mimics drawn onto some of its normal films."""
    normal = [k for k, sample in enumerate(samples) if not films[sample.film].record.fractured]
    fractured = len(samples) - len(normal) - sum(
        films[s.film].record.fractured and s.view is View.NEGATIVE for s in samples
    )
    wanted = max(0, round(config.fractured_fraction * len(samples)) - fractured)
    order = _choose(rng, normal, None)
    broken = order[:min(wanted, len(order) // 2)]
    count = round(config.mimic_fraction * (len(order) - len(broken)))
    mimics = order[len(broken):len(broken) + count]
    drawings = dict.fromkeys(broken, Drawing.FRACTURE) | dict.fromkeys(mimics, Drawing.MIMIC)
    return [replace(s, drawing=drawings.get(k, s.drawing)) for k, s in enumerate(samples)]


def _choose(rng: np.random.Generator, indices: Sequence[int], count: int | None) -> list[int]:
    """``count`` of the indices in random order; all of them for None."""
    count = len(indices) if count is None else max(count, 0)
    return [int(i) for i in rng.permutation(indices)[:count]] if len(indices) else []


def _cycled(rng: np.random.Generator, indices: Sequence[int], count: int) -> list[int]:
    """``count`` of the indices, all of them before any comes again."""
    chosen: list[int] = []
    while len(chosen) < count and len(indices):
        chosen += _choose(rng, indices, count - len(chosen))
    return chosen
