"""A film's reading as DICOM objects that an archive files beside the film.

    source = read_source("film.dcm")
    objects = make_objects(source, detector.predict("film.dcm"))
    write_objects(objects, Path("out"))

In the film's own study: a Structured Report always, and for a film in scope a Secondary Capture
with the overlay, a Segmentation with the heatmap and, where there are regions, a presentation state
that draws them over the film, each in a new series.
"""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from detector.io.atomic_io import replace_file
from detector.io.log_filter import quiet, silence
from detector.pacs.objects import KINDS
from detector.pacs.objects.object_context import (
    CAPTURE,
    HEATMAP,
    PRESENTATION,
    REPORT,
    ObjectContext,
    content_digest,
)
from detector.pacs.objects.presentation_state import make_presentation_state
from detector.pacs.objects.secondary_capture import make_secondary_capture
from detector.pacs.objects.segmentation import make_segmentation
from detector.pacs.objects.source_header import SourceError, read_source, study_header
from detector.pacs.objects.structured_report import make_structured_report
from detector.prediction import Prediction

__all__ = ["SourceError", "make_objects", "read_source", "write_objects", "zip_objects"]

logger = logging.getLogger(__name__)

# What these libraries log and warn of may quote the header.
silence(name for name in logging.root.manager.loggerDict if name.startswith("highdicom"))

_KIND_OF = {
    ComprehensiveSRStorage: REPORT,
    SecondaryCaptureImageStorage: CAPTURE,
    SegmentationStorage: HEATMAP,
    GrayscaleSoftcopyPresentationStateStorage: PRESENTATION,
}
_MAKERS = {
    "sr": make_structured_report,
    "sc": make_secondary_capture,
    "seg": make_segmentation,
    "gsps": make_presentation_state,
}


def make_objects(
    source: Dataset,
    prediction: Prediction,
    *,
    made_at: datetime | None = None,
    kinds: Collection[str] = KINDS,
) -> list[Dataset]:
    """The DICOM objects of one film, ready to be written or sent.

    Args:
        source: the film's header (its pixels are not looked at).
        prediction: the reading of that film.
        made_at: the time written into the objects; now, if None.
        kinds: which objects, of ``KINDS``.

    Returns:
        Report, capture, heatmap and, where there are regions, presentation state, in this order; of
        a film out of scope the report alone, since the model has nothing to show there. All are in
        the film's study. Film, model and program version settle the UIDs, and with the same
        ``made_at`` every byte: an archive recognises a repetition.

    Raises:
        SourceError: the header lacks an identifier, cannot be carried over, or is of another film.
    """
    with quiet():
        header = study_header(source)
        if (header.get("Rows"), header.get("Columns")) != (
            prediction.film.height, prediction.film.width
        ):  # fmt: skip
            raise SourceError("The header is not that of the film that was read.")
        content = content_digest(header, prediction.film.pixels)
        name = header.PatientName
        header.PatientName = ""  # set at the end: highdicom repeats unusual names in a warning
        when = (made_at or datetime.now()).replace(microsecond=0)
        context = ObjectContext(header, prediction, when, content)
        wanted = [kind for kind in KINDS if kind in kinds]
        if not prediction.scope.in_scope:
            wanted = [kind for kind in wanted if kind == "sr"]
        try:
            made = [one for kind in wanted if (one := _make(kind, context)) is not None]
            for dataset in made:
                context.finish(dataset, name)
                _encoded(dataset)
        except Exception as error:
            # Without the cause: its message may quote the header.
            logger.warning("no objects could be made of a film: %s", type(error).__name__)
            raise SourceError(
                "The film's DICOM header holds values that cannot be carried over to a report. "
                "Export the film again from the archive."
            ) from None
    return made


def _make(kind: str, context: ObjectContext) -> Dataset | None:
    try:
        return _MAKERS[kind](context)
    except Exception as error:
        if kind != "gsps":
            raise
        # It repeats the film's windows and tables, which may be odd; the report must not miss them.
        logger.warning("no presentation state could be made of a film: %s", type(error).__name__)
        return None


def write_objects(datasets: Iterable[Dataset], folder: str | Path) -> list[Path]:
    """Write the objects into ``folder``, which is made if need be; returns the files.

    A name is the kind of object and its UID, and nothing of the patient; a repetition replaces the
    file. A file is there whole or not at all.

    Raises:
        OSError: the folder or a file cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for dataset in datasets:
        path = folder / file_name(dataset)
        with quiet():
            data = _encoded(dataset)
        replace_file(path, data)
        written.append(path)
    return written


def zip_objects(datasets: Iterable[Dataset]) -> bytes:
    """The same files as one ZIP archive, in memory."""
    packed = io.BytesIO()
    with quiet(), zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for dataset in datasets:
            archive.writestr(file_name(dataset), _encoded(dataset))
    return packed.getvalue()


def file_name(dataset: Dataset) -> str:
    """The name of an object's file."""
    return f"{_KIND_OF[dataset.SOPClassUID]}-{dataset.SOPInstanceUID}.dcm"


def _encoded(dataset: Dataset) -> bytes:
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()
