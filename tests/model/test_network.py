"""The evidence network, and that its evidence is Grad-CAM of its logit."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from pytorch_grad_cam import GradCAM

from detector import FractureDetector
from detector.explain.grad_cam import grad_cam
from detector.model.architecture import Architecture
from detector.model.network import EvidenceNetwork, load_backbone
from detector.training.evaluation.baselines import LogitOnly
from tests.support.tiny import TINY, tiny_network


def _difference(network: EvidenceNetwork, film: torch.Tensor) -> float:
    """Largest difference between one-pass Grad-CAM and the library's, both with maximum 1.

    Before the ReLU that both end with, so that a film without any positive evidence counts too.
    """
    network = copy.deepcopy(network).double().eval()
    film = film.double()
    targets, layer = [lambda logit: logit[0]], network.fuse
    with GradCAM(model=LogitOnly(network), target_layers=[layer]) as cam:
        cam(film, targets)
        # The library's own map in float64, before it shrinks it to bytes of an image.
        hooks = cam.activations_and_grads
        theirs = cam.get_cam_image(
            film, layer, targets, hooks.activations[0].numpy(), hooks.gradients[0].numpy()
        )[0]
    with torch.inference_mode():
        ours = network(film)[1][0].numpy()
    assert theirs.dtype == ours.dtype == np.float64 and theirs.shape == ours.shape
    assert np.ptp(ours) > 0
    ours, theirs = ours / np.abs(ours).max(), theirs / np.abs(theirs).max()
    np.testing.assert_array_equal(grad_cam(ours), np.maximum(ours, 0))
    return float(np.abs(ours - theirs).max())


@pytest.mark.parametrize(("stride", "temperature"), [(8, 1.0), (16, 1.0), (8, 3.0)])
@pytest.mark.parametrize(
    ("seed", "size"), list(enumerate([(64, 64), (64, 160), (256, 32), (128, 224)])),
)
def test_one_pass_grad_cam_is_the_librarys(
    size: tuple[int, int], seed: int, stride: int, temperature: float
) -> None:
    film = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(seed + 7))
    assert _difference(tiny_network(seed, stride, temperature), film) <= 1e-6


@pytest.mark.parametrize("size", [(224, 192), (128, 288)])
def test_one_pass_grad_cam_is_the_librarys_for_the_shipped_weights(
    detector: FractureDetector, size: tuple[int, int]
) -> None:
    film = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(3))
    assert _difference(detector.model.network, film) <= 1e-6


@pytest.mark.parametrize("stride", [8, 16])
def test_shapes(stride: int) -> None:
    network = tiny_network(stride=stride)
    with torch.inference_mode():
        logit, evidence, embedding = network(torch.rand(2, 1, 96, 64))
    assert logit.shape == (2,)
    assert evidence.shape == (2, 96 // stride, 64 // stride)
    assert embedding.shape == (2, network.embedding_size)


def test_the_embedding_has_the_direction_of_each_level_not_its_size() -> None:
    network = tiny_network()
    with torch.inference_mode():
        embedding = network(torch.rand(2, 1, 96, 64))[2]
    assert sum(network.embedding_levels) == network.embedding_size
    for level in embedding.split(network.embedding_levels, dim=1):
        torch.testing.assert_close(level.norm(dim=1), torch.ones(2))


def test_the_logit_is_the_sum_of_the_places_odds() -> None:
    network = tiny_network()
    evidence = torch.randn(3, 5, 4)
    odds = evidence.exp().sum(dim=(1, 2)) * network.film_bias.exp()
    torch.testing.assert_close(network.pool(evidence), odds.log())


def test_the_pooling_lies_between_the_maximum_and_the_sum_of_odds() -> None:
    evidence = torch.randn(3, 5, 4)
    strongest = evidence.amax(dim=(1, 2))
    added = torch.logsumexp(evidence.flatten(1), dim=1)
    before = added
    for temperature in (1.0, 3.0, 10.0):
        network = tiny_network(temperature=temperature)
        pooled = network.pool(evidence) - network.film_bias
        assert (pooled <= before + 1e-6).all() and (pooled > strongest).all()
        assert (pooled - strongest <= np.log(20) / temperature + 1e-6).all()
        before = pooled
    torch.testing.assert_close(tiny_network().pool(evidence), added - np.log(2000))


def test_an_untrained_network_calls_a_flat_film_even() -> None:
    for temperature in (1.0, 3.0):
        network = EvidenceNetwork(Architecture(TINY.backbone, temperature=temperature))
        assert network.pool(torch.zeros(1, 40, 50)).item() == pytest.approx(0, abs=1e-5)


def test_a_film_is_read_the_same_alone_and_beside_others() -> None:
    network = tiny_network()
    films = torch.rand(3, 1, 64, 96)
    with torch.inference_mode():
        together, alone = network(films)[0], network(films[1:2])[0]
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-4)


def test_what_no_architecture_can_be() -> None:
    with pytest.raises(ValueError, match="8 or 16"):
        Architecture(stride=4)
    with pytest.raises(ValueError, match="temperature must be positive"):
        Architecture(temperature=0)


def test_backbone_weights_of_another_network_are_refused() -> None:
    network = tiny_network()
    state = dict(network.backbone.state_dict())
    load_backbone(network, state | {"classifier.weight": torch.zeros(1)})
    del state["conv_stem.weight"]
    with pytest.raises(ValueError, match="conv_stem.weight is missing"):
        load_backbone(network, state)
