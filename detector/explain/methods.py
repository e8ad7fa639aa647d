"""The explanations by name.

The default comes with the verdict (``grad_cam``). The others need PyTorch and pytorch-grad-cam,
which are slow to import; ``other_methods`` imports them when the first of these is asked for.
"""

from __future__ import annotations

import re
from importlib.util import find_spec

DEFAULT = "gradcam"
METHODS = {
    DEFAULT: "Grad-CAM",
    "hirescam": "HiResCAM",
    "gradcam++": "Grad-CAM++",
    "layercam": "LayerCAM",
    "eigencam": "EigenCAM",
    "ablationcam": "AblationCAM",
}  # name -> how it is written; Selvaraju 2017, Draelos 2020, Chattopadhay 2018, Jiang 2021,
# Muhammad 2020, Desai 2020


def installed_methods() -> dict[str, str]:
    """Those of ``METHODS`` that can be had here: the default alone without PyTorch."""
    whole = all(find_spec(name) for name in ("torch", "pytorch_grad_cam"))
    return METHODS if whole else {DEFAULT: METHODS[DEFAULT]}


def method_name(name: str) -> str:
    """The key in ``METHODS`` of a method however it is spelt: "Grad-CAM++", "grad_cam_plus_plus".

    Raises:
        ValueError: unknown; the sentence lists the known ones.
    """
    key = re.sub(r"[\s_-]", "", str(name).lower())
    key = re.sub(r"(plus){2}$|pp$", "++", key)
    if key not in METHODS:
        raise ValueError(f"unknown method {name!r}; there are {', '.join(METHODS)}")
    return key
