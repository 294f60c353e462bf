"""Sensitivity: the accuracy that is left when one layer alone is pruned, without training."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kaniwa.compression.arguments import choice, share
from kaniwa.compression.masks import block_mask, channel_scores, kept_channels, magnitude_mask
from kaniwa.compression.pytorch.held import make_permanent
from kaniwa.compression.pytorch.layers import assign, chosen, weights_of
from kaniwa.compression.pytorch.training import Data, accuracy
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import InputError
from kaniwa.extras import needed
from kaniwa.quantization.recipe import Progress
from kaniwa.stage import Stage

with needed("compression of PyTorch modules", "compress"):
    from torch import nn

__all__ = ["HOW", "Sensitivity", "sensitivity"]

HOW = ("weights", "blocks", "channels")


@dataclass(frozen=True)
class Sensitivity:
    """``accuracy`` 0..1 with the share ``sparsity`` of ``layer`` set to 0."""

    layer: str
    sparsity: float
    accuracy: float


def sensitivity(module: nn.Module, data: Data, sparsities: Sequence[float] = (0.25, 0.5, 0.75, 0.9),
                *, how: str = "weights", config: AcceleratorConfig | None = None,
                layers: Sequence[str] = (), progress: Progress = lambda text: None
                ) -> list[Sensitivity]:
    """A row for each layer and sparsity, in this order; ``module`` stays as it is.

    ``how``: "weights" of least magnitude, "blocks" of the array of ``config``, or output "channels"
    of least L1 norm; grouped convolutions have no blocks and are left out. Raises InputError.
    """
    choice("how", how, HOW)
    if (how == "blocks") != (config is not None):
        raise InputError("config: give the target's with how='blocks', and only then")
    parts = [share("sparsities", value) for value in sparsities]
    work = make_permanent(copy.deepcopy(module))
    found = {name: layer for name, layer in chosen(work, layers).items()
             if how != "blocks" or getattr(layer, "groups", 1) == 1}
    rows: list[Sensitivity] = []
    for name, layer in found.items():
        whole = weights_of(layer)
        for part in parts:
            progress(Stage(f"{name} at {part:.0%}", len(rows), len(found) * len(parts), "rows"))
            assign(layer, np.where(_mask(whole, part, how, config), whole, 0))
            rows.append(Sensitivity(name, part, accuracy(work, data)))
        assign(layer, whole)
    return rows


def _mask(weights: np.ndarray, part: float, how: str, config: AcceleratorConfig | None
          ) -> np.ndarray:
    if how == "weights":
        return magnitude_mask(weights, part)
    if config is not None:
        return block_mask(weights, part, config)
    mask = np.zeros(weights.shape, bool)
    mask[kept_channels(channel_scores(weights), part)] = True
    return mask
