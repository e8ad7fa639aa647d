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
from demo.theme import html
from detector import FractureDetector, __version__
from detector.report.results import percent

ROOT = Path(__file__).resolve().parent.parent
CARD = "README.md"
LOGO = (
    '<svg width="38" height="38" viewBox="0 0 38 38" fill="none" aria-hidden="true">'
    '<rect width="38" height="38" rx="9" fill="#0d2b45"/><g stroke="#d9ecff" stroke-width="2.6" '
    'stroke-linecap="round" stroke-linejoin="round"><path d="M13 9a3 3 0 0 1 5-2 3 3 0 0 1 4.2 3.6'
    'L20.5 17l-4-1.6L14.7 13A3 3 0 0 1 13 9Z"/><path d="m17 20.6 4 1.6-1.4 5a3 3 0 0 1-4.6 3 '
    '3 3 0 0 1-4-3.8 3 3 0 0 1 3.4-2.2Z"/></g><path d="m26 16 4-2M26.5 20h4M25.8 23.6l3.6 2" '
    'stroke="#ffb347" stroke-width="2.4" stroke-linecap="round"/></svg>'
)
HEADER = (
    f'<header class="fd-head">{LOGO}<div><h1>Fracture detector</h1><p>A second look at limb X-ray '
    'films: verdict, calibrated probability, and where to look.</p></div><span class="fd-spring">'
    '</span><span class="fd-chip">Decision support. Not a medical device.</span><button '
    'type="button" class="fd-button" data-theme-switch>Light / dark</button></header>'
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
LIMITS = """
## What it is for, and what not
For people who read X-ray films, as a second look at films of hands, wrists, forearms, elbows,
shoulders, hips, legs, ankles and feet. It is decision support, **not a medical device**, and must
not be the only ground for a diagnosis or for sending a patient home. A person who reads films must
look at every film.

## How the probability is made
The network's score is turned into a probability by a curve that was fitted on films it was not
trained on, so that of a hundred films with 30 % about thirty are fractured, where fractures are as
frequent as they were there. Two operating points cut it into the four verdicts; 'Read first, then
reveal' and the pre-test slider help you to use it without being led by it.
"""

WHAT_IT_IS = """
**What it is.** The network gives every place of the film a score, and the verdict is made of these
scores alone. The map shows them as the calibrated probability of a fracture at that place, on one
fixed scale for all films: a film without suspicion stays plain. The white line runs at the rule-in
point; solid boxes reach it, dashed ones do not. Colour and boxes begin at one floor, chosen so that
most intact films show none; the slider lowers it. On the network's last map it is exactly Grad-CAM.

**What it is not.** It is no outline of an injury and no measure of its size or severity. A plain
map does not exclude a fracture; a hot spot can be an overlap, a growth plate or an artefact.
Numbers of places and of the whole film are calibrated apart, so they need not be equal.
"""
FORMULA = (
    "Odds before the film x likelihood ratio = odds after it. The ratio is p/(1-p) x (1-q)/q: p is "
    "the calibrated probability above, q the share of fractured films it was calibrated at."
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
        '<div class="fd-foot"><div><strong>Decision support, not a medical '
        "device.</strong> It misses some fractures and marks some intact bones. A person who reads "
        "films must decide.</div><div><strong>Films are deleted.</strong> The upload within a "
        "quarter of an hour, the reading an hour after its last use. Nothing is sent elsewhere."
        f'</div><div class="fd-version">{escape(versions)}</div></div>'
    )


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
