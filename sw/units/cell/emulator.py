"""The cell unit's arithmetic, all cells of a step at once, in integers of 64 bits.

Each function is written from what it is in gemmlowp and LiteRT, apart from golden and the gateware.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kaniwa.units.cell.isa import GATES, PRODUCTS, WORD_BYTES, frame_words

__all__ = ["Weights", "input_sums", "weights_of", "step"]

Int64 = npt.NDArray[np.int64]
UNLIMITED = 32768      # of ``clip``
EIGHTH, THIRD = 28918, 10923
POWERS = ((1 << 12, 25520), (1 << 13, 19875), (1 << 14, 12055), (1 << 15, 4435), (1 << 16, 600),
          (1 << 17, 11))      # of x * 2^14, and exp(-x) * 2^15
ONE, HALF = 32767, 1 << 14


@dataclass(frozen=True, eq=False)
class Weights:
    """``bias`` [4, N], ``inputs`` [4, N, 4 input_words], ``hidden`` [4, N, N]; as GATES' order is.
    """

    bias: Int64
    inputs: Int64
    hidden: Int64


def weights_of(values: Mapping[str, int], stream: bytes) -> Weights:
    """The weights in the ``stream`` that a descriptor's weight_address points to."""
    cells, gates = values["cells"], len(GATES)
    of_input, of_hidden = frame_words(values)
    split = cells * of_input * WORD_BYTES if values["input_words"] else 0
    first = np.frombuffer(stream[:split], np.uint8).reshape(
        cells, -1, WORD_BYTES)
    second = np.frombuffer(stream[split:], np.uint8).reshape(cells, of_hidden, WORD_BYTES)

    def matrix(words: np.ndarray) -> Int64:
        split_words = words.view(np.int8).reshape(cells, -1, gates, PRODUCTS)
        return split_words.transpose(2, 0, 1, 3).reshape(gates, cells, -1).astype(np.int64)

    bias = np.ascontiguousarray(first[:, :1]).reshape(cells, -1).view("<i4").T.astype(np.int64)
    return Weights(bias, matrix(np.ascontiguousarray(first[:, 1:])),
                   matrix(np.ascontiguousarray(second))[:, :, :cells])


def input_sums(values: Mapping[str, int], weights: Weights, row: npt.NDArray[np.uint8]) -> Int64:
    """The sums with the input [4, N] of a row of it: 4 input_words elements, or the sums."""
    if not values["input_words"]:
        return row.view("<i4").reshape(-1, len(GATES)).T.astype(np.int64)
    x = row.view(np.int8).astype(np.int64)
    return weights.inputs @ (x - values["input_zero"]) + weights.bias


def step(values: Mapping[str, int], weights: Weights, sums: Int64, h: Int64,
         c: Int64) -> tuple[Int64, Int64]:
    """Sums with the input [4, N], hidden state [N] and cell state [N] to the next h and c."""
    again = weights.hidden @ (h - values["hidden_zero"])
    forget, admit, update, output = (
        _narrow(_narrow(_rescaled(values, f"input_{gate}", sums[number]), 16)
                + _rescaled(values, f"hidden_{gate}", again[number]), 16)
        for number, gate in enumerate(GATES))
    kept = _halved(_logistic(forget) * c, 15)
    added = _halved(_logistic(admit) * _tanh(update, 3), values["admit_shift"])
    c = _narrow(kept + added, 16)
    if values["clip"] != UNLIMITED:
        c = np.clip(c, -values["clip"], values["clip"])
    product = _logistic(output) * _tanh(c, values["admit_shift"] - 15)
    return _narrow(_rescaled(values, "output", product) + values["output_zero"], 8), c


def _narrow(x: Int64, bits: int) -> Int64:
    return np.clip(x, -(1 << bits - 1), (1 << bits - 1) - 1)


def _halved(x: Int64, shift: int) -> Int64:
    """x / 2^shift, half away from zero."""
    return np.sign(x) * (np.abs(x) + (1 << shift >> 1) >> shift)


def _rescaled(values: Mapping[str, int], name: str, x: Int64) -> Int64:
    shift = values[f"shift_{name}"]
    moved = (x << max(-shift, 0)).astype(np.int32).astype(np.int64)      # modulo 2^32
    doubled = (moved * values[f"multiplier_{name}"] + (1 << 30)) >> 31
    return _halved(doubled, max(shift, 0))


def _times(a: Int64, b: Int64 | int) -> Int64:
    return (a * b + HALF) >> 15


def _exponential(x: Int64) -> Int64:
    """exp(-x / 2^14) * 2^15 of x > 0."""
    below = -((x - 1) % (1 << 12)) - 1
    y = 2 * below + (1 << 12)
    square = _times(y, y)
    series = _halved(_times(_halved(_times(square, square), 2) + _times(square, y), THIRD)
                     + square, 1)
    result = EIGHTH + _times(y + series, EIGHTH)
    for bit, factor in POWERS:
        result = np.where((x - 1) & bit, _times(result, factor), result)
    return np.where((x - 1) >> 18, 0, result)


def _twice_inverse(e: Int64) -> Int64:
    """2 / (1 + e / 2^15) * 2^13."""
    half = (e + ONE + 1) >> 1
    x = 23130 + _times(half, -15420)
    for _ in range(3):
        x = x + 4 * _times(x, 8192 - _times(half, x))
    return x


def _logistic(a: Int64) -> Int64:
    """Of a in Q3.12."""
    above = np.minimum(2 * _twice_inverse(_exponential(np.maximum(np.abs(a) << 2, 1))), ONE)
    return np.where(a == 0, HALF, np.where(a > 0, above, ONE - above))


def _tanh(a: Int64, left: int) -> Int64:
    """Of a * 2^left in Q.15: the exponential is of twice as much."""
    e = _exponential(np.maximum(np.abs(a) << left, 1))
    return np.sign(a) * np.minimum(4 * (_twice_inverse(e) - 8192), ONE)
