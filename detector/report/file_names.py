"""How a film's name is written down: in a table, on a terminal, as the name of its picture."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from itertools import chain, count
from pathlib import PurePath

from detector.io.find_films import SUFFIXES

# In an address: a password before the host (members of archives have none), and whatever a query
# calls by one of these names.
_LOGIN = re.compile(r"\b(?!(?:zip|tar|libarchive|file)://)([\w+.-]+://)[^/@:]*:[^/]*@")
_SECRET = re.compile(
    r"(?<=[?&;])([\w-]*(?:signature|credential|token|secret|password)[\w-]*|sig|awsaccesskeyid)"
    r"=([^&;:]+)",
    re.IGNORECASE,
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a cell of a spreadsheet begins with


def written_name(file: str) -> str:
    """A file's name as it is written down.

    Bytes that are no UTF-8 become ``\\udcXX``. A name that a spreadsheet would take for a formula
    gets ``./`` in front. An address loses its password; a signature or token in its query becomes
    a digest, which tells two of them apart and opens nothing.
    """
    name = file.encode("utf-8", "backslashreplace").decode()
    if "://" in name:
        return _SECRET.sub(_digest, _LOGIN.sub(r"\1", name))
    return f"./{name}" if name.startswith(_FORMULA) else name


def shown_name(file: str) -> str:
    """``written_name`` for a terminal: control codes and line ends are written out."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in written_name(file)
    )


def _digest(secret: re.Match[str]) -> str:
    return f"{secret[1]}={hashlib.sha256(secret[2].encode()).hexdigest()[:8]}"


def picture_stem(film: str) -> str:
    """What a picture of this film is called: the film's own name, short enough for every disk."""
    if "://" in film:
        film = film.partition("::")[0].partition("?")[0]
    name = PurePath(written_name(film))
    # DICOM files are often named by a number with dots, which has no suffix.
    stem = name.stem if name.suffix.lower() in SUFFIXES else name.name
    return stem.encode()[:200].decode("utf-8", "ignore") or "film"


def free_name(stem: str, is_taken: Callable[[str], bool]) -> str:
    """``stem``, or with the first number from 2 on that makes a name which is not taken."""
    names = chain([stem], (f"{stem}-{number}" for number in count(2)))
    return next(name for name in names if not is_taken(name))
