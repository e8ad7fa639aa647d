"""The card's sections of figures, from ``config.metrics``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from detector.training.card import clinical, saliency
from detector.training.card.figures import CALIBRATION_FILE, ROC_FILE
from detector.training.card.source_names import source_name
from detector.training.card.tables import ABSENT, number, of, percents, table

Figures = Mapping[str, Any]
POINTS = {"rule_out": "rule-out", "balanced": "balanced", "rule_in": "rule-in"}
_SPLITS = {"test": "test films, which chose nothing", "val": "validation films, which also chose "
           "the epoch, the calibration and the thresholds; the test films were not read yet"}


def shown(metrics: Figures) -> tuple[str, Figures]:
    """The split whose figures the card shows: test, else a measured val, else none ('')."""
    for split in _SPLITS:
        if _sources(metrics.get(split, {})):
            return split, metrics[split]
    return "", {}


def _sources(figures: Figures) -> dict[str, Figures]:
    return {
        name: f for name, f in figures.items()
        if isinstance(f, Mapping) and "operating_points" in f
    }


def sections(metrics: Figures) -> Iterator[str]:
    """The blocks of Markdown from 'Results' to 'Scope', those without figures left out."""
    split, figures = shown(metrics)
    if not split:
        return
    sources = _sources(figures)
    yield "## Results"
    yield (f"On {_SPLITS[split]}. Brackets hold 95 % intervals: bootstrap over groups of "
           "duplicates; where every film or none was a hit, Wilson's. The balanced point is the "
           "proportion of fractured films in validation: of calibrated probabilities the cut "
           "with the highest sensitivity plus specificity. Read film "
           f"by film as the detector serves them ({figures['all']['runtime']}); "
           f"{figures['all']['unreadable']} files could not be read.")
    yield "\n".join(_overview(sources))
    yield f"![ROC curves with the operating points]({ROC_FILE})"
    yield "### Operating points"
    yield "\n".join(_operating_points(sources))
    yield "### Decided and undecided films"
    yield ("'Decided' films got 'fracture likely' or 'no fracture seen'; a refused film counts as "
           "undecided.")
    yield "\n".join(_decided(sources))
    yield from _subgroups(sources)
    yield from _calibration(sources, figures)
    yield from clinical.sections(sources, metrics.get("test_reads"))
    yield from _pointing(sources)
    yield from _marks(sources)
    yield from saliency.sections(figures)
    yield from _cross_validated(metrics)
    yield from _unseen(metrics)
    yield from _limitations(metrics, sources)
    yield from _robustness(figures)
    yield from _ood(figures)


def short(metrics: Figures) -> list[str]:
    """The results table of the project's README."""
    split, figures = shown(metrics)
    if not split:
        command = "python -m detector.training.evaluation.evaluate --write"
        return [f"No figures yet: `{command}` measures them."]
    return [
        f"On {_SPLITS[split]}; 95 % intervals in brackets. The rest is in the "
        "[model card](weights/README.md).", "", *_overview(_sources(figures)),
    ]


def _overview(sources: Mapping[str, Figures]) -> list[str]:
    rows = []
    for name, f in sources.items():
        point = f["operating_points"].get("balanced", {})
        rows.append([
            source_name(name), f"{f['films']} ({f['fractured']})", number(f.get("auc")),
            percents(point.get("sensitivity")), percents(point.get("specificity")),
            percents(f.get("pointing")), percents(f.get("pointing_strict")),
        ])
    return table(
        ["films", "number (fractured)", "AUC", "sensitivity, balanced", "specificity, balanced",
         "pointing", "strict pointing"], rows,
    )


def _operating_points(sources: Mapping[str, Figures]) -> list[str]:
    rows = []
    for name, f in sources.items():
        for point, at in f["operating_points"].items():
            c = at["confusion"]
            rows.append([
                f"{source_name(name)}, {POINTS.get(point, point)}", f"{at['threshold']:.3f}",
                percents(at.get("sensitivity")), percents(at.get("specificity")),
                c["true_positive"], c["false_negative"], c["true_negative"], c["false_positive"],
            ])
    return table(
        ["films, point", "P ≥", "sensitivity", "specificity", "true +", "missed", "true −",
         "false alarms"], rows,
    )


def _decided(sources: Mapping[str, Figures]) -> list[str]:
    rows = []
    for name, f in sources.items():
        decided = f["decided"]
        cells = [
            f"{d['films']} ({d['fractured']})" for d in decided["decisions"].values()
        ]
        rows.append([
            source_name(name), percents(decided["proportion"]), percents(decided.get("error")),
            *cells,
        ])
    verdicts = next(iter(sources.values()))["decided"]["decisions"]
    return table(
        ["films", "decided", "error among decided", *(f"{v} (fractured)" for v in verdicts)], rows
    )


def _subgroups(sources: Mapping[str, Figures]) -> Iterator[str]:
    for name, f in sources.items():
        groups = f.get("subgroups", {})
        if not groups:
            continue
        yield f"### Subgroups of {source_name(name)}"
        rows = []
        for group, g in groups.items():
            points = g["operating_points"]
            out, into = points["rule_out"], points["rule_in"]
            balanced = points.get("balanced", {})
            rows.append([
                group, f"{g['films']} ({g['fractured']})", number(g.get("auc")),
                percents(out.get("sensitivity")), percents(into.get("specificity")),
                percents(balanced.get("sensitivity")), percents(balanced.get("specificity")),
                percents(g.get("pointing")), percents(g["decided"]["proportion"]),
                percents(g["decided"].get("error")),
            ])
        yield "\n".join(table(
            ["films", "number (fractured)", "AUC", "sensitivity, lower threshold",
             "specificity, upper threshold", "sensitivity, balanced", "specificity, balanced",
             "pointing", "decided", "error among decided"], rows,
        ))


def _calibration(sources: Mapping[str, Figures], figures: Figures) -> Iterator[str]:
    measured = {source_name(n): f["calibration"] for n, f in sources.items() if "calibration" in f}
    if not measured:
        return
    whole = figures["all"]
    measured["all films"] = whole["calibration"]
    yield "### Calibration"
    bins = next(iter(measured.values()))["bins"]
    yield (f"Expected calibration error over {bins} bins of equal mass (its bootstrap interval "
           "lies high, as resampling adds error), and Brier score; before: the plain sigmoid of "
           "the logit. By chance: the error that exact probabilities would show on as many films, "
           f"on average. Of all films together, {of(whole['fractured'], whole['films'])} are "
           "fractured.")
    rows = [
        [name, number(c["ece_before"]), number(c["ece_after"]),
         f"{c['ece_by_chance']['mean']:.3f}",
         number(c["brier_before"]), number(c["brier_after"])]
        for name, c in measured.items()
    ]
    yield "\n".join(table(
        ["films", "ECE before", "ECE after", "ECE by chance", "Brier before", "Brier after"], rows
    ))
    yield f"![Stated probability against proportion of fractured films]({CALIBRATION_FILE})"


def _pointing(sources: Mapping[str, Figures]) -> Iterator[str]:
    rows = [
        [source_name(name), f["pointing"]["films"], percents(f["pointing"]),
         percents(f["pointing_strict"])]
        for name, f in sources.items() if "pointing" in f
    ]
    if rows:
        yield "### Pointing"
        yield ("Proportion of fractured films whose hottest heatmap pixel lies in a fracture box "
               "grown by 15/454 of the film's longest side (pointing game, Zhang et al. 2018), and "
               "in the box itself (strict).")
        yield "\n".join(table(["films", "boxed films", "pointing", "strict pointing"], rows))


def _marks(sources: Mapping[str, Figures]) -> Iterator[str]:
    """By source and by subgroup, so by part of the body too."""
    groups = {
        source_name(name) + (f", {part}" if part else ""): g["marks_on_normal"]
        for name, f in sources.items()
        for part, g in {"": f, **f.get("subgroups", {})}.items()
        if "marks_on_normal" in g
    }
    if groups:
        yield "### Marks on normal films"
        yield ("Regions that are shown on films without a fracture: on joints, growth plates and "
               "whatever else looks like one.")
        rows = [[name, g["films"], percents(g["marked"]), number(g["per_film"])]
                for name, g in groups.items()]
        yield "\n".join(table(
            ["films", "normal films", "with a region", "regions per film"], rows))


def _cross_validated(metrics: Figures) -> Iterator[str]:
    for source, figures in metrics.get("cross_validation", {}).items():
        yield "### A source without validation films"
        yield (f"Cross-validation within the training films of {source} "
               f"(`benchmarks/cross_validate.py`): {figures['folds']} times the recipe in short "
               f"({figures['recipe']}) trained on the other folds and on all other sources, read "
               "on the fold left out, no test film, at the threshold that is balanced on val of "
               "the other sources. These are not the shipped weights.")
        yield "\n".join(table(
            ["films", "number", "fractured", "AUC", "sensitivity", "specificity"],
            [
                [source_name(source), f["films"], f["fractured"], number(f.get("auc")),
                 percents(f.get("sensitivity")), percents(f.get("specificity"))]
                for source, f in figures["sources"].items()
            ],
        ))


def _unseen(metrics: Figures) -> Iterator[str]:
    left_out = dict(metrics.get("leave_one_source_out", {}))
    recipe = left_out.pop("recipe", "")
    columns = {"AUC": "auc", "sensitivity": "sensitivity", "specificity": "specificity",
               "pointing": "pointing", "strict pointing": "pointing_strict",
               "normal: 'fracture likely'": "called_fractured", "normal: cleared": "cleared"}
    measured = {name for figures in left_out.values() for part in ("left_out", "others")
                for f in figures[part].values() for name in f}
    columns = {title: name for title, name in columns.items() if name in measured}
    rows = [
        ["**left out**" if part == "left_out" else "others", source_name(source), f["films"],
         f["fractured"], *((number if name == "auc" else percents)(f.get(name))
                           for name in columns.values())]
        for figures in left_out.values()
        for part in ("left_out", "others") for source, f in figures[part].items()
    ]
    if rows:
        yield "### Sources that nobody trained on"
        yield ("Leave one source out (`benchmarks/leave_one_source_out.py`): the recipe in short "
               f"({recipe}) trained on the other sources, read on the one left out (train and val, "
               "no test film), at the threshold that is balanced on val of the others. These are "
               "not the shipped weights, which were trained on all sources and longer: the rows "
               "of the others show what the short recipe costs where it has seen the source.")
        yield "\n".join(table(
            ["", "films", "number", "fractured", *columns], rows
        ))


def _limitations(metrics: Figures, sources: Mapping[str, Figures]) -> Iterator[str]:
    yield "## Limitations"
    sentences = metrics.get("limitations", [])
    if sentences:
        yield "\n".join(f"- {sentence}" for sentence in sentences)
    for key, title in (
        ("missed", "The surest of the missed fractures ('no fracture seen')"),
        ("false_alarms", "The surest false alarms ('fracture likely' on a normal film)"),
    ):
        rows = [
            [failure["film"], source_name(name), f"{failure['probability']:.3f}", failure["what"]]
            for name, f in sources.items() for failure in f.get("failures", {}).get(key, [])
        ]
        if rows:
            yield f"{title}, in words, as no film is shown here:"
            yield "\n".join(table(["film", "source", "P", "what it shows"], rows))


def _robustness(figures: Figures) -> Iterator[str]:
    changes = figures.get("robustness", {})
    if not changes:
        return
    yield "## Robustness"
    yield (f"The same {changes['films']} films, changed. Change of probability: median and 95th "
           "percentile. 'Reversed': from 'no fracture seen' to 'fracture likely' or back.")
    yield "\n".join(table(
        ["change", "median", "95th", "another decision", "reversed"],
        [
            [name, f"{c['probability_change_median']:.3f}", f"{c['probability_change_95th']:.3f}",
             percents(c["decision_changed"]), percents(c["decision_reversed"])]
            for name, c in changes["changes"].items()
        ],
    ))
    for name, corners in figures.get("corners_only", {}).items():
        yield (f"Corners only ({source_name(name)}, {of(corners['fractured'], corners['films'])} "
               f"films fractured, all but the corners blanked): AUC {number(corners['auc'])}; "
               "0.5 is chance.")
    crops = figures.get("normal_crops", {})
    if crops.get("sources"):
        yield ("Normal crops: parts of films that keep clear of every fracture. Their probability "
               "by source; a source should not be readable from it.")
        quantiles = list(next(iter(crops["sources"].values()))["quantiles"])
        yield "\n".join(table(
            ["source", "crops", *(f"{q} %" for q in quantiles), "called fracture likely"],
            [
                [source_name(name), c["crops"], *(f"{c['quantiles'][q]:.3f}" for q in quantiles),
                 percents(c["fracture_likely"])]
                for name, c in crops["sources"].items()
            ],
        ))
        told = [[pair, number(auc)] for pair, auc in crops["told_apart"].items()]
        if told:
            yield "\n".join(table(["told apart by the score (0.5: not at all)", "AUC"], told))


def _ood(figures: Figures) -> Iterator[str]:
    ood = figures.get("ood", {})
    if not ood:
        return
    yield "## Scope"
    yield ("Proportion of held-out limb films that are accepted, and of other pictures that are "
           "refused.")
    rows = [
        [source_name(n), "accepted", figures.get(n, {}).get("films", ABSENT), percents(f)]
        for n, f in ood["accepted"].items()
    ]
    rows += [[n, "refused", f["pictures"], percents(f["refused"])]
             for n, f in ood["refused"].items()]
    yield "\n".join(table(["pictures", "should be", "number", "proportion"], rows))
