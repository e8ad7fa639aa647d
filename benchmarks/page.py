"""What the page costs a visitor: bytes and requests of its first load, time to a verdict.

    python benchmarks/page.py [--rounds 3]

A page of its own is started and opened in a headless Chromium (Debian: ``chromium``), each time in
a window without a cache, on two lines: Chrome's "Fast 3G" (1.44 Mbit/s down, 0.675 up, 562 ms) and
this machine's own. The time runs from the moment that the film is given to the page.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from measuring import ROOT, as_dicom, as_picture, machine_facts, phantom_grey, spread, table
from proxy import free_port

LINES: dict[str, dict[str, float]] = {
    "Fast 3G": {"latency": 562, "downloadThroughput": 180_000, "uploadThroughput": 84_375},
    "this machine": {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1},
}
QUIET = 2  # seconds without a byte: the page is loaded
DRAWN = "() => document.querySelector('.fv').dataset.empty === 'false'"


@contextmanager
def page() -> Iterator[str]:
    """``python -m demo`` on a port of its own; yields its address."""
    address = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "demo", "--port", address.rpartition(":")[2]]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            try:
                urlopen(address, timeout=5).close()
                break
            except OSError:
                time.sleep(0.3)
        yield address
    finally:
        process.terminate()
        process.wait(30)


class Traffic:
    """What one window asks for: requests, and their bytes as they came over the line.

    A stream that has not ended is counted by what it brought; it is not packed.
    """

    def __init__(self, network: Any) -> None:
        self.urls: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.last = time.perf_counter()  # when something came
        network.on("Network.requestWillBeSent", self._asked)
        network.on("Network.dataReceived", self._came)
        network.on("Network.loadingFinished", self._ended)

    def _asked(self, event: dict[str, Any]) -> None:
        if not event["request"]["url"].startswith(("data:", "blob:")):
            self.urls[event["requestId"]] = event["request"]["url"]

    def _came(self, event: dict[str, Any]) -> None:
        self.last = time.perf_counter()
        so_far = self.sizes.get(event["requestId"], 0)
        self.sizes[event["requestId"]] = so_far + event["dataLength"]

    def _ended(self, event: dict[str, Any]) -> None:
        self.sizes[event["requestId"]] = int(event["encodedDataLength"])

    def total(self, part: str = "") -> int:
        return sum(n for key, n in self.sizes.items() if part in self.urls.get(key, ""))


def visit(browser: Any, address: str, line: dict[str, float], film: Path) -> dict[str, float]:
    """Open the page in a new window, give it a film; bytes, requests and seconds."""
    window = browser.new_context(viewport={"width": 1440, "height": 900})
    tab = window.new_page()
    tab.set_default_timeout(180_000)
    network = window.new_cdp_session(tab)
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", {"offline": False, **line})
    traffic = Traffic(network)
    started = time.perf_counter()
    tab.goto(address)
    tab.wait_for_selector("#drop input[type=file]", state="attached")
    ready = time.perf_counter()
    while time.perf_counter() - traffic.last < QUIET:  # the page keeps one connection open for good
        tab.wait_for_timeout(100)
    loaded = {
        "requests": len(traffic.urls), "bytes": traffic.total(),
        "gradio": traffic.total("/assets/") + traffic.total("/static/"), "load": ready - started,
    }  # fmt: skip
    given = time.perf_counter()
    tab.locator("#drop input[type=file]").set_input_files(film)
    tab.wait_for_selector("#headline .fd-verdict")
    verdict = time.perf_counter()
    tab.wait_for_function(DRAWN)
    drawn = time.perf_counter()
    down = traffic.total() - loaded["bytes"]
    window.close()
    return {**loaded, "verdict": verdict - given, "picture": drawn - given, "down": down}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as temporary, page() as address:
        pixels = phantom_grey(1600, 1300)
        films = {"PNG, 8 bits": Path(temporary, "film.png"), "DICOM, 16 bits": Path(temporary, "f")}
        films["PNG, 8 bits"].write_bytes(as_picture(pixels, "PNG"))
        films["DICOM, 16 bits"].write_bytes(as_dicom(pixels))
        rows, html = [], len(urlopen(address).read())
        with sync_playwright() as driver:
            browser = driver.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            for name, line in LINES.items():
                for kind, film in films.items():
                    runs = [visit(browser, address, line, film) for _ in range(rounds)]
                    rows.append((name, kind, f"{film.stat().st_size / 1e6:.1f}", *(
                        spread([run[what] for run in runs]) for what in ("verdict", "picture")
                    ), f"{runs[0]['down'] / 1e6:.1f}", spread([run["load"] for run in runs])))
            browser.close()
    first = runs[0]
    print(machine_facts(rounds=rounds))
    print("\n## First load, nothing cached\n")
    print(table(("what", "measured"), [
        ("requests", first["requests"]),
        ("bytes as sent", f"{first['bytes'] / 1e3:.0f} kB"),
        ("of these Gradio's own scripts and styles", f"{first['gradio'] / 1e3:.0f} kB"),
        ("the HTML, uncompressed", f"{html / 1e3:.0f} kB"),
    ]))  # fmt: skip
    print("\n## From the film to the verdict, seconds\n\nMedian and quartiles.\n")
    head = ("line", "film", "film, MB", "verdict", "picture", "sent back, MB", "page ready")
    print(table(head, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
