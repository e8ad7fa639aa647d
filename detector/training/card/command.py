"""The model card, ``weights/README.md``, and the results table of the project's README.

    python -m detector.training.card --weights weights [--readme README.md]

Both are made from ``config.json`` and nothing else: a figure that is not there is left out. The
command also words the limitations anew, in ``config.json``, by the figures that are there.
``evaluate --write`` measures the figures and calls this.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from detector.model.hub import CARD_FILE
from detector.model.letterbox import MOST_ENLARGED
from detector.model.self_check import answer_of_network
from detector.model.weights import (
    MODEL_FILE,
    ModelConfig,
    read_config,
    read_weights,
    write_config,
)
from detector.training.card import heads, results, saliency, text
from detector.training.card.figures import write_figures
from detector.training.card.limitations import limitations
from detector.training.card.source_names import FOLDER_KIND, source_name
from detector.training.card.tables import flat, table
from detector.training.data.records import SPLITS

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def renew_config(folder: Path) -> None:
    """Write ``config.json`` as this version does: with the network's answer to the built-in
    picture, and the sentences on limitations worded anew from its test figures."""
    config, sha256, _ = read_config(folder)
    if not config.self_check and (folder / MODEL_FILE).is_file():
        config = replace(config, self_check=answer_of_network(read_weights(folder).network))
    if "test" in config.metrics:
        sentences = limitations(config.metrics["test"])
        config = replace(config, metrics={**config.metrics, "limitations": sentences})
    write_config(folder, config, sha256)


def write_card(folder: Path) -> None:
    """Write the card and its drawings into a weights folder, from its ``config.json``."""
    config, sha256, _ = read_config(folder)
    split, figures = results.shown(config.metrics)
    write_figures(folder, figures)
    if tables := saliency.tables(split, figures):
        text = json.dumps(tables, indent=2, ensure_ascii=False)
        (folder / saliency.TABLES_FILE).write_text(text + "\n", encoding="utf-8")
    (folder / CARD_FILE).write_text(render(config, sha256), encoding="utf-8")


def keep_metrics(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Keep figures in ``config.json`` beside those that are there, and write the card anew.

    A split's figures join those that it has (``evaluate`` and ``saliency`` each measure a part).
    Any other entry takes the place of the one before.
    """
    config, sha256, _ = read_config(folder)
    kept = dict(config.metrics)
    for name, value in metrics.items():
        kept[name] = {**kept.get(name, {}), **value} if name in SPLITS else value
    write_config(folder, replace(config, metrics=kept), sha256)
    write_card(folder)


def write_results(readme: Path, config: ModelConfig) -> None:
    """Put the short results table between the two comments in ``readme``.

    Raises:
        ValueError: the comments are not there.
    """
    write_between(readme, BEGIN, END, "\n".join(results.short(config.metrics)))


def write_between(page: Path, begin: str, end: str, text: str) -> None:
    """Put ``text`` between two lines of a page, in place of what stood there.

    Raises:
        ValueError: the lines are not there.
    """
    whole = page.read_text(encoding="utf-8")
    start, stop = whole.find(begin), whole.find(end)
    if not 0 <= start < stop:
        raise ValueError(f"{page.name} lacks {begin} and {end}")
    page.write_text(f"{whole[: start + len(begin)]}\n{text}\n{whole[stop:]}", encoding="utf-8")


def render(config: ModelConfig, sha256: str) -> str:
    """The card as Markdown with the Hugging Face Hub's front matter."""
    _, figures = results.shown(config.metrics)
    blocks = [
        _front_matter(config),
        "# Fracture detector",
        "Reads X-ray films of limbs: a verdict, a calibrated probability, and a heatmap that was "
        "taught to point at the fracture. Decision support for people who read films; **not a "
        "medical device**.",
        "\n".join(table(["", "This model"], _identity(config, sha256))),
        "## Intended use", text.USE,
        "## What it says", _verdicts(config),
        *results.sections(config.metrics), *heads.sections(config.metrics, config.heads or {}),
        "## Data", text.DATA, *_counts(config.metrics),
        "### Leakage", text.LEAKAGE, *_leakage(config),
        "## Training", *_training(config),
        "## Caveats", text.CAVEATS,
        "## Reporting checklists",
        "CLAIM (Mongan et al., *Radiology: AI* 2020) and TRIPOD+AI (Collins et al., *BMJ* 2024), "
        "by item number; CLAIM's update of 2024 (Tejani et al., *Radiology: AI* 2024) and STARD-AI "
        "(Sounderajah et al., *Nature Medicine* 2025), by topic.",
        *("\n".join(table([name, "Where"], items)) for name, items in (
            ("CLAIM", text.CLAIM_ITEMS), ("CLAIM 2024", text.CLAIM_2024_ITEMS),
            ("STARD-AI", text.STARD_AI_ITEMS), ("TRIPOD+AI", text.TRIPOD_ITEMS),
        )),
        "## Every figure again", _recreate(figures),
        "## Licence", "Code and weights: Apache-2.0. The training data keep their own licences "
        "(see *Data*); no film is part of the code or the weights.",
        "## Citation", text.CITATION,
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _front_matter(config: ModelConfig) -> str:
    results = [
        EvalResult(
            task_type="image-classification", task_name="Fracture on a limb X-ray film",
            dataset_type=name, dataset_name=source_name(name), dataset_split="test",
            metric_type="roc_auc", metric_name="AUC", metric_value=figures["auc"]["value"],
        )
        for name, figures in config.metrics.get("test", {}).items()
        if isinstance(figures, Mapping) and {"auc", "operating_points"} <= set(figures)
    ]
    data = ModelCardData(
        license="apache-2.0", library_name="fracture-detector",
        pipeline_tag="image-classification",
        base_model=f"timm/{config.architecture.backbone}.in1k",
        tags=["medical", "radiology", "x-ray", "fracture", "explainability", "grad-cam", "pytorch",
              "timm"],
        metrics=["roc_auc"], model_name="fracture-detector", eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---"


def _identity(config: ModelConfig, sha256: str) -> Iterator[tuple[str, str]]:
    architecture = config.architecture
    yield "version", config.version
    for name in ("trained", "commit", "data_sha256"):
        if name in config.provenance:
            yield name.replace("_", " "), f"`{config.provenance[name]}`"
    yield "sha256 of network and configuration", f"`{config.sealed(sha256)['digest']}`"
    yield "sha256 of `model.safetensors`", f"`{sha256}`"
    yield "network", (f"{architecture.backbone}, evidence map of stride {architecture.stride}, "
                      f"{architecture.channels} channels")
    yield "input", (f"grey film, letterboxed: longest side {config.input_size} px, enlarged "
                    f"{MOST_ENLARGED:g} times at most")


def _verdicts(config: ModelConfig) -> str:
    cut = config.calibration
    return (
        f"P(fracture) ≥ {cut.rule_in:.3f}: **fracture likely** (upper threshold). Below "
        f"{cut.rule_out:.3f}: **no fracture seen** (lower threshold). Between them: **uncertain**. "
        "A picture that is no limb film is **out of scope**. Both were chosen on validation films "
        "with a finite-sample (conformal) correction, the lower for a sensitivity and the upper "
        "for a specificity of 0.95 or more. The probability is calibrated at a "
        f"prevalence of {100 * cut.prevalence:.0f} %, that of the validation films. Colour and "
        "boxes begin where the probability at a location reaches "
        f"{cut.display_threshold:.3f}, everywhere the same: chosen so that three of four normal "
        "films show none."
    )


def _counts(metrics: Mapping[str, Any]) -> Iterator[str]:
    data = metrics.get("data", {})
    if not data.get("sources"):
        return
    splits = list(dict.fromkeys(s for of in data["sources"].values() for s in of))
    rows = []
    for source, of_split in data["sources"].items():
        cells = [of_split.get(split) for split in splits]
        rows.append([source, *(f"{c['films']} ({c['fractured']})" if c else "–" for c in cells)])
    yield "Films (fractured) by split, as the folders hold them (*Leakage* says what was left out):"
    yield "\n".join(table(["source", *splits], rows))


def _leakage(config: ModelConfig) -> Iterator[str]:
    data = config.metrics.get("data", {})
    if "identical_files" in data:
        yield (f"Measured with the figures of this card: {data['identical_files']} held-out files "
               f"are byte-identical to a training file, and {data['shared_groups']} groups have "
               "films on both sides.")
    for name, what in (
        ("left_out_of_training", "films were left out of training and validation because they show "
         "a picture of a later split (train gives way to val, both to test)"),
        ("seen_in_training", "held-out films show a training picture; they were never calibrated "
         "on and count in no figure"),
        ("used_without_split", "films of folders without a split were trained or validated on; "
         "they count in no figure"),
        ("outlines_added", "fractured training films were given outlines that their set does not "
         "have; they count in no figure"),
    ):
        if name in config.provenance:
            yield f"{len(config.provenance[name])} {what}."
    finding = config.provenance.get("leakage")
    if isinstance(finding, Mapping) and finding:
        yield ("What the leakage check found before any film was left out, rotated and resized "
               "copies included:")
        yield "\n".join(table(["check", "finding"], flat(finding)))


def _training(config: ModelConfig) -> Iterator[str]:
    init = str(config.provenance.get("init", ""))
    start = ("random weights" if init == "random"
             else f"trained {init}" if init.startswith("weights ") else "ImageNet weights")
    recipe = config.provenance.get("recipe")
    last = isinstance(recipe, Mapping) and recipe.get("keep") == "last"
    chosen = "The last epoch is kept" if last else "Validation films choose the epoch"
    temperature = config.architecture.temperature
    pooling = "log-sum-exp" + (f" at temperature {temperature:g}" if temperature != 1 else "")
    yield (
        f"A convolutional backbone that starts from {start}; its features give one evidence map, "
        f"and the film's logit is a {pooling} of that map, so Grad-CAM of the logit is the map "
        "itself up to a constant. Trained with the film's label and, where they are known, the "
        f"radiologists' outlines together (`train.py`). {chosen}; films are rotated, stretched "
        "and changed in appearance while training."
    )
    if isinstance(recipe, Mapping):
        yield "\n".join(table(["recipe", "value"], flat(recipe)))
    shown = {"recipe", "leakage", "left_out_of_training", "seen_in_training",
             "used_without_split", "outlines_added", "trained", "commit", "data_sha256"}
    rest = {k: v for k, v in config.provenance.items() if k not in shown}
    if rest:
        yield "\n".join(table(["provenance", "value"], flat(rest)))


def _recreate(figures: Mapping[str, Any]) -> str:
    more = {"evaluate": [
        f"--outside ../shared/data/{kind.removeprefix(FOLDER_KIND)}"
        for kind in figures.get("ood", {}).get("refused", {}) if kind.startswith(FOLDER_KIND)
    ]}
    if "saliency" in figures:
        second = figures["saliency"].get("checks", {}).get("second_training")
        more["saliency"] = ["--second OTHER_WEIGHTS  # of another training"] if second else []
    commands = [
        " \\\n    ".join([
            f"python -m detector.training.evaluation.{module} --weights weights",
            "--split test --write --data ../shared/data/fracatlas",
            "--data ../shared/data/sr2022 --data ../shared/data/multiregion_pictures", *own,
        ])
        for module, own in more.items()
    ]
    commands.append(
        "python -m detector.training.card --weights weights   # from config.json alone"
    )
    said = ("These commands measure the figures, keep them in `config.json` and write this card:"
            if figures else "This model has not been measured yet. What measures it:")
    return "\n".join([said, "", "```sh", *commands, "```"])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, default=Path("weights"), metavar="FOLDER",
                        help="a weights folder (default weights)")
    parser.add_argument("--readme", type=Path, metavar="FILE",
                        help="also put the results table into FILE, between its two comments")
    arguments = parser.parse_args(argv)
    try:
        renew_config(arguments.weights)
        write_card(arguments.weights)
        if arguments.readme:
            write_results(arguments.readme, read_config(arguments.weights)[0])
    except (ValueError, OSError) as error:
        print(f"card: {error}", file=sys.stderr)
        return 2
    return 0

