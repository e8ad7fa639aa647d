"""Other methods by name: each film gets its own map, and nothing stays behind."""

from __future__ import annotations

import gc
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from detector.explain.grad_cam import grad_cam
from detector.explain.methods import DEFAULT, METHODS, method_name
from detector.explain.other_methods import Explainers, cam_of_features
from detector.model.letterbox import Letterbox
from detector.predictor import FractureDetector
from tests.support.tiny import tiny_model, tiny_network

OTHERS = [name for name in METHODS if name != DEFAULT]


@pytest.mark.parametrize(
    ("spelt", "name"),
    [
        ("gradcam", "gradcam"), ("Grad-CAM", "gradcam"), ("GradCAM++", "gradcam++"),
        ("grad-cam-plus-plus", "gradcam++"), ("GradCAMPlusPlus", "gradcam++"),
        ("gradcampp", "gradcam++"), ("Layer CAM", "layercam"), ("HIRESCAM", "hirescam"),
        ("eigen_cam", "eigencam"), ("Ablation-CAM", "ablationcam"),
    ],
)  # fmt: skip
def test_usual_spellings(spelt: str, name: str) -> None:
    assert method_name(spelt) == name


@pytest.mark.parametrize("written", METHODS.values())
def test_a_method_is_known_as_it_is_written(written: str) -> None:
    assert METHODS[method_name(written)] == written


@pytest.mark.parametrize("wrong", ["", "guided", "guidedbackprop", "grad", "plusplus", None, 3])
def test_an_unknown_method_lists_the_known_ones(wrong: object) -> None:
    with pytest.raises(ValueError, match="hirescam, gradcam\\+\\+, layercam"):
        method_name(wrong)


def _features(seed: int = 0) -> tuple[torch.nn.Module, torch.Tensor]:
    network = tiny_network(seed).requires_grad_(False)
    film = torch.rand(1, 1, 96, 64, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return network, network.features(film)[0]


def _unit(image: np.ndarray) -> np.ndarray:
    return image / image.max()


def test_grad_cam_at_the_features_is_the_evidence() -> None:
    network, features = _features()
    ours = grad_cam(network.evidence(features)[0, 0].detach().numpy())
    np.testing.assert_allclose(
        _unit(cam_of_features(network, features, DEFAULT)), _unit(ours), atol=1e-5
    )


def test_hires_cam_weighs_the_evidence_by_its_share_in_the_logit() -> None:
    network, features = _features()
    evidence = network.evidence(features)[0, 0].detach().double()
    share = torch.softmax(evidence.flatten(), 0).view_as(evidence)
    expected = _unit((share * evidence).clamp(min=0).numpy())
    np.testing.assert_allclose(
        _unit(cam_of_features(network, features, "hirescam")), expected, atol=1e-4
    )


def test_ablation_cam_is_the_drop_when_a_channel_is_zero() -> None:
    network, features = _features(1)
    with torch.no_grad():
        logit = network.pool(network.evidence(features)[:, 0])
        drops = []
        for channel in range(features.shape[1]):
            without = features.clone()
            without[:, channel] = 0
            drops.append(logit - network.pool(network.evidence(without)[:, 0]))
        image = torch.einsum("c,chw->hw", torch.cat(drops), features[0]).clamp(min=0).numpy()
    image -= image.min()
    np.testing.assert_allclose(
        _unit(cam_of_features(network, features, "ablationcam")), _unit(image), atol=1e-4
    )


def test_eigen_cam_is_the_librarys_with_the_sign_of_the_evidence() -> None:
    from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection

    network, features = _features(2)
    theirs = get_2d_projection(features.numpy())[0]
    evidence = network.evidence(features)[0, 0].detach().numpy()
    if np.sum(theirs * (evidence - evidence.mean())) < 0:
        theirs = -theirs
    theirs = np.maximum(theirs, 0)
    np.testing.assert_allclose(
        _unit(cam_of_features(network, features, "eigencam")), _unit(theirs), atol=1e-4
    )


@pytest.mark.parametrize("method", OTHERS)
def test_a_map_is_relative_to_its_maximum_and_leaves_the_padding_out(method: str) -> None:
    letterbox = Letterbox.fit(90, 50, 90)  # 96 x 64 with padding at the bottom and the right
    canvas = letterbox.apply(np.random.default_rng(0).random((90, 50), np.float32))
    values = Explainers(tiny_network()).explain(canvas, letterbox, method)
    assert values.shape == (12, 8) and values.dtype == np.float32
    assert values.min() >= 0 and values.max() == pytest.approx(1)
    assert not values[:, 7:].any() and values[:, :7].any()


def _films(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [rng.random((96, 64 + 32 * (i % 2)), np.float32) for i in range(count)]


def test_every_thread_gets_the_map_of_its_own_film() -> None:
    detector = FractureDetector(tiny_model())
    jobs = [(film, method) for film in _films(6) for method in OTHERS] * 2

    def read(job: tuple[np.ndarray, str]) -> np.ndarray:
        return detector.predict(job[0], method=job[1]).heatmap

    alone = [read(job) for job in jobs[: len(jobs) // 2]] * 2
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(read, jobs))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def _tensors() -> int:
    gc.collect()
    # By type: isinstance would touch the lazy proxies of other libraries.
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


@pytest.mark.parametrize("method", OTHERS)
def test_nothing_stays_behind(method: str) -> None:
    letterbox, canvas = Letterbox.fit(64, 64, 64), np.ones((64, 64), np.float32)
    network = tiny_network()
    explainers = Explainers(network)
    for _ in range(2):
        explainers.explain(canvas, letterbox, method)
    before = _tensors()
    for _ in range(10):
        explainers.explain(canvas, letterbox, method)
    assert _tensors() == before
    for module in (*network.modules(), *explainers._network.modules()):
        assert not module._forward_hooks and not module._backward_hooks
    assert all(p.grad is None for p in explainers._network.parameters())


def test_the_verdict_and_the_shared_network_stay_as_they_are() -> None:
    model = tiny_model()
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    detector = FractureDetector(model)
    film = _films(1)[0]
    plain, other = detector.predict(film), detector.predict(film, method="LayerCAM")
    assert other.method == "layercam" and plain.method == "gradcam"
    assert other.probability == plain.probability and other.regions == plain.regions
    assert other.to_dict() == plain.to_dict() | {"method": "layercam"}
    for name, value in model.network.state_dict().items():
        assert torch.equal(value, before[name])


def test_progress_is_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    network, features = _features()
    cam_of_features(network, features, "ablationcam")
    assert capfd.readouterr() == ("", "")


def test_the_library_is_imported_only_when_used() -> None:
    code = (
        "import sys; import detector.predictor, detector.explain.other_methods; "
        "sys.exit('pytorch_grad_cam' in sys.modules or 'matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
