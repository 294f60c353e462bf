"""Writes a graph without the channels that it does not need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod

import numpy as np

from kaniwa.compiler.plan.operands import quantization
from kaniwa.compiler.plan.rescale import Int64
from kaniwa.compiler.rewrite.channel_ranges import Range, channels
from kaniwa.graph import Graph, Op, Quantization, Tensor

__all__ = ["drop_channels", "folded"]

Masks = Mapping[int, np.ndarray]


def drop_channels(graph: Graph, needed: Masks, ranges: Mapping[int, Range]) -> Graph:
    """``graph`` with only the ``needed`` channels; constants that go are added to biases.

    A changed operator has an attribute ``removed``: channels (before, after) of input and output,
    and the products that the model has beyond those left.
    """
    return _Dropper(graph, needed, ranges).graph()


def folded(graph: Graph, op: Op, needed: Masks, ranges: Mapping[int, Range]) -> Int64:
    """The biases of a dense operator's needed outputs, with its removed inputs added."""
    x, w = graph.tensors[op.inputs[0]], graph.tensors[op.inputs[1]]
    assert w.data is not None
    weights = w.data[needed[op.outputs[0]]].astype(np.int64)
    taps = w.data[0].size // channels(x)
    by_channel = weights.reshape(len(weights), taps, channels(x)).sum(axis=1)
    constant = ranges[x.id].is_constant & ~needed[x.id]
    values = np.where(constant, ranges[x.id].low - quantization(x).zero_point, 0)
    bias = by_channel @ values
    if len(op.inputs) > 2 and op.inputs[2] != -1:
        data = graph.tensors[op.inputs[2]].data
        assert data is not None
        bias = bias + data[needed[op.outputs[0]]]
    return np.asarray(bias, np.int64)


class _Dropper:
    def __init__(self, graph: Graph, needed: Masks, ranges: Mapping[int, Range]) -> None:
        self.source = graph
        self.needed = needed
        self.ranges = ranges
        self.tensors = [self._narrowed(t) for t in graph.tensors]

    def graph(self) -> Graph:
        ops = tuple(self._op(op) for op in self.source.ops)
        return replace(self.source, tensors=tuple(self.tensors), ops=ops)

    def _narrowed(self, tensor: Tensor) -> Tensor:
        if self._whole(tensor.id):
            return tensor
        return replace(tensor, shape=(*tensor.shape[:-1], int(self.needed[tensor.id].sum())))

    def _whole(self, tensor_id: int) -> bool:
        return tensor_id not in self.needed or bool(self.needed[tensor_id].all())

    def _op(self, op: Op) -> Op:
        if self._whole(op.inputs[0]) and self._whole(op.outputs[0]):
            return op
        rewrites: dict[str, Callable[[Op], Op]] = {
            "CONV_2D": self._dense, "FULLY_CONNECTED": self._dense,
            "DEPTHWISE_CONV_2D": self._depthwise, "ADD": self._elementwise,
            "SUB": self._elementwise, "MUL": self._elementwise, "RESHAPE": self._reshape,
        }
        rewritten = rewrites[op.kind](op) if op.kind in rewrites else op
        return replace(rewritten, attributes={**rewritten.attributes, "removed": {
            "input_channels": self._counts(op.inputs[0]),
            "output_channels": self._counts(op.outputs[0]),
            "macs": self._macs(op, self.source.tensors) - self._macs(rewritten, self.tensors)}})

    def _counts(self, tensor_id: int) -> tuple[int, int]:
        return channels(self.source.tensors[tensor_id]), channels(self.tensors[tensor_id])

    def _macs(self, op: Op, tensors: Mapping[int, Tensor] | list[Tensor] | tuple[Tensor, ...],
              ) -> int:
        if op.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            return 0
        weights = tensors[op.inputs[1]].shape
        taps = weights[1:3] if op.kind == "DEPTHWISE_CONV_2D" else weights[1:]
        return prod(tensors[op.outputs[0]].shape) * prod(taps)

    def _constant(self, like: Tensor, data: np.ndarray, kept: np.ndarray, axis: int) -> int:
        """A new constant's id: ``data``, with the scales of the ``kept`` along ``axis``."""
        q = like.quantization
        if q is not None and q.axis == axis and len(q.scales) == len(kept):
            index = np.flatnonzero(kept)
            q = Quantization(tuple(q.scales[i] for i in index),
                             tuple(q.zero_points[i] for i in index), axis)
        data = np.ascontiguousarray(data)
        self.tensors.append(Tensor(len(self.tensors), like.name, data.shape, like.dtype, q, data))
        return len(self.tensors) - 1

    def _dense(self, op: Op) -> Op:
        weights = self.source.tensors[op.inputs[1]]
        assert weights.data is not None
        x, y = self.needed[op.inputs[0]], self.needed[op.outputs[0]]
        columns = np.tile(x, weights.shape[-1] // len(x))
        kept = self._constant(weights, weights.data[y][..., columns], y, 0)
        bias = folded(self.source, op, self.needed, self.ranges)
        if len(op.inputs) > 2 and op.inputs[2] != -1:
            like = self.source.tensors[op.inputs[2]]
        elif bias.any():
            like = Tensor(-1, f"{op.name}:bias", (), "int32")
        else:
            return replace(op, inputs=(op.inputs[0], kept, *op.inputs[2:]))
        return replace(op, inputs=(op.inputs[0], kept,
                                   self._constant(like, bias.astype(like.dtype), y, 0)))

    def _depthwise(self, op: Op) -> Op:
        weights = self.source.tensors[op.inputs[1]]
        assert weights.data is not None
        y = self.needed[op.outputs[0]]
        inputs = [op.inputs[0], self._constant(weights, weights.data[..., y], y, 3)]
        for i in op.inputs[2:]:
            data = None if i == -1 else self.source.tensors[i].data
            inputs.append(i if data is None else self._constant(
                self.source.tensors[i], data[y], y, 0))
        attributes = dict(op.attributes)
        if "depth_multiplier" in attributes:
            attributes["depth_multiplier"] = int(y.sum()) // int(self.needed[op.inputs[0]].sum())
        return replace(op, inputs=tuple(inputs), attributes=attributes)

    def _elementwise(self, op: Op) -> Op:
        y = self.needed[op.outputs[0]]
        inputs = []
        for i in op.inputs:
            tensor = self.source.tensors[i]
            if tensor.data is not None and channels(tensor) == len(y) > 1:
                i = self._constant(tensor, tensor.data[..., y], y, tensor.data.ndim - 1)
            inputs.append(i)
        return replace(op, inputs=tuple(inputs))

    def _reshape(self, op: Op) -> Op:
        return replace(op, inputs=op.inputs[:1], attributes={
            **op.attributes, "shape": self.tensors[op.outputs[0]].shape})
