"""The curves of a run as a picture."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure


def plot_curves(rows: list[dict], path: Path) -> None:
    """Losses per epoch on the left, val figures on the right, as a PNG at ``path``."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    for name in ("loss", "image_loss", "location_loss"):
        left.plot(epochs, [row[name] for row in rows], marker=".", label=name.replace("_", " "))
    left.set(xlabel="epoch", ylabel="training loss", ylim=(0, None))
    left.legend()
    names = dict.fromkeys(n for row in rows for n in row if n.endswith(("_auc", "_pointing")))
    for name in names:
        label = name.replace("_", " ")
        right.plot(epochs, [row.get(name, float("nan")) for row in rows], marker=".", label=label)
    right.set(xlabel="epoch", ylabel="val", ylim=(0, 1))
    right.legend()
    figure.savefig(path, dpi=100)
