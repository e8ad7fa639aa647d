"""What the commands share: the options that choose the model, and how they refuse."""

from __future__ import annotations

import argparse
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from detector.engines.base import ENGINES, PRECISIONS

if TYPE_CHECKING:
    from detector import FractureDetector

DONE, BAD_USAGE, SOME_UNREAD, INTERRUPTED = 0, 2, 3, 130


class UsageError(ValueError):
    """Something is wrong with what was asked for; the sentence says what."""


def add_model_options(parser: argparse.ArgumentParser, **more: str) -> None:
    """Add the options that ``load_detector`` reads: the model, its digest, engine and precision.

    ``more``: engines of the command's own, name -> help.
    """
    parser.add_argument("--model", metavar="M",
                        help="weights folder or Hugging Face Hub id (default: the shipped weights)")
    parser.add_argument("--digest", metavar="D",
                        help="of the weights that are expected (12 digits or more, as page, report "
                        "and model card show it); others are refused")
    parser.add_argument("--engine", choices=(*ENGINES, *more),
                        help="what runs the network (default: auto, OpenVINO where it is "
                        "installed, else PyTorch)"
                        + "".join(f"; {name}: {text}" for name, text in more.items()))
    parser.add_argument("--precision", choices=PRECISIONS,
                        help="of the network's arithmetic; less than float32 is faster where the "
                        "processor has it (default: what was measured to be harmless)")


def load_detector(arguments: argparse.Namespace) -> FractureDetector:
    """The detector that these options describe.

    Raises:
        UsageError: weights that cannot be read; an engine or a precision not to be had here.
    """
    from detector import FractureDetector, WeightsError

    named = {name: getattr(arguments, name) for name in ("engine", "precision", "digest")}
    chosen = {option: name for option, name in named.items() if name}
    try:
        return FractureDetector.from_pretrained(arguments.model, **chosen)
    except (WeightsError, ValueError, ImportError) as error:
        raise UsageError(str(error)) from error


def import_extra(module: str, extra: str) -> ModuleType:
    """A module that needs an extra; without it a sentence with the command that brings it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("archive", "demo", "detector", "pacs", "train"):
            raise
        raise UsageError(
            f"this needs the package {error.name}, which is not installed. "
            f"Install it with: pip install 'fracture-detector[{extra}]'"
        ) from error
