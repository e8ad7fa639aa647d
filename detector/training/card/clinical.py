"""The card's sections on what the model is worth: predictive values, net benefit, calibration in
the large, fractures by size, and how sure these figures can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import sqrt
from typing import Any

from detector.training.card.source_names import source_name
from detector.training.card.tables import ABSENT, number, percents, table

Figures = Mapping[str, Any]
PREVALENCES = (0.05, 0.1, 0.2, 0.3)
_POINTS = {"rule_out": "rule-out", "balanced": "balanced", "rule_in": "rule-in"}


def sections(sources: Mapping[str, Figures], test_reads: int | None = None) -> Iterator[str]:
    """The blocks of Markdown for the figures of one split by source."""
    both = {name: f for name, f in sources.items() if "auc" in f}
    if both:
        yield "### Predictive values"
        yield ("From sensitivity and specificity above by Bayes' rule, where 5, 10, 20 or 30 % of "
               "the films are fractured. PPV: of films at or above the point, the proportion that "
               "is fractured. NPV: of films below it, the proportion that is not.")
        yield "\n".join(_predictive(both))
        yield "### Net benefit"
        yield ("True positives less false positives, these weighed by the odds of the point's "
               "probability, per 100 films of the source as it is (Vickers & Elkin 2006), beside "
               "calling every film fractured; calling none is 0. It counts films, not what follows "
               "for a patient.")
        yield "\n".join(_net_benefit(both))
    yield from _recalibration(both)
    yield from _sizes(sources)
    if both:
        yield "### How many films these figures rest on"
        yield _sample_size(both)
        if test_reads is not None:
            times = "once" if test_reads == 1 else f"{test_reads} times"
            yield f"The test split was read {times}, by these weights and those before them."
        yield (
            "What no figure here can show: patients are not known, so two films of one patient "
            "count as two, and age and sex cannot be told apart. The readers of the reference "
            "standard are described for FracAtlas alone, and their agreement nowhere. No film was "
            "compared with CT, MRI or follow-up. No reader was ever studied with and without this "
            "model, so nothing is known of whether it helps one."
        )


def _predictive(sources: Mapping[str, Figures]) -> list[str]:
    rows = []
    for name, f in sources.items():
        for point, title in _POINTS.items():
            at = f["operating_points"].get(point)
            if at and "sensitivity" in at and "specificity" in at:
                sens, spec = at["sensitivity"]["value"], at["specificity"]["value"]
                rows.append([f"{source_name(name)}, {title}", *(
                    _pair(sens, spec, prevalence) for prevalence in PREVALENCES
                )])
    return table(["films, point", *(f"PPV / NPV at {100 * p:.0f} %" for p in PREVALENCES)], rows)


def _pair(sens: float, spec: float, prevalence: float) -> str:
    def part(right: float, wrong: float) -> str:
        return f"{100 * right / (right + wrong):.0f} %" if right + wrong else ABSENT

    ppv = part(sens * prevalence, (1 - spec) * (1 - prevalence))
    npv = part(spec * (1 - prevalence), (1 - sens) * prevalence)
    return f"{ppv} / {npv}"


def _net_benefit(sources: Mapping[str, Figures]) -> list[str]:
    rows = []
    for name, f in sources.items():
        for point, title in _POINTS.items():
            at = f["operating_points"].get(point)
            if at and 0 < at["threshold"] < 1:
                odds = at["threshold"] / (1 - at["threshold"])
                hits, alarms = at["confusion"]["true_positive"], at["confusion"]["false_positive"]
                normal = f["films"] - f["fractured"]
                rows.append([
                    f"{source_name(name)}, {title}", f"{at['threshold']:.3f}",
                    f"{100 * (hits - alarms * odds) / f['films']:.1f}",
                    f"{100 * (f['fractured'] - normal * odds) / f['films']:.1f}",
                ])
    return table(["films, point", "probability", "model", "call every film fractured"], rows)


def _recalibration(sources: Mapping[str, Figures]) -> Iterator[str]:
    rows = [
        [source_name(name), number(c["slope"], 2), number(c["intercept"], 2),
         number(c["observed_to_expected"], 2)]
        for name, f in sources.items() if "slope" in (c := f.get("calibration", {}))
    ]
    if rows:
        yield "### Calibration in the large"
        yield ("Slope of the labels' log-odds on the stated ones (1: neither too extreme nor too "
               "timid), intercept with the slope held at 1 (0: as many fractures as stated), and "
               "observed fractures to expected ones.")
        yield "\n".join(table(["films", "slope", "intercept", "observed to expected"], rows))


def _sizes(sources: Mapping[str, Figures]) -> Iterator[str]:
    rows = [
        [source_name(name), size, g["films"], percents(g["rule_out"]), percents(g["rule_in"]),
         percents(g["pointing"])]
        for name, f in sources.items() for size, g in f.get("sizes", {}).items()
    ]
    if rows:
        yield "### By the size of the fracture"
        yield "The largest fracture box, as a part of the film's area."
        yield "\n".join(table(
            ["films", "box", "number", "found at lower threshold", "at upper", "pointing"], rows
        ))


def _sample_size(sources: Mapping[str, Figures]) -> str:
    """The half width of the intervals, beside what Riley et al. ask for."""
    said = []
    for name, f in sources.items():
        ratio = 1.96 * sqrt((1 - f["fractured"] / f["films"]) / f["fractured"])
        half = (f["auc"]["high"] - f["auc"]["low"]) / 2
        said.append(
            f"{source_name(name)}: {f['fractured']} fractured of {f['films']}, AUC to within "
            f"{half:.2f}, observed to expected to within a factor of about {1 + ratio:.2f}"
        )
    return (
        "No sample size was calculated beforehand: these are all films that there were. By Riley "
        "et al. (*BMJ* 2024; 384: e074821) an external validation should be large enough for a "
        "precise observed-to-expected ratio, calibration slope and AUC; the older rule of thumb is "
        "100 fractured films or more (Collins et al. 2016). Here: " + "; ".join(said) + "."
    )
