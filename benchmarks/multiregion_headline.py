"""The 98 per cent of the multi-region set, reproduced, and what is left of it by picture.

    python benchmarks/multiregion_headline.py --init tf_efficientnetv2_b0.in1k.safetensors

Trains the usual recipe twice (ImageNet backbone, 224x224, global average pooling, one logit; AdamW,
random flips and turns): on the split as published, and on a split that keeps every picture on one
side. The network, the recipe and the number of steps are the same, the split alone differs.

A byte-identical file is trained on once: of the published training files most are such copies, and
leaving them out changes the length of an epoch and little else. Test films are all counted. The
column `wrist` is the accuracy on the wrist and forearm films, where one style holds both classes;
elsewhere in the set the class goes with the source, which a network can read off. Intervals are
bootstrapped over pictures. The notebook draws the curve that the last recorded run wrote:

    python benchmarks/record.py multiregion_headline --init FILE \
        --curve docs/measured/multiregion_headline.csv
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from detector.training.audit.grouping import group_films  # noqa: E402
from detector.training.data.records import FilmRecord  # noqa: E402
from detector.training.data.splits import split_films  # noqa: E402
from detector.training.evaluation.metrics import auc  # noqa: E402
from train import wants_bf16  # noqa: E402

SIZE, BATCH, RATE, DECAY, TURN = 224, 32, 3e-4, 0.01, 10
MEAN, SPREAD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


@dataclass(frozen=True)
class Result:
    """One row of the table."""

    split: str
    train_films: int
    test_films: int
    test_pictures: int
    shared: int
    accuracy: float
    interval: tuple[float, float]
    auc: float
    wrist: str


def read_published(folder: Path) -> list[FilmRecord]:
    """A record per published file; several may share one image."""
    with (folder / "manifest.csv").open(newline="") as file:
        return [
            FilmRecord(
                path=folder / "images" / row["file"],
                source="multiregion",
                fractured=row["label"] == "fractured",
                split=row["split"],
                attributes={"role": row["picture_role"]},
            )
            for row in csv.DictReader(file)
        ]


def once(records: Sequence[FilmRecord]) -> list[FilmRecord]:
    """The first record of every image."""
    return list({record.path: record for record in reversed(records)}.values())[::-1]


def thin(records: list[FilmRecord], most: int, seed: int) -> list[FilmRecord]:
    """At most so many, drawn by chance; 0 keeps all."""
    if not most or len(records) <= most:
        return records
    chosen = np.random.default_rng(seed).permutation(len(records))[:most]
    return [records[i] for i in sorted(chosen)]


def load(records: Sequence[FilmRecord]) -> np.ndarray:
    """(N, 224, 224) uint8: squeezed into a square, as the usual recipe does."""
    films = np.empty((len(records), SIZE, SIZE), np.uint8)
    for target, record in zip(films, records, strict=True):
        grey = cv2.imread(str(record.path), cv2.IMREAD_GRAYSCALE)
        cv2.resize(grey, (SIZE, SIZE), dst=target, interpolation=cv2.INTER_AREA)
    return films


def augment(film: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    film = film[:, ::-1] if rng.random() < 0.5 else film
    matrix = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), rng.uniform(-TURN, TURN), 1)
    return cv2.warpAffine(np.ascontiguousarray(film), matrix, (SIZE, SIZE))


def network_input(films: np.ndarray) -> Tensor:
    grey = torch.from_numpy(films).float()[:, None].expand(-1, 3, -1, -1) / 255
    shape = (1, 3, 1, 1)
    colours = (grey - MEAN.view(shape)) / SPREAD.view(shape)
    return colours.contiguous(memory_format=torch.channels_last)


def build(init: Path | None) -> nn.Module:
    """The backbone with ImageNet weights, from a file or from timm's hub, and a new last layer."""
    model = timm.create_model("tf_efficientnetv2_b0", pretrained=init is None, num_classes=1)
    if init is not None:
        missing, unknown = model.load_state_dict(load_file(init), strict=False)
        if unknown or any(not name.startswith("classifier.") for name in missing):
            raise SystemExit(f"{init} does not hold weights of tf_efficientnetv2_b0")
    return model.to(memory_format=torch.channels_last)


@torch.inference_mode()
def logits(model: nn.Module, films: np.ndarray) -> np.ndarray:
    model.eval()
    parts = [films[i : i + 64] for i in range(0, len(films), 64)]
    return torch.cat([model(network_input(part))[:, 0] for part in parts]).numpy()


def accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    return float(((scores > 0) == (labels > 0)).mean())


def interval(right: np.ndarray, pictures: np.ndarray) -> tuple[float, float]:
    """95 % of the accuracy, bootstrapped over pictures."""
    _, unit = np.unique(pictures, return_inverse=True)
    hits, count = np.bincount(unit, right), np.bincount(unit)
    draws = np.random.default_rng(0).integers(0, len(count), (2000, len(count)))
    low, high = np.quantile(hits[draws].sum(1) / count[draws].sum(1), [0.025, 0.975])
    return float(low), float(high)


def run(
    name: str,
    train: list[FilmRecord],
    test: list[FilmRecord],
    pictures: dict[Path, str],
    arguments: argparse.Namespace,
    curve: Callable[[list], None],
) -> Result:
    """Trains on one split and reads its test films after every epoch; the last epoch counts."""
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    model = build(arguments.init)
    fast = wants_bf16("auto")
    films, test_films = load(train), load(test)
    labels, test_labels = (np.array([r.fractured for r in s], np.float32) for s in (train, test))
    steps = arguments.epochs * (-(-len(train) // BATCH))
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for epoch in range(1, arguments.epochs + 1):
        model.train()
        started, total, right = time.perf_counter(), 0.0, 0
        order = rng.permutation(len(train))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            target = torch.from_numpy(labels[chosen])
            batch = network_input(np.stack([augment(films[i], rng) for i in chosen]))
            with torch.autocast("cpu", torch.bfloat16, enabled=fast):
                output = model(batch)[:, 0].float()
            loss = nn.functional.binary_cross_entropy_with_logits(output, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(chosen)
            right += int(((output > 0) == (target > 0)).sum())
        scores = logits(model, test_films)
        test_loss = float(np.logaddexp(0, np.where(test_labels > 0, -scores, scores)).mean())
        reached = accuracy(scores, test_labels)
        curve(
            [name, epoch, total / len(train), right / len(train), test_loss, reached]
        )
        print(
            f"  {name}, epoch {epoch}: train accuracy {right / len(train):.3f}, test accuracy "
            f"{reached:.3f}, {time.perf_counter() - started:.0f} s", file=sys.stderr,
        )  # fmt: skip
    shown = np.array([pictures[r.path] for r in test])
    known = {pictures[r.path] for r in train}
    wrist = np.array([r.attributes["role"] == "wrist" for r in test])
    return Result(
        split=name,
        train_films=len(train),
        test_films=len(test),
        test_pictures=len(set(shown)),
        shared=sum(picture in known for picture in shown),
        accuracy=accuracy(scores, test_labels),
        interval=interval((scores > 0) == (test_labels > 0), shown),
        auc=auc(test_labels, scores),
        wrist=(
            f"{accuracy(scores[wrist], test_labels[wrist]):.3f} ({len(set(shown[wrist]))} pictures)"
            if wrist.any()
            else "none"
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(os.environ.get("FRACTURE_DATA") or ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=default / "multiregion",
                        help="the folder with manifest.csv and images/")
    parser.add_argument("--init", type=Path, help="ImageNet weights of tf_efficientnetv2_b0 "
                        "(safetensors); without it they come from timm's hub")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--max-films", type=int, default=0, help="training films (0: all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs")
    parser.add_argument("--curve", type=Path, metavar="FILE",
                        help="where the curve of every epoch goes (default: a folder in --runs)")
    arguments = parser.parse_args()

    print(f"{platform.machine()}, {os.cpu_count()} CPUs, {torch.get_num_threads()} threads; "
          f"Python {platform.python_version()}, torch {torch.__version__}, timm {timm.__version__}")
    published = read_published(arguments.data)
    unique = once(published)
    grouped = group_films(unique, cache=arguments.runs / "fingerprints")
    pictures = {r.path: r.group or r.path.name for r in grouped}
    by_picture = split_films(grouped, {"train": 0.8, "test": 0.2}, arguments.seed)

    written = arguments.curve or (
        arguments.runs / "multiregion_headline" / time.strftime("%Y%m%d-%H%M%S") / "curve.csv"
    )
    written.parent.mkdir(parents=True, exist_ok=True)
    splits = {
        "as published": (
            once([r for r in published if r.split == "train"]),
            [r for r in published if r.split == "test"],
        ),
        "by picture": tuple(
            [r for r in by_picture if r.split == s] for s in ("train", "test")
        ),
    }
    # The same number of films for both, so that the number of steps is the same.
    most = min(len(train) for train, _ in splits.values())
    most = min(most, arguments.max_films or most)
    results = []
    with written.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["split", "epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy"]
        )

        def curve(row: list) -> None:
            writer.writerow(row)
            file.flush()

        for name, (train, test) in splits.items():
            train = thin(train, most, arguments.seed)
            results.append(run(name, train, test, pictures, arguments, curve))
    print(f"\n{len(published)} published files, {len(unique)} distinct by bytes, "
          f"{len(set(pictures.values()))} pictures; {arguments.epochs} epochs of {most} distinct "
          f"training files each, drawn with seed {arguments.seed}; the last epoch counts.\n")
    print("| split | training files | test files | test pictures | test files whose picture is "
          "trained on | test accuracy (95 % over pictures) | AUC | accuracy on wrist films |")
    print("|---|---|---|---|---|---|---|---|")
    for r in results:
        print(f"| {r.split} | {r.train_films} | {r.test_films} | {r.test_pictures} | {r.shared} | "
              f"{r.accuracy:.3f} ({r.interval[0]:.3f} to {r.interval[1]:.3f}) | {r.auc:.3f} | "
              f"{r.wrist} |")
    print(f"\nThe curve of every epoch is in {written.name}.")


if __name__ == "__main__":
    main()
