"""What stands between the network and the page: names, logins, room for uploads, headers."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from gradio.utils import get_upload_folder
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.upload_budget import NO_LENGTH, NO_ROOM, UploadBudget
from demo.visitors import Guesses, Hosts, visitor_of

MAX_WAITING = 64
MAX_FILE = "200mb"  # of one upload; the same as `detector.io.limits.Limits.max_bytes`
BUSY = "The page is busy: all places in the queue are taken. Wait a few seconds and try again."
WRONG = "Too many wrong passwords. Wait {seconds} seconds, then try again."

# Gradio's page builds its templates with `eval` and styles itself inline; everything comes from
# this server, so a page that was tampered with can send nothing elsewhere.
POLICY = "; ".join((
    "default-src 'self'", "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src 'self' 'unsafe-inline'", "img-src 'self' data: blob:", "font-src 'self' data:",
    "media-src 'self' blob:", "connect-src 'self' data: blob:", "worker-src 'self' blob:",
    "object-src 'none'", "base-uri 'self'", "form-action 'self'",
))  # fmt: skip
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
# A Hugging Face Space shows the page inside a frame of its own site; anywhere else nobody may.
if "SPACE_ID" not in os.environ:
    HEADERS["content-security-policy"] = POLICY + "; frame-ancestors 'self'"
    HEADERS["x-frame-options"] = "SAMEORIGIN"


class Guard:
    """ASGI middleware: other sites and uploads without room are refused, wrong passwords slowed.

    Every answer gets security headers, films are never cached by the browser, and the queue's
    refusal becomes a sentence.

    Args:
        names: names under which the page answers beside those that ``Hosts`` knows.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] = ()) -> None:
        self.app = app
        self.hosts = Hosts(names)
        self.guesses = Guesses()
        self.uploads = UploadBudget(get_upload_folder())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        sent = _with_headers(scope["path"], send) if scope["type"] == "http" else send
        if refusal := self.hosts.refusal(Headers(scope=scope)):
            await _refuse(403, refusal)(scope, receive, sent)
        elif scope["type"] == "http" and scope["path"].rstrip("/").endswith("/login"):
            await self._login(scope, receive, sent)
        elif scope["type"] == "http" and scope["path"].rstrip("/").endswith("/upload"):
            await self._upload(scope, receive, sent)
        else:
            await self.app(scope, receive, sent)

    async def _login(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        visitor = visitor_of(scope.get("client"))
        if wait := self.guesses.attempt(visitor):
            seconds = math.ceil(wait)
            refused = _refuse(429, WRONG.format(seconds=seconds), seconds)
            await refused(scope, receive, send)
            return

        async def noticed(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                self.guesses.right(visitor)
            await send(message)

        await self.app(scope, receive, noticed)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        visitor = visitor_of(scope.get("client"))
        length = Headers(scope=scope).get("content-length", "")
        if scope["method"] == "POST" and not length.isdecimal():
            await PlainTextResponse(NO_LENGTH, 411)(scope, receive, send)
            return
        with self.uploads.receive(visitor, int(length or 0)) as fits:
            if not fits:
                await PlainTextResponse(NO_ROOM, 507)(scope, receive, send)
                return
            answer = bytearray()

            async def noticed(message: Message) -> None:
                answer.extend(message.get("body", b""))
                await send(message)

            await self.app(scope, receive, noticed)
            with suppress(ValueError, TypeError):  # a refusal is no list
                self.uploads.received(visitor, json.loads(answer))


def _refuse(status: int, sentence: str, seconds: int | None = None) -> JSONResponse:
    headers = None if seconds is None else {"retry-after": str(seconds)}
    return JSONResponse({"detail": sentence}, status, headers)


def _with_headers(path: str, send: Send) -> Send:
    """The answer's way out: with the headers, and with a sentence where the queue is full."""
    joins = path.endswith("/queue/join") or "/call/" in path
    state: dict[str, Any] = {"full": False}

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            state["full"] = joins and message["status"] == 503
            headers = [
                (name, value) for name, value in message.get("headers", [])
                if name.decode().lower() not in HEADERS
                and not (state["full"] and name.lower() == b"content-length")
            ]  # fmt: skip
            headers += [(k.encode(), v.encode()) for k, v in HEADERS.items()]
            if "/file=" in path or "/queue/" in path:
                headers.append((b"cache-control", b"no-store"))
            if state["full"]:
                headers += [
                    (b"retry-after", b"5"), (b"content-length", str(len(_BUSY)).encode()),
                ]  # fmt: skip
            message = {**message, "headers": headers}
        elif message["type"] == "http.response.body" and state["full"]:
            if message.get("more_body"):
                return
            message = {**message, "body": _BUSY}
        await send(message)

    return guarded


_BUSY = json.dumps({"detail": BUSY}).encode()
