"""Read X-ray films on the command line: class, confidence, decision, strongest region.

    python main.py film.jpg
    python main.py film.dcm folder/of/films "more/*.png"
    python main.py film.jpg --json
    python main.py film.jpg --overlay overlays/      # also a picture with the heatmap
    python main.py film.dcm --dicom-out objects/     # also DICOM objects for the film's study
    python main.py film.jpg --engine torch           # not the faster runtime, though installed

Exit code: 0 all films were read, 2 wrong usage, 3 some film could not be read, or no DICOM objects
be made of it (the others are reported all the same), 130 interrupted. `fracture-detector --help`
has more: CSV, long lists, reports, training.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from detector.cli.dicom_objects import DicomOut, add_dicom_option
from detector.cli.options import UsageError, add_model_options, load_detector
from detector.cli.run_command import ended
from detector.io.find_films import ResultsAmongFilms, list_films
from detector.report.results import OverlayFolder, ResultFile, unbreakable

ALL_READ, SOME_UNREAD = 0, 3  # argparse leaves with 2 for wrong usage


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("films", nargs="+", metavar="film", help="film, folder or pattern")
    parser.add_argument("--json", action="store_true", help="one JSON object per film and line")
    parser.add_argument("--overlay", type=Path, metavar="DIR", help="write overlays as PNG here")
    add_dicom_option(parser)
    add_model_options(parser)
    arguments = parser.parse_args(argv)
    return ended(parser.prog, lambda: read(parser, arguments))


def read(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from detector import RadiographError

    try:
        films = list_films(
            arguments.films, apart_from=(arguments.overlay, arguments.dicom_out)
        )
        objects = DicomOut(arguments.dicom_out)
        detector = load_detector(arguments)
        overlays = OverlayFolder(arguments.overlay, films) if arguments.overlay else None
    except (ResultsAmongFilms, UsageError, OSError) as error:
        parser.error(str(error))
    results = ResultFile(unbreakable(sys.stdout), "jsonl" if arguments.json else "text")
    unread = 0
    for film, reading in zip(films, detector.predict_batch(films), strict=True):
        results.write(film, reading)
        if isinstance(reading, RadiographError):
            unread += 1
            continue
        if overlays:
            overlays.write(film, reading)
        unread += not objects.write(film, reading)
    return SOME_UNREAD if unread else ALL_READ


if __name__ == "__main__":
    sys.exit(main())
