"""Example films: eight real ones in the git-ignored `demo/examples/`, or else phantoms.

    python -m demo.examples --from FOLDER    takes eight test films of FracAtlas into demo/examples/

The folder given is FracAtlas in the layout with a `manifest.csv` (file, split, fractured, ...) and
an `annotations.json` (COCO), as described in the documentation for engineers.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from demo.language import tag
from demo.view import Box, data_uri, shrink
from detector import load_radiograph
from detector.explain.overlay import to_grey8
from detector.phantom import FractureSpec, draw_phantom

FOLDER = Path(__file__).resolve().parent / "examples"
LIST = "examples.json"
ATTRIBUTION = (
    "FracAtlas, Abedeen et al., Scientific Data 10:521 (2023), doi 10.1038/s41597-023-02432-4, "
    "CC BY 4.0, converted to grey and reduced in size."
)
REGIONS = ("hand", "leg", "hip", "shoulder")
PHANTOMS = (
    # view, seed, fracture: every kind of limb, intact ones too, so that each verdict can be seen
    ("forearm", 3, FractureSpec("transverse", displacement=0.5, angulation=12.0)),
    ("femur", 0, None),
    ("lower_leg", 5, FractureSpec("comminuted", displacement=0.6)),
    ("lower_leg", 3, None),
    ("hand", 1, FractureSpec("oblique", displacement=0.5, angulation=8.0)),
    ("femur", 4, FractureSpec("spiral", displacement=0.6)),
)


@dataclass(frozen=True)
class Example:
    """A film to try. ``said``: the truth about it; ``truth``: boxes x, y, width, height."""

    file: str
    title: str
    said: str
    truth: tuple[Box, ...] = ()
    synthetic: bool = False


def draw_examples(folder: Path) -> list[Example]:
    """Draw the phantoms into `folder`."""
    examples = []
    for number, (view, seed, spec) in enumerate(PHANTOMS, 1):
        phantom = draw_phantom(view, size=(640, 520), seed=seed, fracture=spec)
        file = folder / f"synthetic_{number}.png"
        Image.fromarray(np.rint(phantom.pixels * 255).astype(np.uint8)).save(file)
        kind = f"{spec.kind} fracture" if spec else "no fracture"
        examples.append(Example(
            str(file), f"Synthetic {view.replace('_', ' ')}", f"Drawn into this film: {kind}.",
            (phantom.box,) if phantom.box else (), True,
        ))  # fmt: skip
    return examples


def real_examples(folder: Path = FOLDER) -> list[Example]:
    """The films in `demo/examples/`; none when nobody has put any there."""
    try:
        rows = json.loads((folder / LIST).read_text(encoding="utf-8"))
        examples = [
            Example(
                str(folder / Path(row["file"]).name), row["title"], row["said"],
                tuple(tuple(box) for box in row["truth"]),
            )
            for row in rows
        ]  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [example for example in examples if Path(example.file).is_file()]


def examples_strip(examples: Sequence[Example]) -> str:
    """The examples as buttons with thumbnails."""
    synthetic = all(example.synthetic for example in examples)
    rows = "".join(
        f'<li><button type="button" data-example="{index}"><img alt="" src="'
        f'{data_uri(shrink(to_grey8(load_radiograph(example.file).pixels), 200), "jpg")}">'
        f"<span>{escape(example.title)}</span></button></li>"
        for index, example in enumerate(examples)
    )
    title = tag("summary", f"examples {'synthetic' if synthetic else 'real'}")
    return f'<details class="fd-examples" open>{title}<ul>{rows}</ul></details>'


def choose(rows: Sequence[dict[str, str]], count: int = 8) -> list[dict[str, str]]:
    """Test films for the page: half of them fractured, from as many regions as there are.

    Always the same ones, without hardware and one of each group of near-duplicates.
    """
    chosen: list[dict[str, str]] = []
    groups: set[str] = set()
    for fractured in ("1", "0"):
        pool = [
            row for row in rows
            if row["split"] == "test" and row["fractured"] == fractured and row["hardware"] == "0"
        ]  # fmt: skip
        of_region = [[row for row in pool if row[name] == "1"] for name in REGIONS]
        taken = 0
        while taken < count // 2 and any(of_region):
            for films in of_region:
                if not films or taken == count // 2:
                    continue
                row = films.pop(len(films) // 3)
                group = row["duplicate_group"] or row["file"]
                if group not in groups:
                    groups.add(group)
                    chosen.append(row)
                    taken += 1
    return chosen


def copy_examples(source: Path, folder: Path = FOLDER) -> list[Example]:
    """Copy the chosen films with their attribution and boxes into `folder`.

    Raises:
        OSError, KeyError, ValueError: `source` is not FracAtlas with a manifest.
    """
    with (source / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = choose(list(csv.DictReader(file)))
    if not rows:
        raise ValueError("manifest.csv lists no test films")
    notes = json.loads((source / "annotations.json").read_text(encoding="utf-8"))
    names = {image["id"]: image["file_name"] for image in notes["images"]}
    boxes: dict[str, list[Box]] = {}
    for note in notes["annotations"]:
        boxes.setdefault(names[note["image_id"]], []).append(tuple(note["bbox"]))
    folder.mkdir(parents=True, exist_ok=True)
    examples = []
    for row in rows:
        shutil.copy(source / "images" / row["file"], folder / row["file"])
        truth = tuple(boxes.get(row["file"], ()))
        region = next((name for name in REGIONS if row[name] == "1"), "limb")
        places = f" at {len(truth)} place{'s' * (len(truth) != 1)}" if truth else ""
        said = f"fracture{places}" if row["fractured"] == "1" else "no fracture"
        examples.append(
            Example(row["file"], region.capitalize(), f"Radiologists: {said}.", truth)
        )
    (folder / LIST).write_text(json.dumps([asdict(e) for e in examples], indent=1), "utf-8")
    (folder / "ATTRIBUTION.txt").write_text(ATTRIBUTION + "\n", "utf-8")
    return examples


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m demo.examples", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "--from", dest="source", type=Path, required=True, metavar="FOLDER",
        help="FracAtlas with manifest.csv, annotations.json and images/",
    )  # fmt: skip
    source = parser.parse_args(arguments).source
    try:
        examples = copy_examples(source)
    except (OSError, KeyError, ValueError) as error:
        print(f"No examples were made: {source} is not such a folder ({error}).", file=sys.stderr)
        return 2
    print(f"{len(examples)} films are in {FOLDER}. {ATTRIBUTION}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
