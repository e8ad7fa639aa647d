"""Lays the multi-region set out as it was published, without copying a pixel.

    python benchmarks/materialise_multiregion.py FOLDER [--source ../shared/data/multiregion]
    python benchmarks/materialise_multiregion.py FOLDER --audit

Makes FOLDER/{train,test}/{fractured,not fractured}/<published name>, each a hard link (where the
disk differs, a symbolic link) to the one image that stands for it. ``--audit`` then audits it as
any folder and compares what was found with what the source's manifest says.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sklearn.metrics import adjusted_rand_score  # noqa: E402

from detector.training.audit.command import audit_folder  # noqa: E402
from detector.training.audit.page import render_text  # noqa: E402
from detector.training.data.layouts import read_films  # noqa: E402


def materialise(source: Path, target: Path) -> dict[Path, dict[str, str]]:
    """Links every published file; returns each link's row of the manifest. Safe to repeat."""
    rows = {}
    with (source / "manifest.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            link = target / row["split"] / row["label"] / row["published_name"]
            image = (source / "images" / row["file"]).resolve()
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            try:
                os.link(image, link)
            except OSError:
                link.symlink_to(image)
            rows[link] = row
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(os.environ.get("FRACTURE_DATA") or ROOT.parent / "shared" / "data")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--source", type=Path, default=default / "multiregion")
    parser.add_argument("--audit", action="store_true", help="audit the result and compare")
    arguments = parser.parse_args()
    rows = materialise(arguments.source, arguments.folder)
    print(f"{len(rows)} files in {arguments.folder}")
    if not arguments.audit:
        return
    films = read_films(arguments.folder)
    wall, processor = time.perf_counter(), time.process_time()
    report = audit_folder(films)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    given = [rows[path]["cluster"] for path in report.films]
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print(f"audit: {wall:.0f} s by the clock, {processor:.0f} s of processor time")
    print(render_text(report, films.layout))
    print(f"Against the manifest: {len(set(given))} clusters there, {report.pictures} pictures "
          f"found, adjusted Rand index {adjusted_rand_score(given, report.picture_of):.5f}")


if __name__ == "__main__":
    main()
