"""Which films are meant: paths, folders and patterns become a list of files."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path

from detector.io.radiograph import recognise

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".dcm", ".dicom")
)
# SOP class of a DICOM directory (PS3.4, B.5), with the length that keeps longer ones apart.
_DIRECTORY = b"UI\x14\x001.2.840.10008.1.3.10"
_ENOUGH = 4096  # bytes that tell a film from another file


class ResultsAmongFilms(ValueError):
    """Results shall be written among the films that are read; the sentence says where."""


def list_films(named: Iterable[str], *, apart_from: Iterable[Path | None] = ()) -> list[str]:
    """Paths, folders and patterns (``*``, ``**``, ``?``) -> files, each once, in order.

    A file is taken as named. Of a folder or a pattern, and of the folders below, every film: by its
    suffix, or by its content, since DICOM files often have none. What lies beside films on a disc
    (DICOMDIR, text, a viewer) is passed over. What does not exist, may not be entered, or
    holds no film, stays in the list as it was named, so that reading it says so. Below a folder,
    links to other folders are not followed: they may be loops.

    Args:
        named: as on a command line.
        apart_from: folders that pictures are written into (None: none). A folder or a pattern
            passes over them, so that the next run does not take the pictures for films.

    Raises:
        ResultsAmongFilms: a folder or a pattern of films lies in one of these itself.
    """
    written = [os.path.realpath(folder) for folder in apart_from if folder is not None]
    found: dict[str, None] = {}
    for name in named:
        films = dict.fromkeys(_films_of(name, written))
        found |= films or {name: None}
    return list(found)


def _films_of(name: str, written: list[str]) -> Iterator[str]:
    if os.path.isdir(name):
        _refuse_results_in(name, written)
        yield from _films_below(name, written)
    elif os.path.exists(name):
        yield name
    elif glob.has_magic(name):
        _refuse_results_in(_folder_of(name), written)
        for match in sorted(_matches(name)):
            if _lies_in(match, written):
                continue
            if os.path.isdir(match):
                yield from _films_below(match, written)
            elif not os.path.exists(match) or _looks_like_a_film(match):
                yield match


def _films_below(top: str, written: list[str]) -> Iterator[str]:
    closed: list[str] = []
    for folder, below, files in os.walk(top, onerror=lambda error: closed.append(error.filename)):
        below[:] = sorted(
            b for b in below
            if not b.startswith(".") and not _lies_in(os.path.join(folder, b), written)
        )  # fmt: skip
        paths = (os.path.join(folder, f) for f in sorted(files) if not f.startswith("."))
        yield from filter(_looks_like_a_film, paths)
    yield from closed


def _matches(pattern: str) -> Iterable[str]:
    parts = Path(pattern).parts
    if "**" not in parts:
        return glob.glob(pattern)
    # The module ``glob`` follows links to folders, a loop forty times, two loops without end.
    base = Path(_folder_of(pattern))
    rest = Path(pattern).relative_to(base)
    hidden_too = any(part.startswith(".") for part in rest.parts)
    return (
        str(path) for path in base.glob(str(rest))
        if hidden_too or not any(p.startswith(".") for p in path.relative_to(base).parts)
    )  # fmt: skip


def _folder_of(pattern: str) -> str:
    """The folder in which a pattern begins."""
    plain = takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts)
    return str(Path(*plain))


def _refuse_results_in(folder: str, written: list[str]) -> None:
    if _lies_in(folder, written):
        raise ResultsAmongFilms(
            f"{folder} is to be read, and pictures are to be written into it: the next run would "
            "take those for films. Choose another folder for them."
        )


def _lies_in(path: str, folders: list[str]) -> bool:
    if not folders:
        return False
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(folder) for folder in folders)


def _looks_like_a_film(path: str) -> bool:
    stem, suffix = os.path.splitext(os.path.basename(path))
    if stem.upper() == "DICOMDIR":
        return False
    if suffix.lower() in SUFFIXES:
        return True
    if not os.path.isfile(path):
        return False  # a pipe, which would be read for ever
    try:
        with open(path, "rb") as file:
            head = file.read(_ENOUGH)
    except OSError:
        return False
    return recognise(head) in ("picture", "dicom") and _DIRECTORY not in head[132:]
