"""What the page says of itself: header, footer, the model card, privacy."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from demo.cards import weak_points
from demo.theme import asset, html
from demo.words import WORDS
from detector import FractureDetector, __version__
from detector.report.results import percent

ROOT = Path(__file__).resolve().parent.parent
CARD = "README.md"
LOGO = asset("logo.svg").strip()
HEADER = (
    f'<header class="fd-head">{LOGO}<div><h1>{WORDS["title"]}</h1><p>{WORDS["tagline"]}</p></div>'
    f'<span class="fd-spring"></span><span class="fd-chip">{WORDS["chip"]}</span><button '
    f'type="button" class="fd-button" data-theme-switch>{WORDS["theme"]}</button></header>'
)
SWITCH = (
    "element.querySelector('[data-theme-switch]').addEventListener('click', () => "
    "document.body.classList.toggle('dark'));"
)
PRIVACY = """
## Your films
- A film is read in memory. The uploaded file lies in a temporary folder of this server and is
  deleted within a quarter of an hour; the reading is dropped an hour after you last used it or
  closed the page.
- Nothing is saved, flagged, counted or sent anywhere: there are no analytics, and the page loads
  nothing from another server.
- Of a DICOM file only what is needed to show the picture is read. Names, dates and identifiers are
  never read, shown, logged or kept.
- What you type for a report goes into that PDF and nowhere else.
- Whoever runs this server can see its traffic: use it over HTTPS, or on your own machine.
"""
LIMITS = (
    f"## {WORDS['for']}\n{WORDS['what for']}\n\n## {WORDS['probability']}\n{WORDS['how made']}\n"
)
WHAT_IT_IS = f"{WORDS['what it is']}\n\n{WORDS['what it is not']}"


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
        "sha256": detector.model.sha256,
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
    versions += f" | model {detector.config.version}, sha256 {detector.model.sha256[:12]}"
    versions += f" | runs in {detector.engine.name}, {detector.engine.precision}"
    return (
        f'<div class="fd-foot"><div>{bold(WORDS["device"])}</div>'
        "<div><strong>Films are deleted.</strong> The upload within a "
        "quarter of an hour, the reading an hour after its last use. Nothing is sent elsewhere."
        f'</div><div class="fd-version">{escape(versions)}</div></div>'
    )


def bold(text: str) -> str:
    """A sentence of ``words.json`` as HTML: ``**bold**`` and nothing else of Markdown."""
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


def about_tab(detector: FractureDetector, folder: Path | None) -> None:
    """Build the tab: limits, privacy, the model's facts, and its card."""
    config = detector.config
    made = "".join(
        f"<tr><td>{escape(str(name).replace('_', ' '))}</td><td>{escape(_short(value))}</td></tr>"
        for name, value in {
            "version": config.version,
            "sha256 of the weights": detector.model.sha256,
            "runs in": f"{detector.engine.name}, {detector.engine.precision}",
            "rule-out point": percent(config.calibration.rule_out),
            "rule-in point": percent(config.calibration.rule_in),
            "calibrated at a share of fractures of": percent(config.calibration.prevalence),
            **config.provenance,
        }.items()
        if value not in ("", "unknown", None)
    )
    with gr.Column(elem_classes="fd-about"):
        gr.Markdown(LIMITS)
        html(f'<div class="fd-card">{weak_points(config.metrics, unfolded=True)}</div>')
        gr.Markdown(PRIVACY)
        html(
            '<div class="fd-card"><h2>This model</h2><table class="fd-table"><tbody>'
            f"{made}</tbody></table></div>"
        )
        card = model_card(folder)
        if card:
            with gr.Accordion("The model card", open=True):
                gr.Markdown(card, sanitize_html=True, elem_id="model-card")


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_short(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_short, value))
    return str(value)
