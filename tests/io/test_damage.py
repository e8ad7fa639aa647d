"""Damage that a decoder passes over: refused, or said with the share that is missing."""

from __future__ import annotations

import io
import struct

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import uid
from pydicom.encaps import get_frame

from detector import errors
from detector.io import jpeg, jpeg2000
from detector.io.radiograph import load_radiograph
from tests.support import odd_films as odd

END = b"\xff\xd9"
NOISE = np.random.default_rng(0).integers(-12, 13, (240, 176))
GREY = np.clip(odd.grey(240, 176) + NOISE, 0, 255).astype(np.uint8)
DEEP = np.clip(odd.grey(240, 176, 4095) + 4 * NOISE, 0, 4095).astype(np.uint16)


def stream_of(pixels: np.ndarray, syntax: uid.UID) -> bytes:
    film = pydicom.dcmread(io.BytesIO(odd.dicom(pixels, syntax)))
    return get_frame(film.PixelData, 0, number_of_frames=1)


def in_dicom(pixels: np.ndarray, syntax: uid.UID):
    return lambda stream: odd.dicom(pixels, syntax, stream=stream + b"\0" * (len(stream) % 2))


def as_it_is(stream: bytes) -> bytes:
    return stream


# The compressed stream of each codec, and what puts it into a film's file.
CODECS = {
    "jpeg": (odd.saved(GREY, "JPEG"), as_it_is),
    "jpeg colour": (odd.saved(np.repeat(GREY[..., None], 3, axis=2), "JPEG"), as_it_is),
    "jpeg progressive": (odd.saved(GREY, "JPEG", progressive=True), as_it_is),
    "jpeg restart": (odd.saved(GREY, "JPEG", restart_marker_rows=1), as_it_is),
    "dicom jpeg": (odd.saved(GREY, "JPEG"), in_dicom(GREY, uid.JPEGBaseline8Bit)),
    "dicom jpeg lossless": (odd.lossless_jpeg(DEEP), in_dicom(DEEP, uid.JPEGLosslessSV1)),
    "dicom jpeg-ls": (
        stream_of(DEEP, uid.JPEGLSLossless), in_dicom(DEEP, uid.JPEGLSLossless)
    ),
    "dicom jpeg 2000": (
        stream_of(DEEP, uid.JPEG2000Lossless), in_dicom(DEEP, uid.JPEG2000Lossless)
    ),
    "dicom rle": (stream_of(DEEP, uid.RLELossless), in_dicom(DEEP, uid.RLELossless)),
    "png": (odd.saved(GREY, "PNG"), as_it_is),
    "tiff lzw": (odd.saved(GREY, "TIFF", compression="tiff_lzw"), as_it_is),
}  # fmt: skip


def half_with_end(stream: bytes) -> bytes:
    return stream[: len(stream) // 2] + END


def hole(stream: bytes) -> bytes:
    start, length = int(len(stream) * 0.4), len(stream) // 20
    return stream[:start] + bytes(length) + stream[start + length :]


def lost(stream: bytes) -> bytes:
    return stream[: int(len(stream) * 0.4)] + stream[int(len(stream) * 0.45) :]


def cut(stream: bytes) -> bytes:
    return stream[: len(stream) * 4 // 5]


@pytest.mark.parametrize("damage", [half_with_end, hole, lost, cut])
@pytest.mark.parametrize("codec", CODECS)
def test_a_damaged_stream_gets_no_verdict(codec: str, damage) -> None:
    stream, file = CODECS[codec]
    whole = load_radiograph(file(stream))
    assert whole.warnings == () and "missing" not in whole.facts
    with pytest.raises(errors.UnreadableFilm):
        load_radiograph(file(damage(stream)))


def tiff_data(data: bytes) -> tuple[int, int]:
    """Where the first strip of a TIFF begins, and its length."""
    tags = Image.open(io.BytesIO(data)).tag_v2
    return tags[273][0], tags[279][0]


@pytest.mark.parametrize("compression", ["jpeg", "tiff_adobe_deflate"])
def test_damage_within_a_compressed_tiff(compression: str) -> None:
    data = odd.saved(GREY, "TIFF", compression=compression)
    assert load_radiograph(data).warnings == ()
    start, length = tiff_data(data)
    middle = start + length // 2
    with pytest.raises(errors.UnreadableFilm, match="damaged"):
        load_radiograph(data[:middle] + bytes(length // 10) + data[middle + length // 10 :])
    if compression == "jpeg":
        with pytest.raises(errors.UnreadableFilm, match="damaged"):
            load_radiograph(data[:middle] + END + bytes(length - length // 2 - 2)
                            + data[start + length :])  # fmt: skip


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_progressive_jpeg_of_some_scans_is_not_whole(share: float) -> None:
    """Cut between two scans libjpeg has nothing to complain of, and the film is blurred."""
    data = odd.saved(GREY, "JPEG", progressive=True)
    scans = [start for marker, start, _ in jpeg.segments(data) if marker == 0xDA]
    between = data[: scans[int(share * len(scans))]] + END
    for part in (between, data[: int(share * len(data))]):
        with pytest.raises(errors.UnreadableFilm):
            load_radiograph(part)


def test_what_a_jpeg_lacks_at_its_end_is_told_as_a_share() -> None:
    data = odd.saved(GREY, "JPEG")
    film = load_radiograph(data[: len(data) * 95 // 100])
    assert film.facts["missing"] == pytest.approx(0.05, abs=0.02)
    assert f"{100 * film.facts['missing']:.1f} % of the film" in film.warnings[0]
    whole = load_radiograph(data).pixels
    assert (film.pixels[:220] == whole[:220]).all()
    assert (film.pixels[-1, -8:] != whole[-1, -8:]).any()


def test_an_image_that_pillow_has_opened_is_looked_at_too() -> None:
    data = odd.saved(GREY, "JPEG")
    with pytest.raises(errors.UnreadableFilm):
        load_radiograph(Image.open(io.BytesIO(half_with_end(data))))
    film = load_radiograph(Image.open(io.BytesIO(data[: len(data) * 95 // 100])))
    assert film.facts["missing"] > 0


def test_what_only_looks_like_damage_is_read() -> None:
    data = odd.saved(GREY, "JPEG")
    plain = load_radiograph(data)
    comment = b"\xff\xfe" + struct.pack(">H", 20) + b"Premature end JPEG"
    for other in (
        data[:-2],  # only the end mark is missing
        data[:-2] + bytes(40) + END,  # filled up
        data + b"anything behind the end",
        data[:2] + comment + data[2:],
        data[:11] + b"\x09" + data[12:],  # an unknown revision of JFIF
    ):
        film = load_radiograph(other)
        assert film.digest == plain.digest and film.warnings == ()


def test_a_harmless_complaint_does_not_hide_damage() -> None:
    data = half_with_end(odd.saved(GREY, "JPEG"))
    with pytest.raises(errors.UnreadableFilm):
        load_radiograph(data[:11] + b"\x09" + data[12:])


def test_a_jpeg_2000_that_lacks_a_tile_is_not_whole() -> None:
    stream = stream_of(DEEP, uid.JPEG2000Lossless)
    assert jpeg2000.is_whole(stream)
    size = stream.index(b"\xff\x4f\xff\x51")
    halves = bytearray(stream)  # the same data, said to be the first of two tiles
    struct.pack_into(">I", halves, size + 28, 120)
    assert not jpeg2000.is_whole(bytes(halves))


@pytest.mark.parametrize(
    "data, name",
    [
        (odd.lossless_jpeg(DEEP), "lossless JPEG"),
        (stream_of(DEEP, uid.JPEGLSLossless), "JPEG-LS"),
        (odd.extended_jpeg(DEEP[::8, ::8]), "12-bit JPEG"),
    ],
)
def test_jpegs_that_are_no_ordinary_ones_are_called_by_their_names(data: bytes, name: str) -> None:
    with pytest.raises(errors.UnsupportedFilm, match=name):
        load_radiograph(data)
