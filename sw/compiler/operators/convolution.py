"""Convolutions on the accelerator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kaniwa.compiler.operators.limits import WEIGHTED, weighted_int16
from kaniwa.compiler.operators.record import DeviceOperator
from kaniwa.compiler.operators.rewriting import check_window
from kaniwa.compiler.rewrite.rewriter import Rewriter
from kaniwa.graph import Graph, Op

__all__ = ["OPERATORS"]


def one_group(graph: Graph, op: Op) -> str | None:
    """The convolution has one group."""
    x, weights = graph.tensors[op.inputs[0]], graph.tensors[op.inputs[1]]
    return None if weights.shape[3] == x.shape[3] else (
        "grouped convolutions are not supported; use one group, or a depthwise convolution")


def _dense(rewriter: Rewriter, op: Op) -> None:
    _, kh, kw, channels = rewriter.tensors[op.inputs[1]].shape
    check_window(rewriter, op, (kh, kw))
    rewriter.emit(op, "CONV_2D", op.inputs, {**op.attributes, "taps": kh * kw * channels})


def _depthwise(rewriter: Rewriter, op: Op) -> None:
    weights = rewriter.tensors[op.inputs[1]]
    _, kh, kw, outputs = weights.shape
    check_window(rewriter, op, (kh, kw))
    channels = rewriter.tensors[op.inputs[0]].shape[3]
    attributes = {**op.attributes, "taps": kh * kw}
    if outputs == channels and channels > 1:
        rewriter.emit(op, "DEPTHWISE_CONV_2D", op.inputs, attributes)
        return
    # A dense convolution whose output channel reads the one input channel that it belongs to.
    assert weights.data is not None
    dense = np.zeros((outputs, kh, kw, channels), weights.data.dtype)
    rows = np.arange(outputs)
    dense[rows, :, :, rows // (outputs // channels)] = weights.data[0].transpose(2, 0, 1)
    q = weights.quantization
    new = rewriter.tensor(weights.name, dense.shape, weights, dense,
                          None if q is None or q.axis is None else replace(q, axis=0))
    rewriter.emit(op, "CONV_2D", (op.inputs[0], new, *op.inputs[2:]), attributes)


OPERATORS = (
    DeviceOperator("CONV_2D", (*WEIGHTED, one_group), _dense,
                   (*weighted_int16("litert_int16"), one_group)),
    DeviceOperator("DEPTHWISE_CONV_2D", WEIGHTED, _depthwise, weighted_int16("litert_int16")),
)
