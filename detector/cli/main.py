"""``fracture-detector``: read films, open the page, train, evaluate, audit, report.

    fracture-detector predict film.jpg
    fracture-detector predict films/ "more/**/*.dcm" --format csv --out readings.csv --continue
    find . -name '*.dcm' | fracture-detector predict - --format jsonl > readings.jsonl
    fracture-detector report film.jpg --out report.pdf --field "Request=fall on the hand"
    fracture-detector serve --port 7860
    fracture-detector train --data /folder/of/films
    fracture-detector evaluate --help
    fracture-detector adapt /folder/of/films --normal --out adapted
    fracture-detector audit /folder/of/films
    fracture-detector listen --spool spool/ --destination ARCHIVE@10.1.2.3:104
    fracture-detector monitor spool/run.jsonl --out monitor.html

Results go to stdout, progress to stderr. Exit code: 0 done, 2 wrong usage, 3 some film could not be
read (the others are reported all the same), 130 interrupted. Not a medical device.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial

from detector import __version__
from detector.cli.options import DONE, import_extra
from detector.cli.predict import add_predict
from detector.cli.report import add_report
from detector.cli.run_command import run_command

PROGRAM = "fracture-detector"
# Commands with an argument list of their own: module, extra that brings what it needs, help.
HANDED_ON = {
    "serve": ("demo.__main__", "demo", "open the page in a browser"),
    "train": ("train", "train", "train on your films, or on synthetic ones"),
    "evaluate": (
        "detector.training.evaluation.evaluate", "train", "measure weights on films with answers"
    ),
    "adapt": (
        "detector.training.adapt.command", "train", "adapt weights to a hospital's own films"
    ),
    "audit": (
        "detector.training.audit.command", "train", "look for copies and shortcuts in a data set"
    ),
    "listen": (
        "detector.pacs.node.listen", "dicom", "run a DICOM node: films in, reports to the archive"
    ),
    "monitor": (
        "detector.pacs.monitor.command", "dicom", "make a page of the run log; alarm on drift"
    ),
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code (``SystemExit`` for ``--help`` and wrong usage)."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in HANDED_ON:
        return _hand_on(argv[0], argv[1:])
    arguments = build_parser().parse_args(argv)
    return run_command(f"{PROGRAM} {arguments.command}", partial(arguments.run, arguments))


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; those that are handed on show their own help."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for add in (add_predict, add_report):
        add(commands)
    for name, (_, _, summary) in HANDED_ON.items():
        commands.add_parser(name, help=summary)
    return parser


def _hand_on(command: str, argv: list[str]) -> int:
    """Run another room's own ``main`` as ``fracture-detector <command>``."""
    module, extra, _ = HANDED_ON[command]
    before = sys.argv
    sys.argv = [f"{PROGRAM} {command}", *argv]  # argparse takes the program's name from here
    try:
        return run_command(
            sys.argv[0], lambda: import_extra(module, extra).main(argv) or DONE, (ValueError,)
        )
    finally:
        sys.argv = before

