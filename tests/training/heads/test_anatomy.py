"""Which region the labels of a film give, and the head that learns it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detector.training.data.records import FilmRecord
from detector.training.heads.anatomy import anatomy_figures, fit_anatomy, region_of


def film(source: str = "fracatlas", name: str = "x.jpg", **attributes: str) -> FilmRecord:
    return FilmRecord(Path(name), source, False, attributes=attributes)


@pytest.mark.parametrize(
    ("record", "region"),
    [
        (film("normal_knees"), "knee"),
        (film("multiregion_pictures", role="wrist"), "wrist or hand"),
        (film("multiregion_pictures", role="other"), None),
        (film(hip="1"), "hip"),
        (film(hip="1", leg="1"), None),
        (film(hand="1"), None),
        (film(name="IMG0000017.jpg", leg="1"), "knee"),
    ],
)
def test_the_labels_give_a_region_or_none(record: FilmRecord, region: str | None) -> None:
    assert region_of(record) == region


def test_the_head_learns_regions_with_enough_films() -> None:
    rng = np.random.default_rng(0)
    kinds = [film("normal_knees")] * 20 + [film("normal_feet")] * 12 + [film(hip="1")] * 9
    centres = np.repeat(np.eye(3) * 8, (20, 12, 9), axis=0)
    embeddings = centres + rng.normal(size=centres.shape)
    head = fit_anatomy(kinds, embeddings)
    assert head.regions == ("ankle or foot", "knee")
    assert head.read(np.array([8.0, 0, 0])).region == "knee"
    figures = anatomy_figures(head, kinds, embeddings)
    assert figures["all"]["films"] == 32 and figures["knee"]["right"] == 20


def test_three_regions_are_as_sure_as_the_fit_is() -> None:
    rng = np.random.default_rng(1)
    kinds = [film("normal_knees"), film("normal_feet"), film(hip="1")] * 15
    embeddings = np.tile(np.eye(3) * 8, (15, 1)) + rng.normal(size=(45, 3))
    head = fit_anatomy(kinds, embeddings)
    assert [head.read(row * 8.0).region for row in np.eye(3)] == ["knee", "ankle or foot", "hip"]


def test_one_region_is_nothing_to_tell() -> None:
    assert fit_anatomy([film("normal_knees")] * 30, np.random.rand(30, 4)) is None
