"""A network in training, run over films in memory: logits and where it points."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from detector.model.letterbox import Letterbox
from detector.model.network import EvidenceNetwork
from detector.training.data.films import CachedFilm
from detector.training.evaluation.metrics import auc, pointing


@dataclass(frozen=True)
class Scores:
    """Per film: ``logits`` (N,), and the evidence map over its own letterbox."""

    films: Sequence[CachedFilm]
    logits: np.ndarray
    evidence: list[np.ndarray]
    letterboxes: list[Letterbox]

    def summary(self) -> dict[str, float]:
        """AUC and pointing per source, where the source has both classes or boxes."""
        figures: dict[str, float] = {}
        for source in sorted({film.record.source for film in self.films}):
            chosen = [i for i, f in enumerate(self.films) if f.record.source == source]
            labels = np.array([self.films[i].record.fractured for i in chosen])
            if 0 < labels.sum() < len(labels):
                figures[f"{source}_auc"] = auc(labels, self.logits[chosen])
            hits = [self._hit(i) for i in chosen if self.films[i].outlines.polygons]
            if hits:
                figures[f"{source}_pointing"] = float(np.mean([h[0] for h in hits]))
                figures[f"{source}_strict"] = float(np.mean([h[1] for h in hits]))
        return figures

    def _hit(self, index: int) -> tuple[bool, bool]:
        film = self.films[index]
        heat = self.letterboxes[index].map_to_film(self.evidence[index])
        boxes = np.stack([_bounds(p) for p in film.outlines.polygons])
        return pointing(heat, boxes)


def _bounds(polygon: np.ndarray) -> np.ndarray:
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    return np.concatenate([low, high - low])


@torch.inference_mode()
def score_films(
    network: EvidenceNetwork,
    films: Sequence[CachedFilm],
    size: int,
    *,
    device: torch.device,
    bf16: bool,
    batch: int = 16,
) -> Scores:
    """Run the network over films letterboxed to ``size``, films of one canvas shape together."""
    network.eval()
    letterboxes = [Letterbox.fit(*film.pixels.shape, size) for film in films]
    by_canvas: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, letterbox in enumerate(letterboxes):
        by_canvas[letterbox.canvas].append(index)
    logits = np.zeros(len(films), np.float32)
    evidence: list[np.ndarray] = [np.empty(0)] * len(films)
    for indices in by_canvas.values():
        for start in range(0, len(indices), batch):
            part = indices[start : start + batch]
            canvases = np.stack([letterboxes[i].apply(films[i].pixels) for i in part])
            inputs = torch.from_numpy(canvases)[:, None].to(device).float() / 255
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                logit, cells, _ = network(inputs.contiguous(memory_format=torch.channels_last))
            logits[part] = logit.float().cpu().numpy()
            for row, i in enumerate(part):
                evidence[i] = cells[row].float().cpu().numpy()
    return Scores(films, logits, evidence, letterboxes)
