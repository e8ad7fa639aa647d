"""The weights folder: what was written comes back, and anything else is refused with its reason."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from detector import FractureDetector
from detector.io import atomic_io
from detector.model import weights as checkpoint
from detector.model.weights import (
    CONFIG_FILE,
    MODEL_FILE,
    ModelConfig,
    WeightsError,
    read_weights,
    write_weights,
)
from tests.support.tiny import tiny_model

# Both see the whole folder before a film is read: `read_weights` builds the network, a detector has
# its engine build it, or finds a graph that was built from exactly this file and architecture.
readers = pytest.mark.parametrize(
    "read", [read_weights, FractureDetector.from_pretrained], ids=["read", "detector"]
)


@pytest.fixture
def folder(tiny_weights: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(tiny_weights, tmp_path / "weights"))


def alter(folder: Path, change: Callable[[dict], None], *, seal: bool = True) -> None:
    """Change ``config.json``, as somebody would who also computes its digest anew."""
    values = json.loads((folder / CONFIG_FILE).read_text())
    change(values)
    if seal:
        values["digest"] = json_digest(values)
    (folder / CONFIG_FILE).write_text(json.dumps(values))


def json_digest(values: dict) -> str:
    covered = {name: value for name, value in values.items() if name != "digest"}
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def replace_model(folder: Path, data: bytes) -> None:
    """Another model file, with its own sha256 in ``config.json``."""
    (folder / MODEL_FILE).write_bytes(data)
    alter(folder, lambda v: v.update(sha256=hashlib.sha256(data).hexdigest()))


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    model = tiny_model(3)
    write_weights(tmp_path, model.network, model.ood, model.config)
    read = read_weights(tmp_path)
    assert replace(read.config, self_check={}) == model.config and read.config.self_check
    assert read.sha256 == hashlib.sha256((tmp_path / MODEL_FILE).read_bytes()).hexdigest()
    assert np.array_equal(read.ood.direction, model.ood.direction) and not read.network.training
    theirs = read.network.state_dict()
    for name, value in model.network.state_dict().items():
        halved = checkpoint.is_halved(value)
        assert torch.equal(theirs[name], value.half().float() if halved else value), name
    assert sorted(os.listdir(tmp_path)) == [CONFIG_FILE, MODEL_FILE]


def test_reading_and_writing_again_changes_no_byte(folder: Path, tmp_path: Path) -> None:
    model = read_weights(folder)
    write_weights(tmp_path / "again", model.network, model.ood, model.config)
    for name in (MODEL_FILE, CONFIG_FILE):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_the_network_is_built_when_asked_for_and_once(folder: Path, monkeypatch) -> None:
    built, build = [], checkpoint._build
    monkeypatch.setattr(checkpoint, "_build", lambda *of: built.append(build(*of)) or built[-1])
    model = read_weights(folder, build=False)
    assert not built and model.sha256 == read_weights(folder).sha256 and len(built) == 1
    with ThreadPoolExecutor(8) as pool:
        networks = set(pool.map(lambda _: model.network, range(32)))
    assert networks == {built[1]} and len(built) == 2


def test_weights_of_format_3_are_read_with_the_same_numbers(folder: Path) -> None:
    """They named the calibration's parts, the OOD check and its tensor otherwise."""
    expected = read_weights(folder)
    tensors = load((folder / MODEL_FILE).read_bytes())
    tensors["scope.direction"] = tensors.pop("ood.direction")
    replace_model(folder, save(tensors))
    values = json.loads((folder / CONFIG_FILE).read_text())
    calibration = values["calibration"]
    for old, new in (("film", "image"), ("place", "location"), ("floor", "display_threshold")):
        calibration[old] = calibration.pop(new)
    ood = values.pop("ood")
    values |= {"format": 3, "scope": {"start": ood["zero"], "cut": ood["threshold"]}}
    del values["digest"]  # that came with format 4
    (folder / CONFIG_FILE).write_text(json.dumps(values))
    read = read_weights(folder)
    assert read.config == expected.config
    assert np.array_equal(read.ood.direction, expected.ood.direction)


@pytest.mark.parametrize("name", [MODEL_FILE, CONFIG_FILE])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(WeightsError, match=f"{name} is missing"):
        read_weights(folder)


def test_an_altered_model_is_refused(folder: Path) -> None:
    data = bytearray((folder / MODEL_FILE).read_bytes())
    data[-1] ^= 1
    (folder / MODEL_FILE).write_bytes(data)
    with pytest.raises(WeightsError, match="sha256 differs"):
        read_weights(folder)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_config_that_is_no_json_object_is_refused(folder: Path, text: bytes) -> None:
    (folder / CONFIG_FILE).write_bytes(text)
    with pytest.raises(WeightsError, match=CONFIG_FILE):
        read_weights(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda v: v.update(format=1), "format 1; this version reads 4"),
        (lambda v: v.pop("format"), "format None"),
        (lambda v: v.pop("calibration"), "incomplete or wrong.*calibration"),
        (lambda v: v["calibration"].update(rule_in=-1), "operating points must be ordered"),
        (lambda v: v["calibration"]["image"].update(scale=0), "must be positive"),
        (lambda v: v["ood"].update(threshold=v["ood"]["zero"]), "must lie beyond its zero"),
        (lambda v: v["preprocessing"].update(input_size="large"), "incomplete or wrong"),
        (lambda v: v["architecture"].update(stride=5), "stride must be 8 or 16"),
        (lambda v: v["architecture"].update(channels=24), "does not hold this architecture"),
        (lambda v: v["architecture"].update(channels=-1), "does not hold this architecture"),
        (lambda v: v["architecture"].update(backbone="hf-hub:someone/else"), "not known here"),
        (lambda v: v["preprocessing"].update(input_size=0), "input size"),
        (lambda v: v["preprocessing"].update(input_size=96.5), "whole number"),
        (lambda v: v["preprocessing"].update(input_size=10**9), "input size"),
        (lambda v: v["calibration"].update(rule_in=math.nan), "no number"),
        (lambda v: v["calibration"].update(extent=-1), "extent"),
        (lambda v: v["calibration"].update(prevalence=0), "prevalence"),
        (lambda v: v["calibration"]["image"].update(bias=math.inf), "no number"),
        (lambda v: v["ood"].update(threshold=math.inf), "no number"),
        (lambda v: v["self_check"].update(logit="high"), "incomplete or wrong"),
        (lambda v: v.update(self_check=[1]), "incomplete or wrong"),
    ],
)
@readers
def test_a_wrong_config_is_refused(
    folder: Path, change: Callable[[dict], None], reason: str, read: Callable[[Path], object]
) -> None:
    read(folder)  # whole: the graph is there now, and must not vouch for what is wrong
    alter(folder, change)
    with pytest.raises(WeightsError, match=reason):
        read(folder)


class Planted:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_a_planted_pickle_is_refused_and_does_not_run(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    mark = tmp_path / "ran"
    if kind == "pickle":
        replace_model(folder, pickle.dumps(Planted(mark)))
    else:
        torch.save(Planted(mark), tmp_path / "planted.pt")
        replace_model(folder, (tmp_path / "planted.pt").read_bytes())
    with pytest.raises(WeightsError, match="no safetensors file"):
        read_weights(folder)
    assert not mark.exists()
    (folder / MODEL_FILE).rename(folder / "model.pt")
    with pytest.raises(WeightsError, match=f"{MODEL_FILE} is missing"):
        read_weights(folder)
    assert not mark.exists()


@readers
@pytest.mark.parametrize("what", ["less", "no OOD check", "more", "shape", "OOD check"])
def test_tensors_of_another_model_are_refused(
    folder: Path, what: str, read: Callable[[Path], object]
) -> None:
    tensors = load((folder / MODEL_FILE).read_bytes())
    if what == "no OOD check":
        del tensors["ood.direction"]
    elif what == "shape":
        tensors["film_bias"] = torch.zeros(2)
    elif what == "less":
        del tensors["film_bias"]
    elif what == "more":
        tensors["stranger"] = torch.zeros(1)
    else:
        tensors["ood.direction"] = tensors["ood.direction"][:-1].clone()
    replace_model(folder, save(tensors))
    with pytest.raises(WeightsError, match="architecture"):
        read(folder)


def test_numbers_of_an_unknown_kind_are_refused(folder: Path) -> None:
    header = json.dumps({"a": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}).encode()
    replace_model(folder, struct.pack("<Q", len(header)) + header + bytes(2))
    with pytest.raises(WeightsError, match="unknown kind: 'BF16'"):
        read_weights(folder)


def test_a_full_disk_leaves_the_weights_that_were_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    model, calls = tiny_model(5), []

    def full_at_second(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic_io.os, "fsync", full_at_second)
    with pytest.raises(OSError, match="No space left"):
        write_weights(folder, model.network, model.ood, model.config)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_config_survives_json() -> None:
    config = tiny_model().config
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


# Digest, ranges and the pinned answer


@readers
@pytest.mark.parametrize(
    "change",
    [
        lambda v: v["calibration"].update(rule_out=0.3, rule_in=0.99),
        lambda v: v["metrics"].update(val={"films": 1}),
        lambda v: v.update(note="added"),
        lambda v: v.update(digest="0" * 64),
        lambda v: v["preprocessing"].update(input_size=128),
    ],
    ids=["thresholds", "figures", "more", "digest", "size"],
)
def test_an_altered_configuration_is_refused(folder: Path, change, read) -> None:
    alter(folder, change, seal=False)
    with pytest.raises(WeightsError, match="altered since it was written"):
        read(folder)


def test_order_and_spaces_of_the_configuration_do_not_matter(folder: Path) -> None:
    before = read_weights(folder).digest
    values = json.loads((folder / CONFIG_FILE).read_text())
    (folder / CONFIG_FILE).write_text(json.dumps(dict(reversed(values.items())), indent=7))
    assert read_weights(folder).digest == before == values["digest"]


def test_the_digest_covers_network_and_configuration(folder: Path) -> None:
    model = read_weights(folder)
    other = replace(model, config=replace(model.config, version="another"), digest="")
    third = replace(model, sha256="1" * 64, digest="")
    assert len({model.digest, other.digest, third.digest}) == 3


def test_weights_of_before_an_entry_was_added_keep_their_digest(folder: Path) -> None:
    alter(folder, lambda v: v["architecture"].pop("temperature"))
    stored = json.loads((folder / CONFIG_FILE).read_text())["digest"]
    assert read_weights(folder).digest == stored


def test_weights_without_a_digest_load_and_the_log_says_so(folder: Path, caplog) -> None:
    def as_before(values: dict) -> None:
        del values["digest"], values["self_check"]

    alter(folder, as_before, seal=False)
    assert len(read_weights(folder).digest) == 64
    FractureDetector.from_pretrained(folder)
    assert "has no digest" in caplog.text and "no pinned answer" in caplog.text


def test_only_the_expected_weights_are_taken(folder: Path) -> None:
    digest = read_weights(folder).digest
    for expected in (digest, digest[:12]):
        detector = FractureDetector.from_pretrained(folder, digest=expected)
        assert detector.predict(np.eye(64)).model["sha256"] == digest[:12]
    alter(folder, lambda v: v["calibration"].update(rule_in=0.99))  # by a forger who seals it anew
    for expected in (digest, digest[:11], ""):
        with pytest.raises(WeightsError, match="not the expected ones"):
            FractureDetector.from_pretrained(folder, digest=expected)


@readers
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_refused(folder: Path, value: float, read) -> None:
    tensors = load((folder / MODEL_FILE).read_bytes())
    tensors["evidence.weight"].view(-1)[3] = value
    replace_model(folder, save(tensors))
    with pytest.raises(WeightsError, match="no number, in evidence.weight"):
        read(folder)


@readers
def test_weights_that_are_all_zero_are_refused(folder: Path, read) -> None:
    tensors = load((folder / MODEL_FILE).read_bytes())
    replace_model(folder, save({
        name: torch.zeros_like(value) if value.ndim > 1 else value
        for name, value in tensors.items()
    }))
    with pytest.raises(WeightsError, match="all its weights are zero"):
        read(folder)


@pytest.mark.parametrize("name", [MODEL_FILE, CONFIG_FILE])
def test_a_pipe_in_a_files_place_is_refused_and_does_not_hang(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(WeightsError, match=f"{name}.*no regular file"):
        read_weights(folder)


@pytest.mark.parametrize("engine", ["torch", "auto"])
def test_a_network_that_misses_its_pinned_answer_is_refused(folder: Path, engine: str) -> None:
    FractureDetector.from_pretrained(folder, engine=engine)
    alter(folder, lambda v: v["self_check"].update(logit=v["self_check"]["logit"] + 0.5))
    with pytest.raises(WeightsError, match=r"pinned answer .*\(logit\)"):
        FractureDetector.from_pretrained(folder, engine=engine)
