"""The page without a server: sizes, times, memory, and whether it answers as the detector does.

    python benchmarks/browser_page.py [--films 60] [--soak 200]

Builds the page, serves it on this machine and reads the FracAtlas test films of FRACTURE_DATA in
headless Chromium, once with one thread and once with as many as the page takes.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from measuring import ROOT, machine_facts, table
from playwright.sync_api import Page, sync_playwright

from browser.build import build
from detector import FractureDetector
from detector.model.hub import resolve_weights
from detector.model.weights import read_weights
from tests.support.browser_page import differences, open_page, read_whole, served

DATA = Path(os.environ.get("FRACTURE_DATA", ROOT.parent / "shared" / "data"))


def films(count: int) -> list[Path]:
    """Test films, half of them fractured where there are as many."""
    folder = DATA / "fracatlas"
    with (folder / "manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    fractured = [row["file"] for row in rows if row["fractured"] == "1"][: count // 2]
    others = [row["file"] for row in rows if row["fractured"] == "0"][: count - len(fractured)]
    return [folder / "images" / name for name in [*fractured, *others]]


def drop_to_verdict(page: Page, paths: list[Path]) -> list[float]:
    """Seconds from choosing a film to its verdict on the page."""
    taken = []
    for path in paths:
        page.evaluate("document.querySelector('#verdict').setAttribute('aria-busy', 'true')")
        start = time.perf_counter()
        page.set_input_files("#file", path)
        page.wait_for_selector("#verdict[aria-busy='false'] .fd-verdict")
        taken.append(time.perf_counter() - start)
    return taken


def resident() -> float:
    """Megabytes of the browser's processes; what they share counts for each."""
    children = psutil.Process().children(recursive=True)
    return sum(c.memory_info().rss for c in children if "chrom" in c.name()) / 1e6


def quartiles(values: list[float]) -> str:
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=60, help="compared with the detector")
    parser.add_argument("--soak", type=int, default=200, help="read in a row")
    chosen = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if chromium is None or not (DATA / "fracatlas").is_dir():
        print("Needs chromium on the PATH and FracAtlas in FRACTURE_DATA.", file=sys.stderr)
        return 1
    detector = FractureDetector.from_pretrained()
    compared = films(chosen.films)
    print(machine_facts(films=len(compared), soak=chosen.soak), "\n", flush=True)
    rows: list[tuple[str, str]] = []
    with TemporaryDirectory(prefix="fracture-bench-") as temporary, sync_playwright() as driver:
        folder = Path(temporary, "page")
        build(folder, read_weights(resolve_weights(None)))
        (version,) = (folder / "v").iterdir()
        sizes = {p.name: p.stat().st_size for p in version.iterdir()}
        first = sum(sizes.values()) + sum(p.stat().st_size for p in folder.iterdir() if p.is_file())
        network = sum(size for name, size in sizes.items() if name.startswith("network."))
        rows.append(("first visit, all that is fetched", f"{first / 1e6:.1f} MB"))
        rows.append(("of it the network", f"{network / 1e6:.1f} MB"))
        browser = driver.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )
        for isolated, name in ((False, "one thread"), (True, "more threads")):
            with served(folder, isolated=isolated) as address:
                context = browser.new_context()
                start = time.perf_counter()
                page = open_page(context, address)
                rows.append((f"first load until ready, {name}, seconds",
                             f"{time.perf_counter() - start:.1f}"))
                used = page.inner_text("#state")
                page.wait_for_selector("#state >> text=offline", timeout=60_000)
                rows.append((f"drop to verdict, {used.split(',')[1].split('.')[0].strip()}, "
                             "seconds, median (quartiles)",
                             quartiles(drop_to_verdict(page, compared[:30]))))
                if isolated:
                    again = context.new_page()
                    start = time.perf_counter()
                    again.goto(address)
                    again.wait_for_selector("body.ready", timeout=60_000)
                    rows.append(("load from what was kept, seconds",
                                 f"{time.perf_counter() - start:.1f}"))
                    again.close()
                    pairs = [(read_whole(page, path.read_bytes()), detector.predict(path))
                             for path in compared]
                    soak = films(chosen.soak)
                    before = resident()
                    answers = [read_whole(page, path.read_bytes())["probability"] for path in soak]
                    after = resident()
                    again_first = read_whole(page, soak[0].read_bytes())["probability"]
                    rows += [
                        ("memory of the browser before the soak", f"{before:.0f} MB"),
                        (f"memory after {len(soak)} films", f"{after:.0f} MB"),
                        ("the first film again, change of its probability",
                         f"{abs(again_first - answers[0]):.1e}"),
                    ]
                context.close()
        browser.close()
    print(table(("the page", ""), rows), "\n")
    parity = [differences(*pair) for pair in pairs]
    same = sum(ours["decision"] == theirs.decision for ours, theirs in pairs)
    print(table(("compared with the detector", "largest difference"), [
        (f"probability, {len(parity)} films", f"{max(d['probability'] for d in parity):.1e}"),
        ("OOD score", f"{max(d['score'] for d in parity):.1e}"),
        ("strongest region, pixels of a 512 px film", f"{max(d['region'] for d in parity):.2f}"),
        ("same decision", f"{same} of {len(pairs)}"),
    ]))  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
