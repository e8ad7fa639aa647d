"""``--dicom-out``: the DICOM objects of films on the command line, for both command lines."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from detector.cli.options import import_extra

if TYPE_CHECKING:
    from detector import Prediction


def add_dicom_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--dicom-out``, as ``DicomOut`` takes it."""
    parser.add_argument("--dicom-out", type=Path, metavar="DIR",
                        help="also write report, overlay, heatmap and presentation state of "
                        "DICOM films as objects of their study (needs the extra 'dicom')")


class DicomOut:
    """Writes what the room ``pacs`` makes of a film; without a folder, nothing."""

    def __init__(self, folder: Path | None):
        """UsageError when the extra is missing, OSError when the folder cannot be made."""
        self._folder = folder
        self._seen: dict[str, str] = {}  # SOP Instance UID of a film -> that of its report
        if folder is not None:
            # Looked for before the first film: a missing package must not show after an hour.
            self._pacs = import_extra("detector.pacs.objects.make", "dicom")
            folder.mkdir(parents=True, exist_ok=True)

    def write(self, film: str, prediction: Prediction) -> bool:
        """Whether there is nothing to complain of; else a sentence on stderr says why."""
        if self._folder is None:
            return True
        try:
            source = self._pacs.read_source(film)
            objects = self._pacs.make_objects(source, prediction)
            self._pacs.write_objects(objects, self._folder)
        except self._pacs.SourceError as error:
            print(f"{film}: read, but no DICOM objects\n  {error}", file=sys.stderr)
            return False
        report = objects[0].SOPInstanceUID
        if self._seen.setdefault(source.SOPInstanceUID, report) != report:
            print(f"{film}: another film has the same SOP Instance UID; the objects of both are "
                  "kept", file=sys.stderr)  # fmt: skip
        return True
