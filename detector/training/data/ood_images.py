"""Pictures that are no limb films: what the OOD check is fitted on, and what it must refuse.

Drawn ones are the same on every machine: parts of photographs that come with scikit-learn and
Matplotlib, documents, screenshots, noise, blank pictures. ``folder_images`` reads other ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path

import cv2
import numpy as np

from detector.errors import RadiographError
from detector.io.radiograph import load_radiograph
from detector.model.ood import is_blank
from detector.training.data.labels import read_rows

COUNT = 20  # pictures of each kind
_WORDS = ("the patient file of last week was moved to the second floor please sign here and "
          "return by friday invoice number total amount due meeting notes agenda").split()


def _photographs() -> list[np.ndarray]:
    from matplotlib import cbook
    from PIL import Image
    from sklearn.datasets import load_sample_image

    with cbook.get_sample_data("grace_hopper.jpg") as file:
        portrait = np.asarray(Image.open(file).convert("RGB"))
    return [load_sample_image("china.jpg"), load_sample_image("flower.jpg"), portrait]


def part_of(rng: np.random.Generator, whole: np.ndarray) -> np.ndarray:
    """A part of a photograph, as wide as a phone crops it."""
    height, width = (round(side * rng.uniform(0.5, 1.0)) for side in whole.shape[:2])
    top = int(rng.integers(whole.shape[0] - height + 1))
    left = int(rng.integers(whole.shape[1] - width + 1))
    part = whole[top : top + height, left : left + width]
    return np.ascontiguousarray(part[:, ::-1] if rng.random() < 0.5 else part)


def _document(rng: np.random.Generator) -> np.ndarray:
    page = np.full((int(rng.integers(600, 900)), int(rng.integers(450, 650))), 255, np.uint8)
    page -= np.uint8(rng.integers(0, 20))
    line, scale = int(rng.integers(16, 30)), rng.uniform(0.35, 0.7)
    for y in range(40, page.shape[0] - 30, line):
        if rng.random() < 0.12:
            continue
        text = " ".join(rng.choice(_WORDS, size=int(rng.integers(3, 12))))
        cv2.putText(page, text, (30, y), cv2.FONT_HERSHEY_SIMPLEX, scale, int(rng.integers(0, 90)),
                    1, cv2.LINE_AA)
    return page


def _screenshot(rng: np.random.Generator) -> np.ndarray:
    dark = rng.random() < 0.4
    screen = np.full((720, int(rng.integers(1000, 1300))), 30 if dark else 235, np.uint8)
    ink = 220 if dark else 30
    cv2.rectangle(screen, (0, 0), (screen.shape[1], 36), 60 if dark else 200, -1)
    for _ in range(int(rng.integers(6, 16))):
        x, y = int(rng.integers(screen.shape[1] - 200)), int(rng.integers(50, 600))
        corner = (x + int(rng.integers(60, 400)), y + int(rng.integers(20, 160)))
        cv2.rectangle(screen, (x, y), corner, int(rng.integers(0, 256)), -1 if x % 2 else 1)
    for _ in range(int(rng.integers(15, 40))):
        at = int(rng.integers(screen.shape[1] - 100)), int(rng.integers(20, 710))
        text = " ".join(rng.choice(_WORDS, size=int(rng.integers(1, 6))))
        cv2.putText(screen, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, ink, 1, cv2.LINE_AA)
    return screen


def _noise(rng: np.random.Generator) -> np.ndarray:
    """White, coarse or pink."""
    shape = (int(rng.integers(300, 600)), int(rng.integers(300, 600)))
    kind = int(rng.integers(3))
    if kind == 0:
        return rng.integers(0, 256, shape, dtype=np.uint8)
    if kind == 1:
        cells = rng.integers(0, 256, (shape[0] // 8, shape[1] // 8), dtype=np.uint8)
        return cv2.resize(cells, shape[::-1], interpolation=cv2.INTER_NEAREST)
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1]))
    frequency[0, 0] = 1
    phases = np.exp(2j * np.pi * rng.random(frequency.shape))
    field = np.fft.irfft2(phases / frequency, s=shape)
    return cv2.normalize(field, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def _blank(rng: np.random.Generator) -> np.ndarray:
    """One shade, or an even ramp from one shade to another."""
    shape = (int(rng.integers(300, 600)), int(rng.integers(300, 600)))
    first, last = rng.integers(0, 256, size=2)
    if rng.random() < 0.5:
        last = first
    ramp = np.linspace(first, last, shape[0]).astype(np.uint8)
    return np.repeat(ramp[:, None], shape[1], axis=1)


def _coloured(rng: np.random.Generator) -> np.ndarray:
    """Bars of strong colours, as charts and logos have."""
    picture = np.full((480, 640, 3), 255, np.uint8)
    for left in range(0, 640, 64):
        colour = [int(v) for v in rng.integers(0, 256, size=3)]
        cv2.rectangle(picture, (left, int(rng.integers(0, 400))), (left + 56, 479), colour, -1)
    return picture


def drawn_images(count: int = COUNT) -> dict[str, list[np.ndarray]]:
    """Kind -> ``count`` pictures, uint8 (H, W) or RGB (H, W, 3)."""
    photographs = _photographs()

    def coloured_photograph(rng: np.random.Generator) -> np.ndarray:
        return part_of(rng, photographs[int(rng.integers(len(photographs)))])

    def grey_photograph(rng: np.random.Generator) -> np.ndarray:
        return cv2.cvtColor(coloured_photograph(rng), cv2.COLOR_RGB2GRAY)

    kinds: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
        "photographs in grey": grey_photograph,
        "photographs in colour": coloured_photograph,
        "documents": _document,
        "screenshots": _screenshot,
        "noise": _noise,
        "blank pictures": _blank,
        "coloured charts": _coloured,
    }
    return {
        kind: [draw(np.random.default_rng((number, one))) for one in range(count)]
        for number, (kind, draw) in enumerate(kinds.items())
    }


def folder_images(folder: Path) -> list[Path]:
    """The files of a folder of pictures to refuse, such as chest films and CT slices.

    Of a folder whose manifest gives a ``picture_role``, those marked ``not_limb``, each once.
    """
    table = folder / "manifest.csv"
    if not table.exists():
        return sorted(path for path in folder.rglob("*") if path.is_file())
    rows = [row for row in read_rows(table) if row.get("picture_role") == "not_limb"]
    names = dict.fromkeys(row["file"] for row in rows if row.get("best_of_cluster", "1") == "1")
    return [folder / "images" / name for name in names]


_VIEWS = 12  # of one picture at most: the whole, then parts


def reference_images(
    folders: Sequence[Path], seed: int, most: int = 300
) -> Iterator[tuple[str, np.ndarray]]:
    """What the OOD check tells films from: names and pixels (H, W), float32 in [0, 1].

    At most ``most`` from each folder: its pictures whole, in random order, then parts of them.
    Files that are no pictures and blank ones are passed over. Without folders documents,
    screenshots and noise are drawn, other ones than ``drawn_images`` has.

    Raises:
        ValueError: a folder has no picture.
    """
    if not folders:
        for number, draw in enumerate((_document, _screenshot, _noise)):
            for one in range(most // 3):
                picture = draw(np.random.default_rng((seed, number, one)))
                yield f"drawn {number} {one}", picture.astype(np.float32) / 255
    for folder in folders:
        rng = np.random.default_rng(seed)
        files = folder_images(folder)
        files = [files[i] for i in rng.permutation(len(files))]
        found = 0
        for view, path in product(range(_VIEWS), files):
            if found == most:
                break
            try:
                pixels = load_radiograph(path).pixels
            except RadiographError:
                continue
            pixels = part_of(rng, pixels) if view else pixels
            if not is_blank(pixels):
                found += 1
                yield str(path), pixels
        if not found:
            raise ValueError(f"{folder} has no picture that can be read")
