"""Convolutions whose biases are next to the ends of int32."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from builders.graphs.graph_builder import GraphBuilder
from kaniwa.graph import Graph, Quantization

__all__ = ["large_biases"]

LARGEST = (1 << 31) - 1
SHAPE = (1, 6, 6, 16)
LEVELS = [-90.5, -3.5, 0.0, 17.0, 60.5, 126.5, 300.5, -200.0]     # of the result, of a bias alone


def large_biases(rule: str, depthwise: bool = False, steps: float = 0.05) -> Graph:
    """A convolution of eight channels; the result of channel i is about ``LEVELS[i]``. ``steps``:
    by how much its products move it."""
    b, channels = GraphBuilder(3), len(LEVELS)
    x = b.tensor(SHAPE if not depthwise else (*SHAPE[:3], channels), 0.05, 7)
    size = (1, 3, 3, channels) if depthwise else (channels, 3, 3, SHAPE[3])
    w = b.rng.integers(-127, 128, size, np.int8)
    products = 128 * np.abs(w.astype(np.int64)).sum(axis=tuple(
        axis for axis, n in enumerate(size) if axis != (3 if depthwise else 0)))
    factors = steps / products          # of an accumulator, in steps of the result
    bias = np.clip(np.rint(np.array(LEVELS) / factors), -LARGEST, LARGEST)
    factors = np.where(np.array(LEVELS) == 0, factors, np.array(LEVELS) / np.where(
        bias == 0, 1, bias))
    y = b.tensor((1, 6, 6, channels), 0.3, 9)
    weights = b.tensor(size, 1.0, 0, w)
    b.tensors[weights] = replace(b.tensors[weights], quantization=Quantization(
        tuple((factors * 0.3 / 0.05).tolist()), (0,) * channels, 3 if depthwise else 0))
    kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    more = {"depth_multiplier": 1} if depthwise else {}
    return b.graph((x,), (b.op(
        kind, (x, weights, b.tensor((channels,), None, 0, bias.astype(np.int32))), y, rule,
        stride=(1, 1), dilation=(1, 1), padding=((1, 1), (1, 1)), activation="NONE",
        bounds=(-128, 127), **more),))
