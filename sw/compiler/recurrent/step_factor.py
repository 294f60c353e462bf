"""The products of a recurrent step: constant matrices with a vector that is new in each."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kaniwa.compiler.plan.accumulators import accumulator_range
from kaniwa.compiler.plan.geometry import ScatteredOutput
from kaniwa.compiler.plan.rescale import Int64
from kaniwa.compiler.plan.streams import Stages, Words
from kaniwa.compiler.plan.sum_bytes import SUM_BYTES, sum_bytes
from kaniwa.config import AcceleratorConfig

__all__ = ["StepFactor", "StepVector", "whole_words"]

LARGEST = 127


@dataclass(frozen=True)
class StepVector:
    """The vector of each step: bytes of tensor ``source``, or of a row of it, ``pitch`` bytes
    behind the one before. With ``digits`` there are so many vectors, ``digit_pitch`` bytes apart,
    each in whole words."""

    source: int
    pitch: int
    digits: int = 1
    digit_pitch: int = 0


class StepFactor:
    """The factor of all gates in a step: the hidden state, or the step's input.

    The weights are activations, a pixel for each sum, and ``count`` bytes of the vector are the
    weights of the four channels that make the sum's bytes. What the sum has besides, ``bias``, is
    more columns of the weights, by constants behind the vector; and so is what weights of up to 9
    bits have beyond int8, by a part of the vector once more. Each digit of the vector has sums.
    Raises CompileError for sums that may leave int32.
    """

    def __init__(self, stages: Stages, name: str, vector: StepVector, gates: int, weights: Int64,
                 bias: Int64) -> None:
        accumulator_range(weights, bias, stages.where)
        constants, columns = _factors(bias)
        digits = vector.digits
        self.name, self.count = name, weights.shape[1]
        self._stages, self._vector = stages, vector
        # Whole words are one copy; of what it brings behind the vector the weights are 0.
        self._copied = self.count if digits == 1 else whole_words(stages.config, self.count)
        narrow, self._again, self._column = self._within_int8(weights)
        written = narrow.shape[1]
        self._words = Words(stages.config, 1, SUM_BYTES * digits, written + len(constants),
                            stages.config.out_lanes if digits == 1 else SUM_BYTES)
        matrix = np.concatenate([narrow, columns], axis=1).astype(np.int8)
        self._shape = gates, len(matrix) // gates, matrix.shape[1]
        self._matrix = stages.constant(f"{name}:weights", matrix)
        self._stream = self._words.stream(stages.filled(
            name, self._words.template(constants), written))

    def _within_int8(self, weights: Int64) -> tuple[Int64, tuple[int, int], int]:
        """The matrix, and of the vector what it takes once more, first and count, from which column
        on."""
        narrow = weights.clip(-128, 127)
        (wide,) = (weights - narrow).any(axis=0).nonzero()
        first, last = (int(wide[0]), int(wide[-1]) + 1) if wide.size else (0, 0)
        column = self.count
        if column % self._stages.config.dot_width + last - first > self._stages.config.dot_width:
            column = whole_words(self._stages.config, column)
        matrix = np.zeros((len(weights), max(self._copied, column + last - first)), np.int64)
        matrix[:, :self.count] = narrow
        matrix[:, column:column + last - first] = (weights - narrow)[:, first:last]
        return matrix, (first, last - first), column

    def copy(self) -> None:
        """To where it is weights."""
        for part, column in (((0, self._copied), 0), (self._again, self._column)):
            self._stages.repeat(self._vector.source, self._stream.tensor, self._words, part, column,
                                self._vector.pitch, self._vector.digit_pitch)

    def multiply(self, sums: int) -> None:
        """int32 [digits, gates, pitch], to ``sums``."""
        biases, rescale = sum_bytes(np.zeros(self._vector.digits, np.int64))
        gates, columns, _ = self._shape
        product = replace(self._stages.layer(
            self._matrix, sums, self._shape, (gates, columns, len(biases)), rescale), bias=biases)
        if self._vector.digits > 1:
            row = SUM_BYTES * columns
            product = replace(product, lanes=SUM_BYTES, places=ScatteredOutput(
                0, 0, row, SUM_BYTES, SUM_BYTES, gates * row))
        self._stages.add(product, self._stream)


def whole_words(config: AcceleratorConfig, count: int) -> int:
    """``count`` bytes with those to the end of their last word of a channel's weights."""
    return -(-count // config.dot_width) * config.dot_width


def _factors(values: Int64) -> tuple[list[int], Int64]:
    """Constants, and for each of ``values`` int8 factors [values, constants], with which their
    products add up to it."""
    if not values.any():
        return [], np.zeros((len(values), 0), np.int64)
    rest = values - LARGEST * (large := np.rint(values / LARGEST).astype(np.int64))
    columns = [rest]
    while large.any():
        columns.append(part := large.clip(-LARGEST, LARGEST))
        large = large - part
    return [1] + [LARGEST] * (len(columns) - 1), np.stack(columns, axis=1)
