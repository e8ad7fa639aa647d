"""``fracture-detector``: the commands, their output, and going on after an interruption."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from pypdf import PdfReader

from detector import FractureDetector, __version__
from detector.cli import main as cli
from detector.cli.options import BAD_USAGE, DONE, INTERRUPTED, SOME_UNREAD
from detector.cli.predict import Progress
from detector.cli.run_command import run_command
from detector.engines import base as engine
from detector.phantom import random_phantom
from detector.report.results import COLUMNS, percent


@pytest.fixture(autouse=True)
def one_model(detector, monkeypatch):
    monkeypatch.setattr(FractureDetector, "from_pretrained", lambda weights=None: detector)


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    """Four films: a.png, b.png, broken.jpg (unreadable), c.png."""
    folder = tmp_path_factory.mktemp("films")
    for seed, name in enumerate("abc"):
        pixels = random_phantom(seed, size=(320, 256)).pixels
        cv2.imwrite(str(folder / f"{name}.png"), (pixels * 255).astype(np.uint8))
    (folder / "broken.jpg").write_text("no film")
    return folder


def run(*arguments: object) -> int:
    return cli.main([str(a) for a in arguments])


def entries(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def file_names(rows: list[dict]) -> list[str]:
    return [Path(row["file"]).name for row in rows]


def test_results_on_stdout_progress_on_stderr(films, capsys):
    assert run("predict", films, "--format", "jsonl") == SOME_UNREAD
    out, err = capsys.readouterr()
    rows = entries(out)
    assert file_names(rows) == ["a.png", "b.png", "broken.jpg", "c.png"]
    assert rows[2]["error"]["kind"] == "unreadable" and "decision" in rows[3]
    assert "4 of 4 films done, 1 could not be read" in err


def test_csv_says_the_same_as_json(films, capsys):
    run("predict", films, "--format", "jsonl")
    as_json = entries(capsys.readouterr().out)
    run("predict", films, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert tuple(rows[0]) == COLUMNS
    for row, entry in zip(rows, as_json, strict=True):
        assert row["file"] == entry["file"]
        if "error" in entry:
            assert row["error"] == entry["error"]["message"] and row["decision"] == ""
        else:
            assert float(row["probability"]) == entry["probability"]
            assert row["decision"] == entry["decision"]
            assert int(row["regions"]) == len(entry["regions"])
            if entry["regions"]:
                assert float(row["x"]) == entry["regions"][0]["x"]


def test_text_is_for_people(films, capsys):
    run("predict", films / "a.png")
    said = capsys.readouterr().out
    assert "a.png: " in said and "confidence" in said and "{" not in said


def test_a_list_on_stdin(films, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{films / 'c.png'}\n\n{films / 'a.png'}\n"))
    assert run("predict", "-", "--format", "jsonl") == DONE
    assert file_names(entries(capsys.readouterr().out)) == ["c.png", "a.png"]


def test_a_list_of_another_encoding_and_of_windows(films, capsys, monkeypatch):
    odd = str(films / "h\udcf6he.png").encode("utf-8", "surrogateescape")
    listed = io.BytesIO("\ufeff".encode() + bytes(films / "a.png") + b"\r\n\r\n" + odd + b"\r\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(listed, encoding="utf-8"))
    assert run("predict", "-", "-", "--format", "jsonl") == SOME_UNREAD
    rows = entries(capsys.readouterr().out)
    assert file_names(rows) == ["a.png", "h\\udcf6he.png"]
    assert "label" in rows[0] and "no such file" in rows[1]["error"]["message"]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("torn", ["in a line", "after a line", "in the first line", "not at all"])
def test_an_interrupted_run_goes_on_where_it_was(films, tmp_path, form, torn, capsys):
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert run("predict", films, "--format", form, "--out", whole) == SOME_UNREAD
    data = whole.read_bytes()
    lines = data.splitlines(keepends=True)
    kept = {
        "in a line": b"".join(lines[:-1]) + lines[-1][:20],
        "after a line": b"".join(lines[:2]),
        "in the first line": lines[0][:10],
        "not at all": data,
    }[torn]
    out.write_bytes(kept)
    read = len(kept.splitlines()) if torn == "not at all" else 0
    capsys.readouterr()
    assert run("predict", films, "--format", form, "--out", out, "--continue") == SOME_UNREAD
    assert out.read_bytes() == data
    if read:
        assert "4 of 4 films are in the file already" in capsys.readouterr().err


def test_only_the_missing_films_are_read_again(films, tmp_path, detector, monkeypatch):
    out = tmp_path / "out.jsonl"
    run("predict", films / "a.png", films / "broken.jpg", "--format", "jsonl", "--out", out)
    asked = []
    batch = FractureDetector.predict_batch

    def spied(self, films, **options):
        asked.extend(films)
        return batch(self, films, **options)

    monkeypatch.setattr(FractureDetector, "predict_batch", spied)
    run("predict", films, "--format", "jsonl", "--out", out, "--continue")
    assert [Path(film).name for film in asked] == ["b.png", "c.png"]
    assert sorted(file_names(entries(out.read_text()))) == ["a.png", "b.png", "broken.jpg", "c.png"]


def test_a_film_name_with_quotes_and_line_ends_survives(films, tmp_path):
    odd = tmp_path / 'a "quoted",\nname.png'
    odd.write_bytes((films / "a.png").read_bytes())
    out = tmp_path / "out.csv"
    run("predict", odd, films / "b.png", "--format", "csv", "--out", out)
    data = out.read_bytes()
    # Torn inside the quoted name, right after its line end.
    out.write_bytes(data[: data.index(b"\nname") + 1])
    run("predict", odd, films / "b.png", "--format", "csv", "--out", out, "--continue")
    assert out.read_bytes() == data


def test_two_models_do_not_share_a_file(films, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    run("predict", films / "a.png", "--format", "jsonl", "--out", out)
    entry = json.loads(out.read_text())
    entry["model"]["sha256"] = "0" * 12
    out.write_text(json.dumps(entry) + "\n")
    before = out.read_bytes()
    assert run("predict", films, "--format", "jsonl", "--out", out, "--continue") == BAD_USAGE
    assert "other weights" in capsys.readouterr().err and out.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "form"),
    [("{}\n", "jsonl"), ("hello\nworld\n", "jsonl"), ("a,b\n1,2\n", "csv"), ("[1]\n", "jsonl")],
)
def test_a_file_of_something_else_is_left_alone(films, tmp_path, content, form, capsys):
    out = tmp_path / "out"
    out.write_text(content)
    assert run("predict", films, "--format", form, "--out", out, "--continue") == BAD_USAGE
    assert "cannot be continued" in capsys.readouterr().err and out.read_text() == content


def test_an_existing_file_is_not_overwritten(films, tmp_path, capsys):
    out = tmp_path / "out.csv"
    out.write_text("mine")
    assert run("predict", films, "--format", "csv", "--out", out) == BAD_USAGE
    assert out.read_text() == "mine" and "--continue" in capsys.readouterr().err


def test_continue_needs_a_file_and_a_format_that_can_be_read_back(films, tmp_path):
    assert run("predict", films, "--continue", "--format", "csv") == BAD_USAGE
    assert run("predict", films, "--continue", "--out", tmp_path / "o") == BAD_USAGE
    assert not (tmp_path / "o").exists()


def test_an_interruption_leaves_what_was_finished(films, tmp_path, monkeypatch, detector):
    def interrupted(self, films, **options):
        yield detector.predict(films[0])
        raise KeyboardInterrupt

    out = tmp_path / "out.csv"
    monkeypatch.setattr(FractureDetector, "predict_batch", interrupted)
    assert run("predict", films, "--format", "csv", "--out", out) == INTERRUPTED
    assert file_names(list(csv.DictReader(io.StringIO(out.read_text())))) == ["a.png"]


def test_engine_and_precision_are_those_asked_for(films, detector, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(
        FractureDetector, "from_pretrained",
        lambda weights=None, **chosen: asked.append((weights, chosen)) or detector,
    )  # fmt: skip
    run("predict", films / "a.png")
    run("predict", films / "a.png", "--engine", "torch")
    run("predict", films / "a.png", "--model", "m", "--engine", "auto", "--precision", "bfloat16")
    chosen = {"engine": "auto", "precision": "bfloat16"}
    assert asked == [(None, {}), (None, {"engine": "torch"}), ("m", chosen)]


def test_the_engines_and_precisions_are_those_that_there_are(films, capsys):
    for option in ("--engine", "--precision"):
        with pytest.raises(SystemExit) as end:
            run("predict", films, option, "abacus")
        assert end.value.code == BAD_USAGE
        names = engine.ENGINES if option == "--engine" else engine.PRECISIONS
        message = capsys.readouterr().err
        assert all(name in message for name in names)


def test_what_is_not_to_be_had_here_is_a_sentence(films, detector, monkeypatch, capsys):
    monkeypatch.setattr(
        FractureDetector, "from_pretrained",
        lambda weights=None, **chosen: FractureDetector(detector.model, **chosen),
    )  # fmt: skip
    wrong = ("--engine", "torch", "--precision", "float16")
    assert run("predict", films, *wrong) == BAD_USAGE
    assert "float32 or bfloat16" in capsys.readouterr().err
    # None in the table of modules is what Python finds where a package is not installed.
    monkeypatch.delitem(sys.modules, "detector.engines.openvino", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert run("predict", films, "--engine", "openvino") == BAD_USAGE
    assert "pip install 'fracture-detector[fast]'" in capsys.readouterr().err
    assert run("predict", films / "a.png", "--engine", "auto") == DONE


def test_overlays_beside_the_results(films, tmp_path, capsys):
    run("predict", films, "--overlay", tmp_path / "overlays")
    assert sorted(p.name for p in (tmp_path / "overlays").iterdir()) == ["a.png", "b.png", "c.png"]


def test_overlays_keep_their_names_when_films_come_in_between(films, tmp_path):
    folder, overlays = tmp_path / "films", tmp_path / "films" / "overlays"
    common = [folder, "--format", "csv", "--out", tmp_path / "o.csv", "--overlay", overlays]
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "x.png").write_bytes((films / "a.png").read_bytes())
    assert run("predict", *common) == DONE
    before = (overlays / "x.png").read_bytes()
    (folder / "a").mkdir()
    (folder / "a" / "x.png").write_bytes((films / "b.png").read_bytes())
    assert run("predict", *common, "--continue") == DONE
    # Neither written over, nor read as films, though they lie below the folder that is read.
    assert (overlays / "x.png").read_bytes() == before
    assert sorted(path.name for path in overlays.iterdir()) == ["x-2.png", "x.png"]
    assert len((tmp_path / "o.csv").read_text().splitlines()) == 3
    assert run("predict", folder, "--overlay", folder) == BAD_USAGE
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b", "overlays"]


def test_a_frame_is_chosen(films, capsys):
    assert run("predict", films / "a.png", "--frame", "5", "--format", "jsonl") == SOME_UNREAD
    assert "error" in json.loads(capsys.readouterr().out)
    assert run("predict", films / "a.png", "--frame", "0", "--format", "jsonl") == DONE


def test_a_report_is_a_pdf_with_what_was_typed_in(films, tmp_path, capsys):
    out = tmp_path / "reports" / "a.pdf"
    assert run("report", films / "a.png", "--out", out, "--field", "Request=fall = hand") == 0
    text = PdfReader(out).pages[0].extract_text()
    assert "Request" in text and "fall = hand" in text
    assert capsys.readouterr().out.strip() == str(out)


def test_a_report_on_what_is_no_film(films, tmp_path, capsys):
    out = tmp_path / "x.pdf"
    assert run("report", films / "broken.jpg", "--out", out) == SOME_UNREAD
    assert "not a film" in capsys.readouterr().err and not out.exists()
    assert run("report", films / "a.png", "--out", out, "--field", "nothing") == BAD_USAGE


def test_a_report_does_not_take_the_place_of_its_film(films, tmp_path, capsys):
    film = tmp_path / "a.png"
    film.write_bytes((films / "a.png").read_bytes())
    assert run("report", film, "--out", film) == BAD_USAGE
    assert film.read_bytes() == (films / "a.png").read_bytes()
    assert "the film itself" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (BrokenPipeError, DONE, ""),
        (KeyboardInterrupt, INTERRUPTED, "\nx: interrupted.\n"),
        (OSError(28, "No space left"), BAD_USAGE, "x: [Errno 28] No space left\n"),
    ],
)
def test_an_end_before_its_time_is_a_sentence_and_a_code(fault, code, said, capsys):
    def run() -> int:
        raise fault

    assert run_command("x", run) == code
    assert capsys.readouterr().err == said
    with pytest.raises(ZeroDivisionError):  # a fault of ours is not hidden
        run_command("x", lambda: 1 // 0)


CLOSED = """
import sys
from detector.cli.run_command import run_command
sys.exit(run_command("x", lambda: print("a reading", flush=True) or 0))
"""


@pytest.mark.parametrize(("into", "code", "said"), [("pipe", 0, ""), ("/dev/full", 2, "No space")])
def test_a_stdout_that_takes_no_more_is_left_alone_at_exit(into, code, said):
    if into == "pipe":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open(into, os.O_WRONLY)
    root = Path(cli.__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", CLOSED], stdout=writer, stderr=subprocess.PIPE, text=True, cwd=root
    )
    os.close(writer)
    assert done.returncode == code
    assert said in done.stderr and "Exception ignored" not in done.stderr


def test_a_missing_package_is_named_with_the_command_that_brings_it(
    films, tmp_path, monkeypatch, capsys
):
    for name in list(sys.modules):
        if name == "detector.report.pdf" or name.startswith("reportlab."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "reportlab", None)
    assert run("report", films / "a.png", "--out", tmp_path / "x.pdf") == BAD_USAGE
    said = capsys.readouterr().err
    assert "reportlab" in said and "pip install 'fracture-detector[demo]'" in said


@pytest.mark.parametrize("command", sorted(cli.HANDED_ON))
def test_the_other_commands_get_their_arguments(command, monkeypatch):
    name, _, _ = cli.HANDED_ON[command]
    seen = {}
    room = ModuleType(name)
    room.main = lambda argv: seen.update(argv=argv, program=sys.argv[0]) or 0
    monkeypatch.setitem(sys.modules, name, room)
    assert run(command, "--some", "thing") == DONE
    assert seen == {"argv": ["--some", "thing"], "program": f"fracture-detector {command}"}


@pytest.mark.parametrize("command", sorted(cli.HANDED_ON))
def test_the_other_commands_are_there_and_explain_themselves(command, capsys):
    with pytest.raises(SystemExit) as end:
        run(command, "--help")
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: fracture-detector {command} [-h]")


def test_what_goes_wrong_there_is_a_sentence(monkeypatch, capsys):
    def main(argv):
        raise ValueError("The folder holds no films.")

    room = ModuleType("train")
    room.main = main
    monkeypatch.setitem(sys.modules, "train", room)
    assert run("train") == BAD_USAGE
    assert capsys.readouterr().err == "fracture-detector train: The folder holds no films.\n"


@pytest.mark.parametrize("arguments", [[], ["predict"], ["nonsense"], ["report", "x.png"]])
def test_wrong_usage_is_2(arguments):
    with pytest.raises(SystemExit) as end:
        run(*arguments)
    assert end.value.code == 2


def test_help_names_every_command_and_shows_examples(capsys):
    with pytest.raises(SystemExit):
        run("--help")
    said = capsys.readouterr().out
    for command in ("predict", "serve", "train", "evaluate", "audit", "report"):
        assert f"fracture-detector {command}" in said


def test_the_version(capsys):
    with pytest.raises(SystemExit):
        run("--version")
    assert capsys.readouterr().out == f"fracture-detector {__version__}\n"


def test_progress_renews_itself_on_a_terminal_only():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for stream, renewed in ((Terminal(), True), (io.StringIO(), False)):
        progress = Progress(2, 0, stream)
        progress.step()
        progress.step()
        progress.end(0)
        assert stream.getvalue().endswith("2 of 2 films done\n")
        assert ("\r1 of 2" in stream.getvalue()) == renewed


@pytest.mark.parametrize(
    ("probability", "words"),
    [(0.0, "<1 %"), (0.004, "<1 %"), (0.01, "1 %"), (0.5, "50 %"), (0.994, ">99 %"), (1, ">99 %")],
)
def test_no_probability_reads_as_certain(probability, words):
    assert percent(probability) == words
