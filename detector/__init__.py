"""Fracture detector: a film in, a verdict, a calibrated confidence and a heatmap out.

    from detector import FractureDetector
    detector = FractureDetector.from_pretrained()
    prediction = detector.predict("wrist.jpg")

Decision support for people who read films; not a medical device.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from detector.errors import RadiographError
    from detector.explain.regions import Region
    from detector.io.limits import Limits
    from detector.io.radiograph import Radiograph, load_radiograph
    from detector.model.ood import ScopeCheck
    from detector.model.weights import WeightsError
    from detector.prediction import Prediction
    from detector.predictor import FractureDetector

# Loaded when first used: `import detector` must not wait for torch.
_HOME = {
    "FractureDetector": "predictor",
    "Prediction": "prediction",
    "Region": "explain.regions",
    "ScopeCheck": "model.ood",
    "Radiograph": "io.radiograph",
    "Limits": "io.limits",
    "load_radiograph": "io.radiograph",
    "RadiographError": "errors",
    "WeightsError": "model.weights",
}

__all__ = [
    "FractureDetector",
    "Limits",
    "Prediction",
    "Radiograph",
    "RadiographError",
    "Region",
    "ScopeCheck",
    "WeightsError",
    "__version__",
    "load_radiograph",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"detector.{_HOME[name]}"), name)
    globals()[name] = value
    return value
