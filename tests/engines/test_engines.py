"""The engines: PyTorch as the reference, OpenVINO equal to it and faster."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from detector import FractureDetector
from detector.engines.base import EngineOutput
from detector.engines.choice import make_engine
from detector.engines.torch import TorchEngine
from detector.model.letterbox import Letterbox
from detector.model.weights import Model
from detector.phantom import draw_phantom

ROOT = Path(__file__).resolve().parents[2]
CANVASES = ((448, 384), (384, 448), (448, 448), (448, 32), (64, 448))

# Not importorskip: OpenVINO must be imported by the engine, which keeps it from reporting home.
if find_spec("openvino") is None:
    pytest.skip("OpenVINO is not installed (extra 'fast')", allow_module_level=True)
from detector.engines import openvino as engine_openvino  # noqa: E402
from detector.engines.openvino import OpenVinoEngine  # noqa: E402


@pytest.fixture(scope="module")
def model(detector: FractureDetector) -> Model:
    return detector.model


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="module")
def openvino_engine(model: Model, cache: Path) -> OpenVinoEngine:
    return OpenVinoEngine(model, cache=cache)


@pytest.fixture(scope="module")
def canvases() -> list[np.ndarray]:
    film = draw_phantom("forearm", size=(512, 430), seed=3).pixels
    noise = np.random.default_rng(0)
    return [Letterbox.fit(*film.shape, 448).apply(film)] + [
        noise.random(shape, np.float32) for shape in CANVASES
    ]


def raw(output: EngineOutput) -> bytes:
    return np.float64(output.logit).tobytes() + output.evidence.tobytes() + (
        output.embedding.tobytes()
    )


def test_openvino_equals_torch(
    model: Model, openvino_engine: OpenVinoEngine, canvases: list[np.ndarray]
) -> None:
    torch_engine = TorchEngine(model.network)
    for canvas in canvases:
        expected, found = torch_engine.run(canvas), openvino_engine.run(canvas)
        assert found.evidence.shape == expected.evidence.shape
        assert found.evidence.dtype == found.embedding.dtype == np.float32
        assert abs(found.logit - expected.logit) <= 1e-4
        np.testing.assert_allclose(found.evidence, expected.evidence, atol=1e-3)
        np.testing.assert_allclose(found.embedding, expected.embedding, atol=1e-3)


def test_an_answer_stays_when_the_next_film_runs(
    openvino_engine: OpenVinoEngine, canvases: list[np.ndarray]
) -> None:
    first = openvino_engine.run(canvases[0])
    before = raw(first)
    openvino_engine.run(1 - canvases[0])
    assert raw(first) == before


@pytest.mark.parametrize("name", ["openvino", "torch"])
def test_threads_get_their_own_answers(
    name: str, model: Model, openvino_engine: OpenVinoEngine, canvases: list[np.ndarray]
) -> None:
    engine = openvino_engine if name == "openvino" else TorchEngine(model.network)
    alone = [raw(engine.run(canvas)) for canvas in canvases]
    order = [int(i) for i in np.random.default_rng(1).integers(len(canvases), size=32)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda i: raw(engine.run(canvases[i])), order))
    assert together == [alone[i] for i in order]


def test_a_canvas_that_does_not_fit_is_refused(openvino_engine: OpenVinoEngine) -> None:
    for shape in ((448, 373), (1, 448, 384)):
        with pytest.raises(ValueError, match="multiples of 32"):
            openvino_engine.run(np.zeros(shape, np.float32))


def test_the_graph_is_built_once(
    model: Model, openvino_engine: OpenVinoEngine, cache: Path, canvases: list[np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(network: object) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr(engine_openvino, "_build", never)
    again = OpenVinoEngine(model, cache=cache)
    assert raw(again.run(canvases[0])) == raw(openvino_engine.run(canvases[0]))
    with pytest.raises(AssertionError, match="built again"):
        OpenVinoEngine(replace(model, sha256="0" * 64), cache=cache)
    stride = replace(model.config, architecture=replace(model.config.architecture, channels=1))
    with pytest.raises(AssertionError, match="built again"):
        OpenVinoEngine(replace(model, config=stride), cache=cache)


def test_a_damaged_graph_is_built_anew(
    model: Model, openvino_engine: OpenVinoEngine, cache: Path, tmp_path: Path,
    canvases: list[np.ndarray],
) -> None:
    (graph,) = cache.glob("*.graph")
    whole = graph.read_bytes()
    middle = len(whole) // 2
    core = engine_openvino.openvino.Core()
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for damaged in (whole[:middle], flipped, whole + b"\0", whole[:20]):
        with pytest.raises(ValueError, match="digest"):
            engine_openvino._unpack(core, damaged)
    planted = tmp_path / graph.name
    planted.write_bytes(flipped)
    engine = OpenVinoEngine(model, cache=tmp_path)
    assert raw(engine.run(canvases[0])) == raw(openvino_engine.run(canvases[0]))
    assert list(tmp_path.iterdir()) == [planted]
    engine_openvino._unpack(core, planted.read_bytes())  # whole again


def test_a_cache_that_cannot_be_written_is_no_error(
    model: Model, openvino_engine: OpenVinoEngine, tmp_path: Path, canvases: list[np.ndarray]
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    engine = OpenVinoEngine(model, cache=in_the_way / "graphs")
    assert raw(engine.run(canvases[0])) == raw(openvino_engine.run(canvases[0]))


def test_a_file_where_the_users_cache_should_be_is_no_error(
    model: Model, openvino_engine: OpenVinoEngine, tmp_path: Path, canvases: list[np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = engine_openvino.cached_assets_path
    monkeypatch.setattr(
        engine_openvino, "cached_assets_path", lambda *names: find(*names, assets_dir=tmp_path)
    )
    (tmp_path / "fracture-detector").touch()
    with pytest.raises(ValueError):
        engine_openvino.cached_assets_path("fracture-detector", "openvino")
    engine = OpenVinoEngine(model)
    assert raw(engine.run(canvases[0])) == raw(openvino_engine.run(canvases[0]))


def test_the_threads_are_those_that_pytorch_would_take(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    assert engine_openvino._threads() == torch.get_num_threads()
    monkeypatch.delitem(sys.modules, "torch")
    for said, threads in (("3", 3), ("2,1", 2), (" 4 ", 4), ("", 0), ("many", 0), ("-1", 0)):
        monkeypatch.setenv("OMP_NUM_THREADS", said)
        assert engine_openvino._threads() == threads
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert engine_openvino._threads() == 0


def test_old_graphs_are_dropped(tmp_path: Path) -> None:
    for age in range(8):
        file = tmp_path / f"{age}.graph"
        engine_openvino._keep(file, b"graph")
        os.utime(file, (1e9 + age, 1e9 + age))
    assert sorted(f.stem for f in tmp_path.iterdir()) == ["4", "5", "6", "7"]


def test_precision_is_chosen_and_shown(
    model: Model, openvino_engine: OpenVinoEngine, canvases: list[np.ndarray]
) -> None:
    assert make_engine(model, "auto").precision == "float32"
    exact = TorchEngine(model.network).run(canvases[0]).logit
    rough = TorchEngine(model.network, precision="bfloat16")
    assert (rough.name, rough.precision) == ("torch", "bfloat16")
    # Less precise, and as close as eight bits of mantissa leave it.
    assert 0 < abs(rough.run(canvases[0]).logit - exact) < 0.5
    with pytest.raises(ValueError, match="float16"):
        make_engine(model, "torch", "float16")
    try:
        fast = make_engine(model, "openvino", "bfloat16")
    except ValueError as error:
        assert "does not compute in bfloat16" in str(error)
    else:
        assert (fast.name, fast.precision) == ("openvino", "bfloat16")
        assert 0 < abs(fast.run(canvases[0]).logit - exact) < 0.5


def test_unknown_names_are_refused(model: Model) -> None:
    with pytest.raises(ValueError, match="unknown engine 'tensorflow'; there are auto, torch"):
        make_engine(model, "tensorflow")
    with pytest.raises(ValueError, match="unknown precision 'int4'"):
        make_engine(model, "torch", "int4")


def test_without_openvino_pytorch_runs(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "detector.engines.openvino", None)
    assert make_engine(model).name == "torch"
    with pytest.raises(ImportError, match=r"fracture-detector\[fast\]"):
        make_engine(model, "openvino")


def test_where_openvino_fails_pytorch_runs(
    model: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(engine_openvino, "OpenVinoEngine", fails)
    assert make_engine(model).name == "torch"
    assert "no such instruction" in caplog.text
    with pytest.raises(RuntimeError):
        make_engine(model, "openvino")


def test_the_detector_takes_the_choice(detector: FractureDetector) -> None:
    assert detector.engine.name == "openvino"
    slow = FractureDetector(detector.model, "torch")
    assert slow.engine.name == "torch"
    slow.warm_up()
    film = draw_phantom("hand", size=(300, 200), seed=1).pixels
    a, b = detector.predict(film), slow.predict(film)
    assert abs(a.probability - b.probability) <= 1e-4
    np.testing.assert_allclose(a.heatmap, b.heatmap, atol=1e-3)


def test_openvino_reports_to_nobody(tmp_path: Path) -> None:
    """OpenVINO's telemetry package, when loaded, leaves an identity file in the home folder."""
    code = (
        "import sys, detector.engines.openvino, openvino\n"
        "assert sys.modules['openvino_telemetry'] is None\n"
    )
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "LOCALAPPDATA": str(tmp_path)}
    environment = {k: v for k, v in os.environ.items() if k != "CI"} | home
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)
    assert not (tmp_path / "intel").exists()
