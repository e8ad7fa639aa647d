"""Grey levels of a DICOM film: window, tables, polarity, padding."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest

from detector.io.radiograph import load_radiograph
from tests.support import odd_films as odd
from tests.support.pixels import close, ranged

GREY = odd.grey()
DEEP = odd.DEEP


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
