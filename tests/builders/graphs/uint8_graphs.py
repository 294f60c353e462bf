"""Graphs of legacy uint8: convolutions with weights beyond int8, and functions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from builders.graphs.graph_builder import GraphBuilder
from kaniwa.graph import Graph, Quantization, check

__all__ = ["convolution", "uint8", "uint8_function"]

RULES = {"ADD": "litert_add", "SUB": "litert_sub", "MUL": "litert_mul",
         **dict.fromkeys(("MAXIMUM", "MINIMUM"), "exact"), "SOFTMAX": "litert_softmax",
         "HARD_SWISH": "litert_hard_swish",
         **dict.fromkeys(("LOGISTIC", "TANH", "GELU"), "litert_table")}
ATTRIBUTES = {"LOOKUP": {"table": tuple(i * 7 % 256 for i in range(256))},
              "SOFTMAX": {"beta": 1.0}, "LEAKY_RELU": {"alpha": 0.3},
              "GELU": {"approximate": False},
              **dict.fromkeys(("ADD", "SUB", "MUL"), {"activation": "RELU6"})}
STEPS = {"SOFTMAX": (1 / 256, -128), "LOGISTIC": (1 / 256, -128),
         **dict.fromkeys(("MAXIMUM", "MINIMUM"), (0.05, 3))}


def uint8(graph: Graph, weights: dict[int, np.ndarray], zero: int) -> Graph:
    """``graph`` in uint8, with ``weights`` (uint8, by tensor) of zero point ``zero``."""
    tensors = []
    for t in graph.tensors:
        q = t.quantization
        if t.id in weights:
            t = replace(t, dtype="uint8", data=weights[t.id],
                        quantization=Quantization((0.01,), (zero,)))
        elif t.dtype == "int8" and q is not None:
            t = replace(t, dtype="uint8", quantization=replace(
                q, zero_points=(q.zero_point + 128,)))
        tensors.append(t)
    return check(replace(graph, tensors=tuple(tensors)))


def convolution(channels: int, zero: int, wide: dict[int, int], depthwise: bool = False,
                channels_in: int = 0, **options: tuple[int, int]) -> Graph:
    """A layer whose weights are within int8 of ``zero``, but for one of the ``wide`` channels."""
    b = GraphBuilder(1)
    x = b.tensor((1, 6, 7, channels_in or channels), 0.1, 5)
    y = b.conv(x, channels, depthwise=int(depthwise), **options)
    (position, shape), = [(t.id, t.shape) for t in b.tensors
                          if t.data is not None and t.data.dtype == np.int8]
    data = np.clip(zero + b.rng.integers(-99, 100, shape), 0, 255).astype(np.uint8)
    for channel, value in wide.items():
        data[(0, 1, 2, channel) if depthwise else (channel, 1, 2, 0)] = value
    return uint8(b.graph((x,), (y,)), {position: data}, zero)


def uint8_function(kind: str) -> Graph:
    """An operator of uint8 on its own; with a constant where a table needs it."""
    b = GraphBuilder(5)
    x = b.tensor((1, 16, 16, 8), 0.05, 3)
    inputs = (x,)
    if kind in ("MAXIMUM", "MINIMUM"):
        inputs = (x, b.tensor((1,), 0.05, 3, np.full(1, 9, np.int8)))
    elif kind in ("ADD", "SUB", "MUL"):
        inputs = (x, b.tensor((1, 16, 16, 8), 0.02, -7))
    y = b.tensor((1, 16, 16, 8), *STEPS.get(kind, (0.04, -9)))
    b.op(kind, inputs, y, RULES.get(kind, "litert_double_rounding"), **ATTRIBUTES.get(kind, {}))
    graph = b.graph(inputs[:1 + (kind in ("ADD", "SUB", "MUL"))], (y,))
    tensors = [t if t.data is None else replace(t, dtype="uint8", data=(t.data.astype(int) + 128)
               .astype(np.uint8), quantization=Quantization((0.05,), (131,)))
               for t in graph.tensors]
    return uint8(replace(graph, tensors=tuple(tensors)), {}, 0)
