"""What the page says of itself: header, footer, the model card, privacy."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from demo.cards import weak_points
from demo.language import language_menu, t, tag
from demo.reading import Reading
from demo.theme import asset, html
from detector import FractureDetector, __version__
from detector.report.regions import GROUPS
from detector.report.results import percent
from detector.report.words import ENGLISH, Words, words_in

ROOT = Path(__file__).resolve().parent.parent
CARD = "README.md"
LOGO = asset("logo.svg").strip()


def page_without_server() -> str:
    """A link to the page that runs in the visitor's browser, where ``FRACTURE_BROWSER_PAGE`` says
    that there is one; else nothing."""
    address = os.environ.get("FRACTURE_BROWSER_PAGE", "")
    if not re.fullmatch(r"https?://\S+", address):
        return ""
    return tag("a", "read here", href=address, target="_blank", rel="noopener", class_="fd-button")


HEADER = (
    f'<header class="fd-head">{LOGO}<div><h1>{ENGLISH["title"]}</h1>{tag("p", "tagline")}</div>'
    f'<span class="fd-spring"></span>{tag("span", "chip", class_="fd-chip")}{page_without_server()}'
    f'{language_menu()}'
    f'{tag("button", "theme", type="button", class_="fd-button fd-theme")}</header>'
    '<p class="fd-machine" data-machine></p>'
)


def commit() -> str:
    """The commit that this page runs, short; empty when it cannot be known."""
    named = os.environ.get("FRACTURE_COMMIT", "")
    if re.fullmatch(r"[0-9a-f]{7,40}", named):
        return named[:10]
    if not (ROOT / ".git").exists():
        return ""
    try:
        ran = subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD"],
            capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return ran.stdout.strip()


def model_facts(detector: FractureDetector) -> dict[str, Any]:
    """The model in JSON: version, operating points, figures, provenance."""
    config = detector.config
    return {
        "name": "fracture-detector",
        "software_version": __version__,
        "version": config.version,
        "sha256": detector.model.digest,
        "input_size": config.input_size,
        "engine": {"name": detector.engine.name, "precision": detector.engine.precision},
        "operating_points": {
            "rule_out": round(config.calibration.rule_out, 4),
            "rule_in": round(config.calibration.rule_in, 4),
        },
        "prevalence": config.calibration.prevalence,
        "metrics": dict(config.metrics),
        "provenance": dict(config.provenance),
        "intended_use": "Decision support for people who read X-ray films; not a medical device.",
    }


def footer(detector: FractureDetector) -> str:
    """Limits, privacy in a sentence, versions."""
    at = commit()
    versions = f"fracture-detector {__version__}" + (f", commit {at}" if at else "")
    versions += f" | model {detector.config.version}, sha256 {detector.model.digest[:12]}"
    versions += f" | runs in {detector.engine.name}, {detector.engine.precision}"
    return (
        f'<div class="fd-foot"><div data-bold="device">{bold(ENGLISH["page"]["device"])}</div>'
        f'<div data-bold="deleted">{bold(ENGLISH["page"]["deleted"])}</div>'
        f'<div class="fd-version" lang="en" dir="ltr">{escape(versions)} | '
        f'<a href="?view=api" data-t="api">{escape(ENGLISH["page"]["api"])}</a></div></div>'
    )


def bold(text: str) -> str:
    """A sentence of the strings as HTML: ``**bold**`` and nothing else of Markdown."""
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(text))


def model_card(folder: Path | None) -> str:
    """The model card's Markdown, its pictures inside; empty when the weights bring none."""
    if folder is None or not (folder / CARD).is_file():
        return ""
    text = (folder / CARD).read_text(encoding="utf-8")
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)  # the Hub's front matter

    def inside(match: re.Match[str]) -> str:
        file = (folder / match[2]).resolve()
        if file.parent != folder.resolve() or file.suffix != ".png" or not file.is_file():
            return match[1]
        data = base64.b64encode(file.read_bytes()).decode()
        return f"![{match[1]}](data:image/png;base64,{data})"

    return re.sub(r"!\[([^\]]*)\]\(([^)\s]+)\)", inside, text)


def about_tab(
    detector: FractureDetector, folder: Path | None, tab: gr.Tab, reading: gr.State,
    language: gr.Textbox,
) -> None:  # fmt: skip
    """Build the tab: figures, what it is for, privacy, the model's facts; its card on demand.

    The figures begin with those of films like the one that is open (``reading``).
    """
    config = detector.config
    points = config.calibration
    facts = {
        "version": config.version,
        "sha256 of network and configuration": detector.model.digest,
        "runs in": f"{detector.engine.name}, {detector.engine.precision}",
        "lower threshold": percent(points.rule_out),
        "upper threshold": percent(points.rule_in),
        "calibrated at a share of fractures of": percent(points.prevalence),
        **{
            name.replace("_", " "): str(value) for name, value in config.provenance.items()
            if isinstance(value, str | int | float) and value not in ("", "unknown")
        },
    }
    made = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>"
        for name, value in facts.items()
    )
    with gr.Column(elem_classes="fd-about"):
        box = html(figures_card(config.metrics), elem_id="figures")
        tab.select(
            lambda reading, language: figures_card(
                config.metrics, part_shown(reading), words_in(language)
            ),
            [reading, language], box, queue=False, show_progress="hidden",
            api_visibility="private",
        )  # fmt: skip
        html(drawings(folder))
        for title, text in (("for", "what for"), ("probability", "how made")):
            html(tag("h2", title), js_on_load="fd.translate(element);")
            gr.Markdown(t(text))
        html(
            tag("h2", "your films") + '<ul data-list="privacy"></ul>',
            js_on_load="fd.translate(element);",
        )
        with gr.Accordion(t("this model"), open=False):
            html(f'<table class="fd-table" lang="en"><tbody>{made}</tbody></table>')
        card = model_card(folder)
        if card:
            with gr.Accordion(t("card"), open=False, elem_id="card") as box:
                text = gr.Markdown(sanitize_html=True, elem_id="model-card")
            # It is long, and few open it: it is sent when it is opened.
            box.expand(
                lambda: card, None, text, queue=False, show_progress="hidden",
                api_visibility="private",
            )  # fmt: skip


def part_shown(reading: Reading | None) -> str:
    """The part of the body on the open film; empty where it is not named, or not yet told."""
    anatomy = reading and reading.revealed and reading.prediction.anatomy
    return (anatomy and anatomy.region) or ""


def figures_card(
    metrics: Mapping[str, Any], part: str = "", words: Words = ENGLISH
) -> str:
    """The figures on test films, those of films of this ``part`` of the body first; the limits."""
    return (
        f'<div class="fd-card"><h2>{escape(words["page"]["figures"])}</h2>'
        f"{figures(metrics, part)}{weak_points(metrics, words)}</div>"
    )


def figures(metrics: Mapping[str, Any], part: str = "") -> str:
    """Sensitivity, specificity and AUC on test films, where they are."""
    try:
        test = metrics["test"]["fracatlas"]
        tables = [
            _table(test["subgroups"][group], f"Films like the one that is open ({group}): ")
            for group in _groups_of(part) if group in test["subgroups"]
        ]
        tables.append(_table(test, "All films: " if tables else ""))
    except (KeyError, TypeError):
        return ""
    return f'<div lang="en">{"".join(tables)}</div>'


def drawings(folder: Path | None) -> str:
    """ROC curve and calibration, of the weights that bring them."""
    drawn = "".join(
        _drawing(folder / f"{name}.svg", alt) for name, alt in (
            ("roc", "ROC curve on the test films"),
            ("calibration", "Stated probability against the share of fractures found"),
        )
    ) if folder else ""  # fmt: skip
    return f'<div class="fd-card fd-drawings" lang="en">{drawn}</div>' if drawn else ""


def _groups_of(part: str) -> list[str]:
    """What the figures on FracAtlas call films of this part of the body."""
    named = (name.partition(" films, ") for name in GROUPS.get(part, []))
    return [group for source, _, group in named if source == "FracAtlas"]


def _table(test: Mapping[str, Any], which: str) -> str:
    rows = [("AUC", _interval(test["auc"], ".2f"))]
    for point, name in (("rule_out", "lower threshold"), ("rule_in", "upper threshold")):
        measured = test["operating_points"][point]
        rows += [
            (f"{kind}, {name}", _interval(measured[kind.lower()], ".0%"))
            for kind in ("Sensitivity", "Specificity")
        ]
    pointing = _interval(test["pointing"], ".0%")
    rows.append(("Point of maximum activation on the fracture, or close to it", pointing))
    body = "".join(f"<tr><td>{escape(name)}</td><td>{value}</td></tr>" for name, value in rows)
    films = (
        f"{which}{test['films']} test films of FracAtlas, {test['fractured']} with a fracture by "
        "the reference standard, none of them seen in training; 95 % intervals in brackets."
    )
    return (
        f'<p class="fd-small">{escape(films)}</p><table class="fd-table"><tbody>{body}</tbody>'
        "</table>"
    )


def _interval(figure: Mapping[str, float], form: str) -> str:
    return f"{figure['value']:{form}} ({figure['low']:{form}} to {figure['high']:{form}})"


def _drawing(file: Path, alt: str) -> str:
    if not file.is_file():
        return ""
    data = base64.b64encode(file.read_bytes()).decode()
    return f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(alt)}">'
