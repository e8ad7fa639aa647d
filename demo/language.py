"""The page in the visitor's language: what Gradio and the browser show, in every one there is.

The browser chooses (``page.js``): by ``?lang=de``, by the menu of the header, else as it is set.
Labels are translated there (``gr.I18n``); what an event answers is written in the language that the
page hands over with the event. ``detector.report.words`` holds the strings.
"""

from __future__ import annotations

from functools import cache
from html import escape
from typing import Any

import gradio as gr
from gradio.i18n import I18nData

from detector.report.words import ENGLISH, LANGUAGES, words_in

PREFIX = "fd "  # Gradio has keys of its own


def t(key: str) -> I18nData:
    """A string of the page in the language of whoever looks at it: for labels and values."""
    if not isinstance(ENGLISH["page"][key], str):
        raise KeyError(f"{key} is no string")
    return I18nData(PREFIX + key)


def tag(name: str, key: str, **attributes: str) -> str:
    """An HTML element with such a string, for ``fd.translate``; English until then."""
    more = "".join(f' {k.strip("_")}="{escape(v)}"' for k, v in attributes.items())
    return f'<{name}{more} data-t="{escape(key)}">{escape(ENGLISH["page"][key])}</{name}>'


def translations() -> gr.I18n:
    """The page's and the viewer's strings, with each language's direction and mark.

    Only what a language has of its own: Gradio and ``page.js`` take the rest from English.
    """
    return gr.I18n(**{code: _of_page(code) for code in LANGUAGES})


@cache
def _of_page(code: str) -> dict[str, Any]:
    words = words_in(code)
    facts = {"direction": words["direction"], "machine": words["machine"]}
    strings = {**words["page"], **{f"viewer {k}": v for k, v in words["viewer"].items()}}
    own = {
        key: value for key, value in strings.items()
        if code == "en" or value != _of_page("en")[PREFIX + key]
    }  # fmt: skip
    return {PREFIX + key: value for key, value in {**own, **facts}.items()}


def language_menu() -> str:
    """The menu of the header; each language by its own name."""
    options = "".join(
        f'<option value="{code}" lang="{code}">{escape(words_in(code)["language"])}</option>'
        for code in LANGUAGES
    )
    return (
        f'<label class="fd-language">{tag("span", "language", class_="sr-only")}'
        f"<select data-language>{options}</select></label>"
    )
