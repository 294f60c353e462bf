"""The largest of some values; of the last axis also which is the first of these (ARG_MAX)."""

from __future__ import annotations

import numpy as np

from kaniwa.compiler.plan.operands import as_map, describe
from kaniwa.compiler.rewrite.rewriter import NO_PADDING, UNIT, Rewriter
from kaniwa.errors import UnsupportedError
from kaniwa.graph import Op
from kaniwa.isa import FIELDS

__all__ = ["MOST_VALUES", "first_largest", "largest_of", "turned"]

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
        source = turned(rewriter, op, source, f"{x.name}:turned")
    rows = (pixels, count, 1)
    largest = rewriter.reshaped(op, largest_of(rewriter, op, source, rows, "largest"),
                                (*shape[:3], 1))
    spread = rewriter.repeat(op, rewriter.tensors[largest], shape)
    equal = rewriter.tensor(f"{x.name}:equal", flat, quantization=UNIT)
    rewriter.emit(op, "ADD", (spread, rewriter.reshaped(op, source, flat)), {
        **op.attributes, **PLAIN, "of_bytes": (-128, 128, 0), "bounds": (-128, 0)}, equal)
    places = rewriter.tensor(f"{x.name}:places", flat, quantization=UNIT)
    _convolved(rewriter, op, "DEPTHWISE_CONV_2D", equal, np.full((1, 1, 1, count), 2, np.int8),
               127 - np.arange(count), places)
    first = rewriter.reshaped(op, largest_of(rewriter, op, places, rows, "first"),
                              (*shape[:3], 1))
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


def turned(rewriter: Rewriter, op: Op, source: int, name: str) -> int:
    """A tensor in which the smallest values are the largest; turned twice it is ``source``."""
    made = rewriter.tensor(name, rewriter.tensors[source].shape, quantization=UNIT)
    rewriter.emit(op, "TABLE", (source,), {**op.attributes, **PLAIN, "table": tuple(
        range(127, -129, -1))}, made)
    return made


def largest_of(rewriter: Rewriter, op: Op, source: int, view: tuple[int, int, int],
               name: str) -> int:
    """Of [outer, compared, inner] elements the largest ones [1, outer, 1, inner]: of every so many
    neighbors, and then of these.

    Raises UnsupportedError where the line buffer does not hold two of them.
    """
    outer, count, inner = view
    lanes = max(n for n in range(1, rewriter.config.depthwise_lanes + 1) if count % n == 0)
    parts = [(count, inner)] if inner > 1 else [(count // lanes, lanes), (lanes, 1)]
    for number, (left, deep) in enumerate(parts):
        while left > 1:
            # One below the other where they are too many for a row.
            down = left * deep > FIELDS["line_pitch"].high - 2 * rewriter.config.read_bytes
            width, stride = _window(rewriter, op, left, deep, "stride_rows" if down else "segments")
            wide = rewriter.reshaped(op, source, (outer, left, 1, deep) if down
                                     else (1, outer, left, deep))
            left = (left - width) // stride + 1
            source = rewriter.tensor(
                f"{op.name}:{name}{number}x{left}",
                (outer, left, 1, deep) if down else (1, outer, left, deep), quantization=UNIT)
            rewriter.emit(op, "MAX_POOL_2D", (wide,), {
                **op.attributes, **PLAIN, "filter": (width, 1) if down else (1, width),
                "stride": (stride, 1) if down else (1, stride)}, source, "exact")
    return rewriter.reshaped(op, source, (1, outer, 1, inner))


def _window(rewriter: Rewriter, op: Op, count: int, deep: int, field: str) -> tuple[int, int]:
    """How many of ``count`` neighbors are compared at once, and how far apart the first ones are:
    the line buffer has two rows of them, and a ``field`` says their number. Some are compared twice
    where there is no even number."""
    config = rewriter.config
    most = min(FIELDS[field].high, (config.line_bytes // 2 - 2 * config.read_bytes) // deep)
    width = max((n for n in range(1, most + 1) if count % n == 0), default=1)
    if width > 1:
        return width, width
    for results in range(-(-count // max(most, 1)), count):
        stride = count // results
        width = count - (results - 1) * stride
        if width <= most:
            return width, stride
    raise UnsupportedError(
        f"{describe(rewriter.graph, op)}: it compares {count} values of {deep} channels, and the "
        f"line buffer holds {most} of them")


def _convolved(rewriter: Rewriter, op: Op, kind: str, source: int, weights: np.ndarray,
               bias: np.ndarray, result: int) -> None:
    own = (rewriter.tensor(f"{rewriter.tensors[result].name}:weights", weights.shape, None, weights,
                           UNIT),
           rewriter.tensor(f"{rewriter.tensors[result].name}:bias", bias.shape, None,
                           bias.astype(np.int32)))
    rewriter.emit(op, kind, (source, *own), {**op.attributes, **PLAIN}, result, EXACT)
