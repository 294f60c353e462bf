"""The steps of a recipe: each changes a module, which is trained on after it.

``layers`` names those that a step is for, all convolutions and dense layers by default; ``epochs``
are those of training behind the step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kaniwa.compression.arguments import choice, share, whole_number
from kaniwa.compression.low_rank import factor_convolution, factor_dense, separate_convolution
from kaniwa.compression.masks import NORMS, SCOPES, block_mask, kept_channels, magnitude_masks
from kaniwa.compression.pytorch.channels import Channels, prune_channels
from kaniwa.compression.pytorch.folding import fold_normalization
from kaniwa.compression.pytorch.held import LEVELS, Codebook, Levels, Masked, hold
from kaniwa.compression.pytorch.layers import (
    assign,
    chosen,
    is_changed,
    replace_layer,
    weighted,
    weights_of,
)
from kaniwa.compression.sharing import INITIAL, share_weights
from kaniwa.config import AcceleratorConfig, load_target
from kaniwa.errors import InputError, UnsupportedError
from kaniwa.extras import needed

with needed("compression of PyTorch modules", "compress"):
    import torch
    from torch import nn

__all__ = ["FORMS", "BlockPruning", "ChannelPruning", "FoldNormalization", "LowRank",
           "MagnitudePruning", "Quantized", "Step", "Training", "WeightSharing", "weights_left"]

FORMS = ("pointwise", "separable")


@dataclass(frozen=True)
class Step:
    """What all steps have. ``apply`` changes ``module`` in place, the same way each time."""

    layers: tuple[str, ...] = ()
    epochs: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.layers, str) or not all(isinstance(name, str) for name in self.layers):
            raise InputError(f"layers: expected a tuple of names, found {self.layers!r}")
        whole_number("epochs", self.epochs, 0)
        self.check()

    def check(self) -> None:
        """Raises InputError for values of the step's own that are wrong."""

    def apply(self, module: nn.Module) -> None:
        """Change ``module``. Raises InputError or UnsupportedError."""


@dataclass(frozen=True)
class Training(Step):
    """Nothing but epochs of training."""


@dataclass(frozen=True)
class MagnitudePruning(Step):
    """The smallest weights become 0 and are held there: ``masks.magnitude_masks``."""

    sparsity: float = 0.5
    scope: str = "layer"

    def check(self) -> None:
        share("sparsity", self.sparsity)
        choice("scope", self.scope, SCOPES)

    def apply(self, module: nn.Module) -> None:
        found = chosen(module, self.layers)
        masks = magnitude_masks({name: weights_of(layer) for name, layer in found.items()},
                                self.sparsity, self.scope)
        for name, mask in masks.items():
            hold(found[name], Masked(mask))


@dataclass(frozen=True)
class BlockPruning(Step):
    """Words of the weight ring of ``target`` become 0 and are held there: ``masks.block_mask``.

    Depthwise convolutions have no such blocks and are left as they are, unless they are named.
    """

    sparsity: float = 0.5
    target: str | AcceleratorConfig = "base"

    def check(self) -> None:
        share("sparsity", self.sparsity)
        load_target(self.target)

    def apply(self, module: nn.Module) -> None:
        config = load_target(self.target)
        for name, layer in chosen(module, self.layers).items():
            if getattr(layer, "groups", 1) > 1:
                if self.layers:
                    raise UnsupportedError(f"layer '{name}': block pruning takes no grouped "
                                           "convolution; leave it out of the step")
                continue
            dilated = isinstance(layer, nn.Conv2d) and layer.dilation[1] > 1
            hold(layer, Masked(block_mask(weights_of(layer), self.sparsity, config, dilated)))


@dataclass(frozen=True)
class ChannelPruning(Step):
    """Channels are removed, and the module gets smaller: ``channels.prune_channels``.

    ``layers`` names makers: a group of channels is pruned if one of its makers is named.
    """

    sparsity: float = 0.5
    norm: str = "l1"
    multiple: int = 1

    def check(self) -> None:
        choice("norm", self.norm, NORMS)
        kept_channels(np.ones(1), self.sparsity, self.multiple)

    def apply(self, module: nn.Module) -> None:
        names = set(chosen(module, self.layers))

        def named(group: Channels) -> bool:
            return bool(names & set(group.makers))

        kept = prune_channels(module, self.sparsity, self.norm, self.multiple, named)
        if lost := [name for name in self.layers if name not in kept]:
            raise UnsupportedError(f"layer '{lost[0]}': its channels cannot be removed, they are "
                                   "the module's output or not its own")


@dataclass(frozen=True)
class WeightSharing(Step):
    """Each layer has ``entries`` values; what has which is fixed, the values are trained."""

    entries: int = 16
    initial: str = "linear"
    seed: int = 0

    def check(self) -> None:
        whole_number("entries", self.entries, 2)
        choice("initial", self.initial, INITIAL)
        whole_number("seed", self.seed, 0)

    def apply(self, module: nn.Module) -> None:
        for layer in chosen(module, self.layers).values():
            hold(layer, Codebook(share_weights(weights_of(layer), self.entries, self.initial,
                                               self.seed)))


@dataclass(frozen=True)
class LowRank(Step):
    """A layer becomes two, without an activation between: ``kaniwa.compression.low_rank``.

    ``form`` of a convolution: "pointwise" has a 1x1 one behind, "separable" a vertical and a
    horizontal one. Layers whose two parts would have more weights stay, unless they are named, and
    so do grouped ones.
    """

    energy: float = 0.9
    form: str = "pointwise"

    def check(self) -> None:
        share("energy", self.energy)
        choice("form", self.form, FORMS)

    def apply(self, module: nn.Module) -> None:
        for name, layer in chosen(module, self.layers).items():
            if is_changed(layer):
                raise UnsupportedError(f"layer '{name}': has held weights; put low rank before "
                                       "steps that mask, share or quantise")
            if isinstance(layer, nn.Linear):
                pair = self._dense(layer)
            elif layer.groups == 1:
                pair = self._convolution(layer)
            elif self.layers:
                raise UnsupportedError(f"layer '{name}': a grouped convolution has no low rank")
            else:
                continue
            if self.layers or sum(part.weight.numel() for part in pair) < layer.weight.numel():
                replace_layer(module, name, nn.Sequential(*pair))

    def _dense(self, layer: nn.Linear) -> tuple[nn.Module, nn.Module]:
        factors = factor_dense(weights_of(layer), energy=self.energy)
        first = nn.Linear(layer.in_features, factors.rank, bias=False)
        second = nn.Linear(factors.rank, layer.out_features, bias=layer.bias is not None)
        return _filled(layer, first, factors.first), _filled(layer, second, factors.second)

    def _convolution(self, layer: nn.Conv2d) -> tuple[nn.Module, nn.Module]:
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            raise UnsupportedError("low rank: a convolution pads with zeros, by numbers")
        separable = self.form == "separable"
        factors = (separate_convolution if separable else factor_convolution)(
            weights_of(layer), energy=self.energy)
        geometry = [layer.kernel_size, layer.stride, layer.padding, layer.dilation]
        neutral = (1, 1, 0, 1)
        ahead = [(g[0], n) if separable else g for g, n in zip(geometry, neutral, strict=True)]
        behind = [(n, g[1] if separable else n) for g, n in zip(geometry, neutral, strict=True)]
        first = nn.Conv2d(layer.in_channels, factors.rank, *ahead, bias=False)
        second = nn.Conv2d(factors.rank, layer.out_channels, *behind, bias=layer.bias is not None)
        return _filled(layer, first, factors.first), _filled(layer, second, factors.second)


@dataclass(frozen=True)
class FoldNormalization(Step):
    """Each BatchNorm2d becomes a part of the convolution before it.

    Where it comes before WeightSharing and Quantized, their values are those of the quantised
    model: a quantiser folds it anyway, by a factor for each channel.
    """

    epochs: int = 0

    def apply(self, module: nn.Module) -> None:
        fold_normalization(module, tuple(chosen(module, self.layers)))


@dataclass(frozen=True)
class Quantized(Step):
    """Weights are trained as integers of 8 or 4 ``bits``, by channel: ``held.Levels``."""

    bits: int = 8

    def check(self) -> None:
        if self.bits not in LEVELS:
            raise InputError(f"bits: expected one of {', '.join(map(str, LEVELS))}, "
                             f"found {self.bits!r}")

    def apply(self, module: nn.Module) -> None:
        for layer in chosen(module, self.layers).values():
            hold(layer, Levels(self.bits))


def _filled(old: nn.Module, new: nn.Module, values: np.ndarray) -> nn.Module:
    """``new`` with these weights, and the bias of ``old`` if it has one."""
    assign(new, values)
    if new.bias is not None:
        with torch.no_grad():
            new.bias.copy_(old.bias)
    return new.train(old.training)


def weights_left(module: nn.Module) -> dict[str, tuple[int, int]]:
    """Weights that are not 0, and all, of each layer by name."""
    return {name: (int(np.count_nonzero(values := weights_of(layer))), values.size)
            for name, layer in weighted(module).items()}
