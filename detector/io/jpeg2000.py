"""JPEG 2000 streams, looked at before the decoder: what they declare, and whether all is there.

OpenJPEG refuses a stream that ends early, but decodes one with whole tiles absent or with a hole in
the middle without a word: its arithmetic decoder takes any bytes for data.
"""

from __future__ import annotations

import struct

# The data look random; at most a row of empty packets, a byte each, makes zeros.
_HOLE = bytes(256)


def declared(stream: bytes) -> tuple[int, int, int, int] | None:
    """(width, height, samples, bits) of a codestream, bare or within the boxes of a JP2 file."""
    start = _size(stream)
    if start < 0:
        return None
    # SIZ (ITU-T T.800, A.5.1): the grid's far corner, its origin, tiles, then components.
    right, bottom, left, top = struct.unpack_from(">4I", stream, start + 8)
    samples, bits = struct.unpack_from(">HB", stream, start + 40)
    return right - left, bottom - top, samples, (bits & 0x7F) + 1


def is_whole(stream: bytes) -> bool:
    """Whether every tile of the stream is there, and none has a hole of zeros."""
    start = _size(stream)
    if start < 0:
        return False
    right, bottom = struct.unpack_from(">2I", stream, start + 8)
    width, height, left, top = struct.unpack_from(">4I", stream, start + 24)
    if not width or not height:
        return False
    tiles = -(-(right - left) // width) * -(-(bottom - top) // height)
    at, seen = stream.find(b"\xff\x90", start), set()
    if at < 0 or tiles > 65535:  # T.800, A.4.2: a tile's number has 16 bits
        return False
    while stream[at : at + 2] == b"\xff\x90" and at + 12 <= len(stream):
        tile, length = struct.unpack_from(">HI", stream, at + 4)
        seen.add(tile)
        if not length:  # this part reaches to the end
            break
        at += max(length, 12)
    end = stream.rfind(b"\xff\xd9")
    return len(seen) == tiles and _HOLE not in stream[start : end if end > 0 else None]


def _size(stream: bytes) -> int:
    """Where the codestream begins; -1 without one."""
    start = stream.find(b"\xff\x4f\xff\x51", 0, 4096)
    return start if start >= 0 and len(stream) >= start + 43 else -1
