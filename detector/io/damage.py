"""Picture files that Pillow reads without a word though part of the film is missing or false."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from detector.errors import UnreadableFilm
from detector.io import jpeg

# TIFF tags (TIFF 6.0) and the values of ``Compression`` that are looked into.
_COMPRESSION, _TABLES = 259, 347
_PARTS = ((273, 279), (324, 325))  # offsets and byte counts, of strips and of tiles
_JPEG, _DEFLATE = 7, (8, 32946)


def missing_of(form: str, file: bytes, tags: Mapping[int, Any]) -> float:
    """The share of a picture that its file lacks at its end, in [0, 1]; 0 for a whole one.

    Args:
        form: Pillow's name of the format.
        file: the file's bytes; none where they are not at hand, which counts as whole.
        tags: of a TIFF.

    Raises:
        UnreadableFilm: more than a trace is missing, or it cannot be told what is.
    """
    if form == "JPEG" and file:
        return jpeg.missing_share(file)
    if form == "TIFF" and file and not _tiff_is_whole(file, tags):
        raise UnreadableFilm(
            "The TIFF's data are damaged: part of the film is missing or false. Copy or export it "
            "again."
        )
    return 0.0


def parts_are_there(file: bytes, tags: Mapping[int, Any]) -> bool:
    """Whether a TIFF reaches to the end of all its strips and tiles."""
    return all(
        start + count <= len(file)
        for offsets, counts in _PARTS
        for start, count in zip(_all(tags, offsets), _all(tags, counts), strict=False)
    )


def _tiff_is_whole(file: bytes, tags: Mapping[int, Any]) -> bool:
    compression = tags.get(_COMPRESSION)
    if compression == _JPEG:
        tables = bytes(tags.get(_TABLES, b""))
        return all(_jpeg_is_whole(part, tables) for part in _parts(file, tags))
    if compression in _DEFLATE:
        return all(map(_inflates, _parts(file, tags)))
    return True


def _parts(file: bytes, tags: Mapping[int, Any]) -> Iterator[bytes]:
    for offsets, counts in _PARTS:
        for start, count in zip(_all(tags, offsets), _all(tags, counts), strict=False):
            yield file[start : start + count]


def _all(tags: Mapping[int, Any], tag: int) -> tuple[int, ...]:
    value = tags.get(tag, ())
    return value if isinstance(value, tuple) else (value,)


def _jpeg_is_whole(part: bytes, tables: bytes) -> bool:
    # The tables are a JPEG without a picture (TIFF Technical Note 2).
    whole = tables.removesuffix(jpeg.END) + part[len(jpeg.START) :] if tables else part
    try:
        return jpeg.missing_share(whole) == 0
    except UnreadableFilm:
        return False


def _inflates(part: bytes) -> bool:
    """Whether a zlib stream ends, with the right checksum at its end."""
    stream = zlib.decompressobj()
    try:
        while part and not stream.eof:
            stream.decompress(part, 1 << 20)
            part = stream.unconsumed_tail
    except zlib.error:
        return False
    return stream.eof
