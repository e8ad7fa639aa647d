"""The page in the visitor's language: what Gradio and the browser show, in every one there is.

``?lang=de`` chooses, and the menu of the header by it; else the browser's own language is taken.
Labels are translated there (``gr.I18n``); what an event answers is written in the language that the
page hands over with the event. ``detector.report.words`` holds the strings.
"""

from __future__ import annotations

import gzip
import json
import re
from functools import cache
from html import escape
from itertools import chain, repeat
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
    """The page's and the viewer's strings in every language: English, and a mark for each other.

    ``Spoken`` puts a visitor's own language in place of its mark, so nobody loads all of them.
    """
    return gr.I18n(**{code: _of_page(code) if code == "en" else {"@": code} for code in LANGUAGES})


@cache
def _of_page(code: str) -> dict[str, Any]:
    """What a language has of its own; Gradio and ``page.js`` take the rest from English."""
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


class Spoken:
    """ASGI middleware: the page comes with the strings of its visitor's language, and packed.

    Asked for with ``?lang=`` it also tells the browser so before Gradio starts: Gradio asks the
    browser alone, before any script that a page may bring.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        sent = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        asked = _code(query.get("lang", [""])[0])
        code = asked or _code(sent.get("accept-language", ""))
        started: list[Message] = []
        parts: list[bytes] = []

        async def with_language(message: Message) -> None:
            if message["type"] == "http.response.start":
                if any(v.startswith(b"text/html") for k, v in message.get("headers", [])):
                    started.append(message)
                    return
            elif started:
                parts.append(message.get("body", b""))
                if message.get("more_body"):
                    return
                body = _in_language(b"".join(parts), code, asked)
                headers = [
                    (k, v) for k, v in started[0]["headers"] if k.lower() != b"content-length"
                ]
                encoded = any(k.lower() == b"content-encoding" for k, _ in headers)
                if "gzip" in sent.get("accept-encoding", "") and not encoded:
                    body = gzip.compress(body, 6)
                    headers += [(b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")]
                headers.append((b"content-length", str(len(body)).encode()))
                await send({**started.pop(), "headers": headers})
                message = {"type": "http.response.body", "body": body}
            await send(message)

        await self.app(scope, receive, with_language)


def _code(tag: str) -> str:
    """The language of a BCP 47 tag, or the first of a list of them; empty for an unknown one."""
    code = re.split(r"[-_,;]", tag.strip().lower())[0]
    return code if code in LANGUAGES else ""


def _in_language(page: bytes, code: str, asked: str) -> bytes:
    def strings(mark: re.Match[bytes]) -> bytes:
        if mark[1].decode() != code:
            return b"{}"
        text = json.dumps(_of_page(code), ensure_ascii=False)
        return text.replace("<", "\\u003c").encode()

    cards = chain([_share_card(code)], repeat(b""))
    page = SHARED.sub(lambda _: next(cards), MARK.sub(strings, page))
    return page.replace(b"<head>", b"<head>" + SCRIPT % asked.encode(), 1) if asked else page


def _share_card(code: str) -> bytes:
    """What a message or a social network shows of a link to this page: text, and no picture."""
    words = words_in(code)
    described = f"{words['page']['tagline']} {words['page']['chip']}"
    named = {
        'name="description"': described, 'name="twitter:card"': "summary",
        'property="og:type"': "website", 'property="og:site_name"': words["title"],
        'property="og:title"': words["title"], 'property="og:description"': described,
    }  # fmt: skip
    return "".join(f'<meta {name} content="{escape(v)}">' for name, v in named.items()).encode()


MARK = re.compile(rb'\{"@": ?"(\w+)"\}')
# Gradio's share card is of Gradio, with a picture from another server; ours takes its place.
SHARED = re.compile(rb'<meta\s+(?:property="og:|name="twitter:)[^>]*>')
SCRIPT = b"<script>Object.defineProperty(navigator, 'language', { get: () => '%s' });</script>"
