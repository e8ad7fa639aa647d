"""How the page looks: Gradio's theme, and the style sheet beside this file.

Only fonts that the visitor's machine has are named: the page asks nothing of any other server.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

HERE = Path(__file__).resolve().parent
FONTS = ["system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"]
MONO = ["ui-monospace", "Cascadia Mono", "Menlo", "DejaVu Sans Mono", "monospace"]


def asset(name: str) -> str:
    """The text of one of the page's own files (style sheet, script, template)."""
    return (HERE / name).read_text(encoding="utf-8")


def theme() -> gr.themes.Base:
    """Calm and flat, from the colour tokens of `page.css`, so light and dark need one theme."""
    return gr.themes.Base(
        primary_hue="blue", neutral_hue="slate", font=FONTS, font_mono=MONO, radius_size="md",
    ).set(
        body_background_fill="var(--fd-page)",
        body_background_fill_dark="var(--fd-page)",
        body_text_color="var(--fd-ink)",
        body_text_color_dark="var(--fd-ink)",
        body_text_color_subdued="var(--fd-muted)",
        body_text_color_subdued_dark="var(--fd-muted)",
        background_fill_primary="var(--fd-surface)",
        background_fill_primary_dark="var(--fd-surface)",
        background_fill_secondary="var(--fd-page)",
        background_fill_secondary_dark="var(--fd-page)",
        border_color_primary="var(--fd-line)",
        border_color_primary_dark="var(--fd-line)",
        block_background_fill="var(--fd-surface)",
        block_background_fill_dark="var(--fd-surface)",
        block_border_width="1px",
        block_border_width_dark="1px",
        block_border_color="var(--fd-line)",
        block_border_color_dark="var(--fd-line)",
        block_shadow="none",
        block_label_text_color="var(--fd-muted)",
        block_label_text_color_dark="var(--fd-muted)",
        block_info_text_color="var(--fd-muted)",
        block_info_text_color_dark="var(--fd-muted)",
        block_title_text_color="var(--fd-ink)",
        block_title_text_color_dark="var(--fd-ink)",
        input_background_fill="var(--fd-page)",
        input_background_fill_dark="var(--fd-page)",
        input_border_color="var(--fd-edge)",
        input_border_color_dark="var(--fd-edge)",
        input_placeholder_color="var(--fd-muted)",
        input_placeholder_color_dark="var(--fd-muted)",
        button_primary_background_fill="var(--fd-accent)",
        button_primary_background_fill_dark="var(--fd-accent)",
        button_primary_background_fill_hover="var(--fd-accent-strong)",
        button_primary_background_fill_hover_dark="var(--fd-accent-strong)",
        button_primary_text_color="var(--fd-on-accent)",
        button_primary_text_color_dark="var(--fd-on-accent)",
        button_secondary_background_fill="var(--fd-raised)",
        button_secondary_background_fill_dark="var(--fd-raised)",
        button_secondary_text_color="var(--fd-ink)",
        button_secondary_text_color_dark="var(--fd-ink)",
        color_accent="var(--fd-accent)",
        slider_color="var(--fd-accent)",
        slider_color_dark="var(--fd-accent)",
        link_text_color="var(--fd-accent)",
        link_text_color_dark="var(--fd-accent)",
        link_text_color_hover="var(--fd-accent-strong)",
        link_text_color_hover_dark="var(--fd-accent-strong)",
    )


def html(value: str = "", **settings: Any) -> gr.HTML:
    """A piece of HTML that is styled by the page's own style sheet alone."""
    return gr.HTML(value, apply_default_css=False, **settings)
