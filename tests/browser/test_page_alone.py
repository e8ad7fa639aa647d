"""The page without a server: what a person does with it, and that it sends nothing anywhere."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from detector import FractureDetector
from detector.phantom import FractureSpec, draw_phantom
from detector.report.results import record
from tests.support import odd_films as odd
from tests.support.browser_page import READY, open_page, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from detector import Prediction


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A broken and an intact limb, a colour photograph, a film of two frames, and no film."""
    folder = tmp_path_factory.mktemp("films")
    specs = {"broken": FractureSpec("transverse", displacement=0.6, angulation=12), "intact": None}
    for name, spec in specs.items():
        view = "forearm" if spec else "femur"
        pixels = draw_phantom(view, seed=3 if spec else 0, fracture=spec).pixels
        Image.fromarray(np.rint(255 * pixels).astype(np.uint8)).save(folder / f"{name}.png")
    (folder / "=colour.png").write_bytes(odd.saved(odd.colour(200, 160), "PNG"))
    (folder / "frames.dcm").write_bytes(
        odd.dicom(np.stack([odd.grey(90, 80), odd.grey(90, 80)[::-1]]), frames=2)
    )
    (folder / "letter.pdf").write_bytes(b"%PDF-1.7 a letter")
    return {path.stem.lstrip("="): path for path in folder.iterdir()}


@pytest.fixture
def page(opened: Page) -> Iterator[Page]:
    """The page as it is after loading."""
    opened.set_viewport_size({"width": 1280, "height": 900})
    opened.reload()
    opened.wait_for_selector("body.ready", timeout=READY)
    yield opened


def read(page: Page, film: Path) -> None:
    page.set_input_files("#file", film)
    page.wait_for_selector("#verdict[aria-busy='false']")


@pytest.fixture(scope="module")
def broken(detector: FractureDetector, films: dict[str, Path]) -> Prediction:
    return detector.predict(films["broken"])


def test_a_film_gives_the_verdict_its_regions_and_its_name(
    page: Page, films: dict[str, Path], broken: Prediction, detector: FractureDetector
):
    from demo.cards import headline, verdict_card

    read(page, films["broken"])
    shown = page.locator("#verdict .fd-verdict")
    assert shown.get_attribute("data-decision") == broken.decision
    source = shown.locator(".fd-source").inner_text()
    assert source.startswith("broken.png · 416 × 512 px · sha256 ")
    page.evaluate(
        "(html) => { const node = document.createElement('div'); node.id = 'theirs';"
        " node.innerHTML = html; document.querySelector('#about').before(node); }",
        headline(broken, source) + verdict_card(broken, dict(detector.config.metrics)),
    )
    assert page.inner_text("#verdict") == page.inner_text("#theirs")
    assert page.locator("#verdict .fd-regions button").count() == len(broken.regions)
    assert "Marked regions" in page.locator("#fv-alt").inner_text()
    assert page.locator(".fv").get_attribute("data-heat") == "true"


def test_an_older_verdict_never_stands_beside_a_new_film(page: Page, films: dict[str, Path]):
    read(page, films["broken"])
    page.set_input_files("#file", films["letter"])
    page.wait_for_selector(".fd-error")
    assert "This is not a film: it looks like a PDF document." in page.inner_text("#verdict")
    assert page.locator(".fd-verdict").count() == 0
    assert page.locator(".fv").get_attribute("data-heat") == "false"
    assert not page.is_visible("#after")


def test_a_film_out_of_scope_shows_no_heat_and_no_number(page: Page, films: dict[str, Path]):
    read(page, films["colour"])
    assert "The picture is in colour" in page.inner_text("#verdict")
    assert page.locator(".fd-number").count() == 0
    assert page.locator(".fv").get_attribute("data-heat") == "false"
    assert not page.is_visible(".site-post")


def test_one_of_several_frames_is_chosen(page: Page, films: dict[str, Path]):
    read(page, films["frames"])
    assert "The file holds 2 frames" in page.inner_text("#verdict")
    page.fill("#frame", "2")
    page.click("#frames button")
    page.wait_for_selector(".fd-verdict")
    assert page.is_visible("#frames") and "frame 2" in page.inner_text(".fd-source")


def test_several_files_at_once_are_sent_to_the_worklist(page: Page, films: dict[str, Path]):
    page.evaluate("""() => {
      const files = new DataTransfer();
      files.items.add(new File(['a'], 'a.png'));
      files.items.add(new File(['b'], 'b.png'));
      document.dispatchEvent(new DragEvent('drop', { dataTransfer: files, bubbles: true }));
    }""")
    assert "2 files were dropped" in page.inner_text("#verdict")


def test_who_reads_first_sees_the_result_after_the_own_reading(page: Page, films: dict[str, Path]):
    page.check("#blind")
    read(page, films["broken"])
    assert "Your turn" in page.inner_text("#verdict")
    assert page.locator(".fv").get_attribute("data-heat") == "false"
    page.click("#own button")
    assert "Choose your reading first" in page.inner_text("#missing")
    page.locator(".fv-canvas").click(position={"x": 40, "y": 40})
    assert not page.is_checked("#own [value=present]")  # beside the film
    box = page.locator(".fv-canvas").bounding_box()
    page.locator(".fv-canvas").click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    assert page.is_checked("#own [value=present]")
    page.click("#own button")
    assert page.locator("#verdict .fd-verdict").count() == 1
    text = page.inner_text("#agreement")
    assert "You: fracture." in text and "Your mark lies" in text


@pytest.mark.parametrize("before", [None, 3, 60])
def test_the_pretest_slider_says_what_the_page_with_a_server_says(
    page: Page, films: dict[str, Path], broken: Prediction, detector: FractureDetector,
    before: int | None,
):  # fmt: skip
    from demo.predictive import post_test, start

    read(page, films["broken"])
    if before is None:
        before = start(detector.config.calibration.prevalence)
        assert page.input_value("#before") == str(before)
    else:
        page.evaluate("""(value) => { const slider = document.querySelector('#before');
          slider.value = value; slider.dispatchEvent(new Event('input')); }""", before)
    shown = page.inner_text("#post")
    page.evaluate("(html) => { document.querySelector('#post').innerHTML = html; }",
                  post_test(broken, before, detector.config.metrics))  # fmt: skip
    assert shown == page.inner_text("#post")


def test_the_overlay_is_saved_as_a_picture(page: Page, films: dict[str, Path]):
    read(page, films["broken"])
    page.click("[data-do=heat]")
    with page.expect_download() as waiting:
        page.click("[data-do=save]")
    image = np.asarray(Image.open(waiting.value.path()).convert("RGB")).astype(int)
    assert image.shape == (512, 416, 3)
    assert np.ptp(image, axis=2).max() > 60  # it holds colour


def test_the_printed_report_says_what_and_of_whom(page: Page, films: dict[str, Path]):
    read(page, films["broken"])
    page.click("#report summary")
    page.fill("[name=patient]", "<b>Room 4</b>")
    page.evaluate("() => { window.print = () => { window.printed = true; }; }")
    page.click("#print")
    page.wait_for_selector("#sheet img[src]", state="attached")
    page.emulate_media(media="print")
    text = page.inner_text("#sheet")
    assert "<b>Room 4</b>" in text and "broken.png" in text and "Fracture likely" in text
    assert "Not a medical device" in text
    assert page.is_visible("#sheet img") and not page.is_visible("#verdict")
    page.emulate_media(media="screen")
    assert not page.is_visible("#sheet")
    read(page, films["intact"])
    assert page.input_value("[name=patient]") == ""  # of another patient
    assert page.inner_text("#sheet") == ""


def test_the_worklist_is_the_command_lines(
    page: Page, films: dict[str, Path], detector: FractureDetector
):
    from demo.worklist import Row, to_csv

    page.click("#tab-worklist")
    page.set_input_files("#films", list(films.values()))
    page.wait_for_selector("#csv:not([disabled])", timeout=READY)
    results = dict(
        zip((p.name for p in films.values()), detector.predict_batch(films.values()), strict=True)
    )
    with page.expect_download() as waiting:
        page.click("#csv")
    ours = list(csv.DictReader(io.StringIO(
        Path(waiting.value.path()).read_bytes().decode("utf-8-sig"), newline=""
    )))  # fmt: skip
    theirs = list(csv.DictReader(io.StringIO(
        to_csv([Row(record(name, result)) for name, result in results.items()])
        .decode("utf-8-sig"), newline="",
    )))  # fmt: skip
    assert [row["file"] for row in ours] == [row["file"] for row in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        for column, value in other.items():
            try:
                assert float(mine[column]) == pytest.approx(float(value), abs=0.11)
            except ValueError:
                assert mine[column] == value
    with page.expect_download() as waiting:
        page.click("#json")
    entries = json.loads(Path(waiting.value.path()).read_text())
    broken = next(entry for entry in entries if entry["file"] == "broken.png")
    assert broken.keys() == record("broken.png", results["broken.png"]).keys()
    page.locator("[data-open]").first.click()
    page.wait_for_selector("#film:not([hidden]) #verdict[aria-busy='false'] .fd-verdict")


def test_a_worklist_stops_when_asked(page: Page, films: dict[str, Path]):
    page.click("#tab-worklist")
    page.set_input_files("#films", [films["broken"]] * 5)
    page.wait_for_selector("#worklist-table tbody tr")
    page.click("#stop")
    page.wait_for_selector("#csv:not([disabled])")
    rows = page.locator("#worklist-table tbody tr").count()
    assert rows < 5 and f"Stopped: {rows} of 5" in page.inner_text("#worklist-progress")


def test_nothing_is_asked_of_any_server_once_it_is_ready(
    chromium: Browser, site: str, films: dict[str, Path]
):
    context = chromium.new_context()
    page = open_page(context, site)
    assert "offline" in _kept(page)
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    for name in ("broken", "frames", "letter", "intact"):
        read(page, films[name])
    page.click("#tab-worklist")
    page.set_input_files("#films", list(films.values()))
    page.wait_for_selector("#csv:not([disabled])", timeout=READY)
    assert [url for url in asked if not url.startswith(("blob:", "data:"))] == []
    # And it cannot: the browser refuses, for the page as for its workers.
    tried = """async (address) => {
      const tell = (f) => f.then(() => 'sent', () => 'refused');
      const code = `fetch(${JSON.stringify(address)}).then(() => 'sent', () => 'refused')
        .then((answer) => postMessage(answer))`;
      const worker = new Worker(URL.createObjectURL(new Blob([code])));
      const inWorker = new Promise((done) => { worker.onmessage = (e) => done(e.data); });
      return [await tell(fetch(address)), navigator.sendBeacon(address, 'x') ? 'sent' : 'refused',
              await inWorker];
    }"""
    answers = page.evaluate(tried, site)
    assert answers[0] == answers[2] == "refused"
    assert [url for url in asked if url == site] == []
    context.close()


def _kept(page: Page) -> str:
    """The page's own word that it also works without a network."""
    page.wait_for_selector("#state >> text=offline", timeout=READY)
    return page.inner_text("#state")


def test_it_opens_and_reads_without_a_network(
    chromium: Browser, built_page: Path, films: dict[str, Path]
):
    context = chromium.new_context()
    with served(built_page) as address:
        page = open_page(context, address)
        _kept(page)
    page.reload()  # nobody serves it any more
    page.wait_for_selector("body.ready", timeout=READY)
    read(page, films["broken"])
    assert page.locator("#verdict .fd-verdict").count() == 1
    context.close()


def test_a_host_without_our_headers_gives_threads_from_the_second_visit_on(
    chromium: Browser, built_page: Path
):
    context = chromium.new_context()
    with served(built_page, isolated=False) as address:
        page = open_page(context, address)
        assert not page.evaluate("crossOriginIsolated")
        assert "on one thread" in _kept(page)
        page.reload()
        page.wait_for_selector("body.ready", timeout=READY)
        assert page.evaluate("crossOriginIsolated")
    context.close()


def test_a_new_version_replaces_the_old_whole(
    chromium: Browser, built_page: Path, tmp_path: Path
):
    folder = tmp_path / "site"
    shutil.copytree(built_page, folder)
    (old,) = (folder / "v").iterdir()
    context = chromium.new_context()
    with served(folder) as address:
        page = open_page(context, address)
        _kept(page)
        new = old.rename(old.with_name("0123456789abcdef"))
        for name in ("index.html", "sw.js"):
            text = (folder / name).read_text()
            (folder / name).write_text(text.replace(old.name, new.name))
        # The old page still stands, whole, from what was kept.
        page.reload()
        page.wait_for_selector("body.ready", timeout=READY)
        assert old.name in page.inner_text("#version")
        page.evaluate("""async () => {
          const found = await navigator.serviceWorker.getRegistration();
          await found.update();
          const coming = found.installing ?? found.waiting;
          while (coming && coming.state !== 'installed') await new Promise(requestAnimationFrame);
        }""")
        page.close()
        page = open_page(context, address)
        page.reload()
        page.wait_for_selector("body.ready", timeout=READY)
        assert new.name in page.inner_text("#version")
        names = page.evaluate("caches.keys()")
        assert len(names) == 1 and new.name in names[0]
    context.close()


@pytest.mark.parametrize("part", ["network", "settings", "runtime"])
def test_a_damaged_part_is_refused(
    chromium: Browser, built_page: Path, tmp_path: Path, part: str
):
    folder = tmp_path / "site"
    shutil.copytree(built_page, folder)
    (file,) = folder.rglob(f"{part}.0.part")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with served(folder) as address:
        page = chromium.new_page()
        page.goto(address)
        page.wait_for_selector(".failed", timeout=READY)
        assert "damaged or of another version" in page.inner_text("#state")
        page.close()


def test_a_browser_without_what_it_needs_is_told_so(chromium: Browser, site: str):
    page = chromium.new_page()
    page.add_init_script("delete globalThis.DecompressionStream")
    page.goto(site)
    page.wait_for_selector(".failed", timeout=READY)
    assert "Use a current Chrome, Edge, Firefox or Safari" in page.inner_text("#state")
    page.close()


def test_it_works_in_a_frame_of_another_site(
    chromium: Browser, site: str, films: dict[str, Path], tmp_path: Path
):
    # As Hugging Face shows it. To a browser localhost and 127.0.0.1 are two sites.
    (tmp_path / "index.html").write_text(f'<iframe src="{site}" width="900" height="700"></iframe>')
    with served(tmp_path, isolated=False) as address:
        page = chromium.new_page()
        page.goto(address.replace("127.0.0.1", "localhost"))
        frame = page.frame_locator("iframe")
        frame.locator("body.ready").wait_for(timeout=READY)
        frame.locator("#file").set_input_files(films["broken"])
        frame.locator(".fd-verdict").wait_for(timeout=READY)
        page.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark"), (320, "light")])
def test_it_fits_and_axe_finds_nothing(
    page: Page, films: dict[str, Path], axe: str, scheme: str, width: int
):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 844})
    page.reload()
    page.wait_for_selector("body.ready", timeout=READY)
    page.evaluate(axe)
    for step in ("empty", "film", "worklist", "about"):
        if step == "film":
            read(page, films["broken"])
            page.click("#report summary")
        elif step != "empty":
            page.click(f"#tab-{step}")
        found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        told = [f"{rule['id']}: {n['html'][:120]}" for rule in found["violations"]
                for n in rule["nodes"]]  # fmt: skip
        assert told == [], step
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, step
    page.emulate_media(color_scheme="light")


def test_on_a_phone_the_film_comes_after_the_headline(page: Page, films: dict[str, Path]):
    page.set_viewport_size({"width": 390, "height": 844})
    read(page, films["broken"])
    tops = [
        page.locator(f"#film {part}").bounding_box()["y"]
        for part in (".fd-banner", ".fv-stage", ".fd-body")
    ]
    assert tops == sorted(tops) and tops[1] < 0.6 * 844  # a headline may have four lines


def test_the_build_holds_its_licences_and_names_no_other_host(built_page: Path):
    names = {path.stem for path in (built_page / "licences").iterdir()}
    assert {"onnxruntime-web", "dicom-parser", "cornerstonejs_codec-charls", "fflate",
            "fracture-detector", "compiled-libraries"} <= names  # fmt: skip
    page = (built_page / "index.html").read_text()
    assert "://" not in page.replace('xmlns="http://www.w3.org/2000/svg"', "")
    sizes = [path.stat().st_size for path in built_page.rglob("*") if path.is_file()]
    assert sum(sizes) < 20_000_000
