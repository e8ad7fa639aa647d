"""Films per second of `train.py` against the same network in a plain loop.

    python benchmarks/training_speed.py                     # on phantoms
    python benchmarks/training_speed.py --size 320 --batch 8 --films 64

The plain loop runs the same network, precision, batch and optimiser on one batch that lies ready in
memory: what the hardware could do if nothing had to be loaded, augmented or averaged. The loader
alone says whether it can keep up. Epochs of all three take turns. Runs on the GPU where there is
one.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path

import measuring
from measuring import ratio, spread, table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=448, help="longest side (%(default)s)")
    parser.add_argument("--batch", type=int, default=16, help="films a step (%(default)s)")
    parser.add_argument("--films", type=int, default=160, help="synthetic films (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="epochs of each (%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="loader processes (%(default)s)")
    parser.add_argument("--precision", choices=("auto", "bf16", "float32"), default="auto")
    arguments = parser.parse_args()

    import torch
    from torch.utils.data import DataLoader

    import train
    from detector.training.config import TrainConfig
    from detector.training.data.dataset import EpochDataset
    from detector.training.data.films import cache_films
    from detector.training.data.layouts import read_manifest
    from detector.training.ema import make_ema
    from detector.training.initial_network import make_network
    from detector.training.losses import image_loss, location_loss
    from detector.training.optimizer import make_optimizer
    from detector.training.processes import make_accelerator, resolve_precision
    from detector.training.sources import CACHED_SIDE, draw_phantoms

    precision = resolve_precision(arguments.precision)
    accelerator = make_accelerator(precision)
    device = accelerator.device
    print(measuring.machine_facts(
        device=torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
        precision=precision, batch=arguments.batch, size=arguments.size,
        **{"loader processes": arguments.workers},
    ))
    config = TrainConfig(sizes=(arguments.size,), batch=arguments.batch,
                         epochs=arguments.rounds + 1, workers=arguments.workers)
    network = make_network(config, None, pretrained=False)
    network = network.to(device, memory_format=torch.channels_last)
    optimizer = make_optimizer(network, config)
    average = make_ema(network, config.ema_decay)
    network, optimizer = accelerator.prepare(network, optimizer)
    plain = accelerator.unwrap_model(network)

    with tempfile.TemporaryDirectory() as folder:
        draw_phantoms(Path(folder), {"train": arguments.films}, 0)
        films, _ = cache_films(read_manifest(Path(folder)), CACHED_SIDE)

    def loader(epoch: int) -> DataLoader:
        return DataLoader(EpochDataset(films, config, epoch), batch_size=config.batch,
                          num_workers=arguments.workers, drop_last=True)

    ready = [part.to(device) for part in next(iter(loader(0)))]

    def plain_loop(steps: int) -> float:
        network.train()
        canvas, label, weight, cells, cell_weight = ready
        started = time.perf_counter()
        for _ in range(steps):
            logit, evidence, _ = network(canvas.contiguous(memory_format=torch.channels_last))
            loss = image_loss(logit, label, weight, config.label_smoothing, weight.sum())
            loss = loss + config.location_weight * location_loss(
                evidence + plain.place_bias, cells, cell_weight, cells.sum()
            )
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
        loss.item()  # waits for the device
        return steps * config.batch / (time.perf_counter() - started)

    def load_only(epoch: int) -> float:
        started = time.perf_counter()
        count = sum(len(batch[1]) for batch in loader(epoch))
        return count / (time.perf_counter() - started)

    steps = len(loader(0))
    plain_loop(1)
    rates: dict[str, list[float]] = {"train.py": [], "plain loop": [], "loader alone": []}
    for epoch in itertools.islice(itertools.count(), arguments.rounds):
        figures = train.train_epoch(
            accelerator, network, average, optimizer, films, config, epoch
        )
        rates["train.py"].append(figures["films_per_second"])
        rates["plain loop"].append(plain_loop(steps))
        rates["loader alone"].append(load_only(epoch))
    base = rates["plain loop"]
    print()
    print(table(("", "films per second, median (quartiles)", "of the plain loop"), [
        (name, spread(values), ratio(values, base)) for name, values in rates.items()
    ]))


if __name__ == "__main__":
    main()
