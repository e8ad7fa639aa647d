"""The network in OpenVINO, faster than PyTorch on a processor (`benchmarks/latency.py`).

The graph is built from the weights on first use and kept in the user's cache folder, outside the
repository: ``assets/fracture-detector/openvino`` in Hugging Face's (``HF_HOME``). Its name is a
digest of everything it depends on, so other weights or another OpenVINO get another file; a file
that is damaged is built anew, and a folder that cannot be written only makes each start longer
(`benchmarks/startup.py`). PyTorch is imported only to build it, so a start that finds its graph
takes a fraction of the time.

One graph takes every canvas: compiled for sizes unknown it is about as fast as compiled for each,
starts on a new size sooner, and no variety of films makes it grow (`benchmarks/soak.py`).
"""

from __future__ import annotations

import copy
import hashlib
import logging
import os
import sys
import tempfile
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from huggingface_hub import cached_assets_path

from detector.engines.base import EngineOutput
from detector.io.atomic_io import replace_file
from detector.model.weights import Model

if TYPE_CHECKING:
    from torch import nn

# OpenVINO reports its import and every conversion to a web service when this package is there. A
# program that reads patients' films calls nobody; without it OpenVINO uses its own silent stub.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402  (after the line above)

logger = logging.getLogger(__name__)

_GRAPH_VERSION = 3  # raise when `_build` or the network's `forward` changes
_KEPT_GRAPHS = 4
_HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
_NEEDS = {"bfloat16": "BF16", "float16": "FP16"}


class OpenVinoEngine:
    """OpenVINO on the processor. See ``engine.Engine``.

    Uses as many threads as PyTorch would: what ``OMP_NUM_THREADS`` says, or PyTorch's own setting
    in a program that has loaded it; else a thread for each physical core that the process may use.
    One film runs at a time, on all of them: a second caller waits, which costs no throughput.

    Args:
        model: whose network to run.
        precision: one of ``engine.PRECISIONS``.
        cache: folder for the graph; None is the user's cache folder.

    Raises:
        WeightsError: the graph must be built, and the model's file does not hold its architecture.
        ValueError: the processor has no arithmetic of this precision.
        RuntimeError: OpenVINO cannot convert or compile the network.
    """

    name = "openvino"

    def __init__(self, model: Model, *, precision: str = "float32", cache: Path | None = None):
        core = openvino.Core()
        need = _NEEDS.get(precision)
        if need and need not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise ValueError(f"this processor does not compute in {precision}; use float32")
        graph = _graph(core, model, cache)
        graph.reshape([1, 1, -1, -1])
        compiled = core.compile_model(
            graph,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": _HINTS[precision],
                "INFERENCE_NUM_THREADS": _threads(),
                "NUM_STREAMS": 1,
                # Bound to cores, two processes on one machine would wait for each other.
                "ENABLE_CPU_PINNING": False,
            },
        )
        self.precision = precision
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()

    def run(self, canvas: np.ndarray) -> EngineOutput:
        """Canvas float32 (H, W) in [0, 1], sides multiples of 32 -> output.

        Raises:
            ValueError: a side is no multiple of 32.
        """
        if canvas.ndim != 2 or canvas.shape[0] % 32 or canvas.shape[1] % 32:
            raise ValueError(f"a canvas has two sides of multiples of 32, not {canvas.shape}")
        film = np.ascontiguousarray(canvas, np.float32)[None, None]
        with self._lock:
            self._request.infer([film])
            # Copied while the lock holds: the request's own arrays are the next film's.
            logit, evidence, embedding = (
                self._request.get_output_tensor(i).data[0].copy() for i in range(3)
            )
        return EngineOutput(float(logit), evidence, embedding)


def _threads() -> int:
    """How many threads to run on; 0 leaves it to OpenVINO: a thread for each physical core."""
    if "torch" in sys.modules:
        import torch

        return torch.get_num_threads()
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # "4,2": nested teams
    return int(first) if first.isdecimal() else 0


def _graph(core: openvino.Core, model: Model, cache: Path | None) -> openvino.Model:
    """The model's graph from the cache, else built and put there."""
    parts = (model.sha256, model.config.architecture, openvino.__version__, _GRAPH_VERSION)
    key = hashlib.sha256(repr(parts).encode()).hexdigest()[:40]
    try:
        folder = cache or cached_assets_path("fracture-detector", "openvino")
        file = Path(folder) / f"{key}.graph"
        packed = file.read_bytes() if file.exists() else b""
    # ValueError: a file lies where the folder should; RuntimeError: the user has no home folder.
    except (OSError, ValueError, RuntimeError) as error:
        logger.info("no cache for the graph: %s", error)
        file, packed = None, b""
    if packed:
        try:
            return _unpack(core, packed)
        except (ValueError, RuntimeError):
            logger.warning("%s is damaged; the graph is built anew", file)
    packed = _pack(_build(model))
    if file is not None:
        _keep(file, packed)
    # Read back like a cached one, so that the first run computes exactly as all later ones.
    return _unpack(core, packed)


def _build(model: Model) -> openvino.Model:
    """The network as a graph over films (1, 1, H, W), with normalisation and batch norm inside."""
    import torch

    network = copy.deepcopy(model.network).cpu().float().eval().requires_grad_(False)
    _fix_padding(network)
    with warnings.catch_warnings():
        # Tracing is deprecated in PyTorch, and is what OpenVINO converts fastest; its remarks on
        # sizes taken as constants do not concern films of multiples of 32.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(network, (torch.rand(1, 1, 64, 96),), check_trace=False)
        return openvino.convert_model(traced)


def _fix_padding(network: nn.Module) -> None:
    """Give TensorFlow-style convolutions the padding that they compute from each film's size.

    On sides that the stride divides it is always the same; as a constant OpenVINO merges it into
    the convolution.
    """
    from torch import nn

    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer).__name__ != "Conv2dSame" or layer.dilation != (1, 1):
                continue
            pads = []
            for kernel, stride in zip(layer.kernel_size[::-1], layer.stride[::-1], strict=True):
                total = max(kernel - stride, 0)
                pads += [total // 2, total - total // 2]
            plain = nn.Conv2d(
                layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride,
                groups=layer.groups, bias=layer.bias is not None,
            )
            plain.load_state_dict(layer.state_dict())
            setattr(parent, name, nn.Sequential(nn.ZeroPad2d(pads), plain))


def _pack(graph: openvino.Model) -> bytes:
    """A graph as bytes: sha256 of what follows, length of the structure, structure, weights."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.xml"
        openvino.save_model(graph, path, compress_to_fp16=False)
        structure, weights = path.read_bytes(), path.with_suffix(".bin").read_bytes()
    body = len(structure).to_bytes(8, "little") + structure + weights
    return hashlib.sha256(body).digest() + body


def _unpack(core: openvino.Core, packed: bytes) -> openvino.Model:
    """Raises ValueError when the bytes are damaged."""
    digest, body = packed[:32], memoryview(packed)[32:]
    if hashlib.sha256(body).digest() != digest:
        raise ValueError("the digest differs")
    end = 8 + int.from_bytes(body[:8], "little")
    weights = openvino.Tensor(np.frombuffer(body[end:], np.uint8).copy())
    return core.read_model(bytes(body[8:end]).decode(), weights)


def _keep(file: Path, packed: bytes) -> None:
    """Write the graph whole or not at all, and drop the oldest ones."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, packed)
        graphs = sorted(file.parent.glob("*.graph"), key=lambda g: g.stat().st_mtime)
        for old in graphs[:-_KEPT_GRAPHS]:
            old.unlink(missing_ok=True)
    except OSError as error:
        logger.info("the graph was not kept: %s", error)
