"""``fracture-detector predict --engine ray``: many films on many cores, results as a folder."""

from __future__ import annotations

import argparse

from detector.bulk.archive import StorageError, list_archive
from detector.bulk.cluster import ClusterError, OnRay, connected
from detector.bulk.resumable import PartFolder, score_archive
from detector.bulk.rows import FORMATS
from detector.cli.options import DONE, SOME_UNREAD, UsageError
from detector.cli.predict import Progress, named_films
from detector.io.find_films import ResultsAmongFilms
from detector.model.weights import WeightsError
from detector.report.file_names import written_name
from detector.report.results import ContinueError


def predict(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    form, out = arguments.format, arguments.out
    if arguments.dicom_out:
        raise UsageError("--dicom-out is for one process; leave out --engine ray.")
    if arguments.workers is not None and arguments.workers < 1:
        raise UsageError("--workers is 1 or more.")
    if out is None or form not in FORMATS:
        raise UsageError(
            "--engine ray writes a folder of files: it needs --out FOLDER and --format "
            f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}."
        )
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; --engine ray writes a folder. Choose another --out.")
    if out.exists() and any(out.iterdir()) and not arguments.go_on:
        raise UsageError(f"{out} exists. Add --continue to go on with it, or choose another name.")
    try:
        films = list_archive(named_films(arguments.films), apart_from=[arguments.overlay])
        scorer = OnRay(
            arguments.model, workers=arguments.workers, precision=arguments.precision,
            digest=arguments.digest,
        )
        finished = PartFolder(out, form).finished(scorer.model_sha256[:12])
    except (StorageError, WeightsError, ContinueError, ResultsAmongFilms) as error:
        raise UsageError(str(error)) from error
    known = [finished[name] for name in map(written_name, films) if name in finished]
    unread = known.count(False)
    progress = Progress(len(films), len(known), where="folder")
    if len(known) < len(films):
        try:
            with connected(arguments.cluster, workers=arguments.workers):
                for part in score_archive(
                    films, out, scorer, form=form, overlays=arguments.overlay,
                    frame=arguments.frame,
                ):
                    unread += part.unread
                    progress.step(part.films)
        except ClusterError as error:
            raise UsageError(str(error)) from error
    progress.end(unread)
    return SOME_UNREAD if unread else DONE
