"""Writes docs/experiments.md from the run folders: what was tried and what it did on val.

    python benchmarks/experiments.py --runs runs [--note RUN="one sentence"]

Rows of runs whose folders are gone stay as they are; a run that is there is written anew. Failures
belong in the table as much as what worked.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from detector.training.config import TrainConfig
from detector.training.run import read_run

HEAD = """# Experiments

Every training run that decided something, written by `python benchmarks/experiments.py` from the
run folders. Figures are on val, of the epoch whose weights were written: the best on val, or the
last where the recipe keeps that; test is never read here. 'Pointing' has the tolerance of the
pointing game, in brackets the strict figure.

| run | commit | changed from the recipe | epochs | films/s | FracAtlas AUC | FracAtlas pointing \
| sr2022 pointing | what was learnt |
|---|---|---|---|---|---|---|---|---|
"""


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def kept_rows(path: Path) -> dict[str, str]:
    """Rows of the table that is there: run -> line."""
    if not path.exists():
        return {}
    lines = [line for line in path.read_text().splitlines() if line.startswith("| 2")]
    return {cells(line)[0]: line for line in lines}


def row_of(run: Path, note: str) -> str | None:
    """The table's line for a run folder; None before its first epoch."""
    config, provenance = read_run(run)
    with (run / "metrics.csv").open(newline="") as file:
        epochs = list(csv.DictReader(file))
    if not epochs:
        return None
    last = config.keep == "last"
    kept = epochs[-1] if last else max(epochs, key=lambda e: float(e["selection"]))
    standard, recipe = TrainConfig().recipe(), config.recipe()
    changed = [f"{k} {v}" for k, v in recipe.items() if v != standard[k] and k != "epochs"]
    data = " + ".join(folder.name for folder in config.data)
    if provenance["init"].startswith("weights "):
        changed.insert(0, f"on from {provenance['init']}")
    if config.outlines:
        changed.append(f"outlines of {config.outlines.name}")

    def figure(name: str) -> str:
        return f"{float(kept[name]):.3f}" if kept.get(name) else "–"

    speed = sorted(float(e["films_per_second"]) for e in epochs)[len(epochs) // 2]
    return "| " + " | ".join([
        run.name, provenance["commit"][:8], ", ".join([data, *changed]),
        f"{kept['epoch']} of {config.epochs}", f"{speed:.1f}", figure("fracatlas_auc"),
        f"{figure('fracatlas_pointing')} ({figure('fracatlas_strict')})",
        f"{figure('sr2022_pointing')} ({figure('sr2022_strict')})", note,
    ]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("docs/experiments.md"))
    parser.add_argument("--note", action="append", default=[], metavar="RUN=SENTENCE")
    arguments = parser.parse_args()
    notes = dict(note.split("=", 1) for note in arguments.note)
    rows = kept_rows(arguments.out)
    tail = ""
    if arguments.out.exists():
        tail = arguments.out.read_text().partition("\n## ")[2]
    for config in sorted(arguments.runs.glob("*/config.json")):
        run = config.parent
        if not (run / "metrics.csv").exists():
            continue
        before = cells(rows[run.name])[-1] if run.name in rows else ""
        try:
            line = row_of(run, notes.get(run.name, before))
        except ValueError as error:  # of an older version: its row stays as it is
            print(error)
            continue
        if line:
            rows[run.name] = line
    arguments.out.parent.mkdir(exist_ok=True)
    text = HEAD + "\n".join(rows[name] for name in sorted(rows)) + "\n"
    arguments.out.write_text(text + (f"\n## {tail}" if tail else ""))
    print(f"{arguments.out}: {len(rows)} runs")


if __name__ == "__main__":
    main()
