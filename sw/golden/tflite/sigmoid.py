"""LOGISTIC and TANH in int16 as LiteRT's reference kernels define them: one interpolated table.

Sources: ``integer_ops/logistic.h`` and ``tanh.h``, and ``TanhPrepare`` of ``activations.cc``. The
table holds sigmoid(i / 24) as 0.16; tanh(x) is 2 · sigmoid(2x) - 1.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from kaniwa.golden.numbers import libm

__all__ = ["logistic_int16", "tanh_int16", "sigmoid_table", "input_rescale"]

STEPS = 24  # table entries for 1.0
INPUT_FRACTION_BITS = 12  # of an input whose scale is a power of two


@cache
def sigmoid_table() -> np.ndarray:
    """[256] int64 at 0.16: sigmoid(i / 24), raised by half of what a chord lacks in its middle."""
    at = np.arange(257)
    sigmoid = [1 / (1 + math.exp(-i / STEPS)) for i in at]
    middle = np.array([1 / (1 + math.exp(-(i + 0.5) / STEPS)) for i in at[:-1]])
    values = np.array(sigmoid)
    raised = values[:-1] + (middle - (values[:-1] + values[1:]) / 2) / 2
    table = np.floor(65536 * raised + 0.5).astype(np.int64)
    table[-1] = 65535  # stands for 1
    return table


def input_rescale(scale: float, powers_of_two: tuple[int, ...]) -> tuple[int, int]:
    """Multiplier and right shift that take an input of this scale to 1 / (3 · 4096).

    Scales of 2^-12 times 2^p with p in ``powers_of_two`` are exact multiples of it.
    """
    # LiteRT takes the logarithm in float32, and one that is 0.001 off as that of a power of two.
    power = libm.log(np.array(scale)) * (np.float32(1) / libm.log(np.array(2.0)))
    nearest = int(np.rint(power))
    if abs(power - np.float32(nearest)) < np.float32(1e-3):
        if nearest + INPUT_FRACTION_BITS in powers_of_two:
            return 3 << (nearest + INPUT_FRACTION_BITS), 0
    multiplier, shift = float(np.float32(scale)) * 4096.0 * 3.0, 0
    while multiplier <= 32767.0 / 2.0 and shift <= 30:
        multiplier, shift = multiplier * 2.0, shift + 1
    return int(multiplier), shift


def _rescaled(x: np.ndarray, scale: float, powers_of_two: tuple[int, ...]) -> np.ndarray:
    multiplier, shift = input_rescale(scale, powers_of_two)
    return (x.astype(np.int64) * multiplier + ((1 << shift) >> 1)) >> shift


def _interpolate(magnitude: np.ndarray, bits: int) -> np.ndarray:
    """sigmoid at 0.(16 + ``bits``), with ``bits`` of the argument between two entries."""
    table = sigmoid_table()
    index = np.minimum(magnitude >> bits, 254)
    low, high = table[index], table[index + 1]
    return (low << bits) + (magnitude & ((1 << bits) - 1)) * (high - low)


def logistic_int16(x: np.ndarray, *, scale: float) -> np.ndarray:
    """int16 to int16 with scale 1/32768; ``scale`` is the input's, zero points are 0."""
    argument = _rescaled(x, scale, (0,))
    magnitude = np.abs(argument)
    result = np.where(magnitude >> 9 >= 255, 0x7FFF << 10, _interpolate(magnitude, 9))
    rounded = np.where(argument >= 0, result + (1 << 9), (1 << 25) - result + (1 << 9) - 1)
    return (rounded >> 10).astype(np.int16)


def tanh_int16(x: np.ndarray, *, scale: float) -> np.ndarray:
    """int16 to int16 with scale 1/32768; ``scale`` is the input's, zero points are 0."""
    argument = _rescaled(x, scale, (0, 1))
    magnitude = np.abs(argument)
    result = np.where(magnitude >> 8 >= 255, 0xFFFF << 8, _interpolate(magnitude, 8))
    half = 1 << 23
    rounded = np.where(argument >= 0, result - half + 128, half - result + 127)
    return (rounded >> 8).astype(np.int16)
