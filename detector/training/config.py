"""The configuration of a training run: every choice that decides what ``train.py`` makes."""

from __future__ import annotations

import argparse
from dataclasses import Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

# About a minute on two cores, from random weights.
ON_PHANTOMS = {"epochs": 4, "batch": 8, "sizes": (128,), "input_scale": 1.0, "drop_path": 0.0,
               "backbone_lr": 1e-3}


def _option(default: Any, help: str, **settings: Any) -> Any:
    """A field, with the help and the argparse settings of its command-line option."""
    return field(default=default, metadata={"help": help, **settings})


def _folders(help: str) -> Any:
    return _option((), help, type=Path, action="append", metavar="FOLDER")


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained. Each field is an option of ``train.py``; the run folder keeps all.

    Neither the source of a film nor how much of it is shown may tell its label. Therefore:

    - Sources with fewer than a hundred films show each film ``repeats`` times an epoch. The others
      show every fractured film once, and ``negatives_per_epoch`` of their normal films, or
      ``normals_per_epoch`` where they have no fractured ones.
    - A negative crop is a part of a fractured film without any fracture, taught as normal. There
      are ``negative_crops`` of them, and more from a source without normal films.
    - ``lesion_crop_fraction`` of the fractured films are shown as close-ups of the fracture, and
      the same fraction of the normal films as close-ups of anything.
    - Fractures are drawn onto normal films until ``fractured_fraction`` of each source's samples
      are fractured (0 draws none). Their location counts in full, their label
      ``drawn_label_weight``. ``mimic_fraction`` of the other normal films show a drawn mimic.
    - ``pair_fraction`` of the samples hold a second, normal film on the same canvas, each film with
      an appearance of its own.

    Raises:
        ValueError: a value out of its range; the sentence names it.
    """

    data: tuple[Path, ...] = _folders(
        "a folder of films; may be given several times (none: phantoms)")
    outlines: Path | None = _option(
        None, "a COCO json of fractures in training films whose folder outlines none (file_name: "
        "the data set's folder and the film)", type=Path, metavar="FILE")
    ood_images: tuple[Path, ...] = _folders(
        "pictures that are no limb films, from which the out-of-distribution check learns what to "
        "refuse; may be given several times (none: drawn ones)")
    allow_leakage: bool = _option(
        False, "train although the split leaks (to reproduce published figures)",
        action="store_true")
    init: Path | None = _option(
        None, "ImageNet weights of the backbone (safetensors, timm's naming), or a folder of "
        "trained weights to go on from; without it ImageNet weights come from timm's hub",
        type=Path, metavar="FILE")
    init_fraction: float = _option(
        0.0, "of the weights in the folder --init that is blended into those written")
    out: Path | None = _option(
        None, "where the weights go (default: weights, for phantoms the run folder)",
        type=Path, metavar="FOLDER")
    keep: str = _option(
        "last", "the epoch whose weights are written: the last, or the best on val, which is worse "
        "on sources that were left out", choices=("last", "best"))
    precision: str = _option(
        "auto", "of the forward pass (auto: bf16 where the processor has it)",
        choices=("auto", "bf16", "float32"))
    workers: int = _option(1, "loader processes")

    epochs: int = _option(80, "passes over the data")
    batch: int = _option(16, "films a step, over all processes")
    sizes: tuple[int, ...] = _option(
        (320, 320, 320, 384, 448, 448), "longest side of the canvas in pixels, each for an equal "
        "part of the epochs", nargs="+", type=int)
    input_scale: float = _option(
        1.142857, "input size in use over the last of the sizes, rounded to 32 pixels")
    negatives_per_epoch: int = _option(
        1400, "normal films an epoch from each large source that has fractured ones")
    normals_per_epoch: int = _option(
        150, "films an epoch from each large source that has only normal ones")
    repeats: int = _option(8, "times an epoch that each film of a small source is shown")
    negative_crops: int = _option(200, "parts of fractured films without the fracture")
    lesion_crop_fraction: float = _option(0.4, "of the fractured films shown as close-ups")
    pair_fraction: float = _option(0.25, "of the samples that show two films")
    fractured_fraction: float = _option(
        0.2, "of each source's samples, filled up with fractures drawn on normal films")
    mimic_fraction: float = _option(0.12, "of the other normal films that show a drawn mimic")
    drawn_label_weight: float = _option(0.5, "of a drawn fracture's label, against an outlined one")

    channels: int = _option(128, "features that the evidence is read from")
    stride: int = _option(8, "pixels per cell of the evidence map, 8 or 16")
    temperature: float = _option(3.0, "how sharply the evidence is pooled to the film's logit")
    drop_path: float = _option(0.1, "stochastic depth of the backbone")

    backbone_lr: float = _option(3e-4, "peak learning rate of the backbone")
    head_lr: float = _option(1e-3, "peak learning rate of the other layers")
    weight_decay: float = _option(0.02, "of AdamW")
    warmup: float = _option(0.03, "fraction of all steps in which the rate rises")
    grad_clip: float = _option(5.0, "largest norm of the gradient")
    ema_decay: float = _option(0.998, "of the moving average of the weights, which is written")
    label_smoothing: float = _option(0.05, "of the film's label")
    location_weight: float = _option(1.0, "of the location loss against the image loss")
    seed: int = _option(0, "of all that is drawn at random")

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch, self.repeats) < 1:
            raise ValueError("epochs, batch and repeats must be at least 1")
        for name in ("negatives_per_epoch", "normals_per_epoch", "negative_crops"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")
        if not self.sizes or any(size < 64 or size % 32 for size in self.sizes):
            raise ValueError(f"sizes must be multiples of 32 from 64 on, not {self.sizes}")
        if not 0.5 <= self.input_scale <= 2:
            raise ValueError(f"input_scale must be in [0.5, 2], not {self.input_scale}")
        for name in ("lesion_crop_fraction", "pair_fraction", "fractured_fraction",
                     "mimic_fraction", "drawn_label_weight", "init_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], not {getattr(self, name)}")
        if self.init_fraction and not (self.init and self.init.is_dir()):
            raise ValueError("init_fraction is of a folder of weights: give it with --init")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup must be in [0, 1), not {self.warmup}")
        if not self.grad_clip > 0:
            raise ValueError(f"grad_clip must be positive, not {self.grad_clip}")

    def canvas(self, epoch: int) -> tuple[int, int]:
        """(height, width) of the training canvas: portrait 7:6, as most limb films are."""
        size = self.sizes[min(epoch * len(self.sizes) // self.epochs, len(self.sizes) - 1)]
        return size, max(32, round(size * 6 / 7 / 32) * 32)

    @property
    def input_size(self) -> int:
        """The longest side in use after training."""
        return max(32, round(self.sizes[-1] * self.input_scale / 32) * 32)

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON: paths as strings."""
        return {name: _as_json(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """The configuration that ``to_dict`` gave; names that are no field are passed over."""
        known = {one.name: one for one in fields(cls) if one.name in values}
        return cls(**{name: _from_json(one, values[name]) for name, one in known.items()})

    def recipe(self) -> dict[str, Any]:
        """What can be repeated elsewhere: ``to_dict`` without this machine's paths and choices."""
        return {k: v for k, v in self.to_dict().items() if k not in _OF_THIS_RUN}

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """An option for each field. One that is not given is not in the namespace."""
        for one in fields(cls):
            settings = dict(one.metadata)
            if one.default is not None and one.default is not False and one.default != ():
                many = isinstance(one.default, tuple)
                words = " ".join(map(str, one.default)) if many else one.default
                settings["help"] += f" (default {words})"
                settings.setdefault("type", type(one.default))
            parser.add_argument(
                f"--{one.name.replace('_', '-')}", default=argparse.SUPPRESS, **settings
            )


_OF_THIS_RUN = {"data", "outlines", "ood_images", "init", "out", "allow_leakage",
                "precision", "workers"}


def _as_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_as_json(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _from_json(option: Field, value: Any) -> Any:
    kind = option.metadata.get("type")
    if isinstance(value, list):
        return tuple(kind(one) for one in value)
    return kind(value) if kind is Path and value is not None else value
