"""Films within the server's memory: what is read together, what is held, what is refused."""

from __future__ import annotations

import gc
import json
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from demo import gradio_patches, memory, packed_film
from demo.film import FilmTab
from demo.packed_film import PackedFilm, unpacked
from demo.reader import Reader
from demo.reading import ABSENT, Reading
from demo.source import Source
from demo.study import StudyTab
from detector import FractureDetector, RadiographError
from detector.errors import FilmTooLarge
from detector.io.radiograph import load_radiograph
from tests.demo.test_pieces import reading_of
from tests.support import odd_films
from tests.support.tiny import tiny_model

MB = 1_000_000


@pytest.fixture(scope="module")
def tiny() -> FractureDetector:
    return FractureDetector(tiny_model(), "torch")


def saved(pixels: np.ndarray, file: Path) -> Path:
    Image.fromarray(pixels).save(file)
    return file


def flat(folder: Path, side: int = 1000, count: int = 1) -> list[Path]:
    """Films of one shade: small as files, large when decoded."""
    grey = np.full((side, side), 90, np.uint8)
    return [saved(grey, folder / f"{number}.png") for number in range(count)]


# Films being read


def test_films_are_read_together_only_as_far_as_their_pixels_fit():
    budget, order = memory.PixelBudget(100), []
    entered, leave = threading.Semaphore(0), threading.Event()

    def read(name: str, pixels: int) -> None:
        with budget.reserve(pixels):
            order.append(name)
            entered.release()
            leave.wait(60)

    threads = [threading.Thread(target=read, args=(name, n)) for name, n in (("a", 60), ("b", 40))]
    for thread in threads:
        thread.start()
        assert entered.acquire(timeout=60)
    late = threading.Thread(target=read, args=("c", 1))
    late.start()
    assert budget.free == 0 and order == ["a", "b"]
    leave.set()
    for thread in (*threads, late):
        thread.join(60)
    assert order == ["a", "b", "c"] and budget.free == 100


def test_a_film_beyond_the_memory_is_refused_and_one_that_waits_too_long_too():
    budget = memory.PixelBudget(100, wait=0)
    with pytest.raises(FilmTooLarge, match="more than this server's memory holds"):
        with budget.reserve(101):
            pass
    with budget.reserve(60):
        with pytest.raises(FilmTooLarge, match="busy with large films"):
            with budget.reserve(60):
                pass
    with budget.reserve(100):  # nobody who gave up still stands in the line
        pass


def test_a_reader_holds_a_films_place_by_its_header_and_gives_it_back(tiny, tmp_path):
    reader = Reader(tiny, limit=3_000 * MB)
    assert reader.reading.most == 100 * MB
    dicom, broken = tmp_path / "film", tmp_path / "broken"
    dicom.write_bytes(odd_films.dicom(odd_films.grey(160, 120)))
    broken.write_bytes(b"no film")
    (picture,) = flat(tmp_path)
    for file, pixels in ((picture, MB), (dicom, 160 * 120)):
        held = reader.use(file, lambda _: reader.reading.most - reader.reading.free)
        assert held == pixels == memory.declared_pixels(file)
    assert memory.declared_pixels(broken) is None
    results = list(reader.each([picture, broken, dicom], lambda number, read: (number, read)))
    assert isinstance(results[1], RadiographError) and [results[0][0], results[2][0]] == [0, 2]
    assert reader.reading.free == reader.reading.most


def test_twelve_films_of_a_study_never_take_more_than_their_place(tiny, tmp_path, monkeypatch):
    """A hundredth of 12 films of 9,990 x 9,990 in 3 GB, in each direction a tenth."""
    reader, most = Reader(tiny, limit=30 * MB), []
    predict = FractureDetector.predict

    def watched(self, film, **more):
        most.append(reader.reading.most - reader.reading.free)
        return predict(self, film, **more)

    monkeypatch.setattr(FractureDetector, "predict", watched)
    views, card, *_ = study_tab(reader).read([str(f) for f in flat(tmp_path, 999, 12)], "en")
    assert len(views) == 12 and max(most) == 999 * 999 and card.count("<img") == 12
    assert reader.kept.used == sum(len(view.result.film.png) for view in views) < MB // 2
    del views
    gc.collect()
    assert reader.kept.used == 0


def film_tab(reader: Reader) -> FilmTab:
    with gr.Blocks():
        return FilmTab(reader, [], gr.Textbox("en", visible=False))


def study_tab(reader: Reader) -> StudyTab:
    with gr.Blocks():
        film = FilmTab(reader, [], gr.Textbox("en", visible=False))
        return StudyTab(film, gr.Tabs(), "film")


# Films that are held


@pytest.mark.parametrize("deep", [False, True])
def test_a_held_film_is_packed_without_loss(deep: bool):
    levels = np.random.default_rng(0).integers(0, 65536 if deep else 256, (50, 40))
    pixels = levels.astype(np.float32) / (65535 if deep else 255)
    film = replace(load_radiograph(pixels), facts={"bits": 16 if deep else 8})
    packed = PackedFilm.pack(film)
    again = packed.unpacked()
    assert np.abs(again.pixels - film.pixels).max() < 1e-6
    assert (packed.width, packed.height, packed.facts) == (40, 50, film.facts)
    assert again.facts == film.facts and again.warnings == film.warnings


def test_a_very_large_film_is_held_smaller_and_has_its_own_size(monkeypatch):
    monkeypatch.setattr(packed_film, "FILM_PIXELS", 1000)
    film = load_radiograph(np.linspace(0, 1, 6400, dtype=np.float32).reshape(80, 80))
    packed = PackedFilm.pack(film)
    assert not packed.whole and (packed.width, packed.height) == (80, 80)
    assert np.abs(packed.pixels - film.pixels).max() < 0.05


def test_to_reveal_or_to_mark_unpacks_nothing(tiny, monkeypatch):
    """So 24 reveals at once cost no more than their messages, without the film."""
    reader = Reader(tiny)
    tab = film_tab(reader)
    kept = reader.keep(reading_of())

    def unpack(_: PackedFilm) -> None:
        raise AssertionError("the film was unpacked")

    monkeypatch.setattr(PackedFilm, "pixels", property(unpack))
    hidden = Reading(kept, Source("film", ""), revealed=False)
    shown = tab.revealed(hidden, ABSENT, 20, "en")
    message = json.loads(shown[tab.viewer])
    assert message["heat"] and message["film"] is None and message["regions"]


def test_a_reading_is_small_and_counted_until_it_is_gone(tiny, tmp_path):
    reader = Reader(tiny, limit=3_000 * MB)
    (file,) = flat(tmp_path)
    kept = reader.read(file)
    assert reader.kept.used == len(kept.film.png) < 20_000
    whole = unpacked(kept)
    assert whole.film.pixels.shape == (1000, 1000) and whole.to_dict() == kept.to_dict()
    assert "grey" not in vars(kept)
    del kept
    assert reader.kept.used == 0


class Film:
    """Something to hold."""


def test_when_memory_is_full_idle_visitors_go_first_and_then_it_is_a_sentence():
    budget, gone = memory.KeptBudget(100), []
    others = [Film() for _ in range(2)]
    for film in others:
        budget.hold(film, 50)
    del film

    def drop() -> bool:
        gone.append(others.pop())
        return bool(gone and gone.pop())

    budget.make_room = drop
    mine = Film()
    budget.hold(mine, 50)
    assert len(others) == 1
    budget.make_room = lambda: False
    with pytest.raises(FilmTooLarge, match="memory is full"):
        budget.hold(Film(), 1)
    assert budget.used == 100


def test_a_study_beyond_one_visitors_share_says_which_views_to_read_alone(tiny, tmp_path):
    reader = Reader(tiny, limit=3_000 * MB)
    noise = np.random.default_rng(0).integers(0, 255, (200, 200), np.uint8)
    files = [str(saved(noise, tmp_path / f"{n}.png")) for n in range(3)]
    reader.kept.most = 5 * len(reader.read(files[0]).film.png)
    views, card, *_ = study_tab(reader).read(files, "en")
    assert [isinstance(view.result, RadiographError) for view in views] == [False, False, True]
    assert "Read this one alone" in card


def test_of_the_visitors_who_are_away_the_one_who_went_first_is_dropped(monkeypatch):
    gradio_patches.keep_open_readings()
    with gr.Blocks() as page:
        reading = gr.State(None)
    states = gradio_patches.routes.StateHolder()
    page.state_session_capacity = 10
    states.set_blocks(page)
    page.app = SimpleNamespace(state_holder=states)
    for name in ("here", "idle", "closed"):
        states[name][reading._id] = name
    states.time_last_used["idle"] = datetime.now() - timedelta(seconds=gradio_patches.IDLE + 1)
    states["closed"].is_closed = True
    dropped = [gradio_patches.drop_idle(page) for _ in range(3)]
    assert dropped == [True, True, False]
    held = {name: states[name][reading._id] for name in list(states.session_data)}
    assert held == {"here": "here", "idle": None, "closed": None}


def test_the_memory_is_that_of_the_control_group(monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text("3000000000\n")
    monkeypatch.setattr(memory, "Path", lambda _, name: tmp_path / name)
    assert memory.memory_limit() <= 3_000_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.memory_limit() > 0
