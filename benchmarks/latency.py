"""How long one film takes, from its file's bytes to verdict, heatmap and overlay.

    python benchmarks/latency.py
    python benchmarks/latency.py --rounds 100 --films small

Compared: the way it is usually done (PyTorch's eager forward pass for the verdict, then
pytorch-grad-cam, which runs the network again forward and backward, then its colour-map blend) and
this project's, on the same network, the same canvas and the same decoder, so that only the method
differs. Then where this project's time goes, stage by stage, and the bare forward pass in each
runtime. All runs of a film are interleaved; a ratio is that of the runs of one round.
"""

from __future__ import annotations

import argparse
import copy
import io
import warnings
from collections.abc import Callable

import cv2
import measuring
import numpy as np
from measuring import as_dicom, as_picture, interleaved, phantom_grey, ratio, spread, table

FILMS = {
    "small": ("373 x 454 JPEG", (454, 373), as_picture),
    "large": ("2,000 x 2,500 JPEG", (2500, 2000), as_picture),
    "dicom": ("2,000 x 2,500 DICOM, 16 bit", (2500, 2000), as_dicom),
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--films", nargs="+", choices=FILMS, default=list(FILMS))
    parser.add_argument("--rounds", type=int, default=40, help="timed runs of each (%(default)s)")
    parser.add_argument("--threads", type=int, help="of every runtime (default: all cores)")
    parser.add_argument("--model", help="weights folder or Hub id (default: the shipped weights)")
    return parser.parse_args()


class UsualWay:
    """The same network behind PyTorch and pytorch-grad-cam, as most demos have it."""

    def __init__(self, model) -> None:
        import torch
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        class Verdict(torch.nn.Module):
            """The film's logit alone, (B, 1), as pytorch-grad-cam wants it."""

            def __init__(self, network: torch.nn.Module) -> None:
                super().__init__()
                self.network = network

            def forward(self, films):
                return self.network(films)[0][:, None]

        self.model = model
        self.verdict = Verdict(copy.deepcopy(model.network)).eval()
        self.cam = GradCAM(self.verdict, [self.verdict.network.fuse])
        self.target = [ClassifierOutputTarget(0)]

    def __call__(self, data: bytes) -> tuple[float, np.ndarray, np.ndarray]:
        """File bytes -> probability, Grad-CAM over the canvas in [0, 1], overlay uint8 RGB."""
        import torch
        from pytorch_grad_cam.utils.image import show_cam_on_image

        from detector.io.radiograph import load_radiograph
        from detector.model.letterbox import Letterbox

        pixels = load_radiograph(data).pixels
        letterbox = Letterbox.fit(*pixels.shape, self.model.config.input_size)
        films = torch.from_numpy(letterbox.apply(pixels))[None, None]
        with torch.no_grad():
            logit = float(self.verdict(films))
        probability = float(self.model.config.calibration.image.probability(logit))
        heat = self.cam(input_tensor=films, targets=self.target)[0]
        inner = heat[: letterbox.inner[0], : letterbox.inner[1]]
        on_film = np.clip(cv2.resize(inner, pixels.shape[::-1]), 0, 1)
        picture = show_cam_on_image(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), on_film, use_rgb=True)
        return probability, heat, picture


def ours(detector, data: bytes):
    prediction = detector.predict(data)
    return prediction, prediction.heatmap, prediction.overlay()


def differences(usual: UsualWay, detector, data: bytes) -> tuple[float, float]:
    """How far the two outputs are apart: probability, and Grad-CAM in [0, 1] over the canvas."""
    from pytorch_grad_cam.utils.image import scale_cam_image

    from detector.explain.grad_cam import grad_cam

    probability, heat, _ = usual(data)
    prediction = detector.predict(data)
    cam = scale_cam_image(grad_cam(prediction.evidence)[None], heat.shape[::-1])[0]
    return abs(prediction.probability - probability), float(np.abs(cam - heat).max())


def detectors(model) -> dict:
    """This project's detector in each runtime and precision that works here."""
    from detector import FractureDetector
    from detector.engines.base import PRECISIONS

    found = {}
    for engine, precision in [("openvino", p) for p in PRECISIONS] + [("torch", "float32")]:
        try:
            found[f"{engine} {precision}"] = FractureDetector(model, engine, precision=precision)
        except (ImportError, ValueError) as error:
            print(f"\nnot measured: {engine} {precision}: {error}")
    return found


def stages(detector, data: bytes) -> dict[str, Callable[[], object]]:
    """Each step of one reading on its own, from what the step before it made."""
    from detector.explain.heatmap import Heat
    from detector.explain.overlay import overlay, to_grey8
    from detector.explain.regions import find_regions
    from detector.io.radiograph import load_radiograph
    from detector.model.letterbox import Letterbox

    film = load_radiograph(data)
    calibration = detector.config.calibration
    letterbox = Letterbox.fit(film.height, film.width, detector.config.input_size)
    canvas = letterbox.apply(film.pixels)
    output = detector.engine.run(canvas)
    heat = Heat(output.evidence, letterbox, calibration.location)

    def decide() -> None:
        calibration.image.probability(output.logit)
        rows, cols = letterbox.inner
        detector.model.ood.check(output.embedding, canvas[:rows, :cols])
        find_regions(output.evidence, letterbox, calibration)

    return {
        "decode": lambda: load_radiograph(data),
        "letterbox": lambda: letterbox.apply(film.pixels),
        "network": lambda: detector.engine.run(canvas),
        "probability, scope, regions": decide,
        "heatmap": heat.on_film,
        "overlay": lambda: overlay(
            to_grey8(film.pixels), heat, calibration
        ),
    }


def forward_passes(model, canvas: np.ndarray, threads: int) -> dict[str, Callable[[], object]]:
    """The bare network on one canvas, in each runtime."""
    import torch

    film = torch.from_numpy(canvas)[None, None]
    plain = copy.deepcopy(model.network).to(memory_format=torch.contiguous_format)
    last = copy.deepcopy(model.network).to(memory_format=torch.channels_last)
    runs: dict[str, Callable[[], object]] = {
        "PyTorch eager": lambda: plain(film), "PyTorch eager, channels last": lambda: last(film)
    }
    for name, detector in detectors(model).items():
        if name.startswith("openvino"):
            runs[name] = lambda engine=detector.engine: engine.run(canvas)
    try:
        runs["onnxruntime float32"] = _onnxruntime(plain, film, threads)
    except Exception as error:  # whatever its exporter raises: it is only here to be compared
        print(f"\nnot measured: onnxruntime: {type(error).__name__}: {str(error)[:120]}")
    return runs


def _onnxruntime(network, film, threads: int) -> Callable[[], object]:
    import onnxruntime
    import torch

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (film,), file, dynamo=False, input_names=["film"],
                          opset_version=17)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        file.getvalue(), options, providers=["CPUExecutionProvider"]
    )
    values = film.numpy()
    return lambda: session.run(None, {"film": values})


def main() -> None:
    arguments = parse_arguments()
    threads = measuring.use_threads(arguments.threads)
    import torch

    from detector.model.hub import resolve_weights
    from detector.model.letterbox import Letterbox
    from detector.model.weights import read_weights

    model = read_weights(resolve_weights(arguments.model))
    print(measuring.machine_facts(
        threads=threads, rounds=arguments.rounds,
        weights=f"{model.config.version}, sha256 {model.sha256[:12]}",
    ))
    usual, found = UsualWay(model), detectors(model)
    main_name = next(iter(found))

    for key in arguments.films:
        title, shape, encode = FILMS[key]
        data = encode(phantom_grey(*shape, seed=5))
        print(f"\n## {title}: file bytes to verdict, heatmap and overlay\n")
        runs: dict[str, Callable[[], object]] = {"usual way": lambda data=data: usual(data)}
        for name, detector in found.items():
            runs[f"this project, {name}"] = lambda d=detector, data=data: ours(d, data)
        seconds = interleaved(runs, arguments.rounds)
        first = seconds["usual way"]
        rows = [("usual way: PyTorch eager, pytorch-grad-cam, blend", spread(first, 1e3), "1",
                 "", "")]
        for name, detector in found.items():
            mine = seconds[f"this project, {name}"]
            probability, heat = differences(usual, detector, data)
            rows.append((f"this project, {name}", spread(mine, 1e3), ratio(first, mine),
                         f"{probability:.1e}", f"{heat:.1e}"))
        print(table(("", "ms, median (quartiles)", "times faster", "probability differs by",
                     "Grad-CAM differs by"), rows))

        print(f"\nWhere the time goes ({main_name}):\n")
        seconds = interleaved(stages(found[main_name], data), arguments.rounds)
        total = sum(np.median(values) for values in seconds.values())
        print(table(("stage", "ms, median (quartiles)", "share"), [
            (name, spread(values, 1e3, 2), f"{np.median(values) / total:.0%}")
            for name, values in seconds.items()
        ]))

    pixels = phantom_grey(454, 373, seed=5)
    canvas = Letterbox.fit(*pixels.shape, model.config.input_size).apply(pixels)
    data = as_picture(pixels)
    with torch.inference_mode():
        runs = forward_passes(model, canvas, threads)
        whole = f"whole reading, this project, {main_name}"
        runs[whole] = lambda: ours(found[main_name], data)
        seconds = interleaved(runs, arguments.rounds)
    print(f"\n## Bare forward pass, canvas {canvas.shape[1]} x {canvas.shape[0]}\n")
    eager = seconds["PyTorch eager"]
    print(table(("runtime", "ms, median (quartiles)", "times faster than eager",
                 "whole reading / this"), [
        (name, spread(values, 1e3), ratio(eager, values), ratio(seconds[whole], values))
        for name, values in seconds.items()
    ]))


if __name__ == "__main__":
    main()
