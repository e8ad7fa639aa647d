"""The loaded model as one ONNX graph, its convolutions stored in half precision.

The weights folder holds convolutions in half precision already, so their copy in the graph is
exact: the runtime widens them once, when it loads the graph, and computes in single precision.
"""

from __future__ import annotations

import copy
import io
import warnings
from dataclasses import fields

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from timm.layers import Conv2dSame
from torch import nn

from detector.engines.base import EngineOutput
from detector.model.weights import Model

OPSET = 18
INPUT = "film"
OUTPUTS = tuple(field.name for field in fields(EngineOutput))


def onnx_bytes(model: Model) -> bytes:
    """The graph: ``film`` float32 (1, 1, H, W) in [0, 1], H and W multiples of 32, to ``OUTPUTS``.

    ``logit`` (1,), ``evidence`` (1, h, w) and ``embedding`` (1, E), all float32.
    """
    network = _with_fixed_padding(copy.deepcopy(model.network).cpu().float().eval())
    film = torch.zeros(1, 1, 96, 64)
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # Of this exporter's age, and of sizes that it notes as constant: they are (see below).
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (film,), file,
            dynamo=False,  # the newer exporter takes minutes for this network
            # As it stands: folding norms into convolutions would round them to half precision.
            do_constant_folding=False, training=torch.onnx.TrainingMode.PRESERVE,
            opset_version=OPSET, input_names=[INPUT], output_names=list(OUTPUTS),
            dynamic_axes={INPUT: {2: "height", 3: "width"}, "evidence": {1: "rows", 2: "columns"}},
        )  # fmt: skip
    graph = onnx.load_model_from_string(file.getvalue())
    _halve(graph.graph)
    onnx.checker.check_model(graph)
    return graph.SerializeToString()


def _with_fixed_padding(network: nn.Module) -> nn.Module:
    """TensorFlow's 'same' padding depends on the size, but not for sizes that the stride divides.

    A runtime joins a fixed padding with its convolution; a computed one stays ten nodes.
    """
    for name, layer in list(network.named_modules()):
        if isinstance(layer, Conv2dSame):
            before, after = [], []
            for kernel, stride, dilation in zip(
                layer.kernel_size, layer.stride, layer.dilation, strict=True
            ):
                total = max((kernel - 1) * dilation + 1 - stride, 0)
                before.append(total // 2)
                after.append(total - total // 2)
            plain = nn.Conv2d(
                layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride,
                dilation=layer.dilation, groups=layer.groups, bias=layer.bias is not None,
            )  # fmt: skip
            plain.load_state_dict(layer.state_dict())
            padding = nn.ZeroPad2d((before[1], after[1], before[0], after[0]))
            network.set_submodule(name, nn.Sequential(padding, plain).eval())
    return network


def _halve(graph: onnx.GraphProto) -> None:
    """Store each array that half precision holds exactly that way, and widen it on loading."""
    kept, widened = [], []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if tensor.data_type != TensorProto.FLOAT or values.size < 64 or np.any(half != values):
            kept.append(tensor)
            continue
        stored = f"{tensor.name}.half"
        kept.append(numpy_helper.from_array(half, stored))
        widened.append(
            helper.make_node("Cast", [stored], [tensor.name], to=TensorProto.FLOAT)
        )
    del graph.initializer[:]
    graph.initializer.extend(kept)
    nodes = [*widened, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
