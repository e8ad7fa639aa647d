"""The losses against what their formulas give by hand."""

from __future__ import annotations

import math

import pytest
import torch

from detector.training.losses import image_loss, location_loss


def test_image_loss_is_the_cross_entropy_of_the_smoothed_label() -> None:
    logit = torch.tensor([2.0, -1.0])
    loss = image_loss(logit, torch.tensor([1.0, 0.0]), torch.ones(2), smoothing=0.1)

    def entropy(p: float, target: float) -> float:
        return -target * math.log(p) - (1 - target) * math.log(1 - p)

    p, q = torch.sigmoid(logit).tolist()
    assert loss.item() == pytest.approx((entropy(p, 0.95) + entropy(q, 0.05)) / 2, rel=1e-6)


def test_films_of_unknown_label_do_not_count() -> None:
    known = image_loss(torch.tensor([0.3]), torch.tensor([1.0]), torch.tensor([1.0]), 0.05)
    both = image_loss(
        torch.tensor([0.3, 9.0]), torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0]), 0.05
    )
    assert both.item() == pytest.approx(known.item())
    assert image_loss(torch.ones(2), torch.zeros(2), torch.zeros(2), 0.0).item() == 0


def test_location_loss_is_the_focal_loss_per_positive_cell() -> None:
    logit = torch.tensor([[[1.0, -2.0], [0.5, 3.0]]])
    target = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    weight = torch.tensor([[[1.0, 1.0], [0.0, 1.0]]])  # the third cell is left out

    def focal(z: float, positive: bool) -> float:
        p = 1 / (1 + math.exp(-z))
        right, balance = (p, 0.25) if positive else (1 - p, 0.75)
        return -balance * (1 - right) ** 2 * math.log(right)

    by_hand = (focal(1, True) + focal(-2, False) + focal(3, True)) / 2
    assert location_loss(logit, target, weight).item() == pytest.approx(by_hand, rel=1e-5)


def test_location_loss_of_normal_films_is_finite_and_small_where_the_map_is_cold() -> None:
    nothing, everywhere = torch.zeros(2, 4, 4), torch.ones(2, 4, 4)
    cold = location_loss(torch.full((2, 4, 4), -9.0), nothing, everywhere)
    hot = location_loss(torch.full((2, 4, 4), 9.0), nothing, everywhere)
    assert 0 <= cold.item() < 1e-9 and hot.item() > 100 and math.isfinite(hot.item())


def test_halves_that_share_their_counts_have_the_gradient_of_the_whole_batch() -> None:
    """What several processes rely on: each divides by the mean count, then gradients are averaged.
    """
    torch.manual_seed(0)
    logit = torch.randn(6, 3, 3)
    target = (torch.rand(6, 3, 3) < 0.3).float()
    weight = (torch.rand(6, 3, 3) < 0.8).float()
    label, known = (target.sum((1, 2)) > 2).float(), torch.tensor([1.0, 1, 0, 1, 1, 1])

    def gradient(part: slice, counts: tuple[torch.Tensor, torch.Tensor] | None) -> torch.Tensor:
        z = logit.clone().requires_grad_()
        films, cells = counts or (None, None)
        loss = image_loss(z[part].mean((1, 2)), label[part], known[part], 0.05, films)
        loss = loss + location_loss(z[part], target[part], weight[part], cells)
        return torch.autograd.grad(loss, z)[0]

    counts = known.sum() / 2, target.sum() / 2
    halves = (gradient(slice(0, 3), counts) + gradient(slice(3, 6), counts)) / 2
    torch.testing.assert_close(halves, gradient(slice(0, 6), None))
