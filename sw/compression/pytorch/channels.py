"""Channel pruning that rewrites shapes: what is left is a smaller module of the usual layers.

The module is traced by ``torch.fx``. Channels that are added to each other, or pass through the
same depthwise convolution, are removed together. Scores: Li et al., "Pruning filters for efficient
ConvNets", ICLR 2017.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kaniwa.compression.masks import channel_scores, kept_channels
from kaniwa.compression.pytorch.layers import is_changed, weights_of
from kaniwa.errors import UnsupportedError
from kaniwa.extras import needed

with needed("channel pruning", "compress"):
    import torch
    from torch import fx, nn
    from torch.nn import functional

__all__ = ["Channels", "channel_groups", "prune_channels", "remove_channels", "traced"]

# Each of these keeps a channel of zeros zero, and channels apart.
POINTWISE = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Hardswish, nn.SiLU, nn.GELU, nn.ELU, nn.Tanh,
             nn.Identity, nn.Dropout, nn.Dropout2d, nn.MaxPool2d, nn.AvgPool2d,
             nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.ZeroPad2d)
FUNCTIONS = {torch.relu, torch.tanh, functional.relu, functional.relu6, functional.leaky_relu,
             functional.hardswish, functional.silu, functional.gelu, functional.elu,
             functional.dropout, functional.max_pool2d, functional.avg_pool2d,
             functional.adaptive_avg_pool2d, functional.adaptive_max_pool2d}
METHODS = {"relu", "tanh", "contiguous"}
ADD: set[Any] = {operator.add, operator.iadd, torch.add}
MAP, FLAT = "map", "flat"


@dataclass
class Channels:
    """Channels that go together: the layers that make them, and those that read them.

    ``makers``, ``passers`` (normalisation and depthwise) and ``readers`` are names of layers;
    ``fixed`` says why the channels cannot be removed, "" where they can.
    """

    size: int
    makers: list[str] = field(default_factory=list)
    passers: list[str] = field(default_factory=list)
    readers: list[str] = field(default_factory=list)
    fixed: str = ""
    joined: Channels | None = None

    def root(self) -> Channels:
        """The record that stands for all that were joined."""
        return self.joined.root() if self.joined else self


@dataclass(frozen=True)
class _Value:
    """What a node gives: its channels, and whether they are maps or lie flat."""

    channels: Channels
    form: str


def channel_groups(module: nn.Module) -> list[Channels]:
    """The groups of channels of ``module``, in the order of their first makers.

    Raises UnsupportedError, naming the operator, for what is none of Conv2d (plain or depthwise),
    Linear, BatchNorm, ZeroPad2d, pooling, activations with f(0) = 0, addition and flattening.
    """
    graph = traced(module, "channel pruning")
    walk = _Walk(dict(module.named_modules()))
    for node in graph.nodes:
        walk.take(node)
    roots = {id(root): root for group in walk.groups if (root := group.root()).makers}
    return list(roots.values())


def traced(module: nn.Module, what: str) -> fx.Graph:
    """The graph of ``module``. Raises UnsupportedError, beginning with ``what``, for one that
    ``torch.fx`` cannot follow."""
    try:
        return fx.Tracer().trace(module)
    except Exception as error:     # of the module's own code, or of fx, which share no base
        text = str(error).strip().splitlines()
        raise UnsupportedError(f"{what}: torch.fx cannot trace the module: "
                               f"{text[0] if text else type(error).__name__}") from error


class _Walk:
    """Follows channels from node to node."""

    def __init__(self, modules: dict[str, nn.Module]) -> None:
        self._modules = modules
        self._values: dict[fx.Node, _Value] = {}
        self._called: set[str] = set()
        self.groups: list[Channels] = []

    def take(self, node: fx.Node) -> None:
        """Find the channels of what ``node`` gives."""
        if node.op == "placeholder":
            self._values[node] = _Value(self._new(0, "they are the module's input"), "")
        elif node.op == "output":
            for value in self._inputs(node):
                root = value.channels.root()
                root.fixed = root.fixed or "they are the module's output"
        elif node.op == "call_module":
            self._values[node] = self._module(node)
        else:
            self._values[node] = self._function(node)

    def _new(self, size: int, fixed: str = "") -> Channels:
        self.groups.append(Channels(size, fixed=fixed))
        return self.groups[-1]

    def _inputs(self, node: fx.Node) -> list[_Value]:
        return [self._values[other] for other in node.all_input_nodes if other in self._values]

    def _module(self, node: fx.Node) -> _Value:
        name, layer = str(node.target), self._modules[str(node.target)]
        if name in self._called and list(layer.parameters()):
            raise UnsupportedError(f"channel pruning: layer '{name}' is used twice; "
                                   "give each use a layer of its own")
        self._called.add(name)
        if is_changed(layer):
            raise UnsupportedError(f"channel pruning: layer '{name}' has held weights; put channel "
                                   "pruning before steps that mask, share or quantise")
        (value, *_) = self._inputs(node)
        if type(layer) is nn.Conv2d:
            return self._convolution(name, layer, value)
        if type(layer) is nn.Linear:
            if value.form == MAP:
                raise self._refused(node, "a Linear reads maps; flatten them before")
            self._same_kind(node, value)
            value.channels.root().readers.append(name)
            made = self._new(layer.out_features)
            made.makers.append(name)
            return _Value(made, FLAT)
        if type(layer) in (nn.BatchNorm2d, nn.BatchNorm1d):
            if value.channels.root().size != layer.num_features and value.form:
                raise self._refused(node, "it normalises flattened maps; put it before flattening")
            value.channels.root().passers.append(name)
            return value
        if type(layer) is nn.Flatten:
            return self._flat(node, value, layer.start_dim, layer.end_dim)
        if type(layer) in POINTWISE:
            return value
        raise self._refused(node, "")

    def _convolution(self, name: str, layer: nn.Conv2d, value: _Value) -> _Value:
        if value.form == FLAT:
            raise UnsupportedError(f"channel pruning: convolution '{name}' reads flattened maps")
        if layer.groups == 1:
            value.channels.root().readers.append(name)
            made = self._new(layer.out_channels)
            made.makers.append(name)
            return _Value(made, MAP)
        if layer.groups == layer.in_channels == layer.out_channels:
            value.channels.root().passers.append(name)
            return _Value(value.channels, MAP)
        raise UnsupportedError(f"channel pruning: convolution '{name}' has {layer.groups} groups, "
                               f"{layer.in_channels} inputs and {layer.out_channels} outputs; "
                               "1 group and depthwise ones can be rewritten")

    def _function(self, node: fx.Node) -> _Value:
        values = self._inputs(node)
        if node.op == "call_function" and node.target in FUNCTIONS:
            return values[0]
        if node.op == "call_method" and node.target in METHODS:
            return values[0]
        if node.target in ADD or (node.op == "call_method" and node.target in ("add", "add_")):
            return self._add(node, values)
        if node.target is torch.flatten or (node.op == "call_method" and node.target == "flatten"):
            return self._flat(node, values[0], *_dimensions(node))
        raise self._refused(node, "")

    def _add(self, node: fx.Node, values: list[_Value]) -> _Value:
        if len(values) == 1 and len(node.args) == 2 and node.args[0] is node.args[1]:
            return values[0]
        if len(values) != 2 or len(node.args) != 2 or node.kwargs:
            raise self._refused(node, "it adds something else than two results of layers")
        one, two = (value.channels.root() for value in values)
        if values[0].form != values[1].form and all(value.form for value in values):
            raise self._refused(node, "it adds maps and flat values")
        if one.size != two.size and one.size and two.size:
            raise self._refused(node, f"it adds {one.size} channels to {two.size}")
        if one is not two:
            one.size = one.size or two.size
            one.makers += two.makers
            one.passers += two.passers
            one.readers += two.readers
            one.fixed = one.fixed or two.fixed
            two.joined = one
        return _Value(one, values[0].form or values[1].form)

    def _flat(self, node: fx.Node, value: _Value, start: int, end: int) -> _Value:
        if (start, end) != (1, -1):
            raise self._refused(node, f"it flattens dimensions {start} to {end}, not 1 to -1")
        return _Value(value.channels, FLAT)

    def _same_kind(self, node: fx.Node, value: _Value) -> None:
        """A Linear has the same number of inputs for each channel."""
        size, layer = value.channels.root().size, self._modules[str(node.target)]
        if size and layer.in_features % size:
            raise self._refused(node, f"{layer.in_features} inputs of {size} channels")

    def _refused(self, node: fx.Node, why: str) -> UnsupportedError:
        target = node.target
        what = (type(self._modules[str(target)]).__name__ if node.op == "call_module"
                else getattr(target, "__name__", str(target)))
        return UnsupportedError(f"channel pruning: '{node.name}' ({what}) cannot be rewritten"
                                f"{': ' + why if why else ''}")


def _dimensions(node: fx.Node) -> tuple[int, int]:
    """First and last dimension that a flattening joins."""
    given = [*node.args[1:], *[None] * 2][:2]
    start = given[0] if given[0] is not None else node.kwargs.get("start_dim", 0)
    end = given[1] if given[1] is not None else node.kwargs.get("end_dim", -1)
    return start, end


def prune_channels(module: nn.Module, sparsity: float, norm: str = "l1", multiple: int = 1,
                   only: Callable[[Channels], bool] = lambda group: True) -> dict[str, list[int]]:
    """Remove the share ``sparsity`` of each group of channels from ``module``, in place.

    Groups of the module's input and output stay, and those that ``only`` is False for. What stays
    is a ``multiple``, see ``kaniwa.compression.masks.kept_channels``. Gives the channels that stay,
    by maker. Raises UnsupportedError before anything is changed, InputError for wrong values.
    """
    layers = dict(module.named_modules())
    plans = []
    for group in channel_groups(module):
        if not group.fixed and only(group):
            scores = sum(channel_scores(weights_of(layers[name]), norm) for name in group.makers)
            plans.append((group, kept_channels(np.asarray(scores), sparsity, multiple)))
    remove_channels(module, plans)
    return {name: kept.tolist() for group, kept in plans for name in group.makers}


def remove_channels(module: nn.Module, plans: Sequence[tuple[Channels, np.ndarray]]) -> None:
    """Leave of each group of ``channel_groups(module)`` the channels beside it, in place."""
    layers = dict(module.named_modules())
    for group, kept in plans:
        for layer, dimension, each in _cuts(group, layers):
            _cut(layer, dimension, (kept[:, None] * each + np.arange(each)).ravel())


def _cuts(group: Channels, layers: dict[str, nn.Module]) -> Iterator[tuple[nn.Module, int, int]]:
    """Layer, dimension of its weights, and values of each channel there."""
    for name in (*group.makers, *group.passers):
        yield layers[name], 0, 1
    for name in group.readers:
        layer = layers[name]
        yield layer, 1, layer.in_features // group.size if isinstance(layer, nn.Linear) else 1


def _cut(layer: nn.Module, dimension: int, kept: np.ndarray) -> None:
    """Leave the ``kept`` slices of the layer's tensors along ``dimension``."""
    index = torch.from_numpy(kept)
    names = ["weight"] if dimension else ["weight", "bias", "running_mean", "running_var"]
    for name in names:
        tensor = getattr(layer, name, None)
        if tensor is not None:
            part = tensor.detach().index_select(dimension, index.to(tensor.device)).clone()
            setattr(layer, name, nn.Parameter(part) if isinstance(tensor, nn.Parameter) else part)
    count = len(kept)
    if isinstance(layer, nn.Conv2d):
        if layer.groups > 1:
            layer.groups = layer.in_channels = layer.out_channels = count
        elif dimension:
            layer.in_channels = count
        else:
            layer.out_channels = count
    elif isinstance(layer, nn.Linear):
        setattr(layer, "in_features" if dimension else "out_features", count)
    else:
        layer.num_features = count
