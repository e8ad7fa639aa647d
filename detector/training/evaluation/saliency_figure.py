"""The saliency checks as one picture of six panels."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by every eye.
BLUE, ORANGE, GREY, GREEN = "#0072B2", "#D55E00", "#888888", "#009E73"
COLOURS = {"evidence": BLUE, "plain_gradcam": ORANGE, "centre_point": GREEN, "random_point": GREY,
           "random": GREY}  # fmt: skip


def draw_figures(report: Mapping[str, Any], path: Path) -> None:
    """Draw ``saliency.saliency_report``'s figures as a PNG."""
    figure = Figure(figsize=(15, 9), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    sources = {n: f for n, f in report["saliency"].items() if "pointing" in f}
    _pointing(axes[0], sources)
    _froc(axes[1], report["froc"])
    _pixels(axes[2], sources)
    _deletion(axes[3], report["saliency"]["checks"])
    _randomised(axes[4], report["saliency"]["checks"])
    _phantoms(axes[5], report["saliency"]["phantoms"])
    figure.savefig(path, dpi=110)


def _words(name: str) -> str:
    return name.replace("_", " ").replace("plain gradcam", "plain Grad-CAM")


def _error(figures: list[Mapping[str, float]]) -> np.ndarray:
    """(2, N): how far each interval reaches below and above its value."""
    low = [max(0.0, f["value"] - f["low"]) for f in figures]
    high = [max(0.0, f["high"] - f["value"]) for f in figures]
    return np.array([low, high])


def _pointing(ax: Axes, sources: Mapping[str, Any]) -> None:
    games = [(s, g) for s, f in sources.items() for g in f["pointing"]]
    for shift, who in enumerate(("evidence", "plain_gradcam", "centre_point", "random_point")):
        cells = [sources[s]["pointing"][g][who] for s, g in games]
        at = np.arange(len(games)) + 0.2 * (shift - 1.5)
        ax.bar(at, [c["value"] for c in cells], 0.2, yerr=_error(cells), label=_words(who),
               color=COLOURS[who], error_kw={"lw": 0.8})  # fmt: skip
    ax.set_xticks(
        range(len(games)),
        [f"{s}\n{_words(g)}\nn={sources[s]['pointing'][g]['films']}" for s, g in games],
        fontsize=7,
    )
    ax.set(ylabel="proportion of films", ylim=(0, 1), title="Hottest point on the fracture")
    ax.legend(fontsize=8)


def _froc(ax: Axes, sources: Mapping[str, Any]) -> None:
    for name, figures in sources.items():
        false, found = np.array(figures["curve"]).reshape(-1, 2).T
        ax.plot(false, found, label=f"{name}, {figures['films']} films, "
                f"{figures['fractures']} fractures")  # fmt: skip
    ax.set(xlabel="false boxes per film", ylabel="proportion of fractures found (IoU from 0.1)",
           ylim=(0, 1), xlim=(0, None), title="Free response")  # fmt: skip
    ax.legend(fontsize=8)


def _pixels(ax: Axes, sources: Mapping[str, Any]) -> None:
    for style, (source, figures) in zip(("-", "--", ":", "-."), sources.items(), strict=False):
        for who, cell in figures["pixel_precision_recall"].items():
            recall, precision = np.array(cell["curve"]).T
            ax.plot(recall, precision, style, color=COLOURS[who],
                    label=f"{source}, {_words(who)}, area {cell['area']['value']:.3f}")  # fmt: skip
    ax.set(xlabel="recall, fractures' pixels", ylabel="precision", xlim=(0, 1), ylim=(0, 1),
           title="Pixels of the map on the fracture")  # fmt: skip
    ax.legend(fontsize=8)


def _deletion(ax: Axes, checks: Mapping[str, Any]) -> None:
    for kind, style in (("deletion", "-"), ("insertion", "--")):
        for who, cell in checks[kind].items():
            ax.plot(100 * np.array(checks["fractions"]), cell["curve"], style,
                    color=COLOURS[who], label=f"{kind}, {_words(who)}")  # fmt: skip
    ax.set(xscale="log", xlabel="% of the film blurred away, or given back", ylabel="P(fracture)",
           ylim=(0, 1), title=f"Deletion and insertion, {checks['films']} films")  # fmt: skip
    ax.legend(fontsize=7)


def _randomised(ax: Axes, checks: Mapping[str, Any]) -> None:
    stages = checks["parameter_randomisation"]
    cells = list(stages.values())
    ax.errorbar(range(len(cells)), [c["value"] for c in cells], yerr=_error(cells), marker="o",
                color=BLUE)  # fmt: skip
    ax.axhline(0, color=GREY, lw=0.8)
    names = [name.removeprefix("down to ") for name in stages]
    ax.set_xticks(range(len(cells)), names, rotation=60, fontsize=7)
    ax.set(ylim=(-1, 1), ylabel="rank correlation with the trained map",
           title="Parameters randomised, from the output back")  # fmt: skip


def _phantoms(ax: Axes, phantoms: Mapping[str, Any]) -> None:
    table = phantoms["raised_and_at_break_by_type_and_displacement"]
    steps = list(next(iter(table.values())))
    for index, (step, colour) in enumerate(zip(steps, cycle(COLOURS.values()), strict=False)):
        at = np.arange(len(table)) + 0.8 / len(steps) * (index - (len(steps) - 1) / 2)
        ax.bar(at, [row[step] for row in table.values()], 0.8 / len(steps),
               label=f"displacement {step}", color=colour)  # fmt: skip
    ax.set_xticks(range(len(table)), list(table), rotation=30, fontsize=8)
    ax.set(ylim=(0, 1), ylabel="proportion of pairs",
           title=f"Broken phantoms: raised, hottest at the break, {phantoms['all']['pairs']} pairs")
    ax.title.set_fontsize(9)
    ax.legend(fontsize=8)
