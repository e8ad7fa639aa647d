"""``config.json`` of a weights folder: what it holds, its ranges, and its digest.

One digest covers configuration and network. ``config.json`` holds it, so it finds damage and
alteration, not a forger who computes it anew: whoever must exclude that gives the digest that he
expects (``FractureDetector.from_pretrained(digest=...)``).
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from detector.model.architecture import Architecture
from detector.model.calibration import Calibration

logger = logging.getLogger(__name__)

FORMAT = 4
MODEL_FILE, CONFIG_FILE = "model.safetensors", "config.json"
_SIZES = (32, 8192)  # of the film's longest side, for the network


class WeightsError(ValueError):
    """A weights folder that cannot be used; the sentence says why."""


@dataclass(frozen=True)
class ModelConfig:
    """``config.json``.

    ``input_size``: the film's longest side for the network, in pixels. ``self_check``: what the
    network answers to a picture made by code, see ``self_check.py``; empty in older weights.
    ``heads``: numbers and words of ``heads.safetensors``, with its sha256; None without that file.
    """

    version: str
    architecture: Architecture
    input_size: int
    calibration: Calibration
    ood_zero: float
    ood_threshold: float
    provenance: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    self_check: Mapping[str, float] = field(default_factory=dict)
    heads: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not _SIZES[0] <= self.input_size <= _SIZES[1]:
            raise ValueError(f"the input size must be {_SIZES[0]} to {_SIZES[1]} pixels")
        if not -math.inf < self.ood_zero < self.ood_threshold < math.inf:
            raise ValueError("the OOD threshold must lie beyond its zero")

    def to_dict(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": self.version,
            "architecture": asdict(self.architecture),
            "preprocessing": {"input_size": self.input_size},
            "calibration": self.calibration.to_dict(),
            "ood": {"zero": self.ood_zero, "threshold": self.ood_threshold},
            **({"heads": dict(self.heads)} if self.heads is not None else {}),
            "self_check": dict(self.self_check),
            "provenance": dict(self.provenance),
            "metrics": dict(self.metrics),
        }

    def sealed(self, sha256: str) -> dict[str, Any]:
        """All of ``config.json``, for a model file with this sha256: with the digest over both."""
        values = {**self.to_dict(), "sha256": sha256}
        return {**values, "digest": digest_of(values)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Raises WeightsError when the format is another one or a value is missing or wrong."""
        if values.get("format") == 3:
            values = _from_format_3(values)
        if values.get("format") != FORMAT:
            raise WeightsError(
                f"{CONFIG_FILE} has format {values.get('format')!r}; this version reads {FORMAT}. "
                "Install the version of fracture-detector that the weights were made with."
            )
        try:
            return cls(
                version=str(values["version"]),
                architecture=Architecture(**values["architecture"]),
                input_size=_whole(values["preprocessing"]["input_size"]),
                calibration=Calibration.from_dict(values["calibration"]),
                ood_zero=float(values["ood"]["zero"]),
                ood_threshold=float(values["ood"]["threshold"]),
                provenance=values.get("provenance", {}),
                metrics=values.get("metrics", {}),
                self_check={k: float(v) for k, v in values.get("self_check", {}).items()},
                heads=None if values.get("heads") is None else dict(values["heads"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"{CONFIG_FILE} is incomplete or wrong: {error!r}") from error


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"a whole number is needed, not {value!r}")
    return value


def _from_format_3(values: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration of format 3 with the names of format 4; its numbers stay."""
    renamed = {"film": "image", "place": "location", "floor": "display_threshold"}
    calibration = {renamed.get(k, k): v for k, v in values.get("calibration", {}).items()}
    calibration.setdefault("display_threshold", 0.08)  # of weights from before it was fitted
    scope = values.get("scope", {})
    ood = {"zero": scope.get("start"), "threshold": scope.get("cut")}
    return {**values, "format": FORMAT, "calibration": calibration, "ood": ood}


def digest_of(values: Mapping[str, Any]) -> str:
    """sha256 over all of ``config.json`` but the digest itself, in hexadecimal.

    The sha256 of ``model.safetensors`` is one of its values, so the network is covered too. Order
    and spaces do not matter.
    """
    covered = {name: value for name, value in values.items() if name != "digest"}
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number")
    return value


def read_regular_file(path: Path) -> bytes:
    """The bytes of a regular file: anything else in its place may never end, or never begin."""
    if path.exists() and not path.is_file():
        raise WeightsError(f"{path.name} in {path.parent} is no regular file.")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise WeightsError(
            f"{path.parent} is no weights folder: {path.name} is missing. "
            f"It must hold {MODEL_FILE} and {CONFIG_FILE}."
        ) from error
    except OSError as error:
        raise WeightsError(f"{path.name} in {path.parent} cannot be read: {error}") from error


def read_config(folder: str | Path) -> tuple[ModelConfig, str, str]:
    """Read ``config.json`` and check its digest, where it holds one: older ones do not.

    Returns:
        The configuration, the sha256 of the model file that it belongs to, and the digest of both
        as they were written: a later version that knows more entries still gives this one.

    Raises:
        WeightsError: the file is missing, damaged, altered, or of another format.
    """
    data = read_regular_file(Path(folder) / CONFIG_FILE)
    try:
        values = json.loads(data, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{CONFIG_FILE} in {folder} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise WeightsError(f"{CONFIG_FILE} is not a JSON object")
    config = ModelConfig.from_dict(values)
    digest = digest_of(values)
    if "digest" not in values:
        logger.warning("%s has no digest: nothing shows whether it was altered", CONFIG_FILE)
    elif values["digest"] != digest:
        raise WeightsError(
            f"{CONFIG_FILE} was altered since it was written (its digest differs). Download the "
            "weights again."
        )
    return config, str(values.get("sha256", "")), digest
