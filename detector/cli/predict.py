"""``fracture-detector predict``: many films, one result each, written as they are read."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from detector.cli.dicom_objects import DicomOut, add_dicom_option
from detector.cli.options import (
    DONE,
    SOME_UNREAD,
    UsageError,
    add_model_options,
    import_extra,
    load_detector,
)  # fmt: skip
from detector.io.find_films import ResultsAmongFilms, list_films

RAY = "ray"  # among the engines: not what runs the network, but many of them at once


def add_predict(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "predict",
        help="read films: verdict, confidence, regions",
        description="Read films. A folder stands for all films in it and below; a pattern such as "
        "'films/**/*.dcm' for what it matches; '-' for a list on stdin, one path a line.",
        epilog="An interrupted run goes on with the same command and --continue: films that are "
        "already in the file, also those that could not be read, are left out.",
    )
    parser.add_argument("films", nargs="+", metavar="film", help="film, folder, pattern, or -")
    parser.add_argument("--format", choices=("text", "csv", "jsonl", "parquet"), default="text",
                        help="text for people, CSV for tables, JSON Lines for programs, Parquet "
                        "with --engine ray")
    parser.add_argument("--out", type=Path, metavar="FILE",
                        help="write here instead of to stdout; with --engine ray a folder")
    parser.add_argument("--continue", dest="go_on", action="store_true",
                        help="go on with the file of --out instead of refusing to touch it")
    parser.add_argument("--overlay", type=Path, metavar="DIR",
                        help="also write the film with its heatmap as PNG, one per film; with "
                        "--engine ray as JPEG thumbnails")
    parser.add_argument("--frame", type=int, metavar="N",
                        help="which frame (from 0) of multi-frame files")
    add_dicom_option(parser)
    add_model_options(parser, ray="many films on many cores, from paths or URLs "
                      "(docs/scale.md), each core with auto")
    parser.add_argument("--workers", type=int, metavar="N",
                        help="with --engine ray: detectors, a core each (default: all cores)")
    parser.add_argument("--cluster", metavar="HOST:PORT",
                        help="with --engine ray: a running Ray cluster (default: this machine)")
    parser.set_defaults(run=predict)


def predict(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    form, out = arguments.format, arguments.out
    if arguments.engine == RAY:
        return import_extra("detector.bulk.command", "cluster").predict(arguments)
    if form == "parquet" or arguments.workers is not None or arguments.cluster:
        raise UsageError("--format parquet, --workers and --cluster are for --engine ray.")
    if arguments.go_on and (out is None or form == "text"):
        raise UsageError("--continue needs --out FILE and --format csv or jsonl.")
    if out and out.exists() and not arguments.go_on:
        raise UsageError(f"{out} exists. Add --continue to go on with it, or choose another name.")
    return read_films(arguments, list(named_films(arguments.films)), form)


def read_films(
    arguments: argparse.Namespace, named: Sequence[str], form: str, *, told: bool = True
) -> int:
    """Read films and write what was found, as options ask for it; returns the exit code.

    Args:
        arguments: ``out``, ``go_on``, ``overlay``, ``dicom_out``, ``frame`` and the model's.
        named: films, folders, patterns.
        form: one of ``detector.report.results.FORMATS``.
        told: say on stderr how far it is.

    Raises:
        UsageError: what was asked for cannot be done; the sentence says why.
    """
    from detector.errors import RadiographError
    from detector.report.file_names import written_name
    from detector.report.results import (
        ContinueError,
        OverlayFolder,
        ResultFile,
        escape_unencodable,
        read_finished,
    )  # fmt: skip

    out = arguments.out
    try:
        films = list_films(named, apart_from=(arguments.overlay, arguments.dicom_out))
    except ResultsAmongFilms as error:
        raise UsageError(str(error)) from error
    objects = DicomOut(arguments.dicom_out)
    detector = load_detector(arguments)
    finished: Mapping[str, bool] = {}
    if out and out.exists():
        try:
            finished = read_finished(out, form, detector.model.digest[:12])
        except ContinueError as error:
            raise UsageError(str(error)) from error
    left = [film for film in films if written_name(film) not in finished]
    unread = sum(not finished.get(written_name(film), True) for film in films)
    unfiled = 0
    progress = Progress(len(films), len(films) - len(left)) if told else None
    # Those that are finished first: films that have come since take no name from them.
    overlays = OverlayFolder(arguments.overlay, [*finished, *left]) if arguments.overlay else None
    with ExitStack() as stack:
        stream = escape_unencodable(sys.stdout)
        if out:
            out.parent.mkdir(parents=True, exist_ok=True)
            stream = stack.enter_context(out.open("a", encoding="utf-8", newline=""))
        results = ResultFile(stream, form, header=not (out and stream.tell()))
        readings = detector.predict_batch(left, frame=arguments.frame)
        for film, reading in zip(left, readings, strict=True):
            # The overlay first: a film that is in the file is one that is finished.
            if isinstance(reading, RadiographError):
                unread += 1
            else:
                if overlays:
                    overlays.write(film, reading)
                unfiled += not objects.write(film, reading)
            results.write(film, reading)
            if progress:
                progress.step()
    if progress:
        progress.end(unread)
    return SOME_UNREAD if unread or unfiled else DONE


def named_films(films: Iterable[str]) -> Iterator[str]:
    """The films of the command line; those of stdin in place of ``-``."""
    for name in films:
        if name == "-":
            yield from _listed(sys.stdin)
        else:
            yield name


def _listed(stream: IO[str]) -> Iterator[str]:
    """Names, one a line. They may hold bytes that are no UTF-8; a list of Windows' begins with a
    mark of its encoding."""
    if isinstance(stream, io.TextIOWrapper) and stream.errors != "surrogateescape":
        stream.reconfigure(errors="surrogateescape")
    for line in stream:
        if name := line.removeprefix("\ufeff").rstrip("\r\n"):
            yield name


class Progress:
    """How far it is, on stderr: a line that renews itself on a terminal, else only the end."""

    def __init__(
        self, total: int, before: int, stream: IO[str] | None = None, *, where: str = "file"
    ):
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._total, self._at = total, before
        if before:
            print(f"{before} of {total} films are in the {where} already", file=self._stream)

    def step(self, films: int = 1) -> None:
        self._at += films
        if self._live:
            print(f"\r{self._at} of {self._total} films", end="", file=self._stream, flush=True)

    def end(self, unread: int) -> None:
        start = "\r" if self._live else ""
        failed = f", {unread} could not be read" if unread else ""
        print(f"{start}{self._at} of {self._total} films done{failed}", file=self._stream)
