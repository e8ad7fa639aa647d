"""The film's tab without a browser: what belongs to one film never stands beside another."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from demo.film import FilmTab, pre_test_slider
from demo.frames import previews
from demo.latest_only import LatestOnly
from demo.reader import Reader
from demo.reading import ABSENT, PRESENT, UNSURE, Reading
from detector import FractureDetector
from tests.demo.test_pieces import SOURCE, reading_of
from tests.support import odd_films

SKIPPED = gr.skip()


@pytest.fixture(scope="module")
def tab(detector: FractureDetector) -> FilmTab:
    with gr.Blocks():
        return FilmTab(Reader(detector), [], gr.Textbox("en", visible=False))


def in_parts(first: dict, rest: dict | None = None):
    return lambda: (first, lambda: rest or {})


def test_of_two_films_asked_for_at_once_the_later_one_is_shown():
    latest, later = LatestOnly(), []

    def first():
        later.extend(latest.ask(in_parts({1: "second"})))
        return {1: "first"}, dict

    assert list(latest.ask(first)) == [SKIPPED] and later == [{1: "second"}]
    assert list(latest.ask(in_parts({1: "third"}, {2: "picture"}))) == [
        {1: "third"}, {2: "picture"}
    ]  # fmt: skip


def test_the_picture_of_a_film_is_dropped_where_another_came_after_its_verdict():
    latest = LatestOnly()
    older = latest.ask(in_parts({1: "older"}, {2: "older picture"}))
    assert next(older) == {1: "older"}
    assert list(latest.ask(in_parts({1: "newer"}))) == [{1: "newer"}]
    assert list(older) == []


def test_an_older_film_that_ends_first_does_not_stop_the_newer_one():
    latest, ended = LatestOnly(), threading.Event()
    begun, answers = threading.Event(), {}

    def older():
        begun.set()
        ended.wait(60)
        return {1: "older"}, dict

    thread = threading.Thread(target=lambda: answers.update(older=list(latest.ask(older))))
    thread.start()
    begun.wait(60)

    def newer():
        ended.set()
        thread.join(60)
        return {1: "newer"}, dict

    assert list(latest.ask(newer)) == [{1: "newer"}] and answers == {"older": [SKIPPED]}


def test_another_map_of_a_film_that_is_gone_is_dropped():
    latest = LatestOnly()

    def slow_map():
        list(latest.ask(in_parts({1: "a new film"})))
        return {1: "the old film's map"}

    assert latest.beside(slow_map) == SKIPPED


def test_what_was_typed_for_one_patient_is_gone_with_the_next_film(tab: FilmTab):
    fresh = tab.show(Reading(reading_of(), SOURCE), 20)[0]
    refused = tab.refuse("no film")[0]
    for answer in (fresh, refused):
        assert [answer[field] for field in tab.report.typed] == ["", "", ""]
        assert answer[tab.report.error]["visible"] is False


def test_what_was_typed_stays_when_the_result_is_revealed(tab: FilmTab):
    hidden = Reading(reading_of(), SOURCE, revealed=False)
    for answer in (tab.revealed(hidden, None, 20, "en"), tab.revealed(hidden, ABSENT, 20, "en")):
        assert not set(tab.report.typed) & set(answer)


def test_not_sure_is_an_answer_and_leaving_the_mode_shows_the_result(tab: FilmTab):
    hidden = Reading(reading_of(), SOURCE, revealed=False)
    unsure = tab.revealed(hidden, UNSURE, 20, "en")
    assert unsure[tab.reading].revealed and "not sure" in unsure[tab.agreed]["value"]
    left = tab.left(False, hidden, 20, "en")
    assert left[tab.reading].revealed and left[tab.agreed]["visible"] is False
    assert tab.left(True, hidden, 20, "en") == SKIPPED


def test_the_film_is_not_sent_again_with_its_result(tab: FilmTab):
    hidden = Reading(reading_of(), SOURCE, revealed=False)
    first = json.loads(tab.show(hidden, 20)[1]()[tab.viewer])
    again = json.loads(tab.revealed(hidden, ABSENT, 20, "en")[tab.viewer])
    assert first["film"].startswith("data:") and again["film"] is None
    assert again["id"] == first["id"] and again["heat"]


@pytest.mark.parametrize(
    ("typed", "taken"), [(None, 22), ("", 22), (0.5, 1), (500, 99), (-3, 1), ("nan", 22), (40, 40)]
)
def test_whatever_is_typed_as_a_pre_test_probability_is_in_range(typed, taken):
    with gr.Blocks():
        assert pre_test_slider(0.2243).preprocess(typed) == taken


def test_a_mark_on_the_film_before_is_no_mark_on_this_one(tab: FilmTab):
    hidden = Reading(reading_of(), SOURCE, revealed=False)
    mark = SimpleNamespace(x=3, y=4, film=hidden.film_id)
    moved, answer = tab.marked(hidden, mark)
    assert moved.mark == (3, 4) and answer == PRESENT
    mark.film = Reading(reading_of(), SOURCE).film_id
    assert tab.marked(hidden, mark)[0] is hidden


def test_after_one_frame_another_can_be_read(tab: FilmTab, tmp_path):
    frame = np.asarray(odd_films.grey(160, 120))
    file = tmp_path / "several"
    file.write_bytes(odd_films.dicom(np.stack([frame] * 3), frames=3))
    answer, picture = tab.read_pending(LatestOnly(), str(file), 2, False, 20, "en")
    assert answer[tab.reading].prediction.film.width == 120
    assert answer[tab.reading].source.frame == 2 and "frame 2" in answer[tab.headline]
    assert answer[tab.frame_row]["visible"] is True and answer[tab.pending] == str(file)
    assert json.loads(picture[tab.viewer])["width"] == 120
    one = replace(Reading(reading_of(), SOURCE), file="film.png")
    assert tab.show(one, 20)[0][tab.frame_row]["visible"] is False


def test_of_many_frames_some_are_previewed_from_the_first_to_the_last(tab: FilmTab, tmp_path):
    file = tmp_path / "many"
    file.write_bytes(odd_films.dicom(np.stack([odd_films.grey(64, 48)] * 40), frames=40))
    shown = [int(number) for number in re.findall(r'data-frame="(\d+)"', previews(
        tab.reader, str(file), 40
    ))]  # fmt: skip
    assert len(shown) == 12 and shown == sorted(set(shown)) and (shown[0], shown[-1]) == (1, 40)
    file.write_bytes(file.read_bytes()[:200])
    assert "data-frame" not in previews(tab.reader, str(file), 40)  # what is broken is left out
