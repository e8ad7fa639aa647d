"""Which films are meant: paths, folders and patterns become a list of files."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator

from detector.radiograph import recognise

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".dcm", ".dicom")
)
_ENOUGH = 4096  # bytes that tell a film from another file


def list_films(named: Iterable[str]) -> list[str]:
    """Paths, folders and patterns (``*``, ``**``, ``?``) -> files, each once, in order.

    A file is taken as named. Of a folder, and of those below it, every film: by its suffix, or by
    its content, since DICOM files often have none. What does not exist, or holds no film, stays in
    the list as it was named, so that reading it says so.
    """
    found: dict[str, None] = {}
    for name in named:
        films = dict.fromkeys(_films_of(name))
        found |= films or {name: None}
    return list(found)


def _films_of(name: str) -> Iterator[str]:
    if os.path.isdir(name):
        for folder, below, files in os.walk(name):
            below[:] = sorted(b for b in below if not b.startswith("."))
            paths = (os.path.join(folder, f) for f in sorted(files) if not f.startswith("."))
            yield from filter(_looks_like_a_film, paths)
    elif os.path.exists(name):
        yield name
    else:
        for match in sorted(glob.glob(name, recursive=True)):
            yield from _films_of(match)


def _looks_like_a_film(path: str) -> bool:
    stem, suffix = os.path.splitext(os.path.basename(path))
    if suffix.lower() in SUFFIXES:
        return True
    if stem == "DICOMDIR" or not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            return recognise(file.read(_ENOUGH)) in ("picture", "dicom")
    except OSError:
        return False
