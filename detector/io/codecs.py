"""Compressed pictures inside DICOM: what a stream declares, and its decoding.

DICOM gives rows and columns twice: in its own header and in the compressed stream. A decoder
believes the stream, so the stream is asked before a decoder allocates anything. Baseline JPEG is
decoded by Pillow in this process; the other decoders run in `codec_process.py`.
"""

from __future__ import annotations

import struct

import numpy as np
from pydicom import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from detector.errors import UnreadableFilm, UnsupportedFilm
from detector.io.codec_process import DecoderFailed, decode_apart, decode_frame
from detector.io.limits import Limits
from detector.io.picture import MAX_SCANS

# pydicom's name of the one decoder used for each compression, always the same one.
_PLUGINS = {
    JPEGBaseline8Bit: "pillow",
    JPEGExtended12Bit: "pillow",
    JPEGLossless: "gdcm",
    JPEGLosslessSV1: "gdcm",
    # Not pyjpegls: its CharLS loops for seconds to minutes on one in ten damaged streams.
    JPEGLSLossless: "gdcm",
    JPEGLSNearLossless: "gdcm",
    JPEG2000Lossless: "pylibjpeg",
    JPEG2000: "pylibjpeg",
    HTJ2KLossless: "pylibjpeg",
    HTJ2KLosslessRPCL: "pylibjpeg",
    HTJ2K: "pylibjpeg",
    RLELossless: "pylibjpeg",
}
SYNTAXES = tuple(_PLUGINS)  # the compressed transfer syntaxes that are read
_ELEMENTS = (
    "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PhotometricInterpretation", "PlanarConfiguration",
)  # fmt: skip

# Start-of-frame markers of JPEG (ITU-T T.81, table B.1) and JPEG-LS (T.87): all but DHT, JPG, DAC.
_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})


def declared(stream: bytes) -> tuple[int, int, int, int] | None:
    """(width, height, samples, bits) of a JPEG, JPEG-LS or JPEG 2000 stream; None without one."""
    if stream[:2] == b"\xff\xd8":
        return _jpeg(stream)
    # A bare codestream, or one within the boxes of a JP2 file.
    start = stream.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start >= 0 and len(stream) >= start + 43:
        # SIZ (ITU-T T.800, A.5.1): the grid's far corner, its origin, tiles, then components.
        right, bottom, left, top = struct.unpack_from(">4I", stream, start + 8)
        samples, bits = struct.unpack_from(">HB", stream, start + 40)
        return right - left, bottom - top, samples, (bits & 0x7F) + 1
    return None


def _jpeg(stream: bytes) -> tuple[int, int, int, int] | None:
    place = 2
    while place + 4 <= len(stream):
        if stream[place] != 0xFF:
            return None
        marker = stream[place + 1]
        if marker == 0xFF:  # padding between segments
            place += 1
        elif marker in _BARE:
            place += 2
        elif marker in _FRAMES:
            if place + 10 > len(stream):
                return None
            bits, height, width, samples = struct.unpack_from(">BHHB", stream, place + 4)
            return width, height, samples, bits
        elif marker in (0xD9, 0xDA):
            return None
        else:
            place += 2 + struct.unpack_from(">H", stream, place + 2)[0]
    return None


def decode_compressed(dataset: Dataset, frame: int, frames: int, limits: Limits) -> np.ndarray:
    """Stored values (H, W) or RGB (H, W, 3) of frame `frame` of `frames`.

    Raises:
        UnsupportedFilm: no decoder for the transfer syntax, which is named.
        UnreadableFilm: the stream is damaged, or larger than the header says.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    plugin = _PLUGINS.get(syntax)
    if plugin is None or plugin not in get_decoder(syntax).available_plugins:
        raise _unsupported(syntax)
    damaged = UnreadableFilm(
        f"The film's pixels ({syntax_name(syntax)}) are damaged or cut short. Export the film "
        "again."
    )
    try:
        offsets = None
        if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
            offsets = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
        stream = get_frame(
            dataset.PixelData, frame, number_of_frames=frames, extended_offsets=offsets
        )
    except Exception:
        raise damaged from None
    _check(stream, dataset, syntax)
    header = {
        "syntax": str(syntax),
        "plugin": plugin,
        "elements": {
            keyword: str(value) if keyword == "PhotometricInterpretation" else int(value)
            for keyword in _ELEMENTS
            if (value := dataset.get(keyword)) is not None
        },
    }
    pixels = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel
    try:
        if plugin == "pillow":
            return decode_frame(header, stream)
        memory = len(stream) + 32 * pixels + 256_000_000
        # A slow decoder reads some ten million pixels a second; a damaged stream makes it loop.
        seconds = min(limits.max_seconds, 2 + pixels / 1e6)
        return decode_apart(header, stream, seconds=seconds, memory=memory)
    except MemoryError:
        raise
    except DecoderFailed as error:
        raise damaged from error
    except Exception:
        raise damaged from None


def _check(stream: bytes, dataset: Dataset, syntax: UID) -> None:
    """Refuse a stream whose own size is not the header's, or that no decoder reads."""
    if syntax == RLELossless:
        return  # RLE has no size of its own
    found = declared(stream)
    if found is None or found[:3] != (dataset.Columns, dataset.Rows, dataset.SamplesPerPixel):
        raise UnreadableFilm(
            "The film's header and its compressed picture disagree about the size. Export the "
            "film again."
        )
    if found[3] > 8 and syntax in (JPEGBaseline8Bit, JPEGExtended12Bit):
        raise _unsupported(syntax)  # no decoder at hand reads 12-bit lossy JPEG
    if stream[:2] == b"\xff\xd8" and stream.count(b"\xff\xda") > MAX_SCANS:
        raise UnsupportedFilm(
            "The film's JPEG is built in an unusual way (too many passes). Export it again."
        )


def _unsupported(syntax: UID) -> UnsupportedFilm:
    return UnsupportedFilm(
        f"The film is compressed as {syntax_name(syntax)}, which is not read here. Export it "
        "uncompressed, or as JPEG or PNG."
    )


def syntax_name(syntax: UID) -> str:
    """The transfer syntax in words; an unknown one is not quoted, it could hold anything."""
    return syntax.name if syntax.name != str(syntax) else "an unknown transfer syntax"
