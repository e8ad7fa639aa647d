"""What this page changes in Gradio: each change does what it is for, and its part still exists."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio import queueing, route_utils, routes, state_holder
from gradio.utils import get_upload_folder

from demo import gradio_patches as patches


@pytest.fixture
def visitors(monkeypatch: pytest.MonkeyPatch):
    """The states of a page with one reading and one setting, and room for ten sessions."""
    monkeypatch.setattr(patches, "STATES", 10)
    with gr.Blocks() as page:
        reading, turns = gr.State(None), gr.State([])
    patches.keep_open_readings()
    states = routes.StateHolder()
    page.state_session_capacity = 10
    states.set_blocks(page)
    return states, reading._id, turns._id


def test_calls_without_a_session_drop_no_open_film(visitors):
    states, reading, turns = visitors
    states["visitor"][reading] = "a film"
    for number in range(100):
        assert states[f"call {number}"][turns] == []  # touched, and as every new visitor's
    assert "visitor" in states and states["visitor"][reading] == "a film"
    assert len(states.session_data) == len(states.time_last_used) == 10


def test_when_all_hold_films_the_oldest_goes(visitors):
    states, reading, _ = visitors
    for number in range(11):
        states[f"visitor {number}"][reading] = "a film"
        states[f"visitor {number}"]  # noqa: B018 -- used again, with the film in it
    assert len(states.session_data) == 10 and "visitor 0" not in states


def test_a_session_keeps_no_copy_of_what_it_was_sent(visitors):
    states, _, _ = visitors
    page = states.blocks
    with page:
        shown = gr.HTML()
    state = state_holder.SessionState(page)
    state._update_value_in_config(shown._id, "a film of many megabytes")
    assert "many megabytes" not in str(state.config_values)


def test_of_the_sessions_with_messages_the_idle_ones_go_first():
    waiting = {"old": {"event"}, "idle": set()}
    kept = patches.Messages(waiting, 2)
    kept["old"], kept["idle"] = 1, 2
    kept["new"] = 3
    assert list(kept) == ["old", "new"]
    waiting["new"] = {"event"}
    kept["newer"] = 4
    assert list(kept) == ["old", "new", "newer"]
    waiting["old"].clear()
    kept["newest"] = 5
    assert "old" not in kept and kept["new"] == 3
    kept["gone"].put_nowait("lost")
    assert "gone" not in kept


def test_an_old_upload_that_gradio_does_not_know_of_is_deleted(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    patches.delete_whatever_is_old()
    old, new = tmp_path / "a" / "file", tmp_path / "b" / "file"
    for file in (old, new):
        file.parent.mkdir()
        file.touch()
    os.utime(old, (time.time() - 1000,) * 2)
    route_utils.delete_files_created_by_app(SimpleNamespace(blocks={}, temp_file_sets=[]), 900)
    assert [file for file in Path(get_upload_folder()).rglob("file")] == [new]


def test_a_failed_request_is_logged_without_its_message(caplog, capsys):
    patches.log_no_messages()
    for module in (queueing, routes, route_utils):
        try:
            raise ValueError("DOE^JOHN.dcm")
        except ValueError:
            module.traceback.print_exc()
    said = capsys.readouterr()
    assert "DOE" not in caplog.text + said.err + said.out
    assert caplog.text.count("ValueError at test_gradio_patches.py:") == 3
    assert queueing.traceback.format_exc  # the rest of the module is as it was
