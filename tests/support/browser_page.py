"""The page that needs no server, for tests: served, open in Chromium, and asked."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    from detector import Prediction, Radiograph

READY = 60_000  # ms; on a busy machine the model takes its time


@contextmanager
def served(folder: Path, *, isolated: bool = True) -> Iterator[str]:
    """The folder's address while the block runs."""
    from browser.serve import make_server

    server = make_server(folder, isolated=isolated)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


def open_page(context: Browser | BrowserContext, address: str, **options: Any) -> Page:
    """The page, ready for a film."""
    page = context.new_page(**options)
    page.goto(address)
    page.wait_for_selector("body.ready", timeout=READY)
    return page


_READ = """async (data) => {
  const { film, error } = await fracture.reader.read(bytes(data).buffer);
  if (error) return { error };
  return { ...film, data: text(new Uint8Array(film.data.buffer)) };
}"""
_JUDGE = """async ({data, height, width, colourfulness}) => {
  const film = { data: new Float32Array(bytes(data).buffer), height, width, colourfulness };
  const reading = await fracture.model.read(film);
  return { ...reading, heat: { ...reading.heat, data: text(reading.heat.data) } };
}"""
_WHOLE = """async (data) => {
  const { reading, error } = await fracture.engine.read(new File([bytes(data)], 'film'));
  return error ? { error } : { ...reading, heat: null };
}"""
_CODE = """
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const text = (bytes) => {
    let out = '';
    for (let i = 0; i < bytes.length; i += 32768) {
      out += String.fromCharCode(...bytes.subarray(i, i + 32768));
    }
    return btoa(out);
  };
"""


def _ask(page: Page, function: str, argument: Any) -> dict[str, Any]:
    return page.evaluate(f"(argument) => {{ {_CODE} return ({function})(argument); }}", argument)


def read_file(page: Page, data: bytes) -> dict[str, Any]:
    """What the page's reader makes of a file: a film, ``data`` float32 (H, W), or an ``error``."""
    film = _ask(page, _READ, base64.b64encode(data).decode())
    if "error" not in film:
        values = np.frombuffer(base64.b64decode(film["data"]), "<f4")
        film["data"] = values.reshape(film["height"], film["width"])
    return film


def judge(page: Page, film: Radiograph) -> dict[str, Any]:
    """The page's reading of a film that Python read: the network and all that follows it."""
    pixels = np.ascontiguousarray(film.pixels, "<f4")
    reading = _ask(page, _JUDGE, {
        "data": base64.b64encode(pixels.tobytes()).decode(), "height": film.height,
        "width": film.width, "colourfulness": film.facts["colourfulness"],
    })  # fmt: skip
    heat = reading["heat"]
    values = np.frombuffer(base64.b64decode(heat["data"]), np.uint8)
    return {**reading, "heat": values.reshape(heat["height"], heat["width"])}


def read_whole(page: Page, data: bytes) -> dict[str, Any]:
    """The page's reading of a file, without the heat, or an ``error``."""
    return _ask(page, _WHOLE, base64.b64encode(data).decode())


def differences(reading: dict[str, Any], prediction: Prediction) -> dict[str, float]:
    """Of probability, OOD score, and the strongest region in pixels of a 512 px film."""
    found = {
        "probability": abs(reading["probability"] - prediction.probability),
        "score": abs(reading["scope"]["score"] - prediction.scope.score),
        "region": 0.0,
    }
    if len(reading["regions"]) != len(prediction.regions):
        return found | {"region": float("inf")}
    if prediction.regions:
        ours, theirs = reading["regions"][0], prediction.regions[0]
        scale = 512 / max(prediction.film.width, prediction.film.height)
        found["region"] = scale * max(
            abs(ours[side] - getattr(theirs, side)) for side in ("x", "y", "width", "height")
        )
    return found
