"""JPEG streams, looked at beside the decoder: what they declare, and whether all is there.

A JPEG decoder goes on where data are damaged or missing and fills what it lacks with grey. Pillow
passes over libjpeg's warnings of that, so a film with half its picture gone looks whole to the
caller. ``missing_share`` runs the entropy decoder once more, at an eighth of the size, with the
warnings as errors.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

import numpy as np
import simplejpeg

from detector.errors import UnreadableFilm, UnsupportedFilm

START, END = b"\xff\xd8", b"\xff\xd9"

# Start-of-frame markers of JPEG (ITU-T T.81, table B.1) and JPEG-LS (T.87): all but DHT, JPG, DAC.
_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_COMMENTS = frozenset({0xFE, *range(0xE0, 0xF0)})  # COM and APPn
# What ends the data of a scan: a marker that is neither a stuffed zero nor a restart.
_AFTER_SCAN = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")

# A progressive JPEG has about ten scans; each one more costs a pass over all pixels, and a
# hostile file declares thousands.
MAX_SCANS = 100
# Of a JPEG that is cut short. Some archives lost the last bytes of their films; where more is
# missing a fracture may be missing with it, and the film must not get a verdict.
MAX_MISSING = 0.1

_DAMAGE = ("Corrupt JPEG data", "Premature end of JPEG", "Inconsistent progression")


def segments(stream: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each segment of a JPEG; a scan's data belong to its own segment.

    Stops where the stream ends, at the end mark (which is given), or where no marker stands.
    """
    at = len(START)
    while at + 2 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker == 0xFF:  # padding between segments
            at += 1
            continue
        if marker == _END_OF_IMAGE:
            yield marker, at, at + 2
            return
        end = at + 2
        if marker not in _BARE:
            if at + 4 > len(stream):
                return
            end += struct.unpack_from(">H", stream, at + 2)[0]
        if marker == _START_OF_SCAN:
            after = _AFTER_SCAN.search(stream, end)
            end = after.start() if after else len(stream)
        yield marker, at, end
        at = end


def declared(stream: bytes) -> tuple[int, int, int, int] | None:
    """(width, height, samples, bits) of a JPEG or JPEG-LS stream; None without a frame header."""
    for marker, at, _ in segments(stream):
        if marker in _FRAMES and at + 10 <= len(stream):
            bits, height, width, samples = struct.unpack_from(">BHHB", stream, at + 4)
            return width, height, samples, bits
        if marker == _START_OF_SCAN:
            return None
    return None


def refuse_unusual(stream: bytes) -> None:
    """Refuse a JPEG picture that Pillow does not decode, by its own name.

    Raises:
        UnsupportedFilm: a lossless, 12-bit, JPEG-LS or hierarchical JPEG, or one of many passes.
    """
    if stream.count(b"\xff\xda") > MAX_SCANS:
        raise UnsupportedFilm(
            "The JPEG is built in an unusual way (too many passes). Save it again as a plain JPEG "
            "or PNG."
        )
    for marker, at, _ in segments(stream):
        if marker not in _FRAMES:
            continue
        bits = stream[at + 4] if at + 4 < len(stream) else 8
        name = {0xC3: "lossless JPEG", 0xF7: "JPEG-LS"}.get(marker)
        if name is None and marker in (0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF):
            name = "lossless or hierarchical JPEG"
        if name is None and bits > 8:
            name = f"{bits}-bit JPEG"
        if name:
            raise UnsupportedFilm(
                f"The picture is a {name}, which is read inside DICOM files only. Save it as an "
                "ordinary JPEG or as PNG, or send the DICOM file."
            )
        return


def missing_share(stream: bytes) -> float:
    """The share of a JPEG's picture that the file lacks at its end, 0 to ``MAX_MISSING``.

    Raises:
        UnreadableFilm: more is missing, or data are damaged or missing elsewhere, so that nobody
            can tell which part of the picture is true.
    """
    progressive, plain = _without_comments(stream)
    fault = _fault(plain)
    if fault.startswith("Premature end of JPEG"):  # the file just ends
        fault = _fault(plain + END)
        if fault:
            if progressive:
                raise UnreadableFilm(
                    "The JPEG file is cut short; being a progressive JPEG, all of it is blurred. "
                    "Copy or export it again."
                )
            missing = _blank_at_end(plain + END)
            if missing > MAX_MISSING:
                raise UnreadableFilm(
                    f"The JPEG file is cut short: {100 * missing:.0f} % of the film is missing. "
                    "Copy or export it again."
                )
            return missing
    if is_damage(fault, stream) or not _all_scans(plain):
        raise UnreadableFilm(
            "The JPEG data are damaged: part of the film is missing or false, though the file has "
            "an end. Copy or export it again."
        )
    return 0.0


def is_damage(complaint: str, stream: bytes) -> bool:
    """Whether a complaint of libjpeg means that pixels are lost.

    Bytes without meaning before the end mark do not, where they only fill up: zeros or 0xFF.
    """
    filling = re.search(r"(\d+) extraneous bytes before marker 0xd9", complaint)
    if filling:
        end = stream.rfind(END)
        return bool(stream[max(0, end - int(filling[1])) : end].strip(b"\0\xff"))
    return any(words in complaint for words in _DAMAGE)


def _without_comments(stream: bytes) -> tuple[bool, bytes]:
    """Whether the JPEG is progressive; and the JPEG without comments and application data.

    libjpeg keeps its first complaint only, and a harmless one on these would hide the others.
    """
    parts, progressive = [START], False
    for marker, at, end in segments(stream):
        progressive = progressive or marker in _PROGRESSIVE
        if marker not in _COMMENTS:
            parts.append(stream[at:end])
    return progressive, b"".join(parts)


def _decode_small(stream: bytes, strict: bool) -> np.ndarray:
    found = declared(stream)
    space = "CMYK" if found and found[2] == 4 else "GRAY"
    return simplejpeg.decode_jpeg(
        stream, space, min_height=1, min_width=1, min_factor=8, strict=strict
    )


def _fault(stream: bytes) -> str:
    """libjpeg's complaint about the stream; empty where it has none."""
    try:
        _decode_small(stream, strict=True)
    except ValueError as error:
        return str(error)
    return ""


def _blank_at_end(stream: bytes) -> float:
    """Share of the picture's blocks that are one even grey at its end: the decoder's filling."""
    blocks = _decode_small(stream, strict=False)
    blocks = blocks.reshape(-1, blocks.shape[2])
    there = np.flatnonzero((blocks != blocks[-1]).any(axis=1))
    return 1 - (there[-1] + 1) / len(blocks) if len(there) else 1.0


def _all_scans(stream: bytes) -> bool:
    """Whether the scans bring every coefficient of every component to its last bit."""
    lacking: set[tuple[int, int]] = set()
    for marker, at, end in segments(stream):
        body = stream[at + 4 : min(end, at + 1024)]
        if marker in _FRAMES:
            lacking = {(body[6 + 3 * k], c) for k in range(body[5]) for c in range(64)}
        elif marker == _START_OF_SCAN and len(body) > 3 + 2 * body[0]:
            first, last, bits = body[1 + 2 * body[0] : 4 + 2 * body[0]]
            if bits & 0x0F == 0:  # of successive approximation, the last bit
                components = [body[1 + 2 * k] for k in range(body[0])]
                lacking -= {(k, c) for k in components for c in range(first, last + 1)}
    return not lacking
