"""DICOM that is damaged, lies or means harm is refused, in bounded time and memory."""

from __future__ import annotations

import os
import signal
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import uid

from detector import errors
from detector.io import codec_process as sandbox
from detector.io.limits import Limits
from detector.io.radiograph import load_radiograph
from tests.support import odd_films as odd

GREY = odd.grey()
DEEP = odd.DEEP


def test_a_dicom_without_pixels_says_so() -> None:
    with pytest.raises(errors.NoPixels, match="no picture"):
        load_radiograph(odd.dicom(GREY, remove=("PixelData",)))


@pytest.mark.parametrize("cut", [1, 100, 3000])
def test_pixels_cut_short_are_refused(cut: int) -> None:
    with pytest.raises(errors.UnreadableFilm):
        load_radiograph(odd.dicom(DEEP)[:-cut])


@pytest.mark.parametrize(
    "elements, kind",
    [
        ({"Rows": 60000, "Columns": 60000}, errors.FilmTooLarge),
        ({"Rows": 1, "Columns": 1}, errors.FilmTooSmall),
        ({"Rows": 0}, errors.NoPixels),
        ({"SamplesPerPixel": 60000}, errors.UnsupportedFilm),
        ({"Rows": 65}, errors.UnreadableFilm),
        ({"BitsAllocated": 12}, errors.UnreadableFilm),
    ],
)
def test_headers_that_lie(elements: dict, kind: type) -> None:
    with pytest.raises(kind):
        load_radiograph(odd.dicom(GREY, **elements))


@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.JPEGLSLossless])
def test_a_stream_larger_than_its_header_is_refused_before_decoding(syntax: uid.UID) -> None:
    data = odd.dicom(GREY, syntax)
    size = (
        struct.pack(">II", 48, 64) if syntax == uid.JPEG2000Lossless else struct.pack(">HH", 64, 48)
    )
    large = struct.pack(">II", 60000, 60000) if len(size) == 8 else struct.pack(">HH", 60000, 60000)
    assert data.count(size) >= 1
    with pytest.raises(errors.UnreadableFilm, match="disagree"):
        load_radiograph(data.replace(size, large, 1))


def deflated(body: bytes) -> bytes:
    """A deflated DICOM file with any inflated data set."""
    whole = odd.dicom(GREY, uid.DeflatedExplicitVRLittleEndian)
    (length,) = struct.unpack_from("<I", whole, 140)
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return whole[: 144 + length] + squeeze.compress(body) + squeeze.flush()


def test_a_deflate_bomb_is_not_inflated() -> None:
    bomb = deflated(b"\x08\0\0\x01UN\0\0" + struct.pack("<I", 1 << 30) + bytes(30_000_000))
    with pytest.raises(errors.FilmTooLarge):
        load_radiograph(bomb, limits=Limits(max_bytes=1_000_000))


def test_a_header_of_a_million_elements_is_given_up() -> None:
    with pytest.raises(errors.FilmTooLarge, match="header"):
        load_radiograph(deflated(b"\x08\0\0\x01CS\0\0" * 1_000_000))


def test_endless_sequences_end() -> None:
    whole = odd.dicom(GREY)
    (length,) = struct.unpack_from("<I", whole, 140)
    nested = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"
    with pytest.raises(errors.UnreadableFilm):
        load_radiograph(whole[: 144 + length] + nested * 20_000)


# The decoders' own process


def jpeg_ls() -> tuple[dict, bytes]:
    header = {
        "syntax": str(uid.JPEGLSLossless),
        "plugin": "gdcm",
        "elements": {
            "Rows": 64, "Columns": 48, "SamplesPerPixel": 1, "BitsAllocated": 16, "BitsStored": 16,
            "HighBit": 15, "PixelRepresentation": 0, "PhotometricInterpretation": "MONOCHROME2",
        },
    }  # fmt: skip
    data = odd.dicom(DEEP, uid.JPEGLSLossless)
    return header, data[data.index(b"\xff\xd8\xff\xf7") : -8]


def test_a_decoder_that_dies_or_loops_costs_one_film_only() -> None:
    header, stream = jpeg_ls()
    apart = {"seconds": 30.0, "memory": 1 << 30}
    np.testing.assert_array_equal(sandbox.decode_apart(header, stream, **apart)[0], DEEP)
    (child,) = sandbox._idle[-1:]
    os.kill(child.pid, signal.SIGSTOP)  # as good as an endless loop
    with pytest.raises(sandbox.DecoderFailed, match="too long"):
        sandbox.decode_apart(header, stream, seconds=0.2, memory=1 << 30)
    assert child.poll() is not None and child not in sandbox._idle
    np.testing.assert_array_equal(sandbox.decode_apart(header, stream, **apart)[0], DEEP)
    (child,) = sandbox._idle[-1:]
    child.kill()
    child.wait()
    np.testing.assert_array_equal(sandbox.decode_apart(header, stream, **apart)[0], DEEP)


def test_a_refused_stream_keeps_the_decoder() -> None:
    header, stream = jpeg_ls()
    sandbox.decode_apart(header, stream, seconds=30, memory=1 << 30)
    (child,) = sandbox._idle[-1:]
    with pytest.raises(sandbox.DecoderFailed):
        sandbox.decode_apart(header | {"plugin": "none"}, stream, seconds=30, memory=1 << 30)
    assert child.poll() is None and child in sandbox._idle


# Anything at all


def survives(data: bytes) -> None:
    try:
        film = load_radiograph(data)
    except errors.RadiographError:
        return
    assert 0 <= film.pixels.min() and film.pixels.max() <= 1


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=600))
def test_any_bytes_behind_the_preamble(tail: bytes) -> None:
    survives(bytes(128) + b"DICM" + tail)


NUMBER = st.one_of(st.integers(0, 32767), st.sampled_from([0, 1, 8, 16, 32, 64]))


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored",
                         "PixelRepresentation", "PixelPaddingValue", "PlanarConfiguration"]),
        NUMBER,
    ),
    st.sampled_from(["MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL", "PALETTE COLOR", "X", ""]),
    st.floats(-1e9, 1e9), st.floats(-1e9, 1e9),
)  # fmt: skip
def test_any_pixel_header(numbers: dict, photometric: str, center: float, width: float) -> None:
    window = {"WindowCenter": f"{center:.8g}", "WindowWidth": f"{width:.8g}"}
    survives(odd.dicom(DEEP, PhotometricInterpretation=photometric, **window, **numbers))


@pytest.mark.parametrize("name", ["dicom", "dicom deflated", "dicom rle", "dicom jpeg"])
def test_dicom_cut_at_every_length(name: str) -> None:
    data = odd.FILMS[name]()
    for length in {*range(128, 900, 3), *range(900, len(data), 197)}:
        survives(data[:length])
