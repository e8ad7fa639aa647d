"""``--dicom-out`` on both command lines: objects of DICOM films, a sentence for the others."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pydicom import dcmread

import detector
import main as script
from detector.cli import main as cli
from tests.support import odd_films as odd

STUDY = {"StudyInstanceUID": "1.2.826.0.1.3680043.8.498.80",
         "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.81"}  # fmt: skip
COMMANDS = {"main.py": script.main, "predict": lambda argv: cli.main(["predict", *argv])}


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "a.dcm").write_bytes(odd.dicom(odd.grey(160, 120), **STUDY))
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_dicom_films_get_objects_and_others_a_sentence(
    command: str, films: Path, tiny_weights: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    run, out = COMMANDS[command], tmp_path / "out"
    given = ["--model", str(tiny_weights), "--engine", "torch", "--dicom-out", str(out)]
    assert run([str(films / "a.dcm"), *given]) == 0
    kinds = {path.name.partition("-")[0]: dcmread(path) for path in out.iterdir()}
    assert set(kinds) - {"presentation"} == {"report", "capture", "heatmap"}
    assert {d.StudyInstanceUID for d in kinds.values()} == {STUDY["StudyInstanceUID"]}
    assert capsys.readouterr().err.count("no DICOM objects") == 0

    (films / "b.png").write_bytes(odd.saved(odd.grey(160, 120), "PNG"))
    assert run([str(films), *given]) == 3
    told = capsys.readouterr()
    assert "b.png: read, but no DICOM objects" in told.err and "not a DICOM file" in told.err
    assert "b.png: " in told.out  # the film was read all the same
    assert len(list(out.iterdir())) == len(kinds)  # and a.dcm's objects replaced themselves


def test_of_two_films_with_one_uid_both_have_objects_and_it_is_said(
    films: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    (films / "b.dcm").write_bytes(odd.dicom(odd.grey(160, 120), PatientID="ANOTHER", **STUDY))
    out = tmp_path / "out"
    given = ["--model", str(tiny_weights), "--engine", "torch", "--dicom-out", str(out)]
    assert COMMANDS["predict"]([str(films), *given]) == 0
    reports = [dcmread(path) for path in out.glob("report-*")]
    assert {report.PatientID for report in reports} == {odd.PATIENT, "ANOTHER"}
    assert "another film has the same SOP Instance UID" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_without_the_extra_the_command_names_it(
    command: str, films: Path, tiny_weights: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    loaded = [n for n in sys.modules if n.startswith(("detector.pacs", "highdicom"))]
    for name in loaded:
        monkeypatch.delitem(sys.modules, name)
    if "detector.pacs" in loaded:  # an attribute as well, which the import below replaces
        monkeypatch.setattr(detector, "pacs", detector.pacs)
    monkeypatch.setitem(sys.modules, "highdicom", None)
    given = [str(films / "a.dcm"), "--model", str(tiny_weights), "--dicom-out", str(tmp_path / "o")]
    try:
        code = COMMANDS[command](given)
    except SystemExit as left:
        code = left.code
    assert code == 2
    assert "pip install 'fracture-detector[dicom]'" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
