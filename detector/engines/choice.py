"""The runtime for a model on this machine.

PyTorch is the reference and the fallback. OpenVINO is the faster runtime on processors, chosen by
measurement (``benchmarks/latency.py``); it comes with the extra ``fast``. Each is imported only
where it runs: torch alone takes longer to import than a film to read.
"""

from __future__ import annotations

import logging

from detector.engines.base import DEFAULT_PRECISION, ENGINES, PRECISIONS, Engine
from detector.model.weights import Model

logger = logging.getLogger(__name__)


def make_engine(model: Model, name: str = "auto", precision: str = DEFAULT_PRECISION) -> Engine:
    """The runtime for a model. "auto": OpenVINO where it is installed and works, else PyTorch.

    Raises:
        WeightsError: the model's file does not hold its architecture.
        ValueError: unknown name or precision, or the precision is not to be had here.
        ImportError: "openvino" was asked for and is not installed.
    """
    if name not in ENGINES:
        raise ValueError(f"unknown engine {name!r}; there are {', '.join(ENGINES)}")
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}; there are {', '.join(PRECISIONS)}")
    if name != "torch":
        try:
            from detector.engines.openvino import OpenVinoEngine

            return OpenVinoEngine(model, precision=precision)
        except ImportError as error:
            if name == "openvino":
                # PyTorch, which builds the graph, may be what is missing.
                missing = "OpenVINO" if (error.name or "").startswith("openvino") else error.name
                raise ImportError(
                    f"{missing} is not installed: pip install 'fracture-detector[fast]'"
                ) from error
            logger.info("no OpenVINO here; the network runs in PyTorch, which is slower")
        except RuntimeError as error:
            if name == "openvino":
                raise
            logger.warning("OpenVINO cannot run this network here, PyTorch does: %s", error)
    try:
        from detector.engines.torch import TorchEngine, best_device
    except ImportError as error:
        raise ImportError(
            "PyTorch is not installed here, and no OpenVINO graph of these weights is prepared. "
            "Install the whole package: pip install 'fracture-detector[fast]'"
        ) from error

    device = best_device() if name == "torch" else "cpu"
    return TorchEngine(model.network, device, precision=precision)
