"""ARG_MAX of the last axis: which values equal the largest one, and the first of these."""

from __future__ import annotations

import numpy as np

from kaniwa.compiler.plan.operands import as_map
from kaniwa.compiler.rewrite.rewriter import NO_PADDING, UNIT, Rewriter
from kaniwa.graph import Op

__all__ = ["MOST_VALUES", "first_largest"]

MOST_VALUES = 256     # whose places fit a byte
PLAIN = {"stride": (1, 1), "dilation": (1, 1), "padding": NO_PADDING, "activation": "NONE",
         "taps": 0}
EXACT = "litert_double_rounding"


def first_largest(rewriter: Rewriter, op: Op) -> None:
    """The place of the first largest value of each row, or smallest for ARG_MIN.

    | step | result |
    |---|---|
    | maximum | the largest of each row, repeated |
    | ADD | 0 where a value is the largest, else -128 |
    | depthwise | 127 less the place where a value is the largest, else -128 |
    | maximum | 127 less the first place |
    | dense, table | the bytes of the place |
    """
    x, y = rewriter.tensors[op.inputs[0]], rewriter.tensors[op.outputs[0]]
    shape = as_map(x.shape)
    pixels, count = shape[0] * shape[1] * shape[2], shape[3]
    flat, source = (1, 1, pixels, count), rewriter.reshaped(op, x.id, shape)
    if op.kind == "ARG_MIN":
        turned = rewriter.tensor(f"{x.name}:turned", shape, quantization=UNIT)
        rewriter.emit(op, "TABLE", (source,), {**op.attributes, **PLAIN, "table": tuple(
            range(127, -129, -1))}, turned)
        source = turned
    largest = _maximum(rewriter, op, source, shape, "largest")
    spread = rewriter.repeat(op, rewriter.tensors[largest], shape)
    equal = rewriter.tensor(f"{x.name}:equal", flat, quantization=UNIT)
    rewriter.emit(op, "ADD", (spread, rewriter.reshaped(op, source, flat)), {
        **op.attributes, **PLAIN, "of_bytes": (-128, 128, 0), "bounds": (-128, 0)}, equal)
    places = rewriter.tensor(f"{x.name}:places", flat, quantization=UNIT)
    _convolved(rewriter, op, "DEPTHWISE_CONV_2D", equal, np.full((1, 1, 1, count), 2, np.int8),
               127 - np.arange(count), places)
    first = _maximum(rewriter, op, rewriter.reshaped(op, places, shape), shape, "first")
    size = np.dtype(y.dtype).itemsize
    one = np.zeros((size, 1, 1, 1), np.int8)
    one[0] = 1      # the low byte; others stay 127, which is place 0
    wide, made = (rewriter.tensor(f"{y.name}:{name}", (*shape[:3], size), quantization=UNIT)
                  for name in ("wide", "bytes"))
    _convolved(rewriter, op, "CONV_2D", first, one, 127 * (np.arange(size) > 0), wide)
    table = (127 - np.arange(-128, 128)).astype(np.uint8).view(np.int8)
    rewriter.emit(op, "TABLE", (wide,), {**op.attributes, **PLAIN, "table": tuple(
        table.tolist())}, made)
    rewriter.renamed(op, made, y)


def _maximum(rewriter: Rewriter, op: Op, source: int, shape: tuple[int, int, int, int],
             name: str) -> int:
    """The largest value of each row: of every so many values, and then of these."""
    images, rows, columns, count = shape
    lanes = max(n for n in range(1, rewriter.config.depthwise_lanes + 1) if count % n == 0)
    for number, (width, deep) in enumerate(((count // lanes, lanes), (lanes, 1))):
        if width == 1:
            continue
        made = rewriter.tensor(f"{op.name}:{name}{number}", (images, rows, columns, deep),
                               quantization=UNIT)
        wide = rewriter.reshaped(op, source, (images, rows, columns * width, deep))
        rewriter.emit(op, "MAX_POOL_2D", (wide,), {
            **op.attributes, **PLAIN, "filter": (1, width), "stride": (1, width)}, made, "exact")
        source = made
    return source


def _convolved(rewriter: Rewriter, op: Op, kind: str, source: int, weights: np.ndarray,
               bias: np.ndarray, result: int) -> None:
    own = (rewriter.tensor(f"{rewriter.tensors[result].name}:weights", weights.shape, None, weights,
                           UNIT),
           rewriter.tensor(f"{rewriter.tensors[result].name}:bias", bias.shape, None,
                           bias.astype(np.int32)))
    rewriter.emit(op, kind, (source, *own), {**op.attributes, **PLAIN}, result, EXACT)
