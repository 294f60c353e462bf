"""Cuts of a graph, also between the channels of a layer: what lies between two of them.

A layer that is cut is as many layers as it has pieces. Each behind the first one computes channels
of its own from the layer's whole input, and joins them to those that the pieces before it made. The
pieces keep the layer's scales, so the joined channels are to the bit those of the layer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import pairwise
from math import prod

import numpy as np

from kaniwa.graph import DTYPE_BYTES, Graph, Op, Quantization, Tensor, check
from kaniwa.pool.part import crossing_bytes, cut_points, part, states_at

__all__ = ["Cut", "bytes_at", "channel_cuts", "channels_of", "part_between", "whole_cuts"]

# An operator, and channels of it: those before the cut. With 0 channels it is before the operator.
Cut = tuple[int, int]
SPLIT = ("CONV_2D", "FULLY_CONNECTED")
MOST_PIECES = 16     # of a layer: as many places are tried at most


def whole_cuts(graph: Graph) -> list[Cut]:
    """The cuts between operators, ascending."""
    return [(place, 0) for place in cut_points(graph)]


def channel_cuts(graph: Graph, lanes: int) -> list[Cut]:
    """The cuts within layers, ascending, of multiples of ``lanes`` channels."""
    found: list[Cut] = []
    for number in range(len(graph.ops)):
        channels = channels_of(graph, number)
        step = lanes * -(-channels // (lanes * MOST_PIECES))
        if step and not states_at(graph, number):
            found += [(number, channel) for channel in range(step, channels, step)]
    return found


def channels_of(graph: Graph, number: int) -> int:
    """Output channels of an operator that can be cut between them, 0 of another one."""
    op = graph.ops[number]
    if op.kind not in SPLIT or any(i != -1 and graph.tensors[i].data is None
                                   for i in op.inputs[1:]):
        return 0
    source, weights = (graph.tensors[i] for i in op.inputs[:2])
    grouped = op.kind == "CONV_2D" and source.shape[-1] != weights.shape[-1]
    return 0 if grouped else weights.shape[0]


def bytes_at(graph: Graph, cut: Cut) -> int:
    """Bytes of the values that are made before a cut and used behind it."""
    number, before = cut
    crossing = crossing_bytes(graph, number)
    if not before:
        return crossing
    (result,) = (graph.tensors[i] for i in graph.ops[number].outputs)
    size = prod(result.shape) * DTYPE_BYTES[result.dtype]
    return crossing + size * before // channels_of(graph, number)


def part_between(graph: Graph, begin: Cut, end: Cut) -> Graph:
    """What lies between two cuts, as ``part`` gives it. Tensors of the same values have the same
    names on both sides of a cut."""
    own = sorted({cut for cut in (begin, end) if cut[1]}, reverse=True)
    for number in dict.fromkeys(number for number, _ in own):
        # The last operator comes first, so that those before it keep their numbers.
        graph = _in_pieces(graph, number, sorted(channel for at, channel in own if at == number))
    first, last = (_place(number, channel, own) for number, channel in (begin, end))
    return part(graph, first, last - 1)


def _place(number: int, before: int, own: Sequence[Cut]) -> int:
    """The number that an operator, or its piece behind ``before`` channels, has among pieces.

    A layer's piece is one operator, and another one joins it, but for the first piece.
    """
    return number + sum(2 for cut in own if cut[0] < number) + (
        2 * sum(cut[0] == number and cut[1] < before for cut in own) + 1 if before else 0)


def _in_pieces(graph: Graph, number: int, channels: Sequence[int]) -> Graph:
    """The graph with an operator cut before each of ``channels``."""
    op = graph.ops[number]
    (result,) = (graph.tensors[i] for i in op.outputs)
    same = sum(tensor.name == result.name for tensor in graph.tensors) > 1
    name = f"{result.name}#{result.id}" if same else result.name
    tensors = list(graph.tensors)

    def add(tensor: Tensor) -> int:
        tensors.append(dataclasses.replace(tensor, id=len(tensors)))
        return len(tensors) - 1

    def of_shape(text: str, size: int) -> int:
        return add(dataclasses.replace(result, name=text, shape=(*result.shape[:-1], size),
                                       source_index=None))

    total = channels_of(graph, number)
    ops: list[Op] = []
    joined = -1
    for first, last in pairwise((0, *channels, total)):
        until = result.id if last == total else of_shape(f"{name}[:{last}]", last)
        piece = of_shape(f"{name}[{first}:{last}]", last - first) if first else until
        constants = [-1 if i == -1 else add(_rows(graph.tensors[i], first, last))
                     for i in op.inputs[1:]]
        ops.append(dataclasses.replace(op, inputs=(op.inputs[0], *constants), outputs=(piece,)))
        if first:
            ops.append(dataclasses.replace(
                op, kind="CONCATENATION", inputs=(joined, piece), outputs=(until,), rule="exact",
                attributes={"axis": len(result.shape) - 1}))
        joined = until
    return check(dataclasses.replace(graph, tensors=tuple(tensors), ops=(
        *graph.ops[:number], *ops, *graph.ops[number + 1:])))


def _rows(tensor: Tensor, first: int, last: int) -> Tensor:
    """Weights or biases of the channels ``first`` to ``last``, the last one not included."""
    assert tensor.data is not None
    scales = tensor.quantization
    if scales is not None and len(scales.scales) > 1:
        scales = Quantization(scales.scales[first:last], scales.zero_points[first:last],
                              scales.axis)
    data = np.ascontiguousarray(tensor.data[first:last])
    data.flags.writeable = False
    return dataclasses.replace(tensor, name=f"{tensor.name}[{first}:{last}]", shape=data.shape,
                               data=data, quantization=scales, source_index=None)
