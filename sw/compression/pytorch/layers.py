"""The layers of a module that have weights to compress, and their weights as arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kaniwa.errors import InputError, UnsupportedError
from kaniwa.extras import needed

with needed("compression of PyTorch modules", "compress"):
    import torch
    from torch import nn
    from torch.nn.utils import parametrize

__all__ = ["assign", "chosen", "is_changed", "replace_layer", "weighted", "weights_of"]


def weighted(module: nn.Module) -> dict[str, nn.Module]:
    """The convolutions (2-D) and dense layers of ``module``, by name, in its order.

    Raises UnsupportedError where there is none, or two names have the same weights.
    """
    found = {name: layer for name, layer in module.named_modules()
             if isinstance(layer, nn.Conv2d | nn.Linear)}
    if not found:
        raise UnsupportedError("compression: the module has no Conv2d and no Linear")
    seen: dict[int, str] = {}
    for name, layer in found.items():
        tensor = _stored(layer)
        if (other := seen.setdefault(id(tensor), name)) != name:
            raise UnsupportedError(f"layer '{name}': has the weights of '{other}', too; "
                                   "give each layer its own")
    return found


def chosen(module: nn.Module, names: Sequence[str]) -> dict[str, nn.Module]:
    """The layers of these names, or all where none is named. Raises InputError for another name."""
    layers = weighted(module)
    if unknown := [name for name in names if name not in layers]:
        raise InputError(f"layer '{unknown[0]}': there is none of this name; layers are "
                         f"{', '.join(layers)}")
    return {name: layers[name] for name in names} if names else layers


def weights_of(layer: nn.Module) -> np.ndarray:
    """The weights as they are used now: a copy."""
    return np.array(layer.weight.detach().cpu().numpy())


def assign(layer: nn.Module, values: np.ndarray) -> None:
    """Give the layer's own weights, before any mask or codebook, these values."""
    with torch.no_grad():
        stored = _stored(layer)
        stored.copy_(torch.as_tensor(values, dtype=stored.dtype))


def is_changed(layer: nn.Module) -> bool:
    """Whether weights are made from others as they are used: masked, shared or quantised."""
    return bool(parametrize.is_parametrized(layer))


def replace_layer(module: nn.Module, name: str, layer: nn.Module) -> None:
    """Put ``layer`` where ``name`` was. Raises UnsupportedError for the module itself."""
    if not name:
        raise UnsupportedError("compression: the module is itself a layer that is replaced; put it "
                               "into an nn.Sequential")
    parent, _, own = name.rpartition(".")
    setattr(module.get_submodule(parent), own, layer)


def _stored(layer: nn.Module) -> torch.Tensor:
    return layer.parametrizations.weight.original if is_changed(layer) else layer.weight
