"""Pictures that are no limb films: drawn ones, and those of folders."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.model.ood import is_blank
from detector.training.data import ood_images
from tests.support.measured import write_film


def test_drawn_images_are_the_same_everywhere_and_of_their_kind() -> None:
    one, again = ood_images.drawn_images(3), ood_images.drawn_images(3)
    for kind, pictures in one.items():
        assert len(pictures) == 3
        for picture, same in zip(pictures, again[kind], strict=True):
            assert np.array_equal(picture, same) and picture.dtype == np.uint8
    colour = {k for k, v in one.items() if all(p.ndim == 3 for p in v)}
    assert colour == {"photographs in colour", "coloured charts"}


def test_a_folder_of_ood_images_by_its_roles(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text(
        "file,picture_role,best_of_cluster\nct.png,not_limb,1\nct2.png,not_limb,0\n"
        "wrist.png,wrist,1\n")
    assert ood_images.folder_images(tmp_path) == [tmp_path / "images" / "ct.png"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, one of them below, among a text, a damaged and a blank picture."""
    (tmp_path / "below").mkdir()
    for name in ("one.png", "two.png", "below/three.png"):
        picture = np.random.default_rng(len(name)).integers(0, 256, (120, 90, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / name), picture)
    (tmp_path / "read me.txt").write_text("three pictures")
    (tmp_path / "damaged.png").write_bytes((tmp_path / "one.png").read_bytes()[:200])
    cv2.imwrite(str(tmp_path / "blank.png"), np.full((120, 90), 90, np.uint8))
    return tmp_path


def test_pictures_are_shown_whole_before_parts_of_them(folder: Path) -> None:
    views = list(ood_images.reference_images([folder], seed=1, most=8))
    names = [Path(name).name for name, _ in views]
    assert set(names) == {"one.png", "two.png", "three.png"} and len(views) == 8
    assert names[:3] == names[3:6] and names[6:] == names[:2]
    assert all(pixels.shape == (120, 90) for _, pixels in views[:3])
    for _, part in views[3:]:
        assert 60 <= part.shape[0] <= 120 and 45 <= part.shape[1] <= 90
    for _, pixels in views:
        assert pixels.dtype == np.float32 and 0 <= pixels.min() and pixels.max() <= 1
        assert not is_blank(pixels)


def test_one_picture_does_not_stand_for_all_and_the_seed_decides(folder: Path) -> None:
    views = list(ood_images.reference_images([folder], seed=1))
    assert len(views) == 36  # twelve of each, although 300 were asked for
    again = list(ood_images.reference_images([folder], seed=1))
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(views, again, strict=True))
    other = list(ood_images.reference_images([folder], seed=2))
    assert any(a.shape != b.shape for (_, a), (_, b) in zip(views, other, strict=True))


def test_a_folder_without_a_picture_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "read me.txt").write_text("nothing")
    with pytest.raises(ValueError, match="no picture that can be read"):
        list(ood_images.reference_images([tmp_path], seed=1))


def test_without_folders_pictures_are_drawn_but_never_those_that_are_counted() -> None:
    views = list(ood_images.reference_images([], seed=1, most=30))
    assert len(views) == len({name for name, _ in views}) == 30
    counted = [p for pictures in ood_images.drawn_images().values() for p in pictures]
    for _, pixels in views:
        assert not any(np.array_equal(np.round(pixels * 255), picture) for picture in counted)


def test_a_film_is_a_picture_too(tmp_path: Path) -> None:
    write_film(tmp_path / "chest.png", 0.9)
    ((name, pixels),) = ood_images.reference_images([tmp_path], seed=1, most=1)
    assert name.endswith("chest.png") and pixels.max() > 0.85
