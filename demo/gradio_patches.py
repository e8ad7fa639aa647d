"""Every change to Gradio's private parts, with its reason and the upstream issue.

They fit the versions that ``pyproject.toml`` allows; another one is allowed when the tests of this
module pass with it (``tests/demo/test_gradio_patches.py``).

================================  =================================================================
``delete_broken_uploads``         An upload that its sender breaks off stays in the folder, part of
                                  a film that nobody knows of; and each hand-over of a film's path
                                  leaves an empty file (gradio-app/gradio#2660).
``delete_whatever_is_old``        ``delete_cache`` forgets what an MCP tool wrote: a film sent as
                                  base64 stays until the page stops (none upstream).
``keep_waiting_messages``         The queue keeps the messages of 2,000 sessions and drops the
                                  oldest even if it waits for an answer. Its loop then ends with a
                                  KeyError and answers nobody (found by ``benchmarks/load.py``; none
                                  upstream).
``keep_open_readings``            Session states beyond the capacity are dropped oldest first: 100
                                  calls without a session drop 100 visitors' open films. And each
                                  state keeps a copy of every message sent, for links that this page
                                  does not offer (gradio-app/gradio#7517).
``answer_no_other_site``          Any origin is told that it may read with the visitor's
                                  credentials (gradio-app/gradio#10276). ``server.Guard`` decides.
``log_no_messages``               A failed event prints its traceback, with the film's file name in
                                  the message (none upstream).
================================  =================================================================
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import gradio as gr
from gradio import queueing, route_utils, routes, state_holder
from gradio.data_classes import FileData
from gradio.queueing import AsyncQueue
from gradio.route_utils import GradioMultiPartParser, MultiPartException
from gradio.utils import LRUCache, NamedString, get_upload_folder
from starlette.datastructures import FormData
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp
from uvicorn.config import LOGGING_CONFIG

logger = logging.getLogger("demo")

MESSAGES = 2000  # sessions whose messages are kept
LOG_FORMAT = "%(levelname)s %(name)s: %(message)s"
IDLE = 600  # seconds
STATES = 1000  # sessions whose state is kept; those that hold nothing go first


def patch(page: gr.Blocks) -> gr.Blocks:
    """All of them, for a page that is not launched yet."""
    delete_broken_uploads()
    delete_whatever_is_old()
    keep_open_readings()
    answer_no_other_site()
    log_no_messages()
    return keep_waiting_messages(page)


# Uploads -----------------------------------------------------------------------------------------

_parse = GradioMultiPartParser.parse


async def parse_upload(parser: GradioMultiPartParser) -> FormData:
    """Read one request with uploads; delete what was written of it if that fails."""
    try:
        return await _parse(parser)
    except BaseException as error:
        for file in parser._files_to_close_on_error:
            file.close()
            Path(file.name).unlink(missing_ok=True)
        if isinstance(error, ClientDisconnect):  # not the page's fault: no traceback
            raise MultiPartException("The upload broke off.") from None
        raise


def hand_over(component: gr.File | gr.UploadButton, file: FileData) -> NamedString:
    """The path of a film that was uploaded; Gradio has checked that it was.

    Its ``given_name`` is the one that the visitor's browser gave it.
    """
    path = NamedString(file.path)
    path.given_name = file.orig_name
    return path


def delete_broken_uploads() -> None:
    GradioMultiPartParser.parse = parse_upload
    gr.File._process_single_file = gr.UploadButton._process_single_file = hand_over


_delete_known = route_utils.delete_files_created_by_app


def delete_old_uploads(page: gr.Blocks, age: int | None) -> None:
    """Delete what Gradio knows of, and every other upload that is older than ``age`` seconds."""
    _delete_known(page, age)
    if age is None:
        return
    for file in Path(get_upload_folder()).rglob("*"):
        with suppress(OSError):  # somebody else was faster
            if file.is_file() and time.time() - file.stat().st_mtime > age:
                file.unlink()


def delete_whatever_is_old() -> None:
    route_utils.delete_files_created_by_app = delete_old_uploads


# Sessions ----------------------------------------------------------------------------------------


class Messages(LRUCache):
    """The messages of each session; beyond ``kept``, of those that wait for nothing the oldest go.

    ``waiting``: per session what it waits for, kept by the queue. The queue is bounded, so the
    sessions that may not go are few.
    """

    def __init__(self, waiting: Mapping[str, Collection[str]], kept: int = MESSAGES):
        super().__init__(kept)
        self._waiting = waiting

    def __setitem__(self, session: str, messages: Any) -> None:
        if session not in self and len(self) >= self.max_size:
            gone = next((one for one in self if not self._waiting.get(one)), None)
            if gone is None:  # all are waiting
                self.max_size = len(self) + 1
            else:
                del self[gone]
        super().__setitem__(session, messages)

    def __missing__(self, session: str) -> AsyncQueue:
        """Where a message to somebody who has left goes: nowhere."""
        return AsyncQueue()


def keep_waiting_messages(page: gr.Blocks) -> gr.Blocks:
    queue = page._queue
    queue.pending_messages_per_session = Messages(queue.pending_event_ids_session, MESSAGES)
    return page


def holds_something(state: state_holder.SessionState) -> bool:
    """Whether a visitor's state holds more than every new one does: a reading, a study, a list."""
    blocks = state.blocks_config.blocks
    return any(
        type(value) is not type(getattr(blocks.get(key), "value", None))
        for key, value in list(state.state_data.items())
    )


class States(state_holder.StateHolder):
    """The states of ``STATES`` sessions; the oldest that holds nothing goes first."""

    def update(self, session_id: str) -> None:
        with self.lock:
            if session_id in self.session_data:
                self.session_data.move_to_end(session_id)
            while len(self.session_data) > STATES:
                idle = (
                    name for name, state in list(self.session_data.items())
                    if name != session_id and not holds_something(state)
                )  # fmt: skip
                gone = next(idle, None) or next(iter(self.session_data))
                del self.session_data[gone]
                self.time_last_used.pop(gone, None)


def drop_idle(page: gr.Blocks) -> bool:
    """Drop what the visitor holds who has been away longest; False if all are here.

    Away is who closed the page, or did nothing for ``IDLE`` seconds.
    """
    states: States = page.app.state_holder
    now = datetime.now()
    with states.lock:
        for name, state in list(states.session_data.items()):
            last = states.time_last_used.get(name, now)
            away = state.is_closed or (now - last).total_seconds() > IDLE
            if away and holds_something(state):
                state.state_data.clear()
                return True
    return False


def keep_open_readings() -> None:
    routes.StateHolder = States
    state_holder.SessionState._update_value_in_config = lambda state, key, value: None


# Other sites -------------------------------------------------------------------------------------


def _as_it_is(app: ASGIApp, **_: Any) -> ASGIApp:
    return app


def answer_no_other_site() -> None:
    routes.CustomCORSMiddleware = _as_it_is


# Logs --------------------------------------------------------------------------------------------


def where(error: BaseException | None, tb: TracebackType | None) -> str:
    """An error's kind and where it happened, without its message, which may name a film."""
    frames = traceback.extract_tb(tb)[-3:]
    places = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames))
    return f"{type(error).__name__} at {places or 'an unknown line'}"


class WithoutMessages(logging.Formatter):
    """A formatter that writes of an exception what ``where`` says of it."""

    def formatException(self, ei: Any) -> str:
        return where(ei[1], ei[2])


class _Traceback:
    """Stands for the ``traceback`` module where Gradio prints with it."""

    @staticmethod
    def print_exc(*_: Any, **__: Any) -> None:
        _, error, tb = sys.exc_info()
        logger.error("a request failed: %s", where(error, tb))

    def __getattr__(self, name: str) -> Any:
        return getattr(traceback, name)


def log_no_messages() -> None:
    for module in (queueing, routes, route_utils):
        module.traceback = _Traceback()
    LOGGING_CONFIG["formatters"]["default"] = {"()": WithoutMessages, "fmt": LOG_FORMAT}
