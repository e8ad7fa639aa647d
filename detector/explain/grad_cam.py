"""The default explanation: Grad-CAM of the film's logit, read off the evidence map.

The evidence e is the only output of the network, a 1x1 convolution of the last feature map A, and
the logit is a pooling of e (see ``detector.model.network``). The gradient of the logit at channel
A_k has a spatial mean proportional to the weight w_k, whatever the film. So Grad-CAM, the ReLU of
the channels weighted by these means (Selvaraju et al., *Grad-CAM*, ICCV 2017), equals ReLU(e) times
a positive constant. No backward pass and no hook is needed; ``tests/explain/test_methods.py`` holds
it against pytorch-grad-cam.
"""

from __future__ import annotations

import numpy as np

from detector.explain.heatmap import Heat
from detector.model.calibration import Calibration
from detector.model.letterbox import Letterbox


def grad_cam(evidence: np.ndarray) -> np.ndarray:
    """Evidence (..., h, w) -> Grad-CAM of the film's logit, up to a positive constant.

    Selvaraju et al., *Grad-CAM*, ICCV 2017, at the feature map that the evidence is a 1x1
    convolution of.
    """
    return np.maximum(evidence, 0)


def grad_cam_heat(evidence: np.ndarray, letterbox: Letterbox, calibration: Calibration) -> Heat:
    """Evidence (h, w) over ``letterbox`` -> the default heatmap of a film.

    The values stay the evidence, whose positive part is ``grad_cam``. They are shown on the
    calibrated scale, on which a negative location has a probability too, and not stretched to the
    film's maximum.
    """
    return Heat(evidence, letterbox, calibration.location)
