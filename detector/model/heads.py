"""The small heads that read the network's embedding, in ``heads.safetensors``.

They are fitted on a trained network that stays as it is, so they have a file of their own: a new
fit leaves ``model.safetensors`` alone. Their numbers lie under ``heads`` in ``config.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from detector.model.anatomy import AnatomyHead
from detector.model.familiarity import FamiliarityModel

HEADS_FILE = "heads.safetensors"


@dataclass(frozen=True)
class Heads:
    """What is read from an embedding beside the network's own answer.

    ``ood_direction`` (E,): of the OOD check. ``familiarity``, ``anatomy``: None in weights that
    have none.
    """

    ood_direction: np.ndarray
    familiarity: FamiliarityModel | None = None
    anatomy: AnatomyHead | None = None

    def settings(self) -> dict[str, Any]:
        """Their numbers and words for ``config.json``."""
        settings: dict[str, Any] = {}
        if (known := self.familiarity) is not None:
            settings["familiarity"] = {
                "noise": known.noise, "threshold": known.threshold,
                "rule_out": known.rule_out, "rule_in": known.rule_in,
            }
        if self.anatomy is not None:
            settings["anatomy"] = {
                "regions": list(self.anatomy.regions),
                "min_probability": self.anatomy.min_probability,
            }
        return settings

    def pack(self) -> bytes:
        """Their arrays as the bytes of ``heads.safetensors``."""
        tensors = {"ood.direction": self.ood_direction}
        if self.familiarity is not None:
            tensors["familiarity.mean"] = self.familiarity.mean
            tensors["familiarity.components"] = self.familiarity.components
        if self.anatomy is not None:
            tensors["anatomy.weight"] = self.anatomy.weight
            tensors["anatomy.bias"] = self.anatomy.bias
        return save({name: np.asarray(v, np.float32, order="C") for name, v in tensors.items()})

    @classmethod
    def unpack(cls, data: bytes, settings: Mapping[str, Any]) -> Heads:
        """The heads from their file and their part of ``config.json``.

        Raises:
            SafetensorError, KeyError, TypeError, ValueError: either is incomplete or wrong.
        """
        tensors = {name: value.astype(np.float64) for name, value in load(data).items()}
        familiarity = anatomy = None
        if "familiarity" in settings:
            familiarity = FamiliarityModel(
                tensors["familiarity.mean"], tensors["familiarity.components"],
                **{k: float(v) for k, v in settings["familiarity"].items()},
            )
        if "anatomy" in settings:
            anatomy = AnatomyHead(
                tuple(map(str, settings["anatomy"]["regions"])),
                tensors["anatomy.weight"], tensors["anatomy.bias"],
                float(settings["anatomy"]["min_probability"]),
            )
        heads = cls(tensors["ood.direction"], familiarity, anatomy)
        if len(heads.embedding_sizes) > 1:
            raise ValueError("the heads read embeddings of different sizes")
        return heads

    @property
    def embedding_sizes(self) -> set[int]:
        """The sizes of embedding that the heads read; one where they fit together."""
        sizes = {len(self.ood_direction)}
        if self.familiarity is not None:
            sizes |= {len(self.familiarity.mean), len(self.familiarity.components)}
        if self.anatomy is not None:
            sizes.add(self.anatomy.weight.shape[1])
        return sizes
