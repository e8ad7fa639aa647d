"""Answers that come too late are dropped: the film that a visitor asked for last is the one shown.

Two requests of one page run at the same time, and the second may be answered first. Without this
the older film's answer would then take the newer one's place, or half of it: the viewer and the
report of one film beside the verdict of another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

Answer = dict[Any, Any]  # component -> its new value; gr.skip() changes nothing


class LatestOnly:
    """What one visitor's page asked for; each session has its own."""

    def __init__(self) -> None:
        self._count = 0

    def ask(self, make: Callable[[], tuple[Answer, Callable[[], Answer]]]) -> Iterator[Answer]:
        """A new film's answer in two parts, the verdict and what takes longer to make and send.

        Nothing changes if another film was asked for meanwhile.
        """
        self._count += 1
        mine = self._count
        first, rest = make()
        if mine != self._count:
            yield gr.skip()
            return
        self._count += 1  # what was begun beside the film before is too late now
        mine = self._count
        yield first
        answer = rest()
        if answer and mine == self._count:
            yield answer

    def beside(self, make: Callable[[], Answer]) -> Answer:
        """An answer about the film in view; nothing changes if that is not in view any more."""
        mine = self._count
        answer = make()
        return answer if mine == self._count else gr.skip()
