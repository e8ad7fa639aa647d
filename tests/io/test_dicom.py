"""DICOM into ``load_radiograph``: every syntax, window, polarity; no patient data, no explosion."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import struct
import zlib

import numpy as np
import pydicom
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


def close(pixels: np.ndarray, wanted: np.ndarray, tolerance: float = 1e-6) -> None:
    np.testing.assert_allclose(pixels, wanted, atol=tolerance)


def ranged(values: np.ndarray) -> np.ndarray:
    """The rule for films without a window, computed the plain way."""
    low, high = np.quantile(values, [0.001, 0.999], method="inverted_cdf")
    return np.clip((values.astype(np.float64) - low) / (high - low), 0, 1)


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


# Grey levels


def test_the_files_own_window_comes_first() -> None:
    film = load_radiograph(odd.dicom(DEEP, WindowCenter=[2000, 9], WindowWidth=[3001, 9]))
    close(film.pixels, np.clip((DEEP - 499.5) / 3000, 0, 1))
    window = film.facts["window"]
    assert (window["source"], window["center"], window["width"]) == ("film", 2000, 3001)
    assert (window["black"], window["white"]) == (499.5, 3499.5)
    assert film.facts["windows"][1] == {"center": 9, "width": 9}


@pytest.mark.parametrize(
    "function, wanted",
    [
        ("LINEAR_EXACT", lambda x: np.clip((x - 500) / 3000, 0, 1)),
        ("SIGMOID", lambda x: 1 / (1 + np.exp(-4 * (x - 2000.0) / 3000))),
    ],
)
def test_the_standards_other_window_functions(function: str, wanted) -> None:
    data = odd.dicom(DEEP, WindowCenter=2000, WindowWidth=3000, VOILUTFunction=function)
    close(load_radiograph(data).pixels, wanted(DEEP.astype(np.float64)))


def test_the_window_is_in_rescaled_units_of_signed_pixels() -> None:
    signed = DEEP.astype(np.int16) - 2048
    data = odd.dicom(
        signed, RescaleSlope="2", RescaleIntercept="-5", WindowCenter=100, WindowWidth=4001
    )
    close(load_radiograph(data).pixels, np.clip((2.0 * signed - 5 + 1900.5) / 4000, 0, 1))
    no_window = odd.dicom(signed, RescaleSlope="2", RescaleIntercept="-5")
    close(load_radiograph(no_window).pixels, ranged(signed))


def test_monochrome1_becomes_bone_bright() -> None:
    negative = odd.dicom(4095 - DEEP, PhotometricInterpretation="MONOCHROME1",
                         WindowCenter=2048, WindowWidth=4096)  # fmt: skip
    film = load_radiograph(negative)
    close(film.pixels, DEEP / 4095)
    assert film.facts["window"]["black"] == 4095 and film.facts["window"]["white"] == 0


def test_a_voi_table_is_used_where_there_is_no_window() -> None:
    table = np.linspace(65535, 0, 4096).astype(np.uint16)
    film = load_radiograph(odd.dicom(DEEP, VOILUTSequence=odd.voi_table(table, 0)))
    close(film.pixels, table[DEEP] / 65535)
    assert film.facts["window"]["source"] == "table"


def test_a_modality_table_comes_before_the_window() -> None:
    table = (np.arange(4096) ** 2 // 256).astype(np.uint16)
    data = odd.dicom(
        DEEP, ModalityLUTSequence=odd.voi_table(table, 0), WindowCenter=32768, WindowWidth=65536
    )
    close(load_radiograph(data).pixels, table[DEEP] / 65535, 1e-5)


def test_padding_is_black_and_outside_the_range() -> None:
    padded = DEEP.astype(np.int16)
    padded[:10] = -3000
    for polarity in ("MONOCHROME2", "MONOCHROME1"):
        film = load_radiograph(
            odd.dicom(padded, PixelPaddingValue=-3000, PhotometricInterpretation=polarity)
        )
        assert (film.pixels[:10] == 0).all()
        inside = ranged(DEEP[10:])
        close(film.pixels[10:], inside if polarity == "MONOCHROME2" else 1 - inside)
    limit = odd.dicom(padded, PixelPaddingValue=-3000, PixelPaddingRangeLimit=-2000)
    assert (load_radiograph(limit).pixels[:10] == 0).all()


def test_a_window_that_shows_nothing_is_not_used() -> None:
    film = load_radiograph(odd.dicom(DEEP, WindowCenter=60000, WindowWidth=10))
    close(film.pixels, ranged(DEEP))
    assert "window" in film.warnings[0] and film.facts["window"]["source"] == "range"
    zero = load_radiograph(odd.dicom(DEEP, WindowCenter=2000, WindowWidth=0))
    close(zero.pixels, ranged(DEEP))
    assert "not usable" in zero.warnings[0]


@pytest.mark.parametrize("center", [60000, -60000, 400_000])
def test_a_window_that_makes_the_film_black_or_white_is_replaced(center: int) -> None:
    """A few white pixels, as of a lead marker, do not make a black film show something."""
    marked = DEEP.copy()
    marked[0, :2] = 65535
    data = odd.dicom(marked, WindowCenter=center, WindowWidth=abs(center))
    film = load_radiograph(data)
    assert "shows nothing" in film.warnings[0]
    close(film.pixels, ranged(marked))


def test_a_window_without_its_modality_table_is_not_used() -> None:
    """Its units are the table's: on the stored values it shows a negative, or nothing."""
    table = odd.voi_table(np.arange(4096)[::-1], 0)
    table[0]["LUTData"].value = b""
    film = load_radiograph(
        odd.dicom(DEEP, ModalityLUTSequence=table, WindowCenter=2048, WindowWidth=4096)
    )
    assert "modality table is damaged" in film.warnings[0]
    assert film.facts["window"]["source"] == "range"
    close(film.pixels, ranged(DEEP))


def test_what_a_header_asks_of_the_viewer_is_said() -> None:
    shutter = load_radiograph(odd.dicom(GREY, ShutterShape="RECTANGULAR"))
    assert "covered" in shutter.warnings[0]
    plain = load_radiograph(odd.dicom(GREY, PresentationLUTShape="IDENTITY"))
    reverse = load_radiograph(odd.dicom(GREY, PresentationLUTShape="INVERSE"))
    assert plain.warnings == () and "contradicts" in reverse.warnings[0]
    close(reverse.pixels, 1 - plain.pixels)


def test_damaged_tables_and_slopes_are_ignored_with_a_warning() -> None:
    short = odd.voi_table(np.arange(1, dtype=np.uint16), 0)
    short[0]["LUTDescriptor"].value = [4096, 0, 16]
    for elements in ({"VOILUTSequence": short}, {"RescaleSlope": "0", "RescaleIntercept": "0"}):
        film = load_radiograph(odd.dicom(DEEP, **elements))
        assert film.warnings
        close(film.pixels, ranged(DEEP))


def test_palette_colour() -> None:
    shades = (np.arange(256)[::-1] * 257).astype("<u2").tobytes()
    tables = {}
    for name in ("Red", "Green", "Blue"):
        tables[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tables[f"{name}PaletteColorLookupTableData"] = shades
    data = odd.dicom(GREY, PhotometricInterpretation="PALETTE COLOR", **tables)
    close(load_radiograph(data).pixels, 1 - GREY / 255, 1 / 255)


def test_overlay_bits_above_the_pixels_are_cut_off() -> None:
    data = odd.dicom(DEEP | 0x8000 * (GREY > 100).astype(np.uint16), BitsStored=12)
    film = pydicom.dcmread(io.BytesIO(data))
    film.add_new(0x60000102, "US", 15)
    file = io.BytesIO()
    film.save_as(file)
    close(load_radiograph(file.getvalue()).pixels, ranged(DEEP))


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


# What is refused


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
