"""Ways to rewrite that operators of several families share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from kaniwa.compiler.array.gathers import picking
from kaniwa.compiler.array.moves import (
    MOST_MOVES,
    Move,
    Taken,
    cut_axes,
    gathered,
    joined,
    side_by_side,
    taken_at_once,
)
from kaniwa.compiler.array.padding import FILLER, Paddings, fills, padded, split_axes
from kaniwa.compiler.plan.kinds import WIDE
from kaniwa.compiler.plan.operands import Pair, describe, paddings, pair, quantization
from kaniwa.compiler.rewrite.rewriter import NO_PADDING, UNIT, Rewriter
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ModelError, UnsupportedError
from kaniwa.graph import Op
from kaniwa.isa import FIELDS

__all__ = ["as_it_is", "as_table", "as_wide", "block_of", "check_window", "copied", "cut_from",
           "gathered_along", "holds_map", "in_blocks", "input_first", "moved", "padded_with",
           "part_of", "unit_depthwise", "with_axis_last"]

INT8_MAX = 127
# Of a sum of bytes in two signed digits, which 256 have too; a window has at most 255 columns.
PART = 255


def input_first(op: Op) -> Op:
    """A TRANSPOSE_CONV with its input before the weights, as other convolutions have them."""
    weights, x, *others = op.inputs
    return replace(op, inputs=(x, weights, *others))


def check_window(rewriter: Rewriter, op: Op, kernel: tuple[int, ...]) -> None:
    """Refuse padding as large as the window: some windows would see no input at all."""
    where = describe(rewriter.graph, op)
    x, y = (rewriter.tensors[i].shape for i in (op.inputs[0], op.outputs[0]))
    sizes = []
    for size, length, stride, dilation, pads in zip(
            x[1:3], kernel, pair(op, "stride"), pair(op, "dilation", (1, 1)), paddings(op),
            strict=True):
        extent = (length - 1) * dilation + 1
        if max(pads) >= extent:
            raise UnsupportedError(f"{where}: padding {max(pads)} must be smaller than the "
                                   f"kernel's extent of {extent}")
        sizes.append((size + sum(pads) - extent) // stride + 1)
    if y[:3] != (x[0], *sizes):
        raise ModelError(f"{where}: output shape {list(y)} does not fit its input {list(x)}, "
                         f"expected {[x[0], *sizes]} and channels")


def unit_depthwise(rewriter: Rewriter, op: Op, kernel: tuple[int, int], rule: str,
                   doubled: int = 0) -> None:
    """A depthwise convolution with weights of 1, or, ``doubled`` 1, of 2 and with biases of 1."""
    shape = (1, *kernel, rewriter.tensors[op.inputs[0]].shape[3])
    ones = np.ones(shape, np.int8) << doubled
    inputs = [op.inputs[0], rewriter.tensor(f"{op.name}:ones", shape, None, ones, UNIT)]
    if doubled:
        inputs.append(rewriter.tensor(f"{op.name}:bias", shape[3:], None,
                                      np.ones(shape[3:], np.int32)))
    rewriter.emit(op, "DEPTHWISE_CONV_2D", tuple(inputs),
                  {"dilation": (1, 1), **op.attributes, "taps": 0}, rule=rule)


def holds_map(shape: tuple[int, int, int], config: AcceleratorConfig) -> bool:
    """True where the line buffer has a window of [rows, columns, channels], and a row ahead."""
    rows, columns, channels = shape
    return (rows + 1) * (columns * channels + 2 * config.read_bytes) <= config.line_bytes


def _averages(shape: tuple[int, int, int], config: AcceleratorConfig) -> bool:
    """True where the line buffer has a window of [rows, columns, channels], and the weight ring the
    weights of a block."""
    return holds_map(shape, config) and (
        -(-shape[0] * shape[1] // config.dot_width) <= config.ring_words)


def block_of(shape: tuple[int, int, int], config: AcceleratorConfig) -> tuple[int, Pair] | None:
    """Of [outer, averaged, inner] elements the channels of a block, and the rows and columns that
    are averaged, such that the line buffer holds a block; None where none does."""
    _, count, inner = shape
    sides = [(count // n, n) for n in range(count, 0, -1) if count % n == 0
             and n <= FIELDS["segments"].high and count // n <= FIELDS["kernel_rows"].high]
    for channels in range(min(inner, config.depthwise_lanes), 0, -1):
        for rows, columns in sides if inner % channels == 0 else ():
            if _averages((rows, columns, channels), config):
                return channels, (rows, columns)
    return None


def in_blocks(rewriter: Rewriter, op: Op, shape: tuple[int, int, int], doubled: int = 0) -> None:
    """An average, or a sum, of [outer, averaged, inner] elements too many for the line buffer:
    blocks of channels are moved apart, and are maps of their own. Of maps that are too large even
    so, parts are summed first."""
    block = block_of(shape, rewriter.config)
    found = block or part_of(shape, rewriter.config)
    assert found is not None      # ``fits_in_blocks``
    (outer, count, inner), (channels, sides) = shape, found
    x, y = rewriter.tensors[op.inputs[0]], rewriter.tensors[op.outputs[0]]
    images = outer * inner // channels
    apart = rewriter.tensor(f"{x.name}:blocks", (images, *sides, channels), x)
    moved(rewriter, op, x.id, (outer, count, inner // channels, channels), apart)
    made = rewriter.tensor(f"{y.name}:blocks", (images, 1, 1, channels), y)
    number = {} if op.kind == "SUM" else {"filter": sides}     # that sums are divided by
    average = replace(op, inputs=(apart,), outputs=(made,), attributes={
        **op.attributes, "stride": (1, 1), "padding": NO_PADDING, **number})
    if block is not None:
        unit_depthwise(rewriter, average, sides, op.rule, doubled)
    else:
        _sum_parts(rewriter, average, doubled)
    rewriter.renamed(op, made, y)


def part_of(shape: tuple[int, int, int], config: AcceleratorConfig) -> tuple[int, Pair] | None:
    """Of [outer, averaged, inner] elements the channels of a block, and the number of parts and of
    elements in each, such that the sum of a part has two digits, and the line buffer holds a part,
    and then the digits of all of them; None where there are none, and without a vector unit, for
    which the array has digits."""
    _, count, inner = shape
    for channels in range(inner if config.vector_unit else 0, 0, -1):
        for part in range(PART, 0, -1) if inner % channels == 0 else ():
            if count % part == 0 and count // part <= FIELDS["segments"].high and all(
                    _averages(own, config) for own in (
                        (1, part, channels), (len(_factors(1)), count // part, channels))):
                return channels, (count // part, part)
    return None


def _factors(doubled: int) -> list[int]:
    """Of the two digits of a sum of bytes: that of the lower one, and those which together are 256
    times as much."""
    once = 1 << doubled
    whole, rest = divmod(256 * once, INT8_MAX)
    return [once, *[INT8_MAX] * whole, rest]


def _sum_parts(rewriter: Rewriter, op: Op, doubled: int) -> None:
    """The average of a map [images, parts, elements, channels]: of each part the sum, in two signed
    digits of 8 bits, and of all digits the sum, each times what it stands for."""
    x, y = rewriter.tensors[op.inputs[0]], rewriter.tensors[op.outputs[0]]
    (images, parts, size, channels), factors = x.shape, _factors(doubled)
    steps = replace(quantization(x), zero_points=(0,))
    # LiteRT averages what is stored; others sum what is above the zero point.
    zero = 0 if op.rule.endswith("average_pool") else quantization(x).zero_point
    ones = rewriter.tensor(f"{op.name}:ones", (1, 1, size, channels), None,
                           np.ones((1, 1, size, channels), np.int8), UNIT)
    bias = rewriter.tensor(f"{op.name}:bias", (channels,), None,
                           np.full(channels, doubled - parts * size * zero, np.int32))
    attributes = {"dilation": (1, 1), **op.attributes, "taps": 0}
    digits = []
    for digit in range(2):
        digits.append(rewriter.tensor(f"{y.name}:digit{digit}", (images, parts, 1, channels), x,
                                      None, steps))
        rewriter.emit(op, "DEPTHWISE_CONV_2D", (x.id, ones), {
            **attributes, "activation": "NONE", "digit": digit}, digits[-1])
    shape = (images, len(factors), parts, channels)
    every = rewriter.tensor(f"{y.name}:digits", shape, x, None, steps)
    rewriter.emit(op, "COPY", (digits[0], *digits[1:] * (len(factors) - 1)), {
        **attributes, "moves": tuple(side_by_side(shape, 1, [1] * len(factors)))}, every)
    weights = np.ones((1, *shape[1:]), np.int8) * np.array(factors, np.int8).reshape(1, -1, 1, 1)
    of_digits = rewriter.tensor(f"{op.name}:factors", weights.shape, None, weights, UNIT)
    rewriter.emit(op, "DEPTHWISE_CONV_2D", (every, of_digits, bias), attributes, y.id)


def moved(rewriter: Rewriter, op: Op, source: int, view: tuple[int, int, int, int],
          result: int) -> None:
    """``result`` is ``source``, seen as ``view``, with its two axes in the middle exchanged: a copy
    of each column where its neighbors would be further apart than an instruction says."""
    if 1 in view[1:3]:
        rewriter.renamed(op, source, rewriter.tensors[result])
        return
    images, rows, columns, elements = view
    run = elements * np.dtype(rewriter.tensors[source].dtype).itemsize
    if rows * run > FIELDS["ofm_pixel_pitch"].high and columns <= MOST_MOVES:
        image = rows * columns * run
        copied(rewriter, op, source, [
            Move(images, rows, run, (i * run, image, columns * run), (i * rows * run, image, run))
            for i in range(columns)], result)
        return
    rewriter.emit(op, "TRANSPOSE", (rewriter.reshaped(op, source, view),), {
        **op.attributes, "taps": 0, "source_kind": "TRANSPOSE"}, result)


def with_axis_last(rewriter: Rewriter, op: Op, source: int, axis: int) -> int:
    """``source`` as [outer, inner, length], with an ``axis`` behind those that were behind it."""
    x = rewriter.tensors[source]
    outer, length, inner = prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1:])
    rows = rewriter.tensor(f"{x.name}:rows", (outer, inner, length), x)
    moved(rewriter, op, source, (outer, length, inner, 1), rows)
    return rows


def copied(rewriter: Rewriter, op: Op, source: int, moves: Sequence[Move], result: int) -> None:
    """A COPY of ``source`` by each of the ``moves``."""
    rewriter.emit(op, "COPY", (source,) * len(moves), {
        **op.attributes, "taps": 0, "moves": tuple(moves)}, result)


def padded_with(rewriter: Rewriter, op: Op, source: int, around: tuple[Paddings, int],
                result: int) -> None:
    """``result`` is ``source`` with so much padding of a value: a COPY for two axes each, with the
    bytes of an element as one more axis."""
    x, y, (paddings, value) = rewriter.tensors[source], rewriter.tensors[result], around
    size, shape, parts = np.dtype(x.dtype).itemsize, x.shape, split_axes(paddings)
    if not parts:
        rewriter.renamed(op, source, y)
        return
    data = np.full(FILLER // size, value, x.dtype)
    filler = rewriter.tensor(f"{op.name}:fill", data.shape, x, data)
    for part in parts:
        inner, gaps = fills((*shape, size), (*part, (0, 0)))
        shape = padded(shape, part)
        made = result if part is parts[-1] else rewriter.tensor(f"{y.name}:part", shape, y)
        rewriter.emit(op, "COPY", (source, *[filler] * len(gaps)), {
            **op.attributes, "taps": 0, "moves": (inner, *gaps)}, made)
        source = made


def cut_from(rewriter: Rewriter, op: Op, source: int, bounds: Sequence[Taken],
             result: int) -> None:
    """``result`` is what ``bounds`` take of ``source``: a COPY for two axes at once, or for one,
    with the bytes of an element as one more axis."""
    x, y = rewriter.tensors[source], rewriter.tensors[result]
    size = np.dtype(x.dtype).itemsize
    shape, left = (*x.shape, size), [*bounds, (0, size, 1)]
    if not cut_axes(shape, left):
        rewriter.renamed(op, source, y)
        return
    while (move := taken_at_once(shape, left)) is None:
        axis = cut_axes(shape, left)[0]
        of_axis = [(0, size, 1) for size in shape]
        of_axis[axis] = left[axis]
        alone = taken_at_once(shape, of_axis)
        assert alone is not None      # of one axis
        shape = (*shape[:axis], left[axis][1], *shape[axis + 1:])
        left[axis] = (0, shape[axis], 1)
        made = rewriter.tensor(f"{y.name}:{axis}", shape[:-1], y)
        copied(rewriter, op, source, [joined(alone)], made)
        source = made
    copied(rewriter, op, source, [joined(move)], result)


def gathered_along(rewriter: Rewriter, op: Op, source: int, along: tuple[tuple[int, ...], int],
                   places: Sequence[int], result: int) -> None:
    """``result`` is ``source``, seen with a shape, at some places along an axis: a COPY of each run
    of neighbors, or a convolution that picks channels."""
    (shape, axis), x, y = along, rewriter.tensors[source], rewriter.tensors[result]
    weights = picking(x.dtype, shape, axis, places, rewriter.config)
    if weights is None:
        in_bytes = (*shape, np.dtype(x.dtype).itemsize)
        copied(rewriter, op, source, gathered(in_bytes, axis, places), result)
        return
    pixels = prod(shape[:-1])
    made = rewriter.tensor(f"{y.name}:picked", (1, 1, pixels, len(places)), x)
    rewriter.pick(op, rewriter.reshaped(op, source, (1, 1, pixels, shape[-1])), weights, made)
    rewriter.renamed(op, made, y)


def as_table(rewriter: Rewriter, op: Op) -> None:
    """A function of one operand, as a table behind the layer that makes it."""
    rewriter.emit(op, "TABLE", op.inputs, {**op.attributes, "taps": 0})


def as_it_is(rewriter: Rewriter, op: Op) -> None:
    """The operator itself, which the vector unit has."""
    rewriter.emit(op, op.kind, op.inputs, {**op.attributes, "taps": 0})


def as_wide(rewriter: Rewriter, op: Op) -> None:
    """An operator of int16, element by element, on the vector unit."""
    rewriter.emit(op, WIDE, op.inputs, {**op.attributes, "taps": 0})
