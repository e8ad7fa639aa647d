"""The page in a real browser, with the real model: what a person sees in each flow."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from pypdf import PdfReader

from demo.cards import chance
from demo.study import study_decision
from demo.worklist import UNREAD, URGENCY
from detector.report.results import percent
from detector.report.words import ENGLISH
from tests.support import odd_films
from tests.support.page_browser import WAIT, drop, heading, open_report, settle, verdict
from tests.support.page_server import page_address, save_film

# The colour that is drawn at a place of the film, given in film pixels, while the film is fitted.
PIXEL = """([x, y, w, h]) => {
  const c = document.querySelector('.fv-canvas'), ratio = c.width / c.clientWidth;
  const zoom = 0.98 * Math.min(c.clientWidth / w, c.clientHeight / h);
  const at = (v, side, size) => Math.round(((side - size * zoom) / 2 + (v + .5) * zoom) * ratio);
  return [...c.getContext('2d').getImageData(at(x, c.clientWidth, w), at(y, c.clientHeight, h), 1, 1).data];
}"""  # noqa: E501


def colour(page, place, prediction) -> np.ndarray:
    settle(page)
    size = [prediction.film.width, prediction.film.height]
    return np.array(page.evaluate(PIXEL, [float(v) for v in place] + size)[:3], int)


def slide(page, name: str, value: float) -> None:
    page.locator(f'[data-set="{name}"]').evaluate(
        "(node, v) => { node.value = v; node.dispatchEvent(new Event('input', {bubbles: true})); }",
        value,
    )


def test_a_film_gets_its_verdict_and_an_overlay_at_the_hot_place(page, detector, films):
    prediction = detector.predict(films[0])
    drop(page, films[0])
    page.wait_for_selector("#headline .fd-verdict")
    assert verdict(page) == heading(prediction)
    assert page.locator(".fd-number b").inner_text() == chance(prediction)
    gauge = page.locator(".fd-gauge").get_attribute("aria-label")
    assert percent(prediction.probability) in gauge
    assert percent(prediction.calibration.rule_in) in gauge
    assert page.locator(".fd-regions li").count() == len(prediction.regions)
    assert "not a medical device" in page.locator("body").inner_text().lower()

    page.wait_for_function("() => document.querySelector('.fv').dataset.heat === 'true'")
    page.locator('[data-do="boxes"]').click()
    page.locator('[data-do="heat"]').click()
    joins = []
    page.on("request", lambda r: joins.append(r.url) if r.method == "POST" else None)
    peak = np.unravel_index(prediction.heatmap.argmax(), prediction.heatmap.shape)[::-1]
    cold = np.unravel_index(prediction.heatmap.argmin(), prediction.heatmap.shape)[::-1]
    slide(page, "threshold", max(1, int(50 * prediction.heatmap.max())))
    slide(page, "opacity", 100)
    hot, far = colour(page, peak, prediction), colour(page, cold, prediction)
    slide(page, "opacity", 0)
    assert np.abs(colour(page, peak, prediction) - hot).max() > 20
    assert np.abs(colour(page, cold, prediction) - far).max() <= 2
    # The plain film, as it is in the file.
    x, y = peak
    near = prediction.grey[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
    assert near.min() - 12 <= colour(page, peak, prediction)[0] <= near.max() + 12

    slide(page, "opacity", 100)
    slide(page, "split", 100)
    assert np.ptp(colour(page, peak, prediction)) == 0  # grey: the plain film covers all
    slide(page, "split", 0)
    before = colour(page, cold, prediction)
    page.locator('[data-do="invert"]').click()
    assert colour(page, cold, prediction)[0] == pytest.approx(255 - before[0], abs=2)
    assert not joins, "sliders and buttons must not ask the server"


def test_window_presets_zoom_and_the_overlay_as_a_file(page, detector, films):
    drop(page, films[0])
    page.wait_for_selector("#headline .fd-verdict")
    page.wait_for_function("() => document.querySelector('.fv').dataset.empty === 'false'")
    hud = page.locator(".fv-hud")
    settle(page)
    fitted = hud.inner_text()
    page.locator('[data-set="preset"]').select_option("bone")
    settle(page)
    assert "L 66  W 68" in hud.inner_text()
    page.locator(".fv-canvas").focus()
    page.keyboard.press("+")
    settle(page)
    assert hud.inner_text().split()[0] != fitted.split()[0]
    page.keyboard.press("0")
    page.locator('[data-set="preset"]').select_option("film")
    settle(page)
    assert hud.inner_text() == fitted
    page.locator('[data-do="heat"]').click()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save PNG").click()
    from PIL import Image

    picture = Image.open(saved.value.path())
    film = detector.predict(films[0]).film
    assert saved.value.suggested_filename == "overlay.png"
    assert picture.size == (film.width, film.height)
    assert np.ptp(np.asarray(picture)[..., :3].astype(int), axis=2).max() > 20


def test_another_method_changes_the_map_and_not_the_verdict(page, films):
    drop(page, films[0])
    page.wait_for_selector("#method-row input")
    before = verdict(page)
    page.wait_for_function(  # the picture comes after the verdict
        "() => document.querySelector('.fv-hi')?.textContent.includes('local probability')"
    )
    asked = []
    page.on("request", lambda r: asked.append(r.url) if r.url.endswith("/queue/join?") else None)
    page.locator("#method input").click()
    page.get_by_role("option", name="EigenCAM").click()
    page.wait_for_function(
        "() => document.querySelector('.fv-hi').textContent.includes('strongest on this image')"
    )
    assert verdict(page) == before and len(asked) == 1


def test_a_dicom_film_is_known_by_content_and_its_patient_stays_unnamed(page, films, tmp_path):
    from PIL import Image

    stored = np.asarray(Image.open(films[1])).astype(np.uint16) * 200
    dicom = odd_films.dicom(stored)
    assert odd_films.PATIENT.encode() in dicom
    drop(page, {"name": "export.txt", "mimeType": "text/plain", "buffer": dicom})
    page.wait_for_selector("#headline .fd-verdict")
    assert verdict(page) in {verdict["heading"] for verdict in ENGLISH["verdicts"].values()}
    # Not in the pictures' base64, which holds any three letters sooner or later.
    shown = re.sub(r"data:[^\"']+", "", page.content())
    assert "DOE" not in shown and odd_films.BIRTHDAY not in shown


def test_what_is_no_film_gets_a_sentence_and_the_next_film_works(page, films, tmp_path):
    drop(page, {"name": "film.jpg", "mimeType": "image/jpeg", "buffer": b"<html>no film</html>"})
    said = page.wait_for_selector('#headline [role="alert"]').inner_text()
    assert "not a film" in said and "JPEG" in said
    small = save_film(np.eye(20), tmp_path / "small.png")
    drop(page, small)
    page.wait_for_function(
        "() => document.querySelector('#headline').innerText.includes('at least 32')"
    )
    drop(page, films[0])
    page.wait_for_selector("#headline .fd-verdict")


MEAN = """(images) => images.map((image) => {
  const c = document.createElement('canvas').getContext('2d');
  c.drawImage(image, 0, 0);
  const data = c.getImageData(0, 0, image.naturalWidth, image.naturalHeight).data;
  return data.reduce((sum, value, i) => sum + (i % 4 === 0 ? value : 0), 0);
})"""


def test_of_several_frames_one_is_chosen(page, films):
    from PIL import Image

    shades = [0.0, 1.0, 0.5] * 4  # of each frame, the film's own levels
    frame = np.asarray(Image.open(films[0]).resize((208, 256)))
    buffer = odd_films.dicom(np.stack([(frame * s).astype(np.uint8) for s in shades]), frames=12)
    drop(page, {"name": "many.dcm", "mimeType": "application/dicom", "buffer": buffer})
    assert "12 frames" in page.wait_for_selector('#headline [role="alert"]').inner_text()
    page.wait_for_selector("#frames img")
    page.locator("#frame input").fill("2")
    page.get_by_role("button", name="Read this frame").click()
    page.wait_for_selector("#headline .fd-verdict")
    previews = page.locator("#frames img")
    assert previews.count() == 12
    means = previews.evaluate_all(MEAN)
    assert means[0] < means[2] < means[1]  # each of its own frame
    page.get_by_role("button", name="frame 3").click()
    page.locator("#headline").get_by_text("frame 3").wait_for()
    assert page.get_by_label("Frame").input_value() == "3" and previews.count() == 12
    page.set_viewport_size({"width": 320, "height": 800})
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 320
    drop(page, films[0])
    page.wait_for_function("() => !document.querySelector('#frames img')")


def test_read_first_hides_the_result_until_the_reader_has_answered(page, detector, films):
    prediction = detector.predict(films[0])
    page.get_by_label("Read first, then reveal").check()
    drop(page, films[0])
    page.wait_for_function("() => document.querySelector('.fv').dataset.mark === 'true'")
    assert page.locator(".fv").get_attribute("data-heat") == "false"
    assert page.locator("[data-decision], .fd-gauge, .fd-regions").count() == 0
    page.get_by_role("button", name="Reveal the result").click()
    page.get_by_text("Choose your reading first").wait_for()
    assert page.get_by_label("Not sure").is_visible()
    region = prediction.regions[0]
    page.evaluate(
        """([x, y, w, h]) => {
          const c = document.querySelector('.fv-canvas'), a = c.getBoundingClientRect();
          const zoom = 0.98 * Math.min(c.clientWidth / w, c.clientHeight / h);
          const place = { bubbles: true, pointerId: 1, button: 0,
            clientX: a.left + (c.clientWidth - w * zoom) / 2 + x * zoom,
            clientY: a.top + (c.clientHeight - h * zoom) / 2 + y * zoom };
          c.setPointerCapture = () => {};
          c.dispatchEvent(new PointerEvent('pointerdown', place));
          c.dispatchEvent(new PointerEvent('pointerup', place));
        }""",
        [region.x + region.width / 2, region.y + region.height / 2,
         prediction.film.width, prediction.film.height],
    )  # fmt: skip
    page.wait_for_function(
        "() => document.querySelector('#own input[value=\"present\"]').checked"
    )
    page.get_by_role("button", name="Reveal the result").click()
    told = page.wait_for_selector("#agreement [data-agreement]").inner_text()
    assert "You: fracture." in told and heading(prediction).lower() in told
    assert "Your mark lies at the model's region 1." in told
    assert verdict(page) == heading(prediction)
    assert page.locator(".fv").get_attribute("data-heat") == "true"


def test_another_pre_test_probability_gives_another_post_test_one(page, detector, films):
    drop(page, min(films, key=lambda film: detector.predict(film).probability))  # not '>99 %'
    page.wait_for_selector("#post-test b")
    before = page.locator("#post-test b").inner_text()
    page.locator("#pre-test input[type=number]").fill("1")
    page.locator("#pre-test input[type=number]").press("Enter")
    page.wait_for_function(
        "() => document.querySelector('#post-test').innerText.includes('probability of 1 %')"
    )
    assert page.locator("#post-test b").inner_text() != before
    page.locator("#formula button").click()
    page.get_by_text("likelihood ratio = post-test odds").wait_for()


def test_the_report_is_one_page_with_the_verdict_and_what_was_typed(page, films):
    drop(page, films[0])
    page.wait_for_selector("#headline .fd-verdict")
    open_report(page)
    page.get_by_label("Clinical question").fill("Fall from a ladder")
    with page.expect_download(timeout=WAIT) as saved:
        page.get_by_role("button", name="Save the report").click()
    report = PdfReader(saved.value.path())
    text = report.pages[0].extract_text()
    assert len(report.pages) == 1
    assert "Fall from a ladder" in text
    assert verdict(page).split(",")[0].lower() in text.lower()


def test_what_was_typed_for_one_film_is_not_in_the_report_of_the_next(page, films):
    drop(page, films[0])
    page.wait_for_selector("#headline .fd-verdict")
    page.locator("#headline .fd-verdict").evaluate("(card) => { card.dataset.old = 'true'; }")
    open_report(page)
    page.get_by_label("Patient or study").fill("Doe, Jane")
    page.get_by_label("Your conclusion").fill("Fracture")
    drop(page, films[2])
    page.wait_for_selector("#headline .fd-verdict:not([data-old])")
    for field in ("Patient or study", "Your conclusion"):
        assert page.get_by_label(field).input_value() == ""


def test_a_film_that_the_browser_cannot_draw_leaves_no_other_film_beside_its_verdict(page, films):
    drop(page, films[0])
    page.wait_for_function("() => document.querySelector('.fv').dataset.heat === 'true'")
    page.evaluate("() => { Image.prototype.decode = () => Promise.reject(new Error('no')); }")
    drop(page, films[1])
    page.get_by_text("This browser cannot show the film").wait_for()
    assert page.locator(".fv").get_attribute("data-heat") == "false"
    settle(page)
    painted = """() => { const c = document.querySelector('.fv-canvas');
      return new Set(new Uint32Array(
        c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size; }"""
    assert page.evaluate(painted) == 1  # one colour: the old film is gone


def test_text_pasted_into_a_field_stays_text_and_a_stray_drag_does_not_leave_the_page(page, films):
    drop(page, films[0])
    page.wait_for_selector("#headline .fd-verdict")
    open_report(page)
    asked = []
    page.on("request", lambda r: asked.append(r.url) if "/upload" in r.url else None)
    kept, stopped = page.evaluate(
        """() => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(99)], 'image.png', { type: 'image/png' }));
          const more = { bubbles: true, cancelable: true };
          const field = document.querySelector('#report textarea, #report input');
          const paste = new ClipboardEvent('paste', { clipboardData: data, ...more });
          const drag = new DragEvent('dragover', { dataTransfer: data, ...more });
          return [field.dispatchEvent(paste),
                  !document.querySelector('.fd-foot').dispatchEvent(drag)];
        }"""
    )
    settle(page)
    assert kept and stopped and not asked


def test_on_a_phone_a_place_of_the_list_brings_the_film_into_view(page, films):
    page.set_viewport_size({"width": 390, "height": 844})
    drop(page, films[0])
    page.wait_for_selector("[data-region='0']")
    page.wait_for_function("() => document.querySelector('.fv').dataset.heat === 'true'")
    page.locator("[data-region='0']").click()
    page.wait_for_function(
        """() => { const box = document.querySelector('.fv-canvas').getBoundingClientRect();
          return box.top >= -1 && box.bottom <= innerHeight + 1; }"""
    )
    assert page.locator(".fv-canvas").evaluate("(node) => node.style.touchAction") == "none"
    zoomed = page.locator(".fv-hud").inner_text().split()[0]
    page.set_viewport_size({"width": 430, "height": 844})
    settle(page)
    assert page.locator(".fv-hud").inner_text().split()[0] == zoomed


def test_the_dark_page_is_printed_with_dark_ink_and_an_unstretched_film(page, films):
    drop(page, films[0])
    page.wait_for_selector("#headline .fd-verdict")
    ink = "() => getComputedStyle(document.querySelector('.fd-body p')).color.match(/\\d+/g)"
    assert min(map(int, page.evaluate(ink))) > 150
    page.emulate_media(media="print")
    assert max(map(int, page.evaluate(ink))) < 100
    fit = "() => getComputedStyle(document.querySelector('.fv-canvas')).objectFit"
    assert page.evaluate(fit) == "contain"


def test_two_visitors_at_once_get_their_own_films(chromium, page, detector, films):
    other_window = chromium.new_context()
    other = other_window.new_page()
    other.set_default_timeout(WAIT)
    other.goto(page_address())
    other.wait_for_selector("#drop input[type=file]", state="attached")
    drop(page, films[0])
    drop(other, films[1])
    for tab, film in ((page, films[0]), (other, films[1])):
        expected = detector.predict(film)
        tab.wait_for_selector("#headline .fd-verdict")
        assert tab.locator(".fd-number b").inner_text() == chance(expected)
        assert tab.locator(".fd-regions li").count() == len(expected.regions)
        peak = np.unravel_index(expected.heatmap.argmax(), expected.heatmap.shape)[::-1]
        tab.wait_for_function("() => document.querySelector('.fv').dataset.heat === 'true'")
        slide(tab, "opacity", 0)
        assert abs(colour(tab, peak, expected)[0] - int(expected.grey[peak[::-1]])) < 40
    other_window.close()


def test_an_example_by_keyboard(page):
    page.locator("[data-example]").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#headline .fd-verdict")
    body = page.locator("#examples, #verdict").all_inner_texts()
    assert "ynthetic" in " ".join(body) or "Radiologists:" in " ".join(body)


def test_a_pasted_film_is_read(page, films):
    page.evaluate(
        """(bytes) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], 'image.png', { type: 'image/png' }));
          document.dispatchEvent(
            new ClipboardEvent('paste', { clipboardData: data, bubbles: true }));
        }""",
        list(films[0].read_bytes()),
    )
    page.wait_for_selector("#headline .fd-verdict")


def test_a_study_leads_with_its_most_suspicious_view(page, detector, films):
    page.get_by_role("tab", name="Study").click()
    page.locator("#study-drop input[type=file]").set_input_files([*films, Path(__file__)])
    page.wait_for_selector("#study-result .fd-view")
    predictions = {film.name: detector.predict(film) for film in films}
    from demo.source import Source
    from demo.study import View

    views = sorted(
        (View(Source(n, ""), p) for n, p in predictions.items()), key=lambda view: view.rank
    )
    card = page.locator("#study-result .fd-verdict")
    assert card.get_attribute("data-decision") == study_decision(views)
    assert "1 of 4 views could not be read" in card.inner_text()
    names = page.locator("#study-result .fd-view h3").all_inner_texts()
    assert names == [view.source.name for view in views] + [Path(__file__).name]
    page.locator('[data-view="0"]').click()
    page.wait_for_selector("#headline .fd-verdict")
    assert verdict(page) == heading(views[0].result)


def test_a_worklist_is_sorted_and_saved_and_survives_a_broken_film(page, films, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(films[0].read_bytes()[:300])
    formula = shutil.copy(films[2], tmp_path / "=1+1.png")
    page.get_by_role("tab", name="Worklist").click()
    page.locator("#worklist-drop input[type=file]").set_input_files(
        [films[0], broken, films[1], formula]
    )
    page.wait_for_selector("#worklist-csv button:not([disabled]), button#worklist-csv:enabled")
    rows = page.locator("#worklist-table tbody tr")
    assert rows.count() == 4
    decisions = [rows.nth(i).get_attribute("data-decision") for i in range(4)]
    assert decisions == sorted(decisions, key=URGENCY.index) and UNREAD in decisions
    assert "4 films" in page.locator("#worklist-progress").inner_text()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save CSV").click()
    text = Path(saved.value.path()).read_text("utf-8-sig")
    listed = list(csv.DictReader(io.StringIO(text)))
    assert len(listed) == 4 and not [row for row in listed if row["file"].startswith("=")]
    assert [row for row in listed if row["error"]][0]["file"] == "broken.png"
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save JSON").click()
    entries = json.loads(Path(saved.value.path()).read_text())
    assert [entry.get("decision", UNREAD) for entry in entries] == decisions


def test_a_worklist_can_be_cancelled_and_keeps_what_it_has(page, films, tmp_path):
    many = [shutil.copy(films[0], tmp_path / f"{n:03}.png") for n in range(120)]
    page.get_by_role("tab", name="Worklist").click()
    page.locator("#worklist-drop input[type=file]").set_input_files(many)
    page.wait_for_function(
        "() => /^[1-9]\\d* of 120/.test(document.querySelector('#worklist-progress').innerText)"
    )
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_function(
        "() => document.querySelector('#worklist-progress').innerText.includes('Cancelled after')"
    )
    assert 0 < page.locator("#worklist-table tbody tr").count() < 120


def test_about_says_what_it_is_and_the_footer_which_version(page, detector):
    page.get_by_role("tab", name="About the model").click()
    page.get_by_text("How the probability is made").wait_for()
    body = page.locator("body").inner_text()
    assert "'DICOM objects' copies the patient data" in " ".join(body.split())
    page.locator("#card button").first.click()
    page.locator("#model-card h1, #model-card h2").first.wait_for()
    assert detector.model.digest[:12] in body


UNNAMED = """() => [...document.querySelectorAll('button, input, select, textarea, canvas, img')]
  .filter((n) => n.offsetParent !== null && n.type !== 'file')
  .filter((n) => !(n.getAttribute('aria-label') || n.labels?.length || n.textContent.trim() ||
    n.title || n.hasAttribute('alt') || n.getAttribute('aria-labelledby')))
  .map((n) => n.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's script, as the package for Playwright brings it along."""
    package = pytest.importorskip("axe_playwright_python", reason="the extra 'dev' is incomplete")
    return (Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_nothing_stands_in_the_way_of_keyboard_and_screen_reader(page, films, axe, scheme):
    if scheme == "light":
        page.get_by_role("button", name="Light / dark").click()
    page.evaluate(axe)

    def check() -> None:
        settle(page)
        assert page.evaluate(UNNAMED) == []
        found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        assert violations(found) == []

    check()  # no film yet
    drop(page, {"name": "film.jpg", "mimeType": "image/jpeg", "buffer": b"<html>no film</html>"})
    page.wait_for_selector('#headline [role="alert"]')
    check()
    drop(page, films[0])
    page.wait_for_selector("#headline .fd-verdict")
    check()
    page.get_by_role("tab", name="Study").click()
    page.locator("#study-drop input[type=file]").set_input_files(films[:2])
    page.wait_for_selector("#study-result .fd-view")
    for index in range(2):
        page.locator(f'[data-beside="{index}"]').click()
        page.wait_for_selector(f'[data-of="{index}"] .fv[data-empty="false"]')
    check()
    page.get_by_role("tab", name="Worklist").click()
    page.locator("#worklist-drop input[type=file]").set_input_files(films[:2])
    page.wait_for_selector("button#worklist-csv:enabled")
    check()
    page.get_by_role("tab", name="About the model").click()
    check()
    page.get_by_role("tab", name="One film").click()
    page.get_by_label("Read first, then reveal").check()
    drop(page, films[1])
    page.wait_for_function("() => document.querySelector('.fv').dataset.mark === 'true'")
    check()


def violations(found: dict) -> list[str]:
    return [
        f"{rule['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
