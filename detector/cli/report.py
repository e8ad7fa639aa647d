"""``fracture-detector report``: one film, one page of PDF."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from detector.cli.options import (
    DONE,
    SOME_UNREAD,
    UsageError,
    add_model_options,
    import_extra,
    load_detector,
)  # fmt: skip
from detector.io.atomic_io import replace_file
from detector.report.file_names import shown_name


def add_report(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
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
    add_model_options(parser)
    parser.set_defaults(run=report)


def report(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    pairs = [field.partition("=") for field in arguments.field]
    wrong = [title for title, equals, _ in pairs if not equals or not title.strip()]
    if wrong:
        raise UsageError(f"--field is TITLE=TEXT, not {wrong[0]!r}.")
    film = Path(arguments.film)
    if arguments.out.exists() and film.exists() and arguments.out.samefile(film):
        raise UsageError(f"{arguments.out} is the film itself. Choose another --out.")
    make_report = import_extra("detector.report.pdf", "demo").make_report
    from detector.errors import RadiographError

    detector = load_detector(arguments)
    try:
        prediction = detector.predict(arguments.film, frame=arguments.frame)
    except RadiographError as error:
        print(f"{arguments.film}: not read\n  {error}", file=sys.stderr)
        return SOME_UNREAD
    try:
        pdf = make_report(
            prediction, {title: text for title, _, text in pairs},
            metrics=detector.config.metrics, source=shown_name(film.name),
        )  # fmt: skip
    except ValueError as error:
        raise UsageError(str(error)) from error
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    replace_file(arguments.out, pdf)
    print(arguments.out)
    return DONE
