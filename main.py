"""Read X-ray films on the command line: class, confidence, decision, strongest region.

    python main.py film.jpg
    python main.py film.dcm folder/of/films "more/*.png"
    python main.py film.jpg --json
    python main.py film.jpg --overlay overlays/      # also a picture with the heatmap

Exit code: 0 all films were read, 2 wrong usage, 3 some film could not be read (the others are
reported all the same). `fracture-detector --help` has more: CSV, long lists, reports, training.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from detector.films import list_films
from detector.output import OverlayFolder, ResultFile, unbreakable

ALL_READ, SOME_UNREAD = 0, 3  # argparse leaves with 2 for wrong usage


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("films", nargs="+", metavar="film", help="film, folder or pattern")
    parser.add_argument("--json", action="store_true", help="one JSON object per film and line")
    parser.add_argument("--overlay", type=Path, metavar="DIR", help="write overlays as PNG here")
    parser.add_argument("--model", metavar="M", help="weights folder or Hugging Face Hub id")
    arguments = parser.parse_args(argv)

    from detector import FractureDetector, RadiographError, WeightsError

    films = list_films(arguments.films)
    try:
        detector = FractureDetector.from_pretrained(arguments.model)
        overlays = OverlayFolder(arguments.overlay, films) if arguments.overlay else None
    except (WeightsError, OSError) as error:
        parser.error(str(error))
    results = ResultFile(unbreakable(sys.stdout), "jsonl" if arguments.json else "text")
    unread = 0
    for film, reading in zip(films, detector.predict_batch(films), strict=True):
        results.write(film, reading)
        if isinstance(reading, RadiographError):
            unread += 1
        elif overlays:
            overlays.write(film, reading)
    return SOME_UNREAD if unread else ALL_READ


if __name__ == "__main__":
    sys.exit(main())
