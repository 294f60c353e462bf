"""What training keeps of the weights: masks, codebooks and integer levels, as parametrizations.

A layer's weights are made anew from trained tensors each time they are used, by PyTorch's
``torch.nn.utils.parametrize``. Several can follow each other: masked, then shared, then quantised.
"""

from __future__ import annotations

import numpy as np

from kaniwa.compression.sharing import SharedWeights
from kaniwa.extras import needed

with needed("compression of PyTorch modules", "compress"):
    import torch
    from torch import nn
    from torch.nn.utils import parametrize

__all__ = ["LEVELS", "Codebook", "Levels", "Masked", "hold", "make_permanent"]

LEVELS = {8: (-127, 127), 4: (-8, 7)}     # by bits


class Masked(nn.Module):
    """Weights outside of ``mask``, a bool array of their shape, are 0 and stay so."""

    def __init__(self, mask: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("mask", torch.from_numpy(np.array(mask)))

    def forward(self, weights: torch.Tensor) -> torch.Tensor:
        """The masked weights; no gradient reaches the others."""
        return weights * self.mask


class Codebook(nn.Module):
    """Weights are entries of a codebook: indices are fixed, entries are trained, but not one of 0.

    An entry's gradient is the sum of its weights' (Han et al., "Deep compression", ICLR 2016).
    """

    def __init__(self, shared: SharedWeights) -> None:
        super().__init__()
        entries = torch.from_numpy(shared.codebook.astype(np.float32))
        self.entries = nn.Parameter(entries)
        self.register_buffer("free", entries != 0)
        self.register_buffer("indices", torch.from_numpy(shared.indices.astype(np.int64)))

    def forward(self, weights: torch.Tensor) -> torch.Tensor:
        """The shared weights; ``weights`` itself is no longer of use."""
        return (self.entries * self.free)[self.indices]


class Levels(nn.Module):
    """Weights are integers of 8 or 4 ``bits``, by a scale for each output channel; zero is 0.

    Scale and integers are those of ONNX Runtime's symmetric quantiser, in the same float32
    arithmetic: int8 has -127..127; int4 has -8..7 and steps of a fifteenth of the range. Gradients
    pass as if nothing was rounded (straight-through estimator: Bengio et al., "Estimating or
    propagating gradients through stochastic neurons", 2013).
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.lowest, self.highest = LEVELS[bits]

    def scale(self, weights: torch.Tensor) -> torch.Tensor:
        """The scale of each output channel, [outputs, 1, ...]."""
        largest = weights.abs().flatten(1).amax(1)
        steps = (2 * largest.double() / (self.highest - self.lowest)).to(weights.dtype)
        scale = torch.where(largest > 0, steps, torch.ones_like(largest))
        return scale.reshape(-1, *[1] * (weights.dim() - 1))

    def integers(self, weights: torch.Tensor) -> torch.Tensor:
        """The integers, as floats."""
        return torch.clamp(torch.round(weights / self.scale(weights)), self.lowest, self.highest)

    def forward(self, weights: torch.Tensor) -> torch.Tensor:
        """The rounded weights."""
        with torch.no_grad():
            rounded = self.integers(weights) * self.scale(weights)
        return weights + (rounded - weights).detach()


def hold(layer: nn.Module, how: nn.Module) -> None:
    """Make the layer's weights by ``how`` from now on, behind what makes them already."""
    parametrize.register_parametrization(layer, "weight", how)


def make_permanent(module: nn.Module, rounded: bool = True) -> nn.Module:
    """Store the weights of all layers as they are used now, with nothing that makes them.

    Without ``rounded`` those of ``Levels`` are the ones that it would round. PyTorch's own
    ``remove_parametrizations`` changes the class, which copies of a layer share.
    """
    for layer in module.modules():
        if parametrize.is_parametrized(layer):
            values = {name: _made(made, rounded) for name, made in layer.parametrizations.items()}
            layer.__class__ = parametrize.type_before_parametrizations(layer)
            del layer.parametrizations
            for name, value in values.items():
                layer.register_parameter(name, nn.Parameter(value))
    return module


def _made(made: parametrize.ParametrizationList, rounded: bool) -> torch.Tensor:
    with torch.no_grad():
        value = made.original
        for how in made:
            if rounded or not isinstance(how, Levels):
                value = how(value)
        return value.clone()
