"""The film viewer in Chromium: marks on demand, the hands' habits, orientation, measuring."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.demo.test_page import colour
from tests.support import odd_films
from tests.support.page_browser import drop, settle
from tests.support.page_server import save_film

SHOWN = "() => document.querySelector('.fv').dataset.heat === 'true'"
DRAWN = "() => document.querySelector('.fv').dataset.empty === 'false'"
BOX = "() => { const b = document.querySelector('.fv-canvas').getBoundingClientRect();" \
      " return [b.left, b.top, b.width, b.height]; }"


def hud(page) -> str:
    settle(page)
    return page.locator(".fv-hud").inner_text()


def drag(page, button: str, dx: float, dy: float) -> None:
    left, top, width, height = page.evaluate(BOX)
    page.mouse.move(left + width / 2, top + height / 2)
    page.mouse.down(button=button)
    page.mouse.move(left + width / 2 + dx, top + height / 2 + dy, steps=4)
    page.mouse.up(button=button)


def test_boxes_come_first_heat_on_demand_and_one_key_takes_both_away(page, detector, films):
    prediction = detector.predict(films[0])
    hottest = np.unravel_index(prediction.heatmap.argmax(), prediction.heatmap.shape)
    spot = hottest[1], hottest[0]
    drop(page, films[0])
    page.wait_for_function(SHOWN)
    assert np.ptp(colour(page, spot, prediction)) == 0  # grey: the film alone
    page.locator(".fv-canvas").focus()
    page.keyboard.press("m")
    assert np.ptp(colour(page, spot, prediction)) > 20
    assert page.locator(".fv-legend").is_visible()
    page.keyboard.press("p")
    assert np.ptp(colour(page, spot, prediction)) == 0
    page.keyboard.press("p")
    assert np.ptp(colour(page, spot, prediction)) > 20
    page.get_by_role("button", name="Heatmap", exact=True).click()
    assert np.ptp(colour(page, spot, prediction)) == 0


def test_the_mouse_does_what_radiologists_hands_know(page, films):
    drop(page, films[0])
    page.wait_for_function(SHOWN)
    before = hud(page)
    drag(page, "left", 60, 40)
    windowed = hud(page)
    assert windowed.split("\n")[0] == before.split("\n")[0]
    assert windowed.split("\n")[1] != before.split("\n")[1]
    drag(page, "right", 0, -60)
    zoomed = hud(page)
    assert float(zoomed.split()[0]) > float(windowed.split()[0])
    drag(page, "middle", 50, 20)
    assert hud(page) == zoomed  # moved, neither zoomed nor windowed
    page.mouse.wheel(0, -200)
    assert float(hud(page).split()[0]) > float(zoomed.split()[0])
    page.locator(".fv-canvas").focus()
    page.keyboard.press(" ")
    assert hud(page) == before
    page.keyboard.press("?")
    assert page.locator(".fv-help").is_visible()


def quarters(page) -> list[int]:
    """Grey level in the middle of each quarter of the film: top left, top right, and below."""
    settle(page)
    return page.evaluate(
        """() => { const c = document.querySelector('.fv-canvas'), x = c.getContext('2d');
          const side = 0.98 * Math.min(c.width, c.height);
          const at = (i, j) => [c.width / 2 + i * side / 4, c.height / 2 + j * side / 4];
          return [[-1, -1], [1, -1], [-1, 1], [1, 1]].map(([i, j]) =>
            x.getImageData(...at(i, j), 1, 1).data[0]); }"""
    )


def test_r_turns_h_and_v_flip_and_space_undoes_them(page, tmp_path: Path):
    pixels = np.kron([[0.9, 0.1], [0.35, 0.6]], np.ones((200, 200)))
    pixels += np.random.default_rng(0).normal(0, 0.02, pixels.shape)
    drop(page, save_film(np.clip(pixels, 0, 1), tmp_path / "quarters.png"))
    page.wait_for_function(DRAWN)
    page.locator(".fv-canvas").focus()
    order = [list(np.argsort(quarters(page)))]
    for key in ("r", "h", "v", " "):
        page.keyboard.press(key)
        order.append(list(np.argsort(quarters(page))))
    assert order[0] == [1, 2, 3, 0]  # bright top left
    assert order[1] == [3, 0, 2, 1]  # turned clockwise: it is top right
    assert order[2] == [2, 1, 3, 0]
    assert order[3] == [0, 3, 1, 2]
    assert order[4] == order[0]


@pytest.mark.parametrize(
    ("elements", "says"),
    [({"PixelSpacing": [0.2, 0.2], "PixelSpacingCalibrationType": "GEOMETRY"}, "mm (calibrated)"),
     ({"ImagerPixelSpacing": [0.2, 0.2]}, "mm (in the detector's plane)"), ({}, "px")],
)
def test_a_ruler_measures_millimetres_only_where_the_file_says_its_spacing(
    page, elements, says
):
    levels = odd_films.grey(400, 300, top=4095)
    data = odd_films.dicom(levels, BitsStored=12, **elements)
    drop(page, {"name": "film.dcm", "mimeType": "application/dicom", "buffer": data})
    page.wait_for_function(DRAWN)
    page.get_by_role("button", name="Ruler", exact=True).click()
    scale = float(hud(page).split()[0]) / 100  # screen pixels a film pixel, at a ratio of 1
    drag(page, "left", 100, 0)
    text = page.locator("#fv-alt").inner_text()
    pixels = 100 / scale
    expected = pixels * 0.2 if "mm" in says else pixels
    assert text.endswith(says)
    assert float(text.split()[0]) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("turned", [False, True])
def test_pixels_that_are_not_square_are_drawn_so(page, turned):
    elements = {"PixelAspectRatio": ["2", "1"], "PixelSpacing": [0.4, 0.2]}
    data = odd_films.dicom(odd_films.grey(100, 400, top=4095), BitsStored=12, **elements)
    drop(page, {"name": "film.dcm", "mimeType": "application/dicom", "buffer": data})
    page.wait_for_function(DRAWN)
    if turned:
        page.locator(".fv-canvas").focus()
        page.keyboard.press("r")
    zoom = float(hud(page).split()[0]) / 100
    width, height = page.evaluate(
        """() => { const c = document.querySelector('.fv-canvas'), x = c.getContext('2d');
          const lit = (line) => { const d = x.getImageData(...line).data; let n = 0;
            for (let i = 0; i < d.length; i += 4) n += d[i] === d[i + 2];
            return n; };
          return [lit([0, Math.round(c.height / 2) + 60, c.width, 1]),
                  lit([Math.round(c.width / 2) + 60, 0, 1, c.height])]; }"""
    )
    sides = (200, 400) if turned else (400, 200)  # the stage itself is not grey
    assert (width, height) == pytest.approx([zoom * side for side in sides], abs=3)
    page.get_by_role("button", name="Ruler", exact=True).click()
    for dx, dy in ((100, 0), (0, 100)):  # the same length whichever way it is drawn
        drag(page, "left", dx, dy)
        text = page.locator("#fv-alt").inner_text()
        assert float(text.split()[0]) == pytest.approx(100 / zoom * 0.2, rel=0.02)
