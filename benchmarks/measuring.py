"""What the benchmarks share: the machine's facts, fair timing, films as files, Markdown tables."""

from __future__ import annotations

import io
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

PAUSE = 0.05  # seconds
PACKAGES = ("torch", "openvino", "onnxruntime", "numpy", "opencv-python-headless", "gradio")
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def machine_facts(**more: object) -> str:
    """The machine, the versions and what else runs, as a Markdown table."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = dict(
        (part.strip() for part in line.split(":", 1)) for line in info.splitlines() if ":" in line
    )
    flags = fields.get("flags", "").split()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    facts: dict[str, object] = {
        "processor": fields.get("model name") or platform.processor() or platform.machine(),
        "cores in use": len(os.sched_getaffinity(0)),
        "instructions": ", ".join(f for f in INSTRUCTIONS if f in flags) or "unknown",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "packages": ", ".join(_versions()),
        "load before the run": f"{os.getloadavg()[0]:.1f} (above 0.5 the timings are disturbed)",
        **more,
    }
    return table(("machine", ""), facts.items())


def _versions() -> Iterable[str]:
    for name in PACKAGES:
        try:
            yield f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            yield f"no {name}"


def interleaved(
    runs: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, list[float]]:
    """Seconds of each run, in turns: what disturbs the machine disturbs all alike.

    Before each a pause, as a runtime's threads spin on for a while after their work is done and
    would slow down whichever run comes next.
    """

    for run in runs.values():
        for _ in range(min(3, rounds)):
            run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            time.sleep(PAUSE)
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def spread(values: Sequence[float], scale: float = 1.0, digits: int = 1) -> str:
    """Median and quartiles: "12.3 (11.9 to 13.0)"."""
    values = [value * scale for value in values]
    if len(values) < 2:
        return f"{values[0]:.{digits}f}"
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def ratio(slow: Sequence[float], fast: Sequence[float]) -> str:
    """How many times faster, from the pairs of each round."""
    return spread([a / b for a, b in zip(slow, fast, strict=True)], digits=2)


def use_threads(count: int | None) -> int:
    """Give every runtime this many threads (None: as many as there are cores); returns it."""
    import torch
    from threadpoolctl import threadpool_limits

    count = count or len(os.sched_getaffinity(0))
    torch.set_num_threads(count)
    threadpool_limits(count)  # numpy's matrix products
    cv2.setNumThreads(count)
    return count


def phantom_grey(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A synthetic film with or without a fracture, float32 (H, W) in [0, 1]."""
    from detector.phantom import random_phantom

    return random_phantom(seed, size=(height, width)).pixels


def as_picture(pixels: np.ndarray, kind: str = "JPEG") -> bytes:
    """A film as the bytes of an 8-bit grey JPEG (quality 92) or PNG."""
    file = io.BytesIO()
    options = {"quality": 92} if kind == "JPEG" else {}
    Image.fromarray(np.round(pixels * 255).astype(np.uint8)).save(file, kind, **options)
    return file.getvalue()


def as_dicom(pixels: np.ndarray) -> bytes:
    """A film as the bytes of an uncompressed 16-bit DICOM file, without patient data."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

    facts: dict[str, Any] = {
        "SOPClassUID": DigitalXRayImageStorageForPresentation,
        "SOPInstanceUID": "1.2.826.0.1.3680043.8.498.1",
        "Modality": "DX",
        "PhotometricInterpretation": "MONOCHROME2",
        "SamplesPerPixel": 1,
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "WindowCenter": 32768,
        "WindowWidth": 65536,
    }
    film = Dataset()
    film.update({name: value for name, value in facts.items()})
    film.PixelData = np.round(pixels * 65535).astype("<u2").tobytes()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    file = io.BytesIO()
    film.save_as(file, enforce_file_format=True)
    return file.getvalue()


def film_files(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Write ``count`` different synthetic films: mostly JPEG, some PNG and DICOM; several shapes.

    Deterministic, so that two runs read the same bytes.
    """
    shapes = ((454, 373), (373, 454), (512, 416), (454, 300), (420, 420))
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(count):
        pixels = phantom_grey(*shapes[index % len(shapes)], seed=seed + index)
        if index % 8 == 6:
            suffix, data = "png", as_picture(pixels, "PNG")
        elif index % 8 == 7:
            suffix, data = "dcm", as_dicom(pixels)
        else:
            suffix, data = "jpg", as_picture(pixels)
        path = folder / f"synthetic_{index:05d}.{suffix}"
        path.write_bytes(data)
        paths.append(path)
    return paths
