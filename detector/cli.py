"""``fracture-detector``: read films, open the page, train, evaluate, audit, report.

    fracture-detector predict film.jpg
    fracture-detector predict films/ "more/**/*.dcm" --format csv --out readings.csv --continue
    find . -name '*.dcm' | fracture-detector predict - --format jsonl > readings.jsonl
    fracture-detector report film.jpg --out report.pdf --field "Request=fall on the hand"
    fracture-detector serve --port 7860
    fracture-detector train --data /folder/of/films
    fracture-detector evaluate --help
    fracture-detector audit /folder/of/films

Results go to stdout, progress to stderr. Exit code: 0 done, 2 wrong usage, 3 some film could not be
read (the others are reported all the same), 130 interrupted. Not a medical device.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING

from detector import __version__
from detector.films import list_films

if TYPE_CHECKING:
    from detector import FractureDetector, Prediction, RadiographError

PROGRAM = "fracture-detector"
DONE, BAD_USAGE, SOME_UNREAD, INTERRUPTED = 0, 2, 3, 130
# Commands with an argument list of their own: module, extra that brings what it needs, help.
HANDED_ON = {
    "serve": ("demo.__main__", "demo", "open the page in a browser"),
    "train": ("train", "train", "train on your films, or on synthetic ones"),
    "evaluate": ("detector.training.evaluate", "train", "measure weights on films with answers"),
    "audit": ("detector.training.audit", "train", "look for copies and shortcuts in a data set"),
}


class UsageError(ValueError):
    """Something is wrong with what was asked for; the sentence says what."""


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code (``SystemExit`` for ``--help`` and wrong usage)."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in HANDED_ON:
        return _hand_on(argv[0], argv[1:])
    parser = build_parser()
    arguments = parser.parse_args(argv)
    try:
        return arguments.run(arguments)
    except BrokenPipeError:
        # Whoever read the results has enough. Nothing more may be flushed into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (UsageError, OSError) as error:
        print(f"{PROGRAM} {arguments.command}: {error}", file=sys.stderr)
        return BAD_USAGE
    except KeyboardInterrupt:
        print(f"\n{PROGRAM}: interrupted; what was finished is written.", file=sys.stderr)
        return INTERRUPTED


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; those that are handed on show their own help."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    _add_predict(commands)
    _add_report(commands)
    for name, (_, _, summary) in HANDED_ON.items():
        commands.add_parser(name, help=summary)
    return parser


# predict ------------------------------------------------------------------------------------------


def _add_predict(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "predict",
        help="read films: verdict, confidence, regions",
        description="Read films. A folder stands for all films in it and below; a pattern such as "
        "'films/**/*.dcm' for what it matches; '-' for a list on stdin, one path a line.",
        epilog="An interrupted run goes on with the same command and --continue: films that are "
        "already in the file, also those that could not be read, are left out.",
    )
    parser.add_argument("films", nargs="+", metavar="film", help="film, folder, pattern, or -")
    parser.add_argument("--format", choices=("text", "csv", "jsonl"), default="text",
                        help="text for people, CSV for tables, JSON Lines for programs")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write here instead of to stdout")
    parser.add_argument("--continue", dest="go_on", action="store_true",
                        help="go on with the file of --out instead of refusing to touch it")
    parser.add_argument("--overlay", type=Path, metavar="DIR",
                        help="also write the film with its heatmap as PNG, one per film")
    parser.add_argument("--frame", type=int, metavar="N",
                        help="which frame (from 0) of multi-frame files")
    _add_common(parser)
    parser.set_defaults(run=_predict)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="M",
                        help="weights folder or Hugging Face Hub id (default: the shipped weights)")


def _predict(arguments: argparse.Namespace) -> int:
    from detector.errors import RadiographError
    from detector.output import (
        ContinueError,
        OverlayFolder,
        ResultFile,
        read_finished,
        unbreakable,
        written_name,
    )  # fmt: skip

    form, out = arguments.format, arguments.out
    if arguments.go_on and (out is None or form == "text"):
        raise UsageError("--continue needs --out FILE and --format csv or jsonl.")
    if out and out.exists() and not arguments.go_on:
        raise UsageError(f"{out} exists. Add --continue to go on with it, or choose another name.")
    films = list_films(_named(arguments.films))
    detector = _load(arguments.model)
    finished: Mapping[str, bool] = {}
    if out and out.exists():
        try:
            finished = read_finished(out, form, detector.model.sha256[:12])
        except ContinueError as error:
            raise UsageError(str(error)) from error
    left = [film for film in films if written_name(film) not in finished]
    unread = sum(not finished.get(written_name(film), True) for film in films)
    progress = Progress(len(films), len(films) - len(left))
    overlays = OverlayFolder(arguments.overlay, films) if arguments.overlay else None
    with ExitStack() as stack:
        stream = unbreakable(sys.stdout)
        if out:
            out.parent.mkdir(parents=True, exist_ok=True)
            stream = stack.enter_context(out.open("a", encoding="utf-8", newline=""))
        results = ResultFile(stream, form, header=not (out and stream.tell()))
        readings = _read_all(detector, left, arguments.frame)
        for film, reading in zip(left, readings, strict=True):
            # The overlay first: a film that is in the file is one that is finished.
            if isinstance(reading, RadiographError):
                unread += 1
            elif overlays:
                overlays.write(film, reading)
            results.write(film, reading)
            progress.step()
    progress.end(unread)
    return SOME_UNREAD if unread else DONE


def _named(films: Iterable[str]) -> Iterator[str]:
    for name in films:
        if name == "-":
            yield from filter(None, (line.rstrip("\r\n") for line in sys.stdin))
        else:
            yield name


def _read_all(
    detector: FractureDetector, films: list[str], frame: int | None
) -> Iterator[Prediction | RadiographError]:
    from detector.errors import RadiographError

    if frame is None:
        yield from detector.predict_batch(films)
        return
    for film in films:
        try:
            yield detector.predict(film, frame=frame)
        except RadiographError as error:
            yield error


def _load(model: str | None) -> FractureDetector:
    from detector import FractureDetector, WeightsError

    try:
        return FractureDetector.from_pretrained(model)
    except WeightsError as error:
        raise UsageError(str(error)) from error


class Progress:
    """How far it is, on stderr: a line that renews itself on a terminal, else only the end."""

    def __init__(self, total: int, before: int, stream: IO[str] | None = None):
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._total, self._at = total, before
        if before:
            print(f"{before} of {total} films are in the file already", file=self._stream)

    def step(self) -> None:
        self._at += 1
        if self._live:
            print(f"\r{self._at} of {self._total} films", end="", file=self._stream, flush=True)

    def end(self, unread: int) -> None:
        start = "\r" if self._live else ""
        failed = f", {unread} could not be read" if unread else ""
        print(f"{start}{self._at} of {self._total} films done{failed}", file=self._stream)


# report -------------------------------------------------------------------------------------------


def _add_report(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "report",
        help="write a one-page PDF about one film",
        description="Write a one-page PDF: film and overlay, verdict, operating points, limits, "
        "and lines for the reader's own conclusion. No patient data but what --field says.",
    )
    parser.add_argument("film")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the PDF to write")
    parser.add_argument("--field", action="append", default=[], metavar="TITLE=TEXT",
                        help="a line for this report only; may be given several times")
    parser.add_argument("--frame", type=int, metavar="N",
                        help="which frame (from 0) of a multi-frame file")
    _add_common(parser)
    parser.set_defaults(run=_report)


def _report(arguments: argparse.Namespace) -> int:
    pairs = [field.partition("=") for field in arguments.field]
    wrong = [title for title, equals, _ in pairs if not equals or not title.strip()]
    if wrong:
        raise UsageError(f"--field is TITLE=TEXT, not {wrong[0]!r}.")
    make_report = _import("detector.report", "demo").make_report
    from detector.errors import RadiographError

    detector = _load(arguments.model)
    try:
        prediction = detector.predict(arguments.film, frame=arguments.frame)
    except RadiographError as error:
        print(f"{arguments.film}: not read\n  {error}", file=sys.stderr)
        return SOME_UNREAD
    try:
        pdf = make_report(
            prediction, {title: text for title, _, text in pairs}, metrics=detector.config.metrics
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_bytes(pdf)
    print(arguments.out)
    return DONE


# Handed on ----------------------------------------------------------------------------------------


def _hand_on(command: str, argv: list[str]) -> int:
    """Run another room's own ``main`` as ``fracture-detector <command>``."""
    module, extra, _ = HANDED_ON[command]
    before = sys.argv
    sys.argv = [f"{PROGRAM} {command}", *argv]  # argparse takes the program's name from here
    try:
        return _import(module, extra).main(argv) or DONE
    except (ValueError, OSError) as error:
        print(f"{PROGRAM} {command}: {error}", file=sys.stderr)
        return BAD_USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        sys.argv = before


def _import(module: str, extra: str) -> ModuleType:
    """A module that needs an extra; without it a sentence with the command that brings it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("detector", "demo", "train"):
            raise
        raise UsageError(
            f"this needs the package {error.name}, which is not installed. "
            f"Install it with: pip install 'fracture-detector[{extra}]'"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
