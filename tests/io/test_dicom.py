"""DICOM into ``load_radiograph``: every syntax, frames, facts, and no patient data."""

from __future__ import annotations

import io
import json
import logging
import struct

import numpy as np
import pydicom
import pytest
from pydicom import uid

from detector import errors
from detector.io.radiograph import load_radiograph
from tests.support import odd_films as odd
from tests.support.pixels import close, ranged

GREY = odd.grey()
DEEP = odd.DEEP


LOSSLESS = {
    "Implicit VR Little Endian": odd.dicom(DEEP, uid.ImplicitVRLittleEndian),
    "Explicit VR Little Endian": odd.dicom(DEEP),
    "Explicit VR Big Endian": odd.dicom(DEEP, uid.ExplicitVRBigEndian),
    "Deflated Explicit VR Little Endian": odd.dicom(DEEP, uid.DeflatedExplicitVRLittleEndian),
    "RLE Lossless": odd.dicom(DEEP, uid.RLELossless),
    "JPEG-LS Lossless": odd.dicom(DEEP, uid.JPEGLSLossless),
    "JPEG 2000 Image Compression (Lossless Only)": odd.dicom(DEEP, uid.JPEG2000Lossless),
    "JPEG Lossless, Non-Hierarchical, First-Order": odd.dicom(
        DEEP, uid.JPEGLosslessSV1, stream=odd.lossless_jpeg(DEEP)
    ),
    "JPEG Lossless, Non-Hierarchical (Process 14)": odd.dicom(
        DEEP, uid.JPEGLossless, stream=odd.lossless_jpeg(DEEP)
    ),
}


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_every_lossless_syntax_gives_the_same_film(syntax: str) -> None:
    film = load_radiograph(LOSSLESS[syntax])
    close(film.pixels, ranged(DEEP))
    assert film.facts["transfer_syntax"].startswith(syntax)
    assert film.warnings == ()


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless])
def test_compressed_8_bit_and_colour(syntax: uid.UID) -> None:
    close(load_radiograph(odd.dicom(GREY, syntax)).pixels, GREY / 255)
    plain = load_radiograph(odd.colour())
    film = load_radiograph(odd.dicom(odd.colour(), syntax))
    close(film.pixels, plain.pixels, 1 / 255)
    assert film.facts["colourfulness"] > 0.2


def test_baseline_jpeg_is_the_jpeg_inside() -> None:
    for pixels, photometric in ((GREY, "MONOCHROME2"), (odd.colour(), "YBR_FULL_422")):
        jpeg = odd.saved(pixels, "JPEG")
        data = odd.dicom(
            pixels, uid.JPEGBaseline8Bit, stream=jpeg, PhotometricInterpretation=photometric
        )
        close(load_radiograph(data).pixels, load_radiograph(jpeg).pixels, 2 / 255)


@pytest.mark.parametrize(
    "syntax, words",
    [
        (uid.MPEG2MPML, "MPEG2"),
        (uid.MPEG4HP41, "MPEG-4"),
        (uid.UID("1.2.3.4.5"), "unknown transfer syntax"),
    ],
)
def test_a_syntax_without_a_decoder_is_named_in_words(syntax: uid.UID, words: str) -> None:
    data = odd.dicom(GREY, uid.JPEGBaseline8Bit, stream=odd.saved(GREY, "JPEG"))
    film = pydicom.dcmread(io.BytesIO(data))
    film.file_meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    film.save_as(file, implicit_vr=False, little_endian=True, enforce_file_format=True)
    with pytest.raises(errors.UnsupportedFilm, match=words):
        load_radiograph(file.getvalue())


def test_12_bit_lossy_jpeg_is_refused_by_name() -> None:
    with pytest.raises(errors.UnsupportedFilm, match="JPEG Extended"):
        load_radiograph(odd.FILMS["dicom jpeg 12"]())


def test_without_preamble_and_meta_header() -> None:
    close(load_radiograph(odd.FILMS["dicom bare"]()).pixels, ranged(DEEP))
    whole = odd.dicom(DEEP, uid.ImplicitVRLittleEndian)
    (length,) = struct.unpack_from("<I", whole, 140)
    close(load_radiograph(whole[144 + length :]).pixels, ranged(DEEP))


# Headers that are out of order


def changed(*remove: str) -> bytes:
    """A film whose header lacks some elements."""
    film = pydicom.dcmread(io.BytesIO(odd.dicom(DEEP, WindowCenter=2048, WindowWidth=4096)))
    for keyword in remove:
        delattr(film, keyword)
    file = io.BytesIO()
    film.save_as(file)
    return file.getvalue()


@pytest.mark.parametrize(
    "missing",
    [("BitsStored", "HighBit"), ("HighBit",), ("BitsAllocated",), ("PixelRepresentation",),
     ("SamplesPerPixel",), ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")],
)  # fmt: skip
def test_what_the_pixels_themselves_tell_may_be_missing(missing: tuple[str, ...]) -> None:
    close(load_radiograph(changed(*missing)).pixels, np.clip(DEEP / 4095, 0, 1))


def before_pixels(*put: bytes) -> bytes:
    data = changed()
    at = data.index(b"\xe0\x7f\x10\0")
    return data[:at] + b"".join(put) + data[at:]


DELIMITERS = [b"\xfe\xff\xdd\xe0\0\0\0\0", b"\xfe\xff\x0d\xe0\0\0\0\0"]


@pytest.mark.parametrize(
    "put",
    [DELIMITERS[:1], DELIMITERS[1:], DELIMITERS * 3,
     [b"\xfc\xff\xfc\xffOB\0\0\x04\0\0\0abcd"],  # a late element comes early
     [b"\x11\0\x10\x10ZZ\x04\0abcd"]],
)  # fmt: skip
def test_pixels_are_found_behind_what_does_not_belong_there(put: list[bytes]) -> None:
    close(load_radiograph(before_pixels(*put)).pixels, load_radiograph(changed()).pixels)


def test_a_second_head_of_the_file_is_passed_over() -> None:
    data = changed()
    (length,) = struct.unpack_from("<I", data, 140)
    meta = data[132 : 144 + length]
    wanted = load_radiograph(data).digest
    assert load_radiograph(data[: 144 + length] + meta + data[144 + length :]).digest == wanted
    assert load_radiograph(data[: 144 + length] + data).digest == wanted
    for wrong in (0, length + 10):
        other = data[:140] + struct.pack("<I", wrong) + data[144:]
        assert load_radiograph(other).digest == wanted


def test_a_header_that_leads_past_the_pixels_is_called_damaged() -> None:
    """Not 'no picture': it is in the file."""
    unknown = before_pixels(b"\x11\0\x10\x10ZZ\0\0\x04\0\0\0abcd")
    too_long = before_pixels(b"\x11\0\x10\x10UN\0\0\xf0\xff\xff\x00abcd")
    for data in (unknown, too_long):
        with pytest.raises(errors.UnreadableFilm, match="header is damaged"):
            load_radiograph(data)


# Frames


def test_a_frame_must_be_chosen_and_is_then_read() -> None:
    frames = np.stack([GREY, GREY[::-1], GREY[:, ::-1]])
    for syntax in (uid.ExplicitVRLittleEndian, uid.RLELossless):
        data = odd.dicom(frames, syntax, frames=3)
        with pytest.raises(errors.SeveralFrames, match="3 frames") as caught:
            load_radiograph(data)
        assert caught.value.frames == 3
        film = load_radiograph(data, frame=2)
        close(film.pixels, frames[2] / 255)
        assert (film.facts["frames"], film.facts["frame"]) == (3, 2)
        for frame in (3, -1):
            with pytest.raises(errors.UnsupportedFilm):
                load_radiograph(data, frame=frame)


# Privacy


def test_no_patient_data_in_facts_warnings_errors_or_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    words = {
        "BodyPartExamined": odd.PATIENT, "ViewPosition": odd.PATIENT, "Modality": odd.PATIENT,
        "Laterality": odd.PATIENT, "WindowCenterWidthExplanation": odd.PATIENT,
        "PhotometricInterpretation": odd.PATIENT,
    }  # fmt: skip
    said = []
    good = odd.dicom(DEEP, WindowCenter=2000, WindowWidth=10)
    with pydicom.config.disable_value_validation():
        named = odd.dicom(DEEP, **words)
    for data in (
        good,
        named,
        good[:-500],
        good[:700],
        good.replace(b"US\x02\0\x40", b"US\x02\0\0"),
    ):
        try:
            film = load_radiograph(data)
            said += [json.dumps(film.facts), *film.warnings]
        except errors.RadiographError as error:
            while error is not None:
                said.append(str(error))
                error = error.__cause__
    assert load_radiograph(good).facts["body_part"] == "WRIST"
    text = " ".join([*said, caplog.text])
    for secret in ("DOE", "JANE", "SECRET", odd.BIRTHDAY):
        assert secret not in text


@pytest.mark.parametrize(
    ("age", "child"),
    [("015Y", True), ("016Y", False), ("180M", True), ("200M", False), ("030W", True),
     ("012D", True), ("", False), ("15", False), ("ABCY", False)],
)  # fmt: skip
def test_of_the_age_only_under_sixteen_is_kept(age: str, child: bool) -> None:
    film = load_radiograph(odd.dicom(DEEP, PatientAge=age))
    assert film.facts.get("child", False) is child
    assert not age or age not in json.dumps(film.facts)


def test_what_the_film_shows_is_told_in_the_standards_words() -> None:
    facts = load_radiograph(odd.dicom(GREY)).facts
    told = {key: facts[key] for key in ("modality", "body_part", "view", "laterality")}
    assert told == {"modality": "DX", "body_part": "WRIST", "view": "PA", "laterality": "L"}


@pytest.mark.parametrize(
    "elements, aspect",
    [
        ({"PixelSpacing": [0.2, 0.1]}, 2),
        ({"ImagerPixelSpacing": [0.1, 0.2]}, 0.5),
        ({"PixelSpacing": [0.1, 0.1], "PixelAspectRatio": [2, 1]}, 1),
        ({"PixelAspectRatio": [4, 3]}, 1.3333),
        ({"PixelSpacing": [0.1, 0.1005]}, 1),  # rounded
        ({"PixelSpacing": [1, 5000]}, 1),  # an error
        ({"PixelSpacing": [0, 0.1]}, 1),
        ({}, 1),
    ],
)
def test_the_aspect_of_a_pixel(elements: dict, aspect: float) -> None:
    film = load_radiograph(odd.dicom(GREY, **elements))
    assert film.aspect == aspect and ("pixel_aspect" in film.facts) == (aspect != 1)
