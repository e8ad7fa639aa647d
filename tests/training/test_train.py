"""``train.py`` from end to end on a few small phantoms, cut off at every bad moment."""

from __future__ import annotations

import csv
import errno
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import train
from detector import FractureDetector
from detector.io import atomic_io
from detector.model.architecture import Architecture
from detector.model.network import EvidenceNetwork
from detector.model.weights import read_weights
from detector.phantom import random_phantom
from detector.training import checkpoint, initial_network, sources
from detector.training.config import TrainConfig
from detector.training.run import read_run
from detector.training.sources import draw_phantoms

ROOT = Path(train.__file__).parent
COUNTS, SIZE = {"train": 12, "val": 8}, (96, 80)
TINY = ["--epochs", "2", "--sizes", "64", "--batch", "4", "--repeats", "1", "--negative-crops", "2",
        "--workers", "0", "--precision", "float32"]
SMALL = partial(Architecture, "test_efficientnet")
# What a process of its own runs: the same few phantoms, and a change in between.
SCRIPT = f"""
import os, signal, sys
from functools import partial
sys.path.insert(0, {str(ROOT)!r})
import torch
import train
from detector.training import sources
from detector.training import checkpoint, initial_network
torch.set_num_threads(1)
initial_network.Architecture = partial(initial_network.Architecture, "test_efficientnet")
sources.PHANTOMS, sources.PHANTOM_SIZE = {COUNTS}, {SIZE}
CHANGE
sys.exit(train.main(sys.argv[1:]))
"""


class Killed(BaseException):
    """Nothing in the program may catch it, as nothing can catch a kill."""


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """Few phantoms, a small backbone, and one thread: sums are then added in the same order in
    every process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(initial_network, "Architecture", SMALL)
        patch.setattr(sources, "PHANTOMS", COUNTS)
        patch.setattr(sources, "PHANTOM_SIZE", SIZE)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing disturbed."""
    place = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert train.main([*TINY, "--runs", "runs"]) == 0
    assert os.listdir(place) == ["runs"]  # the shipped weights are not touched
    return only_run(place / "runs")


def only_run(runs: Path) -> Path:
    (folder,) = runs.iterdir()
    return folder


def assert_same_end(run: Path, other: Path) -> None:
    """The same weights down to the last bit, at the end and as they were chosen and written."""
    for name in ("last.safetensors", "best.safetensors", "weights/model.safetensors"):
        one, two = load_file(run / name), load_file(other / name)
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one), name
    one, two = (json.loads((r / "weights" / "config.json").read_text()) for r in (run, other))
    assert one["calibration"] == two["calibration"] and one["ood"] == two["ood"]


def test_a_run_on_phantoms_leaves_all_that_it_should(trained: Path) -> None:
    config = json.loads((trained / "config.json").read_text())
    asked, made = config["config"], config["provenance"]
    assert asked["epochs"] == 2 and asked["sizes"] == [64] and asked["precision"] == "float32"
    assert len(made["data_sha256"]) == 64 and made["precision"] == "float32"
    commit = made["commit"]
    assert commit == "unknown" or len(commit.rstrip("+")) == 40
    with (trained / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(math.isfinite(float(value)) for row in rows for value in row.values())
    assert {"loss", "phantoms_auc", "phantoms_pointing", "films_per_second"} <= rows[0].keys()
    assert (trained / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_its_weights_read_films(trained: Path) -> None:
    detector = FractureDetector(read_weights(trained / "weights"))
    provenance = detector.config.provenance
    assert provenance["data"] == ["phantoms"] and provenance["init"] == "random"
    assert provenance["films"] == {"phantoms": COUNTS}
    config, _ = read_run(trained)
    assert provenance["recipe"] == config.recipe() and config.epochs == 2
    of_val = detector.config.metrics["val"]
    assert of_val["films"] == COUNTS["val"]
    assert of_val["balanced_threshold"] == of_val["fractured"] / of_val["films"]
    assert provenance["ood_reference"] == {"images": ["drawn"], "number": 300, "views": 300}
    prediction = detector.predict(random_phantom(7, size=SIZE).pixels)
    assert prediction.heatmap.shape == SIZE


def in_the_second_epoch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(train, "set_rate", failing(train.set_rate, at=5, error=Killed()))


def before_the_first_checkpoint(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(train, "set_rate", failing(train.set_rate, at=2, error=Killed()))


def between_best_and_last(patch: pytest.MonkeyPatch) -> None:
    def write(path: Path, *rest: object) -> None:
        written.append(path.name)
        if written[-2:] == ["best.safetensors", "last.safetensors"]:
            raise Killed
        checkpoint.write_checkpoint(path, *rest)

    written: list[str] = []
    patch.setattr(train, "write_checkpoint", write)


def before_the_export(patch: pytest.MonkeyPatch) -> None:
    def killed(*arguments: object) -> None:
        raise Killed

    patch.setattr("detector.training.export.export_weights", killed)


def failing(function: Callable, at: int, error: BaseException) -> Callable:
    """``function``, whose call number ``at`` fails."""
    calls = []

    def wrapper(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == at:
            raise error
        return function(*arguments)

    return wrapper


@pytest.mark.parametrize(
    "moment",
    [in_the_second_epoch, before_the_first_checkpoint, between_best_and_last, before_the_export],
)
def test_a_run_that_was_cut_off_ends_as_if_it_had_not_been(
    tmp_path: Path, trained: Path, moment: Callable[[pytest.MonkeyPatch], None]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        moment(patch)
        with pytest.raises(Killed):
            train.main([*TINY, "--runs", str(tmp_path)])
    run = only_run(tmp_path)
    began = read_run(run)[1]["commit"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "git_commit", lambda: "another")
        assert train.main(["--resume", str(run), "--workers", "0"]) == 0
    assert read_run(run)[1]["commit"] == began
    assert_same_end(run, trained)


def test_kill_9_while_a_checkpoint_is_written(tmp_path: Path, trained: Path) -> None:
    """The second ``last``: its file is half written when the process goes."""
    change = """
whole = os.fsync
def kill(descriptor, count=[]):
    count.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    if sum("last.safetensors" in name for name in count) == 2:
        os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)
    whole(descriptor)
os.fsync = kill
"""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("CHANGE", change), *TINY, "--runs", str(tmp_path)],
        capture_output=True, text=True, timeout=240, check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    run = only_run(tmp_path)
    assert len(list(run.glob("last.safetensors.*.partial"))) == 1
    assert not (run / "weights").exists()
    assert train.main(["--resume", str(run), "--workers", "0"]) == 0
    assert_same_end(run, trained)
    assert not list(run.glob("*.partial"))


def test_a_full_disk_ends_the_run_with_its_reason(
    tmp_path: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.MonkeyPatch.context() as patch:
        # Call 1: config; 2, 3, 4: best, last and metrics of epoch 1; then epoch 2.
        patch.setattr(atomic_io.os, "fsync", failing(os.fsync, at=5, error=full))
        assert train.main([*TINY, "--runs", str(tmp_path)]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("train.py: ") and "No space left on device" in said
    assert "the last good one is kept" in said
    run = only_run(tmp_path)
    assert train.main(["--resume", str(run), "--workers", "0"]) == 0
    assert_same_end(run, trained)


def test_a_finished_run_takes_more_epochs(tmp_path: Path, trained: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    assert train.main(["--resume", str(run), "--epochs", "3", "--workers", "0"]) == 0
    assert len((run / "metrics.csv").read_text().splitlines()) == 4
    assert read_run(run)[0].epochs == 3


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "drawn"
    draw_phantoms(folder, {**COUNTS, "test": 4}, 1, SIZE)
    return folder


def test_a_folder_of_films_trains_from_a_file_into_weights(
    tmp_path: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init = tmp_path / "imagenet.safetensors"
    save_file(EvidenceNetwork(SMALL()).backbone.state_dict(), init)
    monkeypatch.chdir(tmp_path)
    argv = [*TINY, "--epochs", "1", "--data", str(drawn), "--init", init.name]
    assert train.main(argv) == 0
    provenance = read_weights(tmp_path / "weights").config.provenance
    assert provenance["init"] == init.name and provenance["data"] == ["drawn"]
    assert provenance["leakage"]["leaks"] is False
    assert str(tmp_path) not in (tmp_path / "weights" / "config.json").read_text()
    # A run remembers where its weights go and what it started from.
    (run,) = (p for p in (tmp_path / "runs").iterdir() if (p / "config.json").exists())
    config, _ = read_run(run)
    assert config.init == Path(init.name) and config.data == (drawn,) and config.out is None


def test_training_goes_on_from_a_folder_of_weights(tmp_path: Path, trained: Path) -> None:
    weights = trained / "weights"
    begun = initial_network.make_network(TrainConfig(), weights, pretrained=True)
    known = read_weights(weights).network.state_dict()
    assert all(torch.equal(value, known[name]) for name, value in begun.state_dict().items())

    argv = [*TINY, "--epochs", "1", "--init", str(weights), "--runs", str(tmp_path)]
    assert train.main(argv) == 0
    run = only_run(tmp_path)
    said = f"weights {read_weights(weights).config.version}, sha256 "
    assert read_weights(run / "weights").config.provenance["init"].startswith(said)
    # What the folder holds later changes nothing of what the run began with.
    kept = json.loads((run / "config.json").read_text())
    kept["config"]["init"] = str(run / "weights")
    (run / "config.json").write_text(json.dumps(kept))
    assert train.main(["--resume", str(run), "--precision", "float32"]) == 0
    again = read_weights(run / "weights").config.provenance["init"]
    assert again == kept["provenance"]["init"]


@pytest.mark.parametrize(("argv", "kept"), [(["--keep", "best"], 0), ([], 1)])
def test_the_epoch_that_is_kept_is_the_best_or_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], kept: int
) -> None:
    monkeypatch.setattr(train, "selection", lambda row: 1 / row["epoch"])  # the first is the best
    assert train.main([*TINY, "--runs", str(tmp_path), *argv]) == 0
    assert checkpoint.read_checkpoint(only_run(tmp_path) / "best.safetensors", {})["epoch"] == kept


def test_weights_of_another_architecture_are_no_start(trained: Path) -> None:
    with pytest.raises(ValueError, match="the configuration asks for"):
        initial_network.make_network(TrainConfig(stride=16), trained / "weights", pretrained=False)


def test_weights_go_on_at_another_temperature_with_an_even_call_kept(trained: Path) -> None:
    own = read_weights(trained / "weights").network
    network = initial_network.make_network(
        TrainConfig(temperature=1.0), trained / "weights", pretrained=False
    )
    flat = torch.zeros(1, 50, 40)
    assert own.architecture.temperature == 3 and network.architecture.temperature == 1
    torch.testing.assert_close(network.pool(flat), own.pool(flat), rtol=0, atol=1e-3)
    assert torch.equal(network.evidence.weight, own.evidence.weight)


def test_a_split_that_leaks_is_refused_with_the_audits_sentence(
    tmp_path: Path, drawn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leaking = Path(shutil.copytree(drawn, tmp_path / "leaking"))
    films = sorted((leaking / "images").iterdir())
    for test, film in zip(films[:4], films[4:], strict=False):  # all of test is in train now
        shutil.copy(film, test)
        assert "test" in test.name and "train" in film.name
    assert train.main([*TINY, "--data", str(leaking), "--runs", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err
    assert "train.py: The split leaks: 4 of 4 test films show a picture that train has too" in said
    assert "--allow-leakage" in said


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["--resume", "nowhere"], "nowhere is no run"),
        (["--data", "nowhere"], "nowhere is not a folder"),
        (["--sizes", "100"], "multiples of 32"),
        (["--batch", "999"], "fewer than one --batch 999"),
        (["--stride", "5"], "stride must be 8 or 16"),
        (["--ood-images", "nowhere"], "--ood-images nowhere: there is no such folder"),
        (["--init", "nowhere"], "no ImageNet weights to start from at nowhere"),
    ],
)
def test_bad_usage_ends_with_2_and_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    argv: list[str], reason: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train.main(["--precision", "float32", *argv]) == 2
    assert reason in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "weights").exists()


def test_every_option_has_the_kind_of_its_field() -> None:
    given = {"seed": 3, "epochs": 7, "head_lr": 0.5, "sizes": (64, 96), "keep": "last",
             "data": (Path("a"), Path("b")), "init": Path("c"), "allow_leakage": True}  # fmt: skip
    argv = ["--data", "a", "--data", "b", "--allow-leakage"]
    for name in ("seed", "epochs", "head_lr", "keep", "init"):
        argv += [f"--{name.replace('_', '-')}", str(given[name])]
    config = train.configure(train.parse_arguments([*argv, "--sizes", "64", "96"]))
    assert {name: getattr(config, name) for name in given} == given
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_resume_takes_its_data_from_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        train.main(["--resume", "run", "--data", "films"])
    assert end.value.code == 2 and "leave --data out" in capsys.readouterr().err


def test_outlines_without_films_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        train.main(["--outlines", "outlines.json"])
    assert end.value.code == 2 and "give their folder with --data" in capsys.readouterr().err


def test_a_checkpoint_that_is_damaged_ends_with_1(
    tmp_path: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    (run / "last.safetensors").write_bytes(b"x" * 100)
    assert train.main(["--resume", str(run)]) == 1
    assert "holds no whole checkpoint" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train, "image_loss", lambda logit, *rest: logit.sum() * float("nan"))
    assert train.main([*TINY, "--runs", str(tmp_path)]) == 1
    assert "the loss is nan at epoch 1, step 1" in capsys.readouterr().err


def test_val_chooses_by_auc_and_half_of_pointing() -> None:
    row = {"loss": 9.0, "a_auc": 0.8, "b_auc": 0.6, "a_pointing": 0.5, "a_strict": 0.1}
    assert train.selection(row) == pytest.approx(0.7 + 0.25)
    assert train.selection({"loss": 1.0}) == 0
