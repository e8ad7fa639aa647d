"""Compressed pictures inside DICOM: what a stream declares, and its decoding.

DICOM gives rows and columns twice: in its own header and in the compressed stream. A decoder
believes the stream, so the stream is asked before a decoder allocates anything. Baseline JPEG is
decoded by Pillow in this process; the other decoders run in ``codec_process.py``.
"""

from __future__ import annotations

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
from detector.io import jpeg, jpeg2000
from detector.io.codec_process import DecoderFailed, decode_apart, decode_frame
from detector.io.limits import Limits

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


def declared(stream: bytes) -> tuple[int, int, int, int] | None:
    """(width, height, samples, bits) of a JPEG, JPEG-LS or JPEG 2000 stream; None without one."""
    return (jpeg if stream[:2] == jpeg.START else jpeg2000).declared(stream)


def decode_compressed(dataset: Dataset, frame: int, frames: int, limits: Limits) -> np.ndarray:
    """Stored values (H, W) or RGB (H, W, 3) of frame ``frame`` of ``frames``.

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
            values = decode_frame(header, stream)
            if jpeg.missing_share(stream):
                raise damaged
            return values
        memory = len(stream) + 32 * pixels + 256_000_000
        # A slow decoder reads some ten million pixels a second; a damaged stream makes it loop.
        seconds = min(limits.max_seconds, 2 + pixels / 1e6)
        values, complaints = decode_apart(header, stream, seconds=seconds, memory=memory)
    except (MemoryError, UnreadableFilm):
        raise
    except DecoderFailed as error:
        raise damaged from error
    except Exception:
        raise damaged from None
    if any(jpeg.is_damage(complaint, stream) for complaint in complaints.splitlines()):
        raise damaged
    return values


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
    if stream[:2] != jpeg.START and not jpeg2000.is_whole(stream):
        raise UnreadableFilm(
            f"Part of the film's pixels ({syntax_name(syntax)}) is missing. Export the film again."
        )
    if stream[:2] == jpeg.START and stream.count(b"\xff\xda") > jpeg.MAX_SCANS:
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
