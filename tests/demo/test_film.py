"""The film's tab without a browser: what belongs to one film never stands beside another."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from demo.film import FilmTab
from demo.reading import ABSENT, PRESENT, Reading
from demo.turns import Turns
from detector import FractureDetector
from tests.demo.test_pieces import reading_of
from tests.support import odd_films

SKIPPED = (gr.skip(),)


@pytest.fixture(scope="module")
def tab(detector: FractureDetector) -> FilmTab:
    with gr.Blocks():
        return FilmTab(detector, [])


def shown(tab: FilmTab, answer: tuple, component) -> object:
    assert len(answer) == len(tab.shown)
    return answer[tab.shown.index(component)]


def test_of_two_films_asked_for_at_once_the_later_one_is_shown():
    turns, later = Turns(), []

    def first():
        later.append(turns.ask(lambda: ("second",)))
        return ("first",)

    assert turns.ask(first) == SKIPPED and later == [("second",)]
    assert turns.ask(lambda: ("third",)) == ("third",)


def test_an_older_film_that_ends_first_does_not_stop_the_newer_one():
    turns, ended = Turns(), threading.Event()
    begun, answers = threading.Event(), {}

    def older():
        begun.set()
        ended.wait(60)
        return ("older",)

    thread = threading.Thread(target=lambda: answers.update(older=turns.ask(older)))
    thread.start()
    begun.wait(60)

    def newer():
        ended.set()
        thread.join(60)
        return ("newer",)

    assert turns.ask(newer) == ("newer",) and answers == {"older": SKIPPED}


def test_another_map_of_a_film_that_is_gone_is_dropped():
    turns = Turns()

    def slow_map():
        turns.ask(lambda: ("a new film",))
        return ("the old film's map",)

    assert turns.beside(slow_map) == SKIPPED


def test_what_was_typed_for_one_patient_is_gone_with_the_next_film(tab: FilmTab):
    fresh = tab.show(Reading(reading_of()), 20)
    refused = tab.refuse("no film")
    for answer in (fresh, refused):
        assert [shown(tab, answer, field) for field in tab.typed] == ["", "", ""]
        assert shown(tab, answer, tab.report_error)["visible"] is False


def test_what_was_typed_stays_when_the_result_is_revealed(tab: FilmTab):
    hidden = Reading(reading_of(), revealed=False)
    for answer in (tab.revealed(hidden, None, 20), tab.revealed(hidden, ABSENT, 20)):
        assert [shown(tab, answer, field) for field in tab.typed] == [gr.skip()] * 3


def test_a_mark_on_the_film_before_is_no_mark_on_this_one(tab: FilmTab):
    hidden = Reading(reading_of(), revealed=False)
    mark = SimpleNamespace(x=3, y=4, film=hidden.film_id)
    moved, answer = tab.marked(hidden, mark)
    assert moved.mark == (3, 4) and answer == PRESENT
    mark.film = Reading(reading_of()).film_id
    assert tab.marked(hidden, mark)[0] is hidden


def test_after_one_frame_another_can_be_read(tab: FilmTab, tmp_path):
    frame = np.asarray(odd_films.grey(160, 120))
    file = tmp_path / "several"
    file.write_bytes(odd_films.dicom(np.stack([frame] * 3), frames=3))
    answer = tab.read_pending(Turns(), str(file), 1, False, 20)
    assert shown(tab, answer, tab.reading).prediction.film.width == 120
    assert shown(tab, answer, tab.frame_row)["visible"] is True
    assert shown(tab, answer, tab.pending) == str(file)
    one = replace(Reading(reading_of()), file="film.png")
    assert shown(tab, tab.show(one, 20), tab.frame_row)["visible"] is False
