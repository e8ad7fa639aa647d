"""What other programs say of the objects: dciodvfy, dsrdump and dicom-validator find no error."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.datadict import DicomDictionary, keyword_dict
from pydicom.tag import Tag

hd = pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")

from detector.pacs.objects.object_context import PRESENTATION, REPORT  # noqa: E402
from tests.support.pacs_films import FILMS, film, frame_of, likely, made, tiny_reader, unknown  # noqa: E402


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Path]]:
    """The objects of every kind of film, and of one out of scope."""
    reader, folder = tiny_reader(), tmp_path_factory.mktemp("objects")
    found = []
    for index, name in enumerate(FILMS):
        data = FILMS[name]()
        written = made(data, likely(reader, data, frame_of(name)), folder / str(index))
        found += [(name, path) for path in written.values()]
    lost = made(film(), unknown(likely(reader, film())), folder / "unknown")
    found += [("out of scope", path) for path in lost.values()]
    assert len(found) == 4 * len(FILMS) + 1
    return found


@pytest.fixture(scope="module")
def broken(files: list[tuple[str, Path]]) -> Path:
    """A report without its study: whoever judges must find that."""
    dataset = dcmread(files[0][1])
    del dataset.StudyInstanceUID
    path = files[0][1].with_name("broken.dcm")
    dataset.save_as(path)
    return path


@pytest.fixture
def dciodvfy() -> str:
    return tool("dciodvfy", "dicom3tools")


@pytest.fixture
def dcmp2pgm() -> str:
    return tool("dcmp2pgm", "dcmtk")


@pytest.fixture
def dsrdump() -> str:
    return tool("dsrdump", "dcmtk")


def tool(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"no {name} on the PATH (Debian: apt-get install {package})")
    return path


def test_dciodvfy_finds_no_error(
    files: list[tuple[str, Path]], broken: Path, dciodvfy: str
) -> None:
    for name, path in files:
        run = subprocess.run([dciodvfy, path], capture_output=True, text=True, timeout=60)
        told = run.stdout + run.stderr
        assert not [line for line in told.splitlines() if line.startswith(("Error", "Abort"))], (
            name, path.name, told,
        )  # fmt: skip
        assert any(kind in told for kind in ("ComprehensiveSR", "SCImage", "Segmentation",
                                             "GrayscaleSoftcopyPresentationState"))  # fmt: skip
    run = subprocess.run([dciodvfy, broken], capture_output=True, text=True, timeout=60)
    assert "Error" in run.stderr


def test_dsrdump_reads_the_report(files: list[tuple[str, Path]], dsrdump: str) -> None:
    report = files[0][1]
    assert report.name.startswith(REPORT)
    # +Pl prints long texts whole.
    run = subprocess.run([dsrdump, "+Pl", report], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    for part in ("Imaging Measurement Report", "Probability", '"87.65" (%,UCUM', "Decision",
                 "Fracture likely", "POLYLINE", "10.25/20.5", "Not a diagnosis"):  # fmt: skip
        assert part in run.stdout, (part, run.stdout)
    assert "rror" not in run.stderr


@pytest.mark.parametrize("given", [
    {}, {"PhotometricInterpretation": "MONOCHROME1"}, {"WindowCenter": 1500, "WindowWidth": 900},
])  # fmt: skip
def test_dcmtk_shows_the_film_with_its_presentation_state_as_without(
    given: dict, dcmp2pgm: str, tmp_path: Path
) -> None:
    data = film(**given)
    state = made(data, likely(tiny_reader(), data), tmp_path)[PRESENTATION]
    (tmp_path / "film.dcm").write_bytes(data)
    window = ["+Wi", "1"] if "WindowCenter" in given else []
    for command in ([dcmp2pgm, "-p", state, tmp_path / "film.dcm", tmp_path / "with.pgm"],
                    [tool("dcm2pnm", "dcmtk"), "+op", *window, tmp_path / "film.dcm",
                     tmp_path / "without.pgm"]):  # fmt: skip
        subprocess.run(command, check=True, timeout=60)
    with_state, without = (np.asarray(Image.open(tmp_path / f"{name}.pgm"))
                           for name in ("with", "without"))  # fmt: skip
    assert with_state.std() > 0
    np.testing.assert_array_equal(with_state, without)


# dicom-validator judges by the standard's tables, which it downloads. The same tables come with
# highdicom, but without the conditions: which functional group macros and which content items an
# object needs is not in them, so what lies inside these two modules is left to dciodvfy.
INSIDE = ("segmentation-multi-frame-functional-groups", "sr-document-content")


def standard() -> Any:
    """highdicom's tables of the standard in dicom-validator's form."""
    from dicom_validator.validator.dicom_info import DicomInfo

    folder = Path(hd.__file__).parent / "_standard"
    attributes, modules, classes = (
        json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("module_attribute_map", "iod_module_map", "sop_class_iod_map")
    )
    names = {
        named(tag): {"name": name, "vr": vr, "vm": vm, "prop": retired}
        for tag, (vr, vm, name, retired, _) in DicomDictionary.items()
    }
    iods = {
        uid: {
            "title": key, "group_macros": {},
            "modules": {m["key"]: {"ref": m["key"], "use": m["usage"]}
                        for m in modules[key] if m["key"] in attributes},
        }
        for uid, key in classes.items()
    }  # fmt: skip
    described = {key: tree(found, key in INSIDE) for key, found in attributes.items()}
    return DicomInfo(names, iods, described)


def named(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def tree(attributes: list[dict], shallow: bool) -> dict:
    """A module's attributes, nested as their sequences are."""
    top: dict = {}
    for attribute in attributes:
        path = [*attribute["path"], attribute["keyword"]]
        if any(keyword not in keyword_dict for keyword in path) or (shallow and len(path) > 1):
            continue
        level, tags = top, [named(int(Tag(keyword))) for keyword in path]
        for tag in tags[:-1]:
            level = level.setdefault(tag, {"name": tag, "type": "3"}).setdefault("items", {})
        level.setdefault(tags[-1], {}).update(
            name=attribute["keyword"], type="3" if shallow else attribute["type"]
        )
    return top


def test_dicom_validator_finds_no_error(files: list[tuple[str, Path]], broken: Path) -> None:
    validator = pytest.importorskip(
        "dicom_validator.validator.dicom_file_validator", reason="dicom-validator is not installed"
    ).DicomFileValidator(standard())
    for name, path in files:
        (result,) = validator.validate(path).values()
        assert result.errors == 0 and result.status.name == "Passed", (name, path.name, result)
    (result,) = validator.validate(broken).values()
    assert result.errors == 1
