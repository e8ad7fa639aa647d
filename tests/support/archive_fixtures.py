"""Fixtures of the archive\'s tests; a file takes them by
`pytest_plugins = "tests.support.archive_fixtures"`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from detector import FractureDetector
from tests.support.archive_stand_ins import phantom_file


@pytest.fixture(scope="module")
def reader(tiny_weights) -> FractureDetector:
    return FractureDetector.from_pretrained(tiny_weights)


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """Ten films: nine phantoms, below/ among them, and broken.jpg, which is none."""
    folder = tmp_path_factory.mktemp("archive")
    for seed in range(9):
        phantom_file(folder / ("below" if seed > 5 else "") / f"{seed}.png", seed)
    (folder / "broken.jpg").write_text("no film")
    return folder
