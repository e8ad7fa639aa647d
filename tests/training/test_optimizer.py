"""The optimiser: which weights it trains, at which rate."""

from __future__ import annotations

from functools import partial

import pytest

from detector.model.architecture import Architecture
from detector.model.network import EvidenceNetwork
from detector.training.config import TrainConfig
from detector.training.optimizer import make_optimizer, set_rate

SMALL = partial(Architecture, "test_efficientnet")


def test_the_rate_warms_up_and_then_falls_to_zero() -> None:
    config = TrainConfig(warmup=0.1)
    adamw = make_optimizer(EvidenceNetwork(SMALL()), config)

    def head_rate(done: float) -> float:
        set_rate(adamw, config, done)
        return adamw.param_groups[-1]["lr"]

    assert head_rate(0.05) == pytest.approx(config.head_lr / 2)
    assert head_rate(0.1) == pytest.approx(config.head_lr)
    assert head_rate(0.55) == pytest.approx(config.head_lr / 2)
    assert head_rate(1.0) == pytest.approx(0)


def test_every_weight_is_trained_once_and_norms_do_not_decay() -> None:
    network, config = EvidenceNetwork(SMALL()), TrainConfig()
    groups = make_optimizer(network, config).param_groups
    held = [id(p) for group in groups for p in group["params"]]
    assert len(held) == len(set(held)) == len(list(network.parameters()))
    for group in groups:
        assert all((p.ndim > 1) == (group["weight_decay"] > 0) for p in group["params"])
    backbone = {id(p) for p in network.backbone.parameters()}
    for group in groups:
        rate = {config.backbone_lr if id(p) in backbone else config.head_lr
                for p in group["params"]}
        assert rate == {group["peak"]}
