"""Pictures deeper than 8 bits keep their depth; white and black stand where the file says."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from detector import errors
from detector.io.limits import Limits
from detector.io.radiograph import load_radiograph
from tests.support import odd_films as odd
from tests.support.pixels import close

GREY, DEEP = odd.grey(), odd.DEEP
OPAQUE = np.full((64, 48, 1), 65535, np.uint16)
COLOURS = np.repeat(DEEP[..., None], 3, axis=2)


def png16(values: np.ndarray, colour_type: int) -> bytes:
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return odd.png(values.shape[1], values.shape[0], rows, 16, colour_type)


DEEP_COLOUR = {
    "PNG of colours": png16(COLOURS, 2),
    "PNG of colours and alpha": png16(np.dstack([COLOURS, OPAQUE]), 6),
    "PNG of grey and alpha": png16(np.dstack([DEEP[..., None], OPAQUE]), 4),
    "PNG whose alpha is empty": png16(np.dstack([COLOURS, 0 * OPAQUE]), 6),
    "TIFF of colours": odd.deep_tiff(COLOURS, photometric=2),
    "TIFF of colours, big endian": odd.deep_tiff(COLOURS, "MM", 2),
    "TIFF of colours and alpha": odd.deep_tiff(np.dstack([COLOURS, OPAQUE]), photometric=2),
}


@pytest.mark.parametrize("name", DEEP_COLOUR)
def test_16_bits_of_several_samples_are_read_as_16_bits_of_one(name: str) -> None:
    film = load_radiograph(DEEP_COLOUR[name])
    close(film.pixels, load_radiograph(odd.saved(DEEP, "PNG")).pixels)
    assert film.facts["bits"] == 16 and film.facts["colourfulness"] == 0
    assert len(np.unique(film.pixels)) > 1000
    assert ("transparency" in " ".join(film.warnings)) == ("empty" in name)


def test_an_alpha_that_hides_all_of_an_8_bit_picture_is_ignored() -> None:
    picture = np.dstack([np.repeat(GREY[..., None], 3, axis=2), np.zeros_like(GREY)])
    for source in (picture, odd.saved(picture, "PNG")):
        film = load_radiograph(source)
        close(film.pixels, GREY / 255, 1 / 255)
        assert "transparency hides" in film.warnings[0]


@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "i4", "f4", "f8"])
def test_a_tiff_whose_zero_is_white_is_the_other_way_round(dtype: str, order: str) -> None:
    values = GREY.astype(np.float64) / 255
    top = {"u1": 255, "u2": 60000, "i2": 30000, "f4": 1, "f8": 1}.get(dtype, 100_000)
    stored = (values * top).astype(dtype)
    plain = load_radiograph(odd.deep_tiff(stored, order))
    inverse = load_radiograph(odd.deep_tiff((top - stored).astype(dtype), order, 0))
    assert np.corrcoef(plain.pixels.ravel(), GREY.ravel())[0, 1] > 0.99
    close(inverse.pixels, plain.pixels, 2e-5)


def test_64_bit_floats_have_no_range_but_their_own() -> None:
    film = load_radiograph(odd.deep_tiff(1e30 * DEEP.astype(np.float64)))
    close(film.pixels, (DEEP - DEEP.min()) / np.ptp(DEEP), 1e-6)
    assert film.facts["bits"] == 64


def test_deep_files_are_bounded_and_not_cut() -> None:
    data = odd.deep_tiff(DEEP.astype(np.float64))
    with pytest.raises(errors.UnreadableFilm, match="cut short"):
        load_radiograph(data[:-1000])
    with pytest.raises(errors.FilmTooLarge):
        load_radiograph(data, limits=Limits(max_pixels=1000))
    with pytest.raises(errors.UnsupportedFilm, match="unusual"):
        load_radiograph(odd.deep_tiff(DEEP.astype(np.float16)))
    with pytest.raises(errors.UnsupportedFilm, match="no picture number 1"):
        load_radiograph(data, frame=1)
    whole = DEEP_COLOUR["PNG of colours"]
    with pytest.raises(errors.UnreadableFilm):
        load_radiograph(whole[: len(whole) // 2])


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_an_orientation_in_xmp_turns_the_film(kind: str) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    if kind == "PNG":
        from PIL.PngImagePlugin import PngInfo

        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        data = odd.saved(GREY, "PNG", pnginfo=text)
    elif kind == "TIFF":
        data = odd.saved(GREY, "TIFF", tiffinfo={700: xmp})
    else:
        data = odd.saved(Image.fromarray(GREY), kind, xmp=xmp)
    film = load_radiograph(data)
    assert film.pixels.shape == (48, 64)
    close(film.pixels, GREY[::-1].T / 255, 0.1)
