"""Small graphs with operators of int16, written by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from graph_builder import GraphBuilder

from kaniwa.importers import OPERATORS

__all__ = ["FULL", "WideBuilder", "gated"]

FULL = 1 / 32768


class WideBuilder(GraphBuilder):
    """Int16 activations have zero point 0."""

    def wide(self, shape: tuple[int, ...], scale: float, data: np.ndarray | None = None) -> int:
        """An int16 tensor."""
        made = self.tensor(shape, scale, 0, data)
        self.tensors[made] = replace(self.tensors[made], dtype="int16")
        return made

    def quantize(self, x: int, scale: float, zero_point: int | None = None) -> int:
        """QUANTIZE to int16, or with a zero point to int8."""
        shape = self.tensors[x].shape
        y = self.wide(shape, scale) if zero_point is None else self.tensor(shape, scale, zero_point)
        return self.op("QUANTIZE", (x,), y, "litert_double_rounding")

    def function(self, kind: str, x: int, scale: float) -> int:
        """A function of int16."""
        return self.op(kind, (x,), self.wide(self.tensors[x].shape, scale),
                       OPERATORS[kind].rules["int16"],
                       **({"approximate": False} if kind == "GELU" else {}))

    def arithmetic(self, kind: str, a: int, b: int, scale: float, activation: str = "NONE") -> int:
        """ADD, SUB or MUL of int16."""
        shape = np.broadcast_shapes(self.tensors[a].shape, self.tensors[b].shape)
        return self.op(kind, (a, b), self.wide(shape, scale), f"litert_{kind.lower()}",
                       activation=activation)


def gated(b: WideBuilder, x: int) -> int:
    """sigmoid(x) · tanh(x) in int16, by another name before it is bytes again."""
    wide = b.quantize(x, 0.0005)
    product = b.arithmetic("MUL", b.function("LOGISTIC", wide, FULL),
                           b.function("TANH", wide, FULL), FULL)
    shape = b.tensors[product].shape
    flat = b.op("RESHAPE", (product,), b.wide((1, b.size(product)), FULL),
                shape=(1, b.size(product)))
    return b.op("RESHAPE", (b.quantize(flat, 0.01, 0),), b.tensor(shape, 0.01, 0), shape=shape)
