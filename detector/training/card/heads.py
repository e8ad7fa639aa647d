"""The card's sections on what is read from the embedding: familiarity, anatomy, the OOD check, and
of adapted weights what they were adapted to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from detector.model.calibration import Decision
from detector.training.card.source_names import source_name
from detector.training.card.tables import ABSENT, of, table

Figures = Mapping[str, Any]


def sections(metrics: Figures, heads: Figures) -> Iterator[str]:
    """The blocks of Markdown, those without figures left out. ``heads``: of ``config.json``."""
    yield from _adaptation(metrics.get("adaptation"))
    yield from _familiarity(metrics.get("familiarity"), heads.get("familiarity", {}))
    yield from _anatomy(metrics.get("anatomy"))
    yield from _ood(metrics.get("ood_left_out"))


def _adaptation(figures: Figures | None) -> Iterator[str]:
    if not figures:
        return
    fitted = figures["fitted_on"]
    yield "## Adapted weights"
    yield (
        f"Adapted from {figures['of']} to the films of '{figures['films_of']}': calibration and "
        f"operating points were fitted on {fitted['normal']} normal and {fitted['fractured']} "
        "fractured films there, the network is the same. Figures of the weights before do not hold "
        "for these operating points and are left out; the films below were held out from the fit."
    )
    if fitted["fractured"] < 19:
        yield (
            "Too few fractured films were given to measure how many fractures are found. That they "
            "move as the normal films do is an assumption."
        )
    yield "\n".join(table(
        ["held-out films", "before", "after"],
        [[name, _said(figures["before"][name]), _said(figures["after"][name])]
         for name in ("normal", "fractured") if name in figures["before"]],
    ))


def _familiarity(figures: Figures | None, head: Figures) -> Iterator[str]:
    if not figures or not head:
        return
    yield "### Familiar and unfamiliar films"
    yield (
        "A film whose embedding lies far from those of the training films (Mahalanobis distance) "
        "is unfamiliar: the model says so in a sentence, and reads it at operating points of its "
        f"own: lower threshold {head['rule_out']:.3f}, upper {head['rule_in']:.3f}. Of films of "
        "known sources 95 % stay familiar. The probability is the same: no source left out has "
        "enough films of both classes to fit it anew. Validation films of known sources:"
    )
    yield "\n".join(_groups(figures["known"]))
    if figures.get("left_out"):
        yield ("The distance fitted without a source, read on its validation films, or where it "
               "has none on its training films (the network itself has seen the source):")
        yield "\n".join(table(
            ["source left out", "films", "unfamiliar"],
            [[source_name(s), f["films"], _percent(f["unfamiliar"])]
             for s, f in figures["left_out"].items()],
        ))
    if figures.get("unseen"):
        by = figures.get("unseen_by")
        network = f"network of weights {by}, from which the points come," if by else "network"
        yield (f"Sources that the {network} never saw, each read at the usual operating points, "
               "then as an unfamiliar film is, at those that the other unseen sources alone give:")
        yield "\n".join(table(
            ["unseen source", "films", "unfamiliar", "normal, usual points", "normal, now",
             "upper threshold"],
            [[source_name(s), f["films"], _percent(f["unfamiliar"]),
              _said(f["at_usual_points"].get("normal")), _together(f), f"{f['rule_in']:.3f}"]
             for s, f in figures["unseen"].items()],
        ))
        yield ("No fractured film of an unseen source was at hand, so the lower threshold is the "
               "usual one: nothing shows that more of these films could be cleared safely.")


def _groups(known: Figures) -> list[str]:
    rows = []
    for source, f in known.items():
        for group in ("familiar", "unfamiliar"):
            counts = f.get(f"{group}_films")
            if counts:
                rows.append([f"{source_name(source)}, {group}",
                             _said(counts.get("normal")), _said(counts.get("fractured"))])
    return table(["films", "normal", "fractured"], rows)


def _together(figures: Figures) -> str:
    """Normal films, each at the operating points of its group."""
    total: dict[str, int] = {}
    for group in ("familiar_films", "unfamiliar_films"):
        for name, count in figures.get(group, {}).get("normal", {}).items():
            total[name] = total.get(name, 0) + count
    return _said(total)


def _said(counts: Figures | None) -> str:
    """``of 120: 4 % fracture likely, 30 % uncertain, 66 % no fracture seen``."""
    if not counts:
        return ABSENT
    films = counts["films"]
    shares = (f"{_percent(counts[d] / films)} {d}" for d in Decision if counts.get(d))
    return f"{films}: {', '.join(shares)}"


def _percent(proportion: float) -> str:
    return f"{100 * proportion:.0f} %"


def _anatomy(figures: Figures | None) -> Iterator[str]:
    if not figures:
        return
    yield "### Anatomy"
    yield (
        "A linear head on the embedding names the region of a familiar film where it is sure. Its "
        "labels: FracAtlas' own for hip and shoulder; for hand or wrist, elbow, knee, and ankle or "
        "foot some 300 FracAtlas films that this project's authors, who are no radiologists, "
        "told apart by eye (`detector/training/heads/regions.csv`); one region for all films of a "
        "source that shows one. Forearm, upper arm, thigh and lower leg have too few films of "
        "their own and are not told apart, nor is the skeleton's age. Validation films:"
    )
    yield "\n".join(table(
        ["region", "films", "named", "of these rightly"],
        [[name, f["films"], of(f["named"], f["films"]), of(f["right"], f["named"])]
         for name, f in figures.items()],
    ))


def _ood(figures: Figures | None) -> Iterator[str]:
    if not figures:
        return
    yield "### Films let in with their source left out"
    yield ("The OOD check fitted without a source, on the same other pictures, and read on the "
           "source's validation films, or where it has none on its training films:")
    yield "\n".join(table(
        ["source left out", "films", "let in"],
        [[source_name(s), f["films"], _percent(f["let_in"])] for s, f in figures.items()],
    ))
