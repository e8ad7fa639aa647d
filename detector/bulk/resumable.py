"""The folder of results: one file per part, so that a run that was cut off goes on.

A part's file is there whole or not at all, and the files alone say what is finished: no list beside
them can disagree. Only the process that was started writes here, so a part that a lost worker did
twice has one file all the same.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from detector import FractureDetector
from detector.bulk.rows import FORMATS, films_in
from detector.bulk.scoring import Order, Part, ScoredPart, divide, score_part
from detector.report.file_names import written_name
from detector.report.results import ContinueError

logger = logging.getLogger(__name__)

PART_FILMS = 64


class Scorer(Protocol):
    """Reads films with one model, whose digest is ``model_sha256``."""

    model_sha256: str

    def score(self, parts: Iterable[Part], order: Order) -> Iterator[ScoredPart]:
        """Each part's result once, in any order."""
        ...


class InProcess:
    """Scores in this process, part by part."""

    def __init__(self, detector: FractureDetector):
        self.detector = detector
        self.model_sha256 = detector.model.digest

    def score(self, parts: Iterable[Part], order: Order) -> Iterator[ScoredPart]:
        """Each part's result, in order."""
        for part in parts:
            yield score_part(self.detector, part, order)


class PartFolder:
    """The files ``part-000000.<form>`` of one run and of those that it goes on with."""

    def __init__(self, folder: Path, form: str):
        """Raises ``ValueError`` for a form that is not in ``rows.FORMATS``."""
        if form not in FORMATS:
            raise ValueError(f"unknown format {form!r}; there are {', '.join(FORMATS)}")
        self.folder, self.form = folder, form

    def files(self) -> list[Path]:
        """The parts that are there, in order."""
        return [path for _, path in self._numbered()]

    def _numbered(self) -> list[tuple[int, Path]]:
        """Only those that were named here: someone's copy of a part is no part."""
        name = re.compile(rf"part-(\d+)\.{self.form}")
        paths = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted((int(m[1]), path) for path in paths if (m := name.fullmatch(path.name)))

    def finished(self, model_sha256: str) -> dict[str, bool]:
        """The ``written_name`` of each film in the folder -> whether it could be read.

        Raises:
            ContinueError: a part is of another format, or was written by other weights.
        """
        if self.folder.is_dir():
            for form in FORMATS:
                if form != self.form and any(self.folder.glob(f"part-*.{form}")):
                    raise ContinueError(
                        f"{self.folder} holds results in the format {form}. Continue it with "
                        f"--format {form}, or choose another --out."
                    )
        films: dict[str, bool] = {}
        for path in self.files():
            films |= films_in(path, self.form, model_sha256)
        return films

    def next_number(self) -> int:
        """The first number after those of the parts that are there."""
        return max((number + 1 for number, _ in self._numbered()), default=0)

    def write(self, scored: ScoredPart, overlays: Path | None = None) -> Path:
        """Write a part, its overlays first: a film that has a row is one that is finished.

        Overlays lie in a folder per part, ``overlays/part-000000/<film>.jpg``.

        Raises:
            FileExistsError: there is such a part; another run writes into this folder.
        """
        name = f"part-{scored.number:06d}"
        if overlays:
            (overlays / name).mkdir(parents=True, exist_ok=True)
            for film, data in scored.overlays.items():
                (overlays / name / film).write_bytes(data)
        path = self.folder / f"{name}.{self.form}"
        if path.exists():
            raise FileExistsError(f"{path} exists already: another run writes into this folder")
        _write_whole(path, scored.data)
        return path


def score_archive(
    films: Sequence[str],
    out: Path,
    scorer: Scorer,
    *,
    form: str = "parquet",
    overlays: Path | None = None,
    frame: int | None = None,
    part_films: int = PART_FILMS,
) -> Iterator[ScoredPart]:
    """Score what has no row in ``out`` yet and write it there; yields each part that is written.

    Args:
        films: paths and URLs, as ``list_archive`` gives them.
        out: folder of the results, made if need be; one that has some is gone on with.
        scorer: who reads: ``InProcess`` or ``cluster.OnRay``.
        form: one of ``rows.FORMATS``.
        overlays: folder for the films with their heatmaps, as JPEG thumbnails.
        frame: of multi-frame files.
        part_films: films to a part. An interruption loses the parts that are in work, no more.

    Raises:
        ValueError: unknown form, or ``part_films`` below 1.
        ContinueError: ``out`` holds results of another format or of other weights.
        OSError: a file cannot be written.
    """
    if part_films < 1:
        raise ValueError("a part has one film or more")
    folder = PartFolder(out, form)
    finished = folder.finished(scorer.model_sha256[:12])
    left = [film for film in films if written_name(film) not in finished]
    logger.info("%d of %d films are left to score", len(left), len(films))
    out.mkdir(parents=True, exist_ok=True)
    order = Order(form, os.getcwd(), frame, overlays is not None)
    parts = divide(left, part_films, first=folder.next_number())

    with closing(scorer.score(parts, order)) as results:
        for scored in results:
            folder.write(scored, overlays)
            yield scored


def _write_whole(path: Path, data: bytes) -> None:
    """Whole and on the disk, or not at all."""
    handle, part = tempfile.mkstemp(prefix=".", suffix=".unfinished", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(part, 0o644)
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
