"""Read X-ray films on the command line: class, confidence, decision, strongest region.

    python main.py film.jpg
    python main.py film.dcm folder/of/films "more/*.png"
    python main.py film.jpg --json
    python main.py film.jpg --overlay overlays/      # also a picture with the heatmap
    python main.py film.dcm --dicom-out objects/     # also DICOM objects for the film's study
    python main.py film.jpg --engine torch           # not the faster runtime, though installed

Exit code: 0 all films were read, 2 wrong usage, 3 some film could not be read, or no DICOM objects
be made of it (the others are reported all the same), 130 interrupted. ``fracture-detector --help``
has more: CSV, long lists, reports, training.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from detector.cli.dicom_objects import add_dicom_option
from detector.cli.options import UsageError, add_model_options
from detector.cli.predict import read_films
from detector.cli.run_command import run_command


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("films", nargs="+", metavar="film", help="film, folder or pattern")
    parser.add_argument("--json", action="store_true", help="one JSON object per film and line")
    parser.add_argument("--overlay", type=Path, metavar="DIR", help="write overlays as PNG here")
    add_dicom_option(parser)
    add_model_options(parser)
    parser.set_defaults(out=None, go_on=False, frame=None)
    arguments = parser.parse_args(argv)
    form = "jsonl" if arguments.json else "text"

    def read() -> int:
        try:
            return read_films(arguments, arguments.films, form, told=False)
        except UsageError as error:
            parser.error(str(error))

    return run_command(parser.prog, read)


if __name__ == "__main__":
    sys.exit(main())
