"""The page in the visitor's language: what Gradio and the browser show, in every one there is.

``?lang=de`` chooses, and the menu of the header by it; else the browser's own language is taken.
Labels are translated there (``gr.I18n``); what an event answers is written in the language that the
page hands over with the event. ``detector.report.words`` holds the strings.
"""

from __future__ import annotations

from functools import cache
from html import escape
from typing import Any
from urllib.parse import parse_qs

import gradio as gr
from gradio.i18n import I18nData
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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


class Chosen:
    """ASGI middleware: a page asked for with ``?lang=`` tells the browser so before Gradio starts.

    Gradio asks the browser alone, before any script that a page may bring.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("lang", [""])[0]
        code = asked.lower().partition("-")[0]
        if scope["type"] != "http" or code not in LANGUAGES:
            await self.app(scope, receive, send)
            return
        script = SCRIPT % code.encode()
        started: list[Message] = []

        async def with_language(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", [])
                if any(k.lower() == b"content-type" and b"html" in v for k, v in headers):
                    started.append(message)
                    return
            elif message["type"] == "http.response.body" and started:
                body = message["body"].replace(b"<head>", b"<head>" + script, 1)
                start = started.pop()
                headers = [
                    (k, v if k.lower() != b"content-length" else str(len(body)).encode())
                    for k, v in start["headers"]
                ]
                await send({**start, "headers": headers})
                message = {**message, "body": body}
            await send(message)

        await self.app(scope, receive, with_language)


SCRIPT = (
    b"<script>Object.defineProperty(navigator, 'language', { get: () => '%s' });</script>"
)
