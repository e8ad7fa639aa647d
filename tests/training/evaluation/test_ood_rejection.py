"""How many pictures that are no limb films are refused."""

from __future__ import annotations

from pathlib import Path

from detector.training.evaluation.ood_rejection import refusal_figures
from tests.support.measured import RuleDetector, write_film


def test_refused_are_those_out_of_scope_and_those_that_cannot_be_read(tmp_path: Path) -> None:
    write_film(tmp_path / "ct.png", 0.5)
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG")
    figures = refusal_figures(RuleDetector(), [tmp_path], count=2)
    own = figures[f"pictures in {tmp_path.name}"]
    assert own["pictures"] == 2 and own["refused"]["value"] == 0.5
    assert figures["coloured charts"]["pictures"] == 2
    assert figures["coloured charts"]["refused"]["value"] == 1.0
    assert figures["documents"]["refused"]["value"] == 0.0
