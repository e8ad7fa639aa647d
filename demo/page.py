"""The page as a whole: header, tabs, footer, and how it is served."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from demo.about import HEADER, about_tab, footer
from demo.api import add_api
from demo.examples import Example
from demo.film import FilmTab
from demo.gradio_patches import STATES, drop_idle, patch
from demo.language import Spoken, t, translations
from demo.reader import Reader
from demo.server import MAX_FILE, MAX_WAITING, Guard
from demo.study import StudyTab
from demo.theme import asset, html, theme
from demo.upload_deletion import DELETION
from demo.viewer import viewer_asset, viewer_script
from demo.worklist import WorklistTab
from detector import FractureDetector

TITLE = "Fracture detector"
FILM_TAB = "film"
HEAD = (
    f"<style>{asset('page.css')}\n{viewer_asset('viewer.css')}</style><script>{asset('page.js')}"
    f"\nfd.viewer = (element, props, watch, trigger) => {{\n{viewer_script()}\n}};</script>"
    '<meta name="robots" content="noindex" />'
)


def build_page(
    detector: FractureDetector, examples: Sequence[Example], card_folder: Path | None = None
) -> gr.Blocks:
    """The whole page around one model; `card_folder` holds the model card, if there is one."""
    reader = Reader(detector)
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, delete_cache=DELETION, fill_width=True
    ) as page:
        language = gr.Textbox("en", visible=False)
        page.load(None, None, language, js="() => fd.language")
        html(HEADER, js_on_load="fd.header(element);")
        with gr.Tabs() as tabs:
            with gr.Tab(t("one film"), id=FILM_TAB):
                film = FilmTab(reader, examples, language)
            with gr.Tab(t("study"), id="study"):
                StudyTab(film, tabs, FILM_TAB)
            with gr.Tab(t("worklist"), id="worklist"):
                WorklistTab(film, tabs, FILM_TAB)
            with gr.Tab(t("about"), id="about") as about:
                about_tab(detector, card_folder, about, film.reading, language)
        html(footer(detector), js_on_load="fd.translate(element);")
        add_api(reader)
    patch(page.queue(max_size=MAX_WAITING, api_open=False))
    reader.kept.make_room = lambda: drop_idle(page)
    return page


def launch_settings(names: Sequence[str] = ()) -> dict[str, Any]:
    """What ``Blocks.launch`` needs for this page, beside host and port.

    ``names``: under which the page answers, beside this machine's own and its addresses.
    """
    return {
        "theme": theme(),
        "i18n": translations(),
        "head": HEAD,
        "app_kwargs": {"middleware": [Middleware(Guard, names=names), Middleware(Spoken)]},
        "max_file_size": MAX_FILE,
        "state_session_capacity": STATES,
        "footer_links": ["api"],
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "share": False,
        "pwa": False,
        "quiet": True,
    }
