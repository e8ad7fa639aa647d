"""Make the pictures of the README from a phantom, on the real page in Chromium.

    python docs/pictures.py      # writes docs/page.png and docs/read-first.webp
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from detector import FractureDetector  # noqa: E402
from tests.support.page_server import phantom_films, start, stop  # noqa: E402

DOCS = ROOT / "docs"
WIDTH = 840  # pixels of the animation
SECONDS = {"read": 2.0, "answered": 1.2, "revealed": 3.5}  # how long each of its pictures stands


def picture(page: Page) -> Image.Image:
    """The page as it stands, once nothing moves any more."""
    page.evaluate("() => new Promise((r) => requestAnimationFrame(() => setTimeout(r, 600)))")
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def read_first(page: Page, film: Path) -> dict[str, Image.Image]:
    """The three moments of 'read first, then reveal'."""
    page.get_by_label("Read first, then reveal").check()
    page.locator("#drop input[type=file]").set_input_files(film)
    page.wait_for_function("() => document.querySelector('.fv').dataset.mark === 'true'")
    moments = {"read": picture(page)}
    page.locator("#own input[value='present']").check()
    moments["answered"] = picture(page)
    page.get_by_role("button", name="Reveal the result").click()
    page.wait_for_selector("#agreement [data-agreement]")
    page.wait_for_function("() => document.querySelector('.fv').dataset.heat === 'true'")
    page.get_by_role("button", name="Heatmap", exact=True).click()
    return moments | {"revealed": picture(page)}


def main() -> None:
    """Write both pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    process, address = start()
    try:
        with TemporaryDirectory() as folder, sync_playwright() as driver:
            (film,) = phantom_films(FractureDetector.from_pretrained(), Path(folder), 1)
            browser = driver.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-background-networking"]
            )
            page = browser.new_page(
                viewport={"width": 1280, "height": 800}, color_scheme="dark",
                reduced_motion="reduce",
            )
            page.goto(address)
            page.wait_for_selector("#drop input[type=file]", state="attached")
            moments = read_first(page, film)
            browser.close()
    finally:
        stop(process)
    moments["revealed"].save(DOCS / "page.png", optimize=True)
    small = [
        shown.resize((WIDTH, WIDTH * shown.height // shown.width), Image.Resampling.LANCZOS)
        for shown in moments.values()
    ]
    durations = [round(1000 * SECONDS[moment]) for moment in moments]
    small[0].save(
        DOCS / "read-first.webp", save_all=True, append_images=small[1:], duration=durations,
        loop=0, quality=80, method=6,
    )


if __name__ == "__main__":
    main()
