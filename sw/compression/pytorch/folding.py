"""Batch normalisation as a part of the convolution before it."""

from __future__ import annotations

from collections.abc import Collection

from kaniwa.compression.pytorch.channels import traced
from kaniwa.compression.pytorch.held import Masked
from kaniwa.compression.pytorch.layers import assign, is_changed, replace_layer, weights_of
from kaniwa.errors import UnsupportedError
from kaniwa.extras import needed

with needed("compression of PyTorch modules", "compress"):
    import torch
    from torch import nn

__all__ = ["fold_normalization"]


def fold_normalization(module: nn.Module, names: Collection[str]) -> list[str]:
    """Fold each BatchNorm2d that alone reads one of the convolutions ``names``, in place.

    Gives the names of these convolutions. The module then computes what it did in evaluation.
    Raises UnsupportedError for a convolution whose weights are shared or quantised.
    """
    layers = dict(module.named_modules())
    folded = []
    for node in traced(module, "folding").nodes:
        if node.op != "call_module" or type(layers[str(node.target)]) is not nn.BatchNorm2d:
            continue
        (before,) = node.all_input_nodes
        name = str(before.target)
        if before.op != "call_module" or name not in names or len(before.users) > 1:
            continue
        _fold(name, layers[name], layers[str(node.target)])
        replace_layer(module, str(node.target), nn.Identity())
        folded.append(name)
    return folded


def _fold(name: str, layer: nn.Conv2d, normal: nn.BatchNorm2d) -> None:
    """Give ``layer`` the factors and offsets of ``normal``; a mask stays as it is."""
    if normal.running_var is None or not normal.affine:
        raise UnsupportedError(f"layer '{name}': its normalisation has no statistics or no factors")
    if is_changed(layer) and not all(isinstance(how, Masked)
                                     for how in layer.parametrizations.weight):
        raise UnsupportedError(f"layer '{name}': has shared or quantised weights; put "
                               "FoldNormalization before the steps that made them so")
    with torch.no_grad():
        factor = normal.weight / torch.sqrt(normal.running_var + normal.eps)
        bias = layer.bias if layer.bias is not None else torch.zeros_like(factor)
        assign(layer, weights_of(layer) * factor.reshape(-1, 1, 1, 1).numpy())
        layer.bias = nn.Parameter((bias - normal.running_mean) * factor + normal.bias)
