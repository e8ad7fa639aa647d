"""Pictures, arrays and files into ``load_radiograph``: what they become, how they are refused."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from detector import errors
from detector.io.limits import Limits
from detector.io.radiograph import Radiograph, load_radiograph, recognise
from tests.support import odd_films as odd
from tests.support.pixels import close

ROOT = Path(__file__).resolve().parents[2]
GREY = odd.grey()
FULL = GREY / np.float32(255)


# What is read


@pytest.mark.parametrize("name", odd.FILMS)
def test_every_kind_of_film_is_read_or_refused_with_its_own_error(name: str) -> None:
    data = odd.FILMS[name]()
    if name in ("dicom frames", "dicom jpeg 12"):
        with pytest.raises(errors.UnsupportedFilm):
            load_radiograph(data)
        return
    film = load_radiograph(data)
    assert film.pixels.dtype == np.float32
    assert film.pixels.shape == ((48, 64) if "turned" in name else (64, 48))
    assert film.pixels.min() >= 0 and film.pixels.max() <= 1 and film.pixels.std() > 0.05
    assert not film.pixels.flags.writeable
    assert json.loads(json.dumps(film.facts)) == film.facts
    assert film.facts["format"].lower() == name.split()[0]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_8_bit_grey_is_divided_by_255_exactly(kind: str) -> None:
    film = load_radiograph(odd.saved(GREY, kind))
    close(film.pixels, FULL)
    assert film.facts["colourfulness"] == 0
    assert film.warnings == ()


def test_every_way_to_hand_over_a_file_gives_the_same_film(tmp_path: Path) -> None:
    data = odd.saved(GREY, "PNG")
    path = tmp_path / "name that says nothing.dcm"
    path.write_bytes(data)
    with open(path, "rb") as file:
        sources = [data, bytearray(data), memoryview(data), path, str(path), file, io.BytesIO(data)]
        digests = {load_radiograph(source).digest for source in sources}
    digests.add(load_radiograph(Image.open(path)).digest)
    digests.add(load_radiograph(GREY).digest)
    assert len(digests) == 1


def test_a_radiograph_comes_back_as_it_is() -> None:
    film = load_radiograph(GREY)
    assert load_radiograph(film) is film
    assert (film.height, film.width) == (64, 48)


def test_the_digest_follows_pixels_and_shape() -> None:
    film = load_radiograph(GREY)
    assert film.digest == load_radiograph(GREY.copy()).digest
    assert film.digest != load_radiograph(GREY[::-1]).digest
    wide = Radiograph(film.pixels.reshape(48, 64), {})
    assert film.digest != wide.digest


def test_16_bit_grey_uses_its_percentile_range() -> None:
    deep = np.linspace(1000, 3000, 100 * 100).astype(np.uint16).reshape(100, 100)
    deep[0, 0], deep[0, 1] = 0, 65535  # a dead pixel and a hot one
    for source in (deep, odd.saved(deep, "PNG"), odd.saved(deep, "TIFF")):
        pixels = load_radiograph(source).pixels
        assert pixels[0, 0] == 0 and pixels[0, 1] == 1
        middle = pixels.ravel()[100:-100]
        assert middle[0] < 0.02 and middle[-1] > 0.98
        assert abs(pixels[50, 0] - 0.5) < 0.01


def test_white_is_zero_tiff_is_inverted_at_8_and_16_bits() -> None:
    for dtype in (np.uint8, np.uint16):
        values = (GREY.astype(dtype)) * (1 if dtype == np.uint8 else 200)
        plain = load_radiograph(odd.saved(values, "TIFF")).pixels
        inverse = values.max() - values if dtype == np.uint16 else 255 - values
        data = bytearray(odd.saved(inverse, "TIFF"))
        entry = data.index(b"\x06\x01\x03\x00\x01\x00\x00\x00\x01\x00")  # photometric = 1
        data[entry + 8] = 0
        close(load_radiograph(bytes(data)).pixels, plain, 0.003)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_orientation_from_exif_turns_the_film_upright(kind: str, orientation: int) -> None:
    from PIL import ImageOps

    data = odd.with_orientation(GREY, kind, orientation)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("L"))
    film = load_radiograph(data)
    assert film.pixels.shape == upright.shape
    close(film.pixels, upright / 255, 2 / 255)


def test_a_palette_is_read_through_its_colours() -> None:
    image = Image.fromarray(GREY).quantize(256)
    close(load_radiograph(odd.saved(image, "PNG")).pixels, FULL, 2 / 255)


def test_transparency_goes_onto_black() -> None:
    pixels = load_radiograph(odd.saved(odd.with_alpha(), "PNG")).pixels
    assert (pixels[:, :24] == 0).all()
    close(pixels[:, 24:], FULL[:, 24:])
    close(load_radiograph(odd.with_alpha()).pixels, pixels)


def test_a_film_in_the_alpha_channel_alone_is_found_there() -> None:
    picture = np.zeros((64, 48, 4), np.uint8)
    picture[..., 3] = GREY
    film = load_radiograph(odd.saved(picture, "PNG"))
    close(film.pixels, FULL)
    assert "transparency" in film.warnings[0]


def test_cmyk_and_rgb_look_alike() -> None:
    rgb = np.repeat(GREY[..., None], 3, axis=2)
    cmyk = odd.saved(Image.fromarray(rgb).convert("CMYK"), "JPEG", quality=98)
    close(load_radiograph(cmyk).pixels, FULL, 0.05)


def test_colourfulness_tells_a_photograph_from_a_film() -> None:
    grey = np.repeat(GREY[..., None], 3, axis=2)
    assert load_radiograph(grey).facts["colourfulness"] == 0
    assert load_radiograph(odd.saved(grey, "JPEG")).facts["colourfulness"] < 0.01
    assert load_radiograph(odd.saved(odd.colour(), "PNG")).facts["colourfulness"] > 0.2


def test_a_jpeg_that_lacks_its_end_is_read_as_far_as_it_goes() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 160), dtype=np.uint8)
    data = odd.saved(noise, "JPEG")
    whole = load_radiograph(data).pixels
    film = load_radiograph(data[: len(data) * 95 // 100])
    assert "cut short" in film.warnings[0]
    close(film.pixels[:180], whole[:180])
    assert film.pixels.shape == whole.shape
    with pytest.raises(errors.UnreadableFilm):
        load_radiograph(odd.saved(noise, "PNG")[:2000])


@pytest.mark.parametrize("colours", [1, 3])
def test_a_jpeg_that_lacks_much_of_its_film_is_refused(colours: int) -> None:
    """What is missing may hold the fracture: half a film must not be called free of one."""
    noise = np.random.default_rng(0).integers(0, 256, (200, 160), dtype=np.uint8)
    data = odd.saved(noise if colours == 1 else np.repeat(noise[..., None], 3, axis=2), "JPEG")
    with pytest.raises(errors.UnreadableFilm, match="[45][0-9] % of the film is missing"):
        load_radiograph(data[: len(data) // 2])


@pytest.mark.parametrize("name", ["png animated", "tiff pages", "webp animated"])
def test_of_several_pictures_the_first_is_read_or_the_one_asked_for(name: str) -> None:
    data = odd.FILMS[name]()
    film = load_radiograph(data)
    assert "several pictures" in film.warnings[0]
    close(film.pixels, FULL, 0.03)
    second = load_radiograph(data, frame=1)
    close(second.pixels, np.roll(FULL, 7, axis=1), 0.03)
    assert second.warnings == ()
    for frame in (3, -1):
        with pytest.raises(errors.UnsupportedFilm):
            load_radiograph(data, frame=frame)


# Arrays


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_within_0_and_1_are_taken_as_they_are(dtype: type) -> None:
    values = (FULL * 0.5).astype(dtype)
    close(load_radiograph(values).pixels, values.astype(np.float32))


def test_other_floats_go_from_smallest_to_largest() -> None:
    close(load_radiograph(FULL * 300 - 50).pixels, (FULL - FULL.min()) / np.ptp(FULL), 1e-5)
    huge = np.where(FULL > 0.5, 1.7e308, -1.7e308)
    assert set(np.unique(load_radiograph(huge).pixels)) == {0.0, 1.0}


def test_nan_and_infinity_are_replaced_with_a_warning() -> None:
    values = FULL.copy()
    values[0, :3] = np.nan, np.inf, -np.inf
    film = load_radiograph(values)
    assert film.warnings == ("3 pixels were not finite numbers and were replaced.",)
    assert film.pixels[0, 1] == FULL[1:].max() and film.pixels[0, 0] == film.pixels[0, 2]
    with pytest.raises(errors.NoPixels):
        load_radiograph(np.full((64, 48), np.nan))


@pytest.mark.parametrize("shape", [(64, 48, 3), (64, 48, 4)])
@pytest.mark.parametrize("scale, dtype", [(1, np.uint8), (257, np.uint16), (1 / 255, np.float32)])
def test_colour_arrays_of_every_depth(shape: tuple, scale: float, dtype: type) -> None:
    values = np.repeat(GREY[..., None], shape[2], axis=2).astype(np.float64)
    values[..., 3:] = 255
    pixels = load_radiograph((values * scale).astype(dtype)).pixels
    wanted = FULL
    if dtype == np.uint16:  # deep integers are stretched to the range in use
        low, high = np.quantile(FULL, [0.001, 0.999])
        wanted = np.clip((FULL - low) / (high - low), 0, 1)
    close(pixels, wanted, 0.006)


def test_the_callers_array_is_neither_changed_nor_shared() -> None:
    values = FULL.copy()
    film = load_radiograph(values)
    values[:] = 0
    assert film.pixels.max() > 0.5
    assert values.flags.writeable


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((64,)), np.zeros((2, 64, 48, 3)), np.zeros((64, 48, 2)),
        np.zeros((64, 48), complex), np.full((64, 48), "x"), np.full((64, 48), None),
        np.zeros((64, 48), "datetime64[s]"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_film_are_unsupported(array: np.ndarray) -> None:
    with pytest.raises(errors.UnsupportedFilm):
        load_radiograph(array)


@pytest.mark.parametrize("source", [None, 7, 1.5, [1, 2], {"a": 1}, io.StringIO("text")])
def test_other_python_types_are_a_type_error(source: object) -> None:
    with pytest.raises(TypeError):
        load_radiograph(source)


# What is refused


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "empty"),
        (b"%PDF-1.7\n%encrypted", "PDF"),
        (b"PK\x03\x04" + bytes(60), "ZIP"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\xef\xbb\xbf\n <html>", "web page"),
        (b"just some text", "text"),
        (b"GIF89a" + bytes(60), "GIF"),
        (b"\0\0\0\x18ftypheic" + bytes(60), "HEIC"),
        (b"MZ" + bytes(60), "program"),
        (bytes(5000), "unknown"),
        (np.random.default_rng(0).bytes(5000), "unknown"),
    ],
)
def test_what_is_no_film_is_called_by_its_name(data: bytes, words: str) -> None:
    with pytest.raises(errors.UnreadableFilm, match=words):
        load_radiograph(data)


@pytest.mark.parametrize(
    "source, kind",
    [
        (odd.png(60_000, 60_000, b""), errors.FilmTooLarge),
        (odd.png(20_000, 20_000, b""), errors.FilmTooLarge),
        (odd.png(40_000, 100, b""), errors.FilmTooLarge),
        (odd.png(1, 1, b"\0\0"), errors.FilmTooSmall),
        (odd.png(1, 20_000, b""), errors.FilmTooSmall),
        (np.zeros((31, 500), np.uint8), errors.FilmTooSmall),
        (np.zeros((0, 48), np.uint8), errors.NoPixels),
    ],
)
def test_sizes_out_of_bounds_are_refused_from_the_header(source: object, kind: type) -> None:
    with pytest.raises(kind):
        load_radiograph(source)


def test_limits_can_be_set() -> None:
    data = odd.saved(GREY, "PNG")
    for limits in (Limits(max_bytes=500), Limits(max_pixels=1000), Limits(max_side=60)):
        for source in (data, io.BytesIO(data)):
            with pytest.raises(errors.FilmTooLarge):
                load_radiograph(source, limits=limits)
    with pytest.raises(errors.FilmTooSmall):
        load_radiograph(data, limits=Limits(min_side=49))
    assert load_radiograph(odd.saved(GREY[:8, :8], "PNG"), limits=Limits(min_side=1)).width == 8


def test_a_tiff_with_monstrous_tiles_is_refused() -> None:
    plain = odd.tiff(48, 64, {273: 0, 278: 64, 279: 3072}, GREY.tobytes())
    close(load_radiograph(plain).pixels, FULL)
    square = np.pad(GREY, ((0, 0), (0, 16)))
    tiled = {322: 64, 323: 64, 324: 0, 325: 4096}
    close(load_radiograph(odd.tiff(48, 64, tiled, square.tobytes())).pixels, FULL)
    with pytest.raises(errors.FilmTooLarge, match="tiles"):
        load_radiograph(odd.tiff(48, 64, tiled | {322: 60_000, 323: 60_000}, square.tobytes()))


def test_a_jpeg_of_a_thousand_passes_is_refused() -> None:
    data = odd.saved(GREY, "JPEG", progressive=True)
    scan = data[data.rfind(b"\xff\xda") : -2]
    with pytest.raises(errors.UnsupportedFilm):
        load_radiograph(data[:-2] + scan * 1000 + data[-2:])


def test_a_file_with_two_faces_is_read_as_the_dicom_that_it_says_it_is() -> None:
    dicom = odd.dicom(GREY)
    two_faces = odd.saved(GREY, "TIFF")[:128] + dicom[128:]
    assert recognise(two_faces) == "dicom"
    close(load_radiograph(two_faces).pixels, FULL)


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    paths = ["absent.png", "pipe", "loop", ".", "x" * 5000, "nul\0byte", "../" * 400 + "etc"]
    for name in paths:
        with pytest.raises(errors.UnreadableFilm):
            load_radiograph(os.path.join(tmp_path, name))


def test_a_stream_that_breaks_is_unreadable() -> None:
    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise ConnectionError("gone")

    with pytest.raises(errors.UnreadableFilm):
        load_radiograph(Broken())


def test_no_memory_is_said_as_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr("detector.io.radiograph.deep_grey", full)
    with pytest.raises(errors.FilmTooLarge):
        load_radiograph(GREY)


def test_one_shade_is_read_with_a_warning() -> None:
    film = load_radiograph(np.full((64, 48), 77, np.uint8))
    assert "one shade" in film.warnings[0]


def test_every_error_is_a_sentence_with_a_kind_and_survives_pickling() -> None:
    kinds = [errors.UnreadableFilm, errors.UnsupportedFilm, errors.FilmTooLarge]
    for kind in [*kinds, errors.FilmTooSmall, errors.NoPixels]:
        assert issubclass(kind, errors.RadiographError) and kind.kind
    several = pickle.loads(pickle.dumps(errors.SeveralFrames(5)))
    assert several.frames == 5 and "0 to 4" in str(several)


def test_nothing_is_warned_and_the_filters_are_left_as_they_were() -> None:
    before = list(warnings.filters)
    films = [make() for make in odd.FILMS.values()]

    def read() -> None:
        for data in films:
            try:
                load_radiograph(data)
            except errors.RadiographError:
                pass

    threads = [threading.Thread(target=read) for _ in range(3)]
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [str(w.message) for w in seen] == []
    assert list(warnings.filters) == before


# Anything at all


def survives(data: object) -> None:
    try:
        film = load_radiograph(data)
    except errors.RadiographError as error:
        assert str(error).endswith((".", ")"))
    else:
        assert film.pixels.dtype == np.float32
        assert 0 <= film.pixels.min() and film.pixels.max() <= 1


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["", "png", "tiff", "bmp", "jpeg", "webp"]))
def test_any_bytes_after_any_beginning(tail: bytes, name: str) -> None:
    survives((odd.FILMS[name]()[:60] if name else b"") + tail)


@settings(max_examples=150, deadline=None)
@given(
    hnp.arrays(
        st.one_of(hnp.integer_dtypes(), hnp.unsigned_integer_dtypes(), hnp.floating_dtypes(),
                  hnp.boolean_dtypes(), hnp.complex_number_dtypes()),
        hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=8),
    )
)  # fmt: skip
def test_any_array(array: np.ndarray) -> None:
    try:
        film = load_radiograph(array, limits=Limits(min_side=1))
    except errors.RadiographError:
        return
    assert film.pixels.shape == array.shape[:2]
    assert 0 <= film.pixels.min() and film.pixels.max() <= 1


@pytest.mark.parametrize("name", ["jpeg", "png", "tiff lzw", "bmp", "webp"])
def test_pictures_cut_at_every_length(name: str) -> None:
    data = odd.FILMS[name]()
    for length in {*range(0, min(len(data), 300)), *range(300, len(data), 97)}:
        survives(data[:length])


def test_the_fuzzer_finds_nothing_in_a_thousand_inputs() -> None:
    script = [sys.executable, "benchmarks/fuzz_radiograph.py", "--count", "1000", "--seed", "7"]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "| film |" in done.stdout
