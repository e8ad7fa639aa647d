"""Train the fracture detector and write the weights that it serves.

    python train.py                                  # phantoms, about a minute: watch it work
    python train.py --data ../shared/data/fracatlas --data ../shared/data/sr2022 \\
        --init tf_efficientnetv2_b0.in1k.safetensors # real films, start from an ImageNet file
    python train.py --resume runs/<time>             # go on with a run that was cut off
    accelerate launch train.py --data ...            # several GPUs: docs/several-machines.md
    accelerate launch --multi_gpu --num_processes 2 train.py ...  # two processes, on a CPU too

``--data`` takes the manifest layout, FracAtlas as published, the multi-region layout, or a folder
of two classes; ``--ood-images`` are pictures that the out-of-distribution check learns to refuse.
The last epoch is kept (``--keep best``: the best on val); it is calibrated on val and written to
``--out``. Everything else that a run makes lies in ``runs/<time>/``.

Exit code: 0 done; 1 the run broke off (disk full, damaged checkpoint, loss not finite), its last
checkpoint is whole; 2 bad usage or data; 130 interrupted.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from timm.utils import ModelEmaV3
from torch.utils.data import DataLoader
from tqdm import tqdm

from detector.training.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from detector.training.config import ON_PHANTOMS, TrainConfig
from detector.training.data.dataset import EpochDataset
from detector.training.data.films import CachedFilm
from detector.training.ema import blend, make_ema
from detector.training.initial_network import make_network, started_from
from detector.training.losses import image_loss, location_loss
from detector.training.optimizer import make_optimizer, set_rate
from detector.training.processes import make_accelerator, resolve_precision
from detector.training.provenance import git_commit
from detector.training.run import Run, read_run
from detector.training.sources import training_data
from detector.training.validate import score_films


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The fields of ``TrainConfig`` that were given, ``runs`` and ``resume``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the run folders")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="a run folder to go on with")
    TrainConfig.add_options(parser)
    arguments = parser.parse_args(argv)
    if arguments.resume and "data" in arguments:
        parser.error("--resume takes its data from the run; leave --data out")
    if "outlines" in arguments and not ("data" in arguments or arguments.resume):
        parser.error("--outlines belongs to films: give their folder with --data")
    return arguments


def configure(arguments: argparse.Namespace) -> TrainConfig:
    """The configuration of the resumed run, or the default one, with what was given.

    Raises:
        ValueError: a value out of its range, a folder that is not there.
    """
    given = {name: tuple(value) if isinstance(value, list) else value
             for name, value in vars(arguments).items() if name not in ("runs", "resume")}
    if arguments.resume:
        base, _ = read_run(arguments.resume)
    else:
        base = TrainConfig(**({} if "data" in given else ON_PHANTOMS))
    config = replace(base, **given)
    for folder in config.ood_images:
        if not folder.is_dir():
            raise ValueError(f"--ood-images {folder}: there is no such folder")
    return replace(config, precision=resolve_precision(config.precision))


def selection(figures: dict[str, float]) -> float:
    """What val chooses by: the mean of its AUCs plus half its mean pointing."""
    aucs = [v for k, v in figures.items() if k.endswith("_auc")]
    hits = [v for k, v in figures.items() if k.endswith("_pointing")]
    return sum(aucs) / max(len(aucs), 1) + 0.5 * sum(hits) / max(len(hits), 1)


def train_epoch(
    accelerator: Accelerator, network: torch.nn.Module, average: ModelEmaV3,
    optimizer: torch.optim.Optimizer, films: list[CachedFilm], config: TrainConfig, epoch: int,
) -> dict[str, float]:
    """One epoch; returns its mean losses and films per second, over all processes."""
    torch.manual_seed(config.seed * 10_007 + epoch + 1_000_003 * accelerator.process_index)
    processes = accelerator.num_processes
    loader = accelerator.prepare_data_loader(DataLoader(
        EpochDataset(films, config, epoch), batch_size=config.batch // processes,
        num_workers=config.workers, drop_last=True, pin_memory=accelerator.device.type == "cuda",
    ))
    plain = accelerator.unwrap_model(network)
    network.train()
    sums = torch.zeros(3, device=accelerator.device)  # loss, image loss, location loss
    steps, started = len(loader), time.perf_counter()
    bar = tqdm(
        loader, desc=f"epoch {epoch + 1}/{config.epochs}", unit="film", unit_scale=config.batch,
        disable=None if accelerator.is_main_process else True, leave=False,
    )
    for step, (canvas, label, label_weight, cells, cell_weight) in enumerate(bar):
        set_rate(optimizer, config, (epoch + step / steps) / config.epochs)

        # Forward. Every process divides by the counts of the whole batch and multiplies by their
        # number, so that the mean of their gradients is that of the whole batch.
        logit, evidence, _ = network(canvas.contiguous(memory_format=torch.channels_last))
        counts = torch.stack([label_weight.sum(), cells.sum()])
        known, positive = accelerator.reduce(counts, "sum")
        image = processes * image_loss(logit, label, label_weight, config.label_smoothing, known)
        location = processes * location_loss(
            evidence + plain.place_bias, cells, cell_weight, positive
        )
        loss = image + config.location_weight * location
        if not torch.isfinite(loss):
            where = f"epoch {epoch + 1}, step {step + 1}"
            raise FloatingPointError(f"the loss is {loss.item()} at {where}")

        # Backward.
        optimizer.zero_grad()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(network.parameters(), config.grad_clip)

        # Step.
        optimizer.step()
        average.update(plain, step=epoch * steps + step)

        sums += torch.stack([loss, image, location]).detach()
        bar.set_postfix(loss=f"{sums[0].item() / (step + 1):.3f}", refresh=False)
    seconds = time.perf_counter() - started
    means = (accelerator.reduce(sums, "mean") / steps).tolist()
    figures = dict(zip(("loss", "image_loss", "location_loss"), means, strict=True))
    return {**figures, "films_per_second": steps * config.batch / seconds, "seconds": seconds}


def train(config: TrainConfig, runs: Path, resume: Path | None) -> None:
    """A whole run, or the rest of the run in ``resume``."""
    accelerator = make_accelerator(config.precision)
    say = accelerator.print
    if config.batch % accelerator.num_processes:
        raise ValueError(f"--batch {config.batch} cannot be shared evenly by "
                         f"{accelerator.num_processes} processes")
    run = Run.open(resume, runs, accelerator)
    saved = read_run(resume)[1] if resume else {}

    # Data.
    with accelerator.main_process_first():  # the others then read what it drew or fingerprinted
        data = training_data(config, run.folder / "phantoms", runs / "fingerprints")
    say(data.sentence)
    if saved and saved["data_sha256"] != data.provenance["data_sha256"]:
        say("the films are not those that this run began with", file=sys.stderr)

    # Model.
    torch.manual_seed(config.seed)
    begun, real = run.last.exists(), bool(config.data)
    network = make_network(config, None if begun else config.init, real and not begun)
    network = network.to(accelerator.device, memory_format=torch.channels_last)
    optimizer = make_optimizer(network, config)
    average = make_ema(network, config.ema_decay)
    first, rows = 0, []
    if begun:
        modules = {"network": network, "average": average.module}
        facts = read_checkpoint(run.last, modules, optimizer)
        first, rows = facts["epoch"] + 1, facts["rows"]
    provenance = {
        "data": [folder.name for folder in config.data] or ["phantoms"],
        "init": saved.get("init") or started_from(config.init, real),
        "commit": saved.get("commit") or git_commit(), "precision": config.precision,
        **data.provenance,
    }
    run.start(config, provenance)
    say(f"run folder {run.folder}; {config.precision} on {accelerator.device}")
    trained, optimizer = accelerator.prepare(network, optimizer)

    # Loop.
    for epoch in range(first, config.epochs):
        row = {"epoch": epoch + 1, "size": config.canvas(epoch)[0]}
        row |= train_epoch(accelerator, trained, average, optimizer, data.train, config, epoch)
        if run.writes:
            scores = score_films(
                average.module, data.val, config.input_size, device=accelerator.device,
                bf16=config.precision == "bf16",
            )
            row |= scores.summary()
            row["selection"] = selection(row)
            is_best = row["selection"] > max((r["selection"] for r in rows), default=-1.0)
            rows.append(row)
            facts = {"epoch": epoch, "rows": rows}
            # The chosen goes first: a kill between the two repeats the epoch and finds it again.
            if is_best or config.keep == "last":
                write_checkpoint(run.best, {"average": average.module}, None, facts)
            modules = {"network": network, "average": average.module}
            write_checkpoint(run.last, modules, optimizer, facts)
            run.log(rows)
            say("  ".join(f"{k} {v:.4g}" for k, v in row.items()))
        accelerator.wait_for_everyone()

    # Weights.
    if run.writes:
        from detector.training.export import export_weights

        read_checkpoint(run.best, {"average": average.module})
        if config.init_fraction:
            begun_from = make_network(config, config.init, False)
            blend(average.module, begun_from, config.init_fraction)
        out = config.out or (Path("weights") if real else run.folder / "weights")
        records = [film.record for film in data.train]
        export_weights(average.module, records, data.unseen_val, config, provenance, out)
        say(f"weights written to {out}")
    accelerator.end_training()


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    # A launcher that lost one process stops the others, a cluster's scheduler all of them.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        train(configure(arguments), arguments.runs, arguments.resume)
    except ValueError as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 2
    except (CheckpointError, FloatingPointError, OSError) as error:
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
