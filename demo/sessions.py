"""Visitors whose answers are on their way must not be forgotten.

Gradio's queue (6.31) keeps the messages of at most 2,000 sessions, and drops the one that came
first, even if it is waiting for an answer: a long visit, or a program that keeps its connection.
The queue's loop then ends with a KeyError, and the page answers nobody any more until it is started
again. The same happens when a visitor leaves at the wrong moment. `benchmarks/load.py` found it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import gradio as gr
from gradio.queueing import AsyncQueue
from gradio.utils import LRUCache

KEPT = 2000


class Sessions(LRUCache):
    """The messages of each session; beyond ``kept``, of those that wait for nothing the oldest go.

    ``waiting``: per session what it waits for, kept by the queue. The queue is bounded, so the
    sessions that may not go are few.
    """

    def __init__(self, waiting: Mapping[str, Collection[str]], kept: int = KEPT):
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


def remember_waiting(page: gr.Blocks) -> gr.Blocks:
    """Give the page's queue such a memory. To be called before the page is launched."""
    queue = page._queue
    queue.pending_messages_per_session = Sessions(queue.pending_event_ids_session, KEPT)
    return page
