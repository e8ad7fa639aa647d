"""The model's limitations, each with its figure: sentences for the card and for the page.

A figure is one when it misses the target that was set before the test films were read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from detector.training.card.source_names import SOURCES, source_name

# (source, figure, target): more is better. Figures are paths into the source's figures.
TARGETS = (
    ("fracatlas", "auc", 0.95),
    ("fracatlas", "operating_points.balanced.sensitivity", 0.90),
    ("fracatlas", "operating_points.balanced.specificity", 0.85),
    ("fracatlas", "subgroups.without hardware.auc", 0.94),
    ("fracatlas", "pointing", 0.85),
    ("fracatlas", "pointing_strict", 0.70),
    ("wrist", "auc", 0.85),
    ("wrist", "operating_points.balanced.specificity", 0.80),
    ("other", "operating_points.balanced.sensitivity", 0.90),
    ("sr2022", "pointing", 0.80),
)
SUBGROUP_GAP = 0.04  # of AUC below all films of the source
SUBGROUP_FRACTURED = 8  # fewer say too little
SUBGROUP_LEAST = 5  # as many are enough where the whole interval lies below all films
PROMISES = (  # what the operating points were chosen for: point, figure, target, its films in words
    ("rule_out", "sensitivity", 0.95, "fractures are found at the lower threshold"),
    ("rule_in", "specificity", 0.95, "normal films lie below the upper threshold"),
)
PROMISED_FILMS = 15  # of a source; fewer say too little
ECE_TARGET = 0.05
REVERSAL_TARGET = 0.02
ACCEPTED_TARGET = 0.99
CROP_TARGET, CROPS = 0.10, 20  # of at least so many crops

_WHAT = {
    "auc": "the AUC is {number}",
    "sensitivity": "{percent} of fractures are found at the balanced operating point",
    "specificity": "{percent} of normal films are called so at the balanced operating point",
    "pointing": "the hottest point of the heatmap lies on the fracture, or within the tolerance "
    "around it, in {percent} of fractured films",
    "pointing_strict": "the hottest point lies within the fracture's box in {percent} of films",
}


def limitations(figures: Mapping[str, Any]) -> list[str]:
    """Sentences about the figures of one split that miss their target, each with its 95 % interval.

    First what the operating points promise: the first sentence stands beside each verdict on the
    page. None where every figure reaches its target.
    """
    return [*_promises(figures), *_under_targets(figures), *_subgroups(figures),
            *_calibration(figures), *_refused(figures), *_crops(figures), *_changes(figures)]


def _look_up(figures: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    here: Any = figures
    for name in path.split("."):
        here = here.get(name) if isinstance(here, Mapping) else None
    return here


def _interval(figure: Mapping[str, float], percent: bool) -> str:
    low, high = figure["low"], figure["high"]
    if percent:
        return f"95 % interval {100 * low:.0f} to {100 * high:.0f} %"
    return f"95 % interval {low:.2f} to {high:.2f}"


def _under_targets(figures: Mapping[str, Any]) -> Iterator[str]:
    for source, path, target in TARGETS:
        figure = _look_up(figures, f"{source}.{path}")
        if figure is None or figure["value"] >= target:
            continue
        kind = path.split(".")[-1]
        # Just under the target: a digit more, so that the two do not read the same.
        digits = int(round(figure["value"], 2) >= target)
        what = _WHAT[kind].format(
            number=f"{figure['value']:.{2 + digits}f}",
            percent=f"{100 * figure['value']:.{digits}f} %",
        )
        where = source_name(source)
        if "without hardware" in path:
            where += " without metal hardware"
        goal = f"{target:.2f}" if kind == "auc" else f"{100 * target:.0f} %"
        yield (f"On {where}, {what} ({_interval(figure, kind != 'auc')}); "
               f"the target was {goal}.")


def _promises(figures: Mapping[str, Any]) -> Iterator[str]:
    """Where an operating point keeps less than it was chosen for: per source by its figure, per
    subgroup where the whole interval lies below."""
    for source in SOURCES:
        of_source = figures.get(source, {})
        groups = {"": of_source, **of_source.get("subgroups", {})}
        for point, kind, target, what in PROMISES:
            for name, group in groups.items():
                figure = _look_up(group, f"operating_points.{point}.{kind}")
                if figure is None or figure["high" if name else "value"] >= target:
                    continue
                confusion = group["operating_points"][point]["confusion"]
                right, wrong = (("true_positive", "false_negative") if kind == "sensitivity"
                                else ("true_negative", "false_positive"))
                films = confusion[right] + confusion[wrong]
                if not name and films < PROMISED_FILMS:
                    continue
                where = f"{source_name(source)}, {name}" if name else source_name(source)
                yield (
                    f"On {where}, {confusion[right]} of {films} {what} "
                    f"({_interval(figure, True)}), which was chosen for {100 * target:.0f} %."
                )


def _subgroups(figures: Mapping[str, Any]) -> Iterator[str]:
    for source in SOURCES:
        of_source = figures.get(source, {})
        if "auc" not in of_source:
            continue
        whole = of_source["auc"]["value"]
        for name, group in of_source.get("subgroups", {}).items():
            if "auc" not in group:
                continue
            below = group["auc"]["high"] < whole
            enough = group["fractured"] >= (SUBGROUP_LEAST if below else SUBGROUP_FRACTURED)
            if enough and group["auc"]["value"] < whole - SUBGROUP_GAP:
                yield (
                    f"{source_name(source)}, {name}: AUC {group['auc']['value']:.2f} "
                    f"({_interval(group['auc'], False)}; {group['films']} films, "
                    f"{group['fractured']} fractured), against {whole:.2f} over all."
                )


def _calibration(figures: Mapping[str, Any]) -> Iterator[str]:
    for source in SOURCES:
        error = _look_up(figures, f"{source}.calibration.ece_after")
        if not error or error["value"] <= ECE_TARGET:
            continue
        # So few films that exact probabilities would often show as much: that says nothing.
        by_chance = figures[source]["calibration"]["ece_by_chance"]
        if error["value"] > by_chance["percentile_95"]:
            yield (
                f"On {source_name(source)}, the stated probability is off by "
                f"{100 * error['value']:.0f} percentage points on average "
                f"({_interval(error, True)}); exact probabilities would show "
                f"{100 * by_chance['mean']:.0f} on as many films."
            )


def _refused(figures: Mapping[str, Any]) -> Iterator[str]:
    for source, accepted in figures.get("ood", {}).get("accepted", {}).items():
        if accepted["value"] < ACCEPTED_TARGET:
            refused = {"value": 1 - accepted["value"], "low": 1 - accepted["high"],
                       "high": 1 - accepted["low"]}
            yield (
                f"Of {source_name(source)}, {100 * refused['value']:.0f} % are refused as out of "
                f"scope ({_interval(refused, True)})."
            )


def _crops(figures: Mapping[str, Any]) -> Iterator[str]:
    for source, crops in figures.get("normal_crops", {}).get("sources", {}).items():
        called = crops["fracture_likely"]
        if called["value"] > CROP_TARGET and crops["crops"] >= CROPS:
            yield (
                f"Parts of {source_name(source)} that show no fracture are called 'fracture "
                f"likely' in {100 * called['value']:.0f} % ({_interval(called, True)})."
            )


def _changes(figures: Mapping[str, Any]) -> Iterator[str]:
    for name, change in figures.get("robustness", {}).get("changes", {}).items():
        is_reversed = change["decision_reversed"]
        if is_reversed["value"] > REVERSAL_TARGET:
            yield (
                f"A film that is {name} gets the opposite verdict in "
                f"{100 * is_reversed['value']:.0f} % of films ({_interval(is_reversed, True)})."
                if name.split()[0] in ("rotated", "flipped", "inverted", "brighter", "darker")
                else f"With {name}, {100 * is_reversed['value']:.0f} % of films get the opposite "
                f"verdict ({_interval(is_reversed, True)})."
            )
