"""Bulk scoring: an archive of films in, a folder of result files out, on one core or on a cluster.

    from detector.bulk import OnRay, connected, list_archive, score_archive

    films = list_archive(["s3://bucket/films", "films/"])
    with connected():
        for part in score_archive(films, Path("readings"), OnRay()):
            print(part.number, part.films, part.unread)

The films lie in folders or behind URLs (`archive.py`). They are scored in parts: a part is a few
dozen films that one detector reads one after another (`scoring.py`), written as rows (`rows.py`)
into one file that is there whole or not at all (`resumable.py`). `cluster.py` spreads the parts
over Ray Data, one detector per actor; `command.py` is ``fracture-detector predict --engine ray``.
Needs the extra ``cluster`` (Ray, pyarrow, fsspec); neither the library nor the page imports it.
"""

from __future__ import annotations

from detector.bulk.archive import StorageError, list_archive
from detector.bulk.cluster import ClusterError, OnRay, connected
from detector.bulk.resumable import InProcess, score_archive

__all__ = [
    "ClusterError", "InProcess", "OnRay", "StorageError",
    "connected", "list_archive", "score_archive",
]  # fmt: skip
