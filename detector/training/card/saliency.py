"""The card's sections on regions and heatmap: what the figures say. A JSON holds all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from detector.training.card.source_names import source_name
from detector.training.card.tables import is_estimate, number, percents, table

Figures = Mapping[str, Any]
SALIENCY_FILE, TABLES_FILE = "saliency.png", "saliency.json"
PUBLISHED = (0.40, 0.48)  # mAP50 of the detectors published for FracAtlas, on its published split


def sections(figures: Figures) -> Iterator[str]:
    """Blocks of Markdown; a part that was not measured is left out."""
    if figures.get("froc"):
        yield "### Regions"
        yield from _regions(figures["froc"], figures)
    if figures.get("saliency"):
        yield "### Saliency checks"
        lines = list(_conclusions(figures["saliency"]))
        if lines:
            yield "What a reader can conclude:"
            yield "\n".join(f"- {line}" for line in lines)
        if figures.get("saliency_figure"):
            yield ("![Pointing, free response, pixels, deletion and insertion, randomised "
                   f"parameters, phantoms]({figures['saliency_figure']})")
        yield f"Every figure of these checks is in [`{TABLES_FILE}`]({TABLES_FILE})."


def tables(split: str, figures: Figures) -> dict[str, Any]:
    """Every figure of both sections, for a JSON beside the card; empty where none was measured."""
    parts = {name: figures[key] for name, key in (("regions", "froc"), ("saliency", "saliency"))
             if figures.get(key)}  # fmt: skip
    return {"split": split, **parts} if parts else {}


def _at(figures: Any, *path: str) -> Mapping[str, float] | None:
    """The estimate at the path, None where there is none."""
    for name in path:
        figures = figures.get(name) if isinstance(figures, Mapping) else None
    return figures if is_estimate(figures) else None


def _regions(froc: Figures, figures: Figures) -> Iterator[str]:
    measured = {n: f for n, f in froc.items() if isinstance(f, Mapping)
                and "average_precision" in f}
    for name, f in measured.items():
        found = _at(f, "as_shown", "found")
        false = _at(f, "as_shown", "false_boxes_per_film")
        if found and false:
            all_broken = figures.get(name, {}).get("fractured") == f["films"]
            yield (f"On {f['films']} {source_name(name)} with {f['fractures']} boxed fractures the "
                   f"boxes that are shown mark {percents(found)} of the fractures (IoU from 0.1), "
                   f"with {number(false)} false boxes per film."
                   + (" No normal film is among them, where every box would be false, so these "
                      "figures flatter." if all_broken else ""))
    if measured:
        rows = [
            [f"this model's regions, {source_name(name)}", "this card's", overlap, number(cell)]
            for name, f in measured.items() for overlap, cell in f["average_precision"].items()
        ]
        low, high = PUBLISHED
        rows.append(["detectors published for FracAtlas", "the published one, another",
                     "IoU 0.5 (mAP50)", f"{low:.2f} to {high:.2f}"])
        yield "\n".join(table(["boxes", "split", "a hit", "average precision"], rows))
        yield ("The last row is no contest: those detectors were trained to draw boxes, their test "
               "films are others, and a hit is stricter at IoU 0.5 than at 0.1 or 0.3. The regions "
               "here are cut out of the heatmap: they say where to look, not how far a fracture "
               "reaches. Who needs tight boxes should take a detector.")
    yield f"Every figure of the regions is in [`{TABLES_FILE}`]({TABLES_FILE})."


def _conclusions(figures: Figures) -> Iterator[str]:
    for name, f in figures.items():
        if isinstance(f, Mapping) and "pointing" in f:
            yield from _of_source(source_name(name), f)
    checks = figures.get("checks", {})
    yield from _blurred(checks)
    yield from _moved(checks.get("film_changed", {}))
    drawn = checks.get("parameter_randomisation", {})
    if drawn:
        strongest = max(abs(cell["value"]) for cell in drawn.values())
        said = ("the map comes from what was learned, not from the film's edges"
                if strongest < 0.5 else "part of the map comes from the film itself")
        yield ("Parameters randomised, layer by layer: rank correlation with the trained map at "
               f"most {strongest:.2f}, so {said} (Adebayo et al. 2018).")
    second = _at(checks, "second_training", "same_place")
    if second:
        alike = _at(checks, "second_training", "rank_correlation")
        yield ("Repeatability: a second training (another seed, its own start) has its hottest "
               f"point at the same location on {percents(second)} of {checks['films']} films; rank "
               f"correlation of the maps {number(alike)}. Where two trainings differ, the location "
               "is less sure than one map looks.")
    else:
        yield "Repeatability between two trainings was not measured for these weights."
    yield from _broken(figures.get("phantoms", {}))


def _of_source(name: str, f: Figures) -> Iterator[str]:
    boxes = f["pointing"].get("boxes", {})
    ours, plain, centre, chance = (
        _at(boxes, who) for who in ("evidence", "plain_gradcam", "centre_point", "random_point")
    )
    if not (ours and plain and centre and chance):
        return
    yield (f"{name}: the hottest point lies at a fracture on {percents(ours)} of the films; plain "
           f"Grad-CAM of the same network at its deepest layer {percents(plain)}, the film's "
           f"centre {percents(centre)}, a random point {percents(chance)}.")
    strict = f["pointing"].get("boxes_strict", {})
    ours, plain = _at(strict, "evidence"), _at(strict, "plain_gradcam")
    if ours and plain:
        yield (f"{name}, strictly inside the box: {percents(ours)} against {percents(plain)} of "
               "plain Grad-CAM.")
    for key, what in (("by_decision", "by verdict"), ("by_size", "by the largest box's part of "
                                                      "the film")):
        cells = [f"{group} {percents(_at(g, 'pointing'))}" for group, g in f.get(key, {}).items()]
        if len(cells) > 1:
            yield f"{name}, pointing {what}: {'; '.join(cells)}."


def _blurred(checks: Figures) -> Iterator[str]:
    """Deletion and insertion in words, whichever way they come out."""
    cells = {
        (kind, who): _at(checks, kind, who, "mean_probability")
        for kind in ("deletion", "insertion") for who in ("evidence", "plain_gradcam", "random")
    }
    if not all(cells.values()):
        return
    said = [
        f"{number(cells[kind, 'evidence'])} {how} (plain Grad-CAM "
        f"{number(cells[kind, 'plain_gradcam'])}, cells at random {number(cells[kind, 'random'])})"
        for kind, how in (("deletion", "with the hottest parts blurred away, where less is better"),
                          ("insertion", "with only the hottest parts sharp, where more is better"))
    ]
    yield f"Mean P(fracture) of {checks['films']} films: {'; '.join(said)}."


def _moved(changed: Figures) -> Iterator[str]:
    same = {name: cell for name, f in changed.items() if (cell := _at(f, "same_place"))}
    if same:
        least, most = (pick(same, key=lambda n: same[n]["value"]) for pick in (min, max))
        yield (f"The same film mirrored or slightly turned keeps its hottest point on "
               f"{percents(same[least])} ({least}) to {percents(same[most])} ({most}) of the "
               "films: one map is one reading, not a measurement.")


def _broken(phantoms: Figures) -> Iterator[str]:
    raised = _at(phantoms, "all", "probability_raised")
    both = _at(phantoms, "all", "raised_and_at_break")
    if raised and both:
        kinds = {n: cell for n, f in phantoms.get("by_type", {}).items()
                 if (cell := _at(f, "raised_and_at_break"))}
        weakest = min(kinds, key=lambda n: kinds[n]["value"]) if kinds else None
        yield (f"Breaking a drawn bone raises the probability on {percents(raised)} of "
               f"{phantoms['all']['pairs']} pairs and moves the hottest point to the break as well "
               f"on {percents(both)}"
               + (f"; weakest for {weakest} fractures, {percents(kinds[weakest])}." if weakest
                  else "."))
