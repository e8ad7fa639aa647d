"""The page under hard use: slow and broken networks, odd habits, the phone, other languages."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pypdf import PdfReader

from detector.report.words import words_in
from tests.support.page_browser import drop, open_report, settle, verdict
from tests.support.page_server import page_address

PAINTED = """() => { const c = document.querySelector('.fv-canvas');
  return new Set(new Uint32Array(
    c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size; }"""


@pytest.fixture
def large(films, tmp_path: Path) -> Path:
    """A film that takes its time on a slow line."""
    file = tmp_path / "large film.png"
    noise = np.random.default_rng(0).bytes(2_000_000)
    file.write_bytes(films[0].read_bytes() + noise)
    return file


@pytest.fixture
def line(page) -> Callable[..., None]:
    """Sets how fast the page's connection is; a session of its own would set it apart."""
    network = page.context.new_cdp_session(page)
    return lambda **speed: network.send("Network.emulateNetworkConditions", {
        "offline": False, "latency": 20, "downloadThroughput": -1, "uploadThroughput": -1, **speed,
    })  # fmt: skip


def read(page, film: Path) -> None:
    drop(page, film)
    page.wait_for_selector("#headline .fd-verdict")
    page.wait_for_function("() => document.querySelector('.fv').dataset.heat === 'true'")


def nothing_of_the_old_film(page) -> bool:
    settle(page)
    hidden = not page.locator("#headline, #verdict, #after").filter(visible=True).count()
    return hidden and page.evaluate(PAINTED) == 1


def test_while_a_film_is_sent_nothing_of_the_one_before_is_left_and_it_can_be_stopped(
    page, films, large, line
):
    read(page, films[1])
    line(uploadThroughput=400_000)
    drop(page, large)
    page.wait_for_function(
        "() => /Sending large film.png \\(2.0 MB\\): [1-9]\\d? %/.test("
        "document.querySelector('#film-status').innerText)"
    )
    assert nothing_of_the_old_film(page)
    page.locator("#film-status").get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled. No film is shown.").wait_for()
    assert nothing_of_the_old_film(page)
    line()
    read(page, films[2])


def test_a_broken_connection_says_so_in_the_films_place(page, films, large, line):
    read(page, films[1])
    line(uploadThroughput=400_000)
    drop(page, large)
    page.get_by_text("Sending large film.png").wait_for()
    line(offline=True)
    page.locator("#film-status [role=alert]").wait_for()
    assert "connection broke off" in page.locator("#film-status").inner_text()
    assert nothing_of_the_old_film(page)
    line()


def test_page_and_report_say_which_film_they_are_of(page, films):
    read(page, films[0])
    said = page.locator("#headline .fd-source").inner_text()
    digest = hashlib.sha256(films[0].read_bytes()).hexdigest()[:8]
    assert said.startswith(f"{films[0].name} · ") and f"sha256 {digest}" in said
    open_report(page)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save the report").click()
    text = PdfReader(saved.value.path()).pages[0].extract_text()
    assert films[0].name in text and digest in text


GIVE = """([names, kind, where]) => {
  const data = new DataTransfer();
  names.forEach(([name, bytes]) => data.items.add(new File([new Uint8Array(bytes)], name)));
  const more = { bubbles: true, cancelable: true };
  const event = kind === 'paste' ? new ClipboardEvent(kind, { clipboardData: data, ...more })
    : new DragEvent(kind, { dataTransfer: data, ...more });
  document.querySelector(where).dispatchEvent(event);
}"""


def test_two_films_on_one_film_are_offered_as_a_study(page, films):
    given = [(film.name, list(film.read_bytes())) for film in films[:2]]
    page.evaluate(GIVE, [given, "drop", "#drop"])
    page.get_by_text("You chose 2 files").wait_for()
    page.get_by_role("button", name="Read as a study").click()
    page.wait_for_function("() => document.querySelectorAll('#study-result .fd-view').length === 2")


@pytest.mark.parametrize(("tab", "kind"), [("Study", "paste"), ("Worklist", "drop")])
def test_films_pasted_or_dropped_beside_the_zone_go_to_the_open_tab(page, films, tab, kind):
    page.get_by_role("tab", name=tab).click()
    given = [(film.name, list(film.read_bytes())) for film in films[:2]]
    page.evaluate(GIVE, [given, kind, ".fd-foot"])
    results = "#study-result .fd-view, #worklist-table tbody tr"
    page.wait_for_function(
        f"() => document.querySelectorAll('{results}').length === 2"
    )


def test_untouched_the_slider_changes_nothing_and_its_field_takes_anything(page, films):
    read(page, films[0])
    chance = page.locator(".fd-number b").inner_text()
    assert page.locator("#post-test b").inner_text() == chance
    failed = []
    page.on("response", lambda r: failed.append(r.url) if r.status >= 500 else None)
    field = page.locator("#pre-test input[type=number]")
    for typed, said in (("500", "of 99 %"), ("0.5", "of 1 %"), ("", "it is the probability above")):
        field.fill(typed)
        field.press("Enter")
        page.wait_for_function(
            "(said) => document.querySelector('#post-test').innerText.includes(said)", arg=said
        )
    assert not failed
    assert "positive predictive value" in page.locator("#post-test").inner_text()


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1440, 900)])
def test_the_film_fills_the_screen_and_no_more(page, films, width, height):
    page.set_viewport_size({"width": width, "height": height})
    read(page, films[0])
    settle(page)
    box = page.locator(".fv").bounding_box()
    assert box["y"] + box["height"] <= height + 1
    assert box["height"] > 0.6 * height


def test_in_a_frame_taller_than_the_screen_the_film_is_no_taller_than_the_screen(page, films):
    outside = page_address().rstrip("/") + "/outside.html"
    frame = '<iframe src="/" style="width: 1400px; height: 3000px; border: 0"></iframe>'
    page.route(outside, lambda route: route.fulfill(body=frame, content_type="text/html"))
    page.goto(outside)
    inside = page.frame_locator("iframe")
    inside.locator("#drop input[type=file]").set_input_files(films[0])
    inside.locator(".fv[data-heat=true]").wait_for()
    settle(page)
    height = page.viewport_size["height"]
    assert 0.6 * height < inside.locator(".fv").bounding_box()["height"] <= height


def contrast(a: np.ndarray, b: np.ndarray) -> float:
    """WCAG 2.2's contrast of two colours, in [1, 21]."""

    def luminance(colour: np.ndarray) -> float:
        share = np.asarray(colour[:3]) / 255
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_forced_colours_icon_and_gauge_are_seen(page, films, scheme):
    page.emulate_media(forced_colors="active", color_scheme=scheme)
    page.reload()
    page.wait_for_selector("#drop input[type=file]", state="attached")
    read(page, films[0])
    settle(page)

    def picture(where: str) -> np.ndarray:
        shot = Image.open(io.BytesIO(page.locator(where).first.screenshot()))
        return np.asarray(shot.convert("RGB"))

    icon = picture("#headline .fd-banner svg")
    ground = icon[0, 0]
    assert max(contrast(colour, ground) for colour in np.unique(icon.reshape(-1, 3), axis=0)) >= 3
    gauge, track = (page.locator(f"#verdict .fd-{x}").bounding_box() for x in ("gauge", "track"))
    needle = page.locator("#verdict .fd-needle").bounding_box()
    seen = picture("#verdict .fd-gauge")
    ground = seen[-1, 0]

    def at(x: float, y: float) -> np.ndarray:
        return seen[round(y - gauge["y"]), min(round(x - gauge["x"]), seen.shape[1] - 1)]

    line = track["y"] + track["height"] / 2
    zones = page.locator("#verdict .fd-track i").evaluate_all(
        "(all) => all.map((i) => i.getBoundingClientRect()).map((r) => r.x + r.width / 2)"
    )
    assert len({tuple(at(x, line)) for x in zones}) == 3
    above = (needle["y"] + track["y"]) / 2  # where the needle stands out of the track
    assert contrast(at(needle["x"] + needle["width"] / 2, above), ground) >= 3


def test_on_a_phone_the_film_comes_right_after_the_headline(page, films):
    page.set_viewport_size({"width": 320, "height": 700})
    read(page, films[0])
    settle(page)
    tops = [page.locator(name).bounding_box()["y"] for name in ("#headline", ".fv", "#verdict")]
    assert tops == sorted(tops)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 320


def test_the_menu_of_methods_answers_the_keyboard(page, films):
    read(page, films[0])
    page.locator("#method input").focus()
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.wait_for_function(
        "() => document.querySelector('.fv-hi').textContent.includes('strongest on this image')"
    )


def test_the_focus_stays_at_the_drop_zone_after_an_upload(page, films):
    page.locator("#drop button").focus()
    read(page, films[0])
    page.wait_for_function("() => Boolean(document.activeElement.closest('#drop'))")


def test_who_leaves_the_mode_gets_the_film_back(page, films):
    page.get_by_label("Read first, then reveal").check()
    drop(page, films[0])
    page.wait_for_function("() => document.querySelector('.fv').dataset.mark === 'true'")
    page.get_by_label("Read first, then reveal").uncheck()
    page.wait_for_selector("#headline .fd-verdict")
    page.wait_for_function("() => document.querySelector('.fv').dataset.mark === 'false'")


@pytest.mark.parametrize(("code", "address"), [("ar", "/?lang=ar"), ("de", "/?lang=de-AT")])
def test_the_page_speaks_the_visitors_language(page, films, code, address):
    words = words_in(code)
    page.goto(page_address() + address)
    page.wait_for_selector("#drop input[type=file]", state="attached")
    read(page, films[0])
    headings = {verdict["heading"] for verdict in words["verdicts"].values()}
    assert verdict(page) in headings
    root = page.locator("html")
    assert root.get_attribute("lang") == code and root.get_attribute("dir") == words["direction"]
    assert words["machine"] in page.locator("body").inner_text()
    assert page.get_by_role("tab", name=words["page"]["worklist"]).is_visible()
    assert page.get_by_role("button", name=words["viewer"]["invert"]).is_visible()


def test_a_row_of_the_worklist_opens_its_film_and_the_list_is_filtered(page, films, tmp_path):
    (tmp_path / "a").mkdir()
    twin = shutil.copy(films[1], tmp_path / "a" / films[0].name)
    page.get_by_role("tab", name="Worklist").click()
    page.locator("#worklist-drop input[type=file]").set_input_files([films[0], twin, films[2]])
    page.wait_for_selector("button#worklist-csv:enabled")
    names = page.locator("#worklist-table tbody td:last-child").all_inner_texts()
    assert sorted(names) == sorted([films[0].name, f"{films[0].name} (2)", films[2].name])
    page.get_by_role("button", name="File", exact=True).click()
    page.wait_for_function(
        "() => document.querySelector('th[aria-sort=ascending]')?.innerText.includes('File')"
    )
    assert page.locator("#worklist-table tbody td:last-child").all_inner_texts() == sorted(names)
    row = page.locator("#worklist-table tbody tr").first
    decision, name = row.get_attribute("data-decision"), row.locator("td").last.inner_text()
    row.locator("button").click()
    page.wait_for_function(
        "(name) => document.querySelector('#headline').innerText.includes(name)", arg=name
    )
    page.wait_for_function("() => document.querySelector('.fv').dataset.empty === 'false'")
    page.get_by_role("tab", name="Worklist").click()
    page.locator("[data-filter]").select_option(decision)
    shown = page.locator("#worklist-table tbody tr").filter(visible=True)
    assert {r.get_attribute("data-decision") for r in shown.all()} == {decision}


def test_a_link_opens_its_tab_and_the_theme_is_kept(page):
    page.goto(page_address() + "/?tab=worklist")
    page.wait_for_selector("#worklist-drop input[type=file]", state="attached")
    page.get_by_role("button", name="Light / dark").click()
    page.wait_for_function("() => !document.body.classList.contains('dark')")
    page.get_by_role("tab", name="Study").click()
    page.wait_for_function("() => location.search.includes('tab=study')")
    page.reload()
    page.wait_for_selector("#study-drop input[type=file]", state="attached")
    assert not page.locator("body.dark").count()
