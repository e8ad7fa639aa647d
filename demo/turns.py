"""Answers that come too late are dropped: the film that a visitor asked for last is the one shown.

Two requests of one page run at the same time, and the second may be answered first. Without this
the older film's answer would then take the newer one's place, or half of it: the viewer and the
report of one film beside the verdict of another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

Answer = tuple[Any, ...]


class Turns:
    """What one visitor's page asked for; each session has its own."""

    def __init__(self) -> None:
        self._count = 0

    def ask(self, make: Callable[[], Answer]) -> Answer:
        """A new film's answer; nothing changes if another film was asked for meanwhile."""
        self._count += 1
        mine = self._count
        answer = make()
        if mine != self._count:
            return _nothing(answer)
        self._count += 1  # what was begun beside the film before is too late now
        return answer

    def beside(self, make: Callable[[], Answer]) -> Answer:
        """An answer about the film in view; nothing changes if that is not in view any more."""
        mine = self._count
        answer = make()
        return answer if mine == self._count else _nothing(answer)


def _nothing(answer: Answer) -> Answer:
    return tuple(gr.skip() for _ in answer)
