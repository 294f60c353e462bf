"""Products of two activations of int16: four of their high and low bytes, digit by digit.

    a = 256 * high + low, with low less 128 in memory: its zero point there is -128

So each of the four is a product as ``kaniwa.compiler.vector.products`` has it, of bytes.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from kaniwa.compiler.int16.sums import digit_rescale, digits_of
from kaniwa.compiler.plan.geometry import Stream
from kaniwa.compiler.plan.lowering import Lowered, Lowering
from kaniwa.compiler.plan.operands import quantization
from kaniwa.compiler.plan.rescale import quantize_multiplier
from kaniwa.compiler.plan.streams import Stages, Words
from kaniwa.compiler.vector.products import biases_of, transposed
from kaniwa.errors import UnsupportedError
from kaniwa.units.vector.isa import Width
from kaniwa.units.vector.kernels import sums as kernels_sums
from kaniwa.units.vector.kernels.elementary import Place
from kaniwa.units.vector.kernels.sums import Digit

__all__ = ["wide_product_layer"]

HIGH, LOW = (0, (-128, 127)), (-128, (0, 255))     # zero point, and range without it
PAIRS = (0, 0), (0, 1), (1, 0), (1, 1)      # bytes of left and right operand, 1: low
Planes = list[tuple[int, int]]      # tensors and powers of 256


def wide_product_layer(lowering: Lowering) -> Lowered:
    """The layer of a BATCH_MATMUL.

    The operator reads the high and low bytes of the left, then of the right operand, which is as in
    ``product_layer``. Raises UnsupportedError for what cannot be rescaled exactly.
    """
    op, stored, config = lowering.op, lowering.stored, lowering.config
    left, y = lowering.x, lowering.y
    batch, (rows, depth), columns = prod(left.shape[:-2]), left.shape[-2:], y.shape[-1]
    multiplier, right = _scaling(lowering)
    stages = Stages(lowering, batch)
    streams = []
    for name, source, (zero, _) in zip(("high", "low"), stored.inputs[2:], (HIGH, LOW),
                                       strict=True):
        words = Words(config, batch, columns, depth, config.out_lanes, zero)
        stream = words.stream(stages.filled(f"weights:{name}", words.template(), depth))
        if op.attributes["turned"]:
            transposed(stages, source, stream.tensor, words)
        else:
            stages.pack(source, stream.tensor, words)
        streams.append((words, stream))
    product = _Product(stages, rows, depth, columns)
    for a, b in PAIRS:
        product.prepare(a, b, *streams[b])
    stages.settle()
    planes: list[Planes] = [[], [], []]     # of the sums with 2^16, 2^8 and 1
    for a, b in PAIRS:
        planes[a + b] += product.digits(stored.inputs[a], a, b, *streams[b])
    stages.run_program()
    order = [tensor.id for tensor in stages.tensors if tensor.data is None]

    def code(reads: tuple[int, ...], ofm: int, table: int) -> bytes:
        own = dict(zip(order, reads[-len(order):], strict=True))
        digits = [[Digit(own[i], power) for i, power in part] for part in planes]
        return kernels_sums.sums(config, prod(y.shape), 0, digits, Place(ofm, Width.INT16), [],
                                 kernels_sums.of_products(multiplier, right))

    return stages.finish(code, macs=batch * rows * depth * columns), stages.tensors


def _scaling(lowering: Lowering) -> tuple[int, int]:
    """LiteRT's multiplier of 15 bits and its right shift; it multiplies these scales in float32."""
    operands = lowering.op.attributes["operands"]
    assert isinstance(operands, tuple)
    before = [np.float32(quantization(lowering.graph.tensors[i]).scale) for i in operands]
    real = float(before[0] * before[1]) / quantization(lowering.y).scale
    multiplier, right = kernels_sums.reduced(*quantize_multiplier(real))
    if right < 17:
        raise UnsupportedError(f"{lowering.where}: a factor of {real:g} rescales its sums; it "
                               f"must be below 1/4")
    return multiplier, right


class _Product:
    """The products of the four PAIRS of bytes."""

    def __init__(self, stages: Stages, rows: int, depth: int, columns: int) -> None:
        self._stages, self._shape = stages, (rows, depth, columns)
        self._biases: dict[tuple[int, int], list[Stream | None]] = {}

    def _parts(self, a: int, b: int) -> int:
        """Number of digits that the sums have."""
        terms = np.outer((HIGH, LOW)[a][1], (HIGH, LOW)[b][1]) * self._shape[1]
        return digits_of(terms.min(keepdims=True)[0], terms.max(keepdims=True)[0])

    def prepare(self, a: int, b: int, words: Words, weights: Stream) -> None:
        """Biases for the digits."""
        self._biases[a, b] = []
        for digit in range(self._parts(a, b)):
            bias, rescale = digit_rescale(digit, np.zeros(self._shape[2], np.int64))
            self._biases[a, b].append(biases_of(
                self._stages, weights, words, ((HIGH, LOW)[a][0], (HIGH, LOW)[b][0]), rescale,
                int(bias[0]), f"biases{a}{b}{digit}"))

    def digits(self, source: int, a: int, b: int, words: Words, weights: Stream) -> Planes:
        """Of the sums with ``source``."""
        stages, (rows, depth, columns) = self._stages, self._shape
        planes = []
        for digit, biases in enumerate(self._biases[a, b]):
            bias, rescale = digit_rescale(digit, np.zeros(columns, np.int64))
            made = stages.between(f"{a}{b}{digit}", words.batch * rows * columns)
            layer = stages.layer(source, made, (1, rows, depth), (1, rows, columns), rescale)
            stages.add(replace(layer, bias=bias, weight_zero_point=words.zero_point), weights,
                       biases)
            planes.append((made, digit))
        return planes
