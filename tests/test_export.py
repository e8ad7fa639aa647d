"""What the scope is fitted on; the export as a whole is tested with `train.py`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from detector.training.export import scope_films
from detector.training.records import FilmRecord


def test_no_source_is_what_a_film_looks_like_by_its_number() -> None:
    sources = ["small", *["large"] * 9] * 40
    films = [FilmRecord(Path(f"{i}.png"), source, False) for i, source in enumerate(sources)]
    chosen = scope_films(films, seed=1, most=60)
    assert Counter(film.source for film in chosen) == {"large": 60, "small": 40}
    assert len({film.path for film in chosen}) == 100
    assert chosen == scope_films(films, seed=1, most=60)
    assert chosen != scope_films(films, seed=2, most=60)
