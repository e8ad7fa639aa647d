"""Train the fracture detector and write the weights that it serves.

    python train.py                                  # phantoms, about a minute: watch it work
    python train.py --data ../shared/data/fracatlas --data ../shared/data/sr2022 \\
        --init tf_efficientnetv2_b0.in1k.safetensors # real films, start from an ImageNet file
    python train.py --resume runs/<time>             # go on with a run that was cut off
    accelerate launch train.py --data ...            # several GPUs: docs/several-machines.md
    accelerate launch --multi_gpu --num_processes 2 train.py ...  # two processes, on a CPU too

``--data`` takes the manifest layout, FracAtlas as published, the multi-region layout, or a folder
of two classes; ``--strangers`` are pictures that the scope check learns to refuse. Val chooses the
epoch (``--keep last``: the last one); it is calibrated on val and written to ``--out``. Everything
else that a run makes lies in ``runs/<time>/``.

Exit code: 0 done; 1 the run broke off (disk full, damaged checkpoint, loss not finite), its last
checkpoint is whole; 2 bad usage or data; 130 interrupted.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import time
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from timm.utils import ModelEmaV3
from torch.utils.data import DataLoader
from tqdm import tqdm

from detector.model.network import EvidenceNetwork
from detector.training.checkpoint import SnapshotError, read_snapshot, write_snapshot
from detector.training.config import Recipe
from detector.training.data.dataset import CachedFilm, EpochDataset, plan_epoch
from detector.training.initial_network import make_network, started_from
from detector.training.losses import film_loss, place_loss
from detector.training.provenance import git_commit
from detector.training.run import Run, read_config
from detector.training.sources import TrainingData, phantom_data, real_data
from detector.training.validate import score_films

# About a minute on two cores, from random weights.
ON_PHANTOMS = {"epochs": 4, "batch": 8, "sizes": (128,), "drop_path": 0.0, "backbone_lr": 1e-3}
CACHE_MARGIN = 1.15  # films are kept in memory a little larger than the network sees them


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, action="append", default=[], metavar="FOLDER",
                        help="a folder of films; may be given several times (none: phantoms)")
    parser.add_argument("--init", type=Path, metavar="FILE",
                        help="ImageNet weights of the backbone (safetensors, timm's naming), or a "
                        "folder of trained weights to go on from; without it ImageNet weights come "
                        "from timm's hub")
    parser.add_argument("--places", type=Path, metavar="FILE",
                        help="a COCO json of fractures in training films whose folder has no "
                        "places (file_name: the data set's folder and the film)")
    parser.add_argument("--strangers", type=Path, action="append", default=[], metavar="FOLDER",
                        help="pictures that are no limb films, for the scope check to be told "
                        "from; may be given several times (none: drawn ones)")
    parser.add_argument("--out", type=Path, metavar="FOLDER",
                        help="where the weights go (default: weights, for phantoms the run folder)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the run folders")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="a run folder to go on with")
    parser.add_argument("--allow-leakage", action="store_true",
                        help="train although the split leaks (to reproduce published figures)")
    parser.add_argument("--keep", choices=("best", "last"),
                        help="the epoch whose weights are written: the best on val (default), or "
                        "the last, where val is too small to choose by")
    parser.add_argument("--precision", choices=("auto", "bf16", "float32"), default="auto",
                        help="of the forward pass (auto: bf16 where the processor has it)")
    parser.add_argument("--workers", type=int, default=1, help="loader processes")
    defaults = Recipe()
    for field in fields(Recipe):
        value = getattr(defaults, field.name)
        many = isinstance(value, tuple)
        kind = type(value[0]) if many else type(value)
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind,
                            nargs="+" if many else None, default=None,
                            help=f"recipe, default {' '.join(map(str, value)) if many else value}")
    arguments = parser.parse_args(argv)
    if arguments.resume and arguments.data:
        parser.error("--resume takes its data from the run; leave --data out")
    if arguments.places and not (arguments.data or arguments.resume):
        parser.error("--places belongs to films: give their folder with --data")
    return arguments


def recipe_of(arguments: argparse.Namespace, base: Recipe) -> Recipe:
    """The recipe with what the command line changes."""
    given = {f.name: getattr(arguments, f.name) for f in fields(Recipe)}
    given = {name: value for name, value in given.items() if value is not None}
    return replace(base, **{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})


def wants_bf16(precision: str) -> bool:
    """Whether to train in bfloat16: as asked, else where the hardware computes in it."""
    if precision != "auto":
        return precision == "bf16"
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    flags = Path("/proc/cpuinfo")
    return flags.exists() and "avx512_bf16" in flags.read_text()


def make_accelerator(bf16: bool) -> Accelerator:
    """This process, and those beside it where a launcher started several."""
    started = "WORLD_SIZE" in os.environ
    if "MASTER_PORT" in os.environ and not started:
        print("train.py: this is one process. On a CPU, accelerate launch --multi_gpu "
              "--num_processes N starts several (it needs no GPU for that).", file=sys.stderr)
    return Accelerator(
        mixed_precision="bf16" if bf16 else "no", cpu=started and not torch.cuda.is_available(),
        # The others wait while the first process reads all films, and while it scores val.
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(hours=2))],
    )


def make_optimizer(network: EvidenceNetwork, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW: a lower rate for the backbone, no weight decay on biases and norms."""
    groups = []
    for is_backbone, rate in ((True, recipe.backbone_lr), (False, recipe.head_lr)):
        for decays in (True, False):
            chosen = [
                p for name, p in network.named_parameters()
                if name.startswith("backbone.") == is_backbone and (p.ndim > 1) == decays
            ]
            decay = recipe.weight_decay if decays else 0.0
            groups.append({"params": chosen, "lr": rate, "peak": rate, "weight_decay": decay})
    return torch.optim.AdamW(groups, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, done: float) -> None:
    """Linear warm-up, then cosine to zero; ``done`` is the share of all steps, in [0, 1]."""
    factor = min(1.0, done / max(recipe.warmup, 1e-9))
    if done > recipe.warmup:
        factor = 0.5 * (1 + math.cos(math.pi * (done - recipe.warmup) / (1 - recipe.warmup)))
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def selection(figures: dict[str, float]) -> float:
    """What val chooses by: the mean of its AUCs plus half its mean pointing."""
    aucs = [v for k, v in figures.items() if k.endswith("_auc")]
    hits = [v for k, v in figures.items() if k.endswith("_pointing")]
    return sum(aucs) / max(len(aucs), 1) + 0.5 * sum(hits) / max(len(hits), 1)


def train_epoch(
    accelerator: Accelerator, network: torch.nn.Module, average: ModelEmaV3,
    optimizer: torch.optim.Optimizer, films: list[CachedFilm], recipe: Recipe, epoch: int,
    workers: int,
) -> dict[str, float]:
    """One epoch; returns its mean losses and films per second, over all processes."""
    torch.manual_seed(recipe.seed * 10_007 + epoch + 1_000_003 * accelerator.process_index)
    share = accelerator.num_processes
    loader = DataLoader(
        EpochDataset(films, recipe, epoch), batch_size=recipe.batch // share, num_workers=workers,
        drop_last=True, pin_memory=accelerator.device.type == "cuda",
    )
    loader = accelerator.prepare_data_loader(loader)
    plain = accelerator.unwrap_model(network)
    network.train()
    sums = torch.zeros(3, device=accelerator.device)  # loss, of the films, of the places
    steps, started = len(loader), time.perf_counter()
    bar = tqdm(
        loader, desc=f"epoch {epoch + 1}/{recipe.epochs}", unit="film", unit_scale=recipe.batch,
        disable=None if accelerator.is_main_process else True, leave=False,
    )
    for step, (canvas, label, label_weight, places, place_mask) in enumerate(bar):
        set_rate(optimizer, recipe, (epoch + step / steps) / recipe.epochs)
        logit, evidence, _ = network(canvas.contiguous(memory_format=torch.channels_last))
        # Every process divides by the counts of the whole batch and multiplies by their number, so
        # that the mean of their gradients is that of the whole batch.
        counts = torch.stack([label_weight.sum(), places.sum()])
        known, positive = accelerator.reduce(counts, "sum")
        of_film = share * film_loss(logit, label, label_weight, recipe.smoothing, known)
        of_places = share * place_loss(
            evidence + plain.place_bias, places, place_mask, positive
        )
        loss = of_film + recipe.place_weight * of_places
        if not torch.isfinite(loss):
            where = f"epoch {epoch + 1}, step {step + 1}"
            raise FloatingPointError(f"the loss is {loss.item()} at {where}")
        optimizer.zero_grad()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        average.update(plain, step=epoch * steps + step)
        sums += torch.stack([loss, of_film, of_places]).detach()
        bar.set_postfix(loss=f"{sums[0].item() / (step + 1):.3f}", refresh=False)
    seconds = time.perf_counter() - started
    means = (accelerator.reduce(sums, "mean") / steps).tolist()
    figures = dict(zip(("loss", "film_loss", "place_loss"), means, strict=True))
    return {**figures, "films_per_second": steps * recipe.batch / seconds, "seconds": seconds}


def read_data(
    folders: list[Path], recipe: Recipe, run: Run, runs: Path, allow_leakage: bool,
    places: Path | None,
) -> TrainingData:
    """The films of ``folders``, or phantoms drawn into the run folder where there are none.

    Raises:
        ValueError: data that cannot be trained on; the sentence says why.
    """
    longest = round(recipe.input_size * CACHE_MARGIN)
    if folders:
        data = real_data(folders, longest, recipe.seed, allow_leakage=allow_leakage,
                         cache=runs / "fingerprints", places=places)
    else:
        data = phantom_data(run.folder / "phantoms", longest, recipe.seed)
    samples = len(plan_epoch(data.train, recipe, 0))
    if samples < recipe.batch:
        raise ValueError(f"an epoch has {samples} samples, fewer than one --batch {recipe.batch}")
    return data


def train(arguments: argparse.Namespace) -> None:
    saved = read_config(arguments.resume) if arguments.resume else {}
    folders = [Path(p) for p in saved.get("data", arguments.data)]
    base = Recipe.from_dict(saved["recipe"]) if saved else Recipe()
    if not folders and not saved:
        base = replace(base, **ON_PHANTOMS)
    recipe = recipe_of(arguments, base)
    init = arguments.init or (Path(saved["init"]) if saved.get("init") else None)
    out = arguments.out or (Path(saved["out"]) if saved.get("out") else None)
    places = arguments.places or (Path(saved["places"]) if saved.get("places") else None)
    strangers = arguments.strangers or [Path(p) for p in saved.get("strangers", [])]
    for folder in strangers:
        if not folder.is_dir():
            raise ValueError(f"--strangers {folder}: there is no such folder")
    allow_leakage = arguments.allow_leakage or saved.get("allow_leakage", False)
    keep = arguments.keep or saved.get("keep", "best")
    asked = arguments.precision
    bf16 = wants_bf16(saved.get("precision", asked) if asked == "auto" else asked)

    accelerator = make_accelerator(bf16)
    say = accelerator.print
    if recipe.batch % accelerator.num_processes:
        raise ValueError(f"--batch {recipe.batch} cannot be shared evenly by "
                         f"{accelerator.num_processes} processes")
    run = Run.open(arguments.resume, arguments.runs, accelerator)
    with accelerator.main_process_first():  # the others then read what it drew or fingerprinted
        data = read_data(folders, recipe, run, arguments.runs, allow_leakage, places)
    say(data.sentence)
    if saved and saved.get("data_sha256") != data.provenance["data_sha256"]:
        say("the films are not those that this run began with", file=sys.stderr)

    torch.manual_seed(recipe.seed)
    begun = run.last.exists()
    network = make_network(recipe, None if begun else init, bool(folders) and not begun)
    network = network.to(accelerator.device, memory_format=torch.channels_last)
    optimizer = make_optimizer(network, recipe)
    average = ModelEmaV3(network, decay=recipe.ema, use_warmup=True)
    first, rows = 0, []
    if begun:
        facts = read_snapshot(run.last, {"network": network, "average": average.module}, optimizer)
        first, rows = facts["epoch"] + 1, facts["rows"]
    provenance = {
        "data": [folder.name for folder in folders] or ["phantoms"],
        "init": saved.get("started_from") or started_from(init, bool(folders)),
        "commit": git_commit(), "precision": "bf16" if bf16 else "float32", **data.provenance,
    }
    run.start({
        "recipe": recipe.to_dict(), **provenance, "data": [str(f) for f in folders],
        "init": init and str(init), "started_from": provenance["init"], "keep": keep,
        "out": out and str(out), "places": places and str(places), "allow_leakage": allow_leakage,
        "strangers": [str(folder) for folder in strangers],
    })
    say(f"run folder {run.folder}; {'bf16' if bf16 else 'float32'} on {accelerator.device}")
    trained, optimizer = accelerator.prepare(network, optimizer)

    for epoch in range(first, recipe.epochs):
        row = {"epoch": epoch + 1, "size": recipe.canvas(epoch)[0]}
        row |= train_epoch(
            accelerator, trained, average, optimizer, data.train, recipe, epoch, arguments.workers
        )
        if run.writes:
            scores = score_films(
                average.module, data.val, recipe.input_size, device=accelerator.device, bf16=bf16
            )
            row |= scores.summary()
            row["selection"] = selection(row)
            is_best = row["selection"] > max((r["selection"] for r in rows), default=-1.0)
            rows.append(row)
            facts = {"epoch": epoch, "rows": rows}
            # The chosen goes first: a kill between the two repeats the epoch and finds it again.
            if is_best or keep == "last":
                write_snapshot(run.best, {"average": average.module}, None, facts)
            write_snapshot(
                run.last, {"network": network, "average": average.module}, optimizer, facts
            )
            run.log(rows)
            say("  ".join(f"{k} {v:.4g}" for k, v in row.items()))
        accelerator.wait_for_everyone()

    if run.writes:
        from detector.training.export import export_weights

        read_snapshot(run.best, {"average": average.module})
        out = out or (Path("weights") if folders else run.folder / "weights")
        export_weights(
            average.module, [film.record for film in data.train],
            data.unseen_val, recipe, provenance, out, strangers,
        )
        say(f"weights written to {out}")
    accelerator.end_training()


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    # A launcher that lost one process stops the others, a cluster's scheduler all of them.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        train(arguments)
    except ValueError as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 2
    except (SnapshotError, FloatingPointError, OSError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 1
    except RuntimeError as error:
        # What a collective says where a process is gone: NCCL by a type, gloo in words only.
        if not isinstance(error, torch.distributed.DistError) and "gloo" not in str(error):
            raise
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the launcher's, which would cut this short
        print("train.py: another process of this run is gone (the launcher says which); "
              "--resume goes on after its last epoch", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("train.py: interrupted; --resume goes on after its last epoch", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
