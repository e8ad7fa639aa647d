"""`benchmarks/scale.py`: its legs, and the page of its figures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def made_up(rate: float, cores: int = 1) -> dict:
    return {
        "films": 2000, "cores": cores, "films_per_second": rate, "start_seconds": 5.0,
        "driver_cpu_ms_per_film": 2.0, "driver_memory": [100.0, 110.0, 110.0, 111.0],
        "worker_memory": [0.0] * 4 if cores == 1 else [500.0] * 4,
    }  # fmt: skip


def test_the_page_is_written_from_the_figures_between_its_marks(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import scale_page

    figures = {
        "machine": "| machine | |", "part_films": 16, "name_bytes": 200.0, "row_bytes": 500,
        "legs": {"predict_batch": made_up(10.0), "one worker": made_up(8.0),
                 "two workers": made_up(12.0, 2), "a node lost": made_up(7.0, 2)},
    }  # fmt: skip
    before = (ROOT / "docs" / "scale.md").read_text()
    page = tmp_path / "scale.md"
    page.write_text(before)
    scale_page.write_page(page, figures)
    scale_page.write_page(page, figures)  # again: nothing is doubled
    text = page.read_text()
    for mark, side in ((scale_page.BEGIN, 0), (scale_page.END, 2)):
        assert text.partition(mark)[side] == before.partition(mark)[side]
    assert "+25.0 % time per film" in text and "reach 75 % of twice" in text
    films_per_hour = 12.0 / 2 * scale_page.ASSUMED["cores"] * 3600
    assert f"| 1 | 16 | {10_000_000 / films_per_hour:,.1f} |" in text
    assert "| two workers: worker | 500 | 500 | 500 | 500 |" in text
    assert "predict_batch: worker" not in text
    page.write_text("no marks")
    with pytest.raises(ValueError, match="lacks <!-- scale:begin"):
        scale_page.write_page(page, figures)


def test_a_few_films_make_smaller_parts(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import scale

    asked = []
    monkeypatch.setattr(scale, "measure", lambda *sizes: asked.append(sizes) or {})
    monkeypatch.setattr(scale, "tables", lambda figures: "")
    monkeypatch.setattr(scale.os, "sched_getaffinity", lambda process: {0, 1})
    for films in (60, 120, 2000):
        monkeypatch.setattr(sys, "argv", ["scale.py", "--films", str(films), "--dry"])
        scale.main()
    assert asked == [(60, 7), (120, 15), (2000, 16)]
    monkeypatch.setattr(sys, "argv", ["scale.py", "--films", "7"])
    with pytest.raises(SystemExit):
        scale.main()
    assert "at least 8 times" in capsys.readouterr().err


def test_a_leg_that_does_not_start_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import scale

    ended = [1, 0]

    def run(command, **_):
        return subprocess.CompletedProcess(command, ended.pop(0), 'a warning\n{"films": 9}\n')

    monkeypatch.setattr(scale.subprocess, "run", run)
    assert scale.run_leg("one worker", tmp_path, tmp_path / "out", 2) == {"films": 9}
    ended[:] = [1] * scale.TRIES
    with pytest.raises(SystemExit, match="exit code 1"):
        scale.run_leg("one worker", tmp_path, tmp_path / "out", 2)
    assert not ended
    ended[:] = [1, 0]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "part-000000.jsonl").write_text("{}\n")
    with pytest.raises(SystemExit):  # half a leg is not measured again on top of the first half
        scale.run_leg("one worker", tmp_path, tmp_path / "out", 2)
