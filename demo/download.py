"""Files for the visitor to keep (reports, lists), made in the browser and stored nowhere else."""

from __future__ import annotations

import base64
import json
from secrets import token_hex

import gradio as gr

from demo.theme import asset, html


def download(name: str, mime: str, data: bytes) -> str:
    """A message for the `saver`: the browser offers these bytes as a file; none is kept here."""
    return json.dumps({
        "name": name, "mime": mime, "data": base64.b64encode(data).decode(), "once": token_hex(4),
    })  # fmt: skip


def saver() -> gr.HTML:
    """An invisible element that turns a `download` message into a saved file."""
    return html("", html_template="<span></span>", js_on_load=asset("saver.js"), padding=False)
