"""The two drawings of the model card, from ``config.json`` alone: ROC curves and calibration.

As SVG for the card, as PNG for pages that take no SVG from elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from detector.training.card.source_names import source_name

ROC_FILE, CALIBRATION_FILE = "roc.svg", "calibration.svg"
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # Okabe and Ito: safe for colour blindness
_MARKS = {"rule_out": "v", "balanced": "o", "rule_in": "^"}


def write_figures(folder: Path, figures: Mapping[str, Any]) -> None:
    """Draw what the figures of a split hold; a drawing without data is not written."""
    ranked = {name: f for name, f in figures.items() if isinstance(f, Mapping) and "roc" in f}
    if not ranked:
        return
    for name, paint in ((ROC_FILE, _roc), (CALIBRATION_FILE, _calibration)):
        # The same bytes every time: ids from a fixed salt, no date, letters as outlines.
        with matplotlib.rc_context({"svg.hashsalt": "fracture-detector", "svg.fonttype": "path"}):
            figure = Figure(figsize=(5.2, 4.6), layout="constrained")
            paint(figure.subplots(), ranked)
            figure.savefig(folder / name, metadata={"Date": None})
        figure.savefig((folder / name).with_suffix(".png"), dpi=150, metadata={"Software": None})


def _diagonal(axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle="--")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.grid(color="#dddddd", linewidth=0.5)


def _roc(axes: Axes, ranked: Mapping[str, Any]) -> None:
    _diagonal(axes)
    for (name, figures), colour in zip(ranked.items(), _COLOURS, strict=False):
        label = f"{source_name(name)}, AUC {figures['auc']['value']:.2f}"
        roc = figures["roc"]
        axes.plot(roc["false_positive_rate"], roc["sensitivity"], color=colour, label=label)
        for point, at in figures["operating_points"].items():
            axes.plot(
                1 - at["specificity"]["value"], at["sensitivity"]["value"], color=colour,
                marker=_MARKS.get(point, "s"), markeredgecolor="white", markersize=8,
            )
    axes.set(xlabel="1 − specificity", ylabel="sensitivity")
    axes.set_title("▼ lower threshold   ● balanced   ▲ upper threshold", fontsize=9)
    axes.legend(loc="lower right", fontsize=8)


def _calibration(axes: Axes, ranked: Mapping[str, Any]) -> None:
    _diagonal(axes)
    for (name, figures), colour in zip(ranked.items(), _COLOURS, strict=False):
        for when, style in (("before", ":"), ("after", "-")):
            rows = figures["calibration"][f"reliability_{when}"]
            axes.plot(
                [row["predicted"] for row in rows], [row["observed"] for row in rows],
                color=colour, linestyle=style, marker="." if when == "after" else None,
                label=f"{source_name(name)}, {when} calibration",
            )
    axes.set(xlabel="stated probability of a fracture", ylabel="proportion with a fracture")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, fontsize=7)
