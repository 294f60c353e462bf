"""Sums of products of int16 with weights of bytes: on the array digit by digit, then rescaled.

    sum of w x + bias = 256 * (sum of w high + b1) + (sum of w low + b0)

with high = x >> 8, low = (x & 255) - 128 and 256 b1 + b0 = bias + 128 * (sum of w): padding is 0
and -128. Each of the two sums is as many results of bytes as it has digits of 8 bits, which are
signed: the lowest one is its low 8 bits, the next one those of the sum shifted by 8 and rounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import ClassVar

import numpy as np

from kaniwa.compiler.plan.bounds import activation_bounds
from kaniwa.compiler.plan.layers import VectorProgram
from kaniwa.compiler.plan.lowering import Lowered, Lowering
from kaniwa.compiler.plan.operands import pair, quantization, source_of
from kaniwa.compiler.plan.rescale import (
    Int64,
    Rescale,
    first_at_least,
    float_half_away,
    mean_multiplier,
    quantize_multiplier,
)
from kaniwa.errors import UnsupportedError
from kaniwa.graph import Op, Tensor
from kaniwa.isa import Rounding
from kaniwa.units.vector.isa import Width
from kaniwa.units.vector.kernels import sums as kernels_sums
from kaniwa.units.vector.kernels.elementary import Place, Rescaling
from kaniwa.units.vector.kernels.sums import Digit, Finish

__all__ = ["BytesProgram", "Part", "bytes_layer", "digit_rescale", "digits_of", "parts",
           "wide_sums_layer"]

MOST_DIGITS = 3
MOST_AVERAGED = (1 << 15) - 1
WRAPS = (127, -128)       # act_min, act_max of results that are the low 8 bits
INT16 = (-32768, 32767)
INT32_MAX = (1 << 31) - 1
FRACTION = 31
Finished = tuple[Finish, list[Int64]]     # with constants, one for all channels or one for each


@dataclass(frozen=True)
class Part:
    """A digit of all sums of ``high`` or of low bytes, whose biases are ``bias`` [channels]."""

    high: bool
    digit: int
    bias: Int64

    @property
    def power(self) -> int:
        """The power of 256 that the part counts in the whole sum."""
        return self.digit + self.high


def parts(weights: Int64, bias: Int64, where: str) -> list[Part]:
    """The parts of the sums of ``weights`` [channels, products] and their ``bias``.

    Raises UnsupportedError for sums that may leave 32 bits.
    """
    positive, negative = np.maximum(weights, 0).sum(axis=1), np.minimum(weights, 0).sum(axis=1)
    low, high = (positive * first + negative * last for first, last in (INT16, INT16[::-1]))
    reach = np.maximum(np.abs(low + bias), np.abs(high + bias))
    whole = bias + 128 * weights.sum(axis=1)
    rest = ((whole + 128) & 255) - 128
    made = []
    for of_high, own in ((True, (whole - rest) >> 8), (False, rest)):
        count = digits_of(own - 128 * positive + 127 * negative,
                        own + 127 * positive - 128 * negative)
        if count > MOST_DIGITS or reach.max(initial=0) >= INT32_MAX:
            raise UnsupportedError(
                f"{where}: channel {int(reach.argmax())}: a sum may reach {int(reach.max())} in "
                f"magnitude, beyond 32 bits; reduce its weights or bias")
        made += [Part(of_high, digit, own) for digit in range(count)]
    return made


def digits_of(low: Int64, high: Int64) -> int:
    """Signed digits that hold all of what is in these ranges."""
    count, ones = 1, 1
    while (low < -128 * ones).any() or (high > 127 * ones).any():
        count, ones = count + 1, 256 * ones + 1
    return count


def digit_rescale(digit: int, bias: Int64) -> tuple[Int64, Rescale]:
    """Biases and rescaling that give this digit of sums with ``bias``, lowest one 0."""
    channels, shift = len(bias), 8 * digit
    below = sum(128 << 8 * lower for lower in range(digit - 1))    # the requantizer adds the rest
    return bias + below, Rescale(np.ones(channels, np.int64), np.full(channels, shift, np.int64),
                                 Rounding.UP, 0, *WRAPS)


@dataclass(frozen=True, eq=False)
class BytesProgram(VectorProgram):
    """High bytes of int16, to ``ofm``, and ``low`` ones."""

    low: int = field(kw_only=True)

    @property
    def makes(self) -> tuple[int, ...]:
        """The tensors that it writes."""
        return (self.ofm, self.low)


@dataclass(frozen=True, eq=False)
class SumsProgram(VectorProgram):
    """The parts of sums put together. The host may as well do such an operator."""

    sheds_memory: ClassVar[bool] = True


def bytes_layer(lowering: Lowering) -> Lowered:
    """The layer that takes an int16 tensor apart for the array."""
    op, count = lowering.op, prod(lowering.x.shape)

    def code(reads: tuple[int, ...], ofm: int, table: int) -> bytes:
        return kernels_sums.high_and_low(lowering.config, count, reads[0], ofm, reads[1])

    return BytesProgram(op.name, "BYTES", lowering.stored.inputs, op.outputs[0], code, b"",
                        source_of(op), low=op.outputs[1]), []


def wide_sums_layer(lowering: Lowering) -> Lowered:
    """The layer that puts the parts together, and constants of its channels.

    Raises UnsupportedError for a rescaling that the unit cannot do exactly.
    """
    op, config, y = lowering.op, lowering.config, lowering.y
    finish, constants = _finish(lowering)
    channels = 0 if all(len(set(values.tolist())) == 1 for values in constants) else y.shape[-1]
    made = list[Tensor]()
    for values in constants if channels else ():
        words = kernels_sums.repeated_words(config, np.broadcast_to(values, channels))
        number = len(made)
        made.append(Tensor(lowering.next_id + number, f"{op.name}:scales{number}", words.shape,
                           "int32", None, words))
    powers = op.attributes["powers"]
    assert isinstance(powers, tuple)

    def code(reads: tuple[int, ...], ofm: int, table: int) -> bytes:
        digits = [Digit(*entry) for entry in zip(reads, powers, strict=False)]
        values = reads[len(powers):] if channels else [int(each[0]) for each in constants]
        return kernels_sums.sums(config, prod(y.shape), channels, [digits], Place(ofm, Width.INT16),
                                 values, finish)

    return SumsProgram(op.name, lowering.source_kind,
                       (*lowering.stored.inputs, *(tensor.id for tensor in made)), y.id, code, b"",
                       source_of(op)), made


def _finish(lowering: Lowering) -> Finished:
    op, y, where = lowering.op, lowering.y, lowering.where
    operands = op.attributes["operands"]
    assert isinstance(operands, tuple)
    x, weights = (lowering.graph.tensors[i] for i in operands)
    before, after = quantization(x).scale, quantization(y).scale
    end = _limits(op, y)
    if op.rule == "litert_mean":
        count = int(str(op.attributes["count"]))
        scaling = mean_multiplier(before / after, count)
        return kernels_sums.rescaled(Rescaling(scaling, 0, end.low, end.high)), []
    if op.rule == "litert_average_pool":
        window = prod(pair(op, "filter"))
        if window > MOST_AVERAGED:
            raise UnsupportedError(f"{where}: a window of {window} elements, at most "
                                   f"{MOST_AVERAGED} are averaged exactly; use a smaller one")
        return kernels_sums.mean_of(window, end), []
    reals = before * np.array(quantization(weights).scales, np.float64) / after
    if op.rule == "litert_int16":
        return _by_multiplier(reals, end, where)
    return _by_float(reals, end, where)


def _limits(op: Op, y: Tensor) -> Rescaling:
    bounds = activation_bounds(str(op.attributes.get("activation", "NONE")), quantization(y).scale,
                               0, INT16)
    return Rescaling((0, 0), 0, *(None if bound == limit else bound
                                  for bound, limit in zip(bounds, INT16, strict=True)))


def _by_multiplier(reals: np.ndarray, end: Rescaling, where: str) -> Finished:
    """LiteRT's multipliers of 15 bits and their right shifts."""
    pairs = [quantize_multiplier(float(real)) for real in reals]
    reduced, right = np.array([kernels_sums.reduced(*pair) for pair in pairs]).T
    extra = np.maximum(right - FRACTION, 0)
    if len(set(extra.tolist())) > 1:
        extra = np.maximum(extra, 1)
    if (right < 15 + extra).any():
        raise UnsupportedError(f"{where}: a factor of {reals.max():g} rescales its sums; it must "
                               f"be below {'1/2' if extra.any() else '1'}")
    factors, common = reduced << FRACTION + extra - right, _common(extra)
    return (kernels_sums.by_multiplier(common, end),
            [factors] if common is not None else [factors, extra])


def _common(values: Int64) -> int | None:
    """The value that all have, or None."""
    return int(values[0]) if (values == values[0]).all() else None


def _by_float(reals: np.ndarray, end: Rescaling, where: str) -> Finished:
    """Constants as in ``kernels_sums.by_float``, exact at every step of the rule."""
    fraction = -int(np.frexp(reals.max())[1])
    if fraction < 1:
        raise UnsupportedError(f"{where}: a factor of {reals.max():g} rescales its sums; it must "
                               f"be below 1/2")
    places = np.array([_places(real) for real in reals])
    inverses = {real: _inverse(real, where) for real in set(reals.tolist())}
    halves = np.array([inverses[real] for real in reals.tolist()], np.int64)
    fraction = min(fraction, FRACTION)
    factors = np.floor(np.ldexp(reals, FRACTION + fraction)).astype(np.int64)
    common = _common(places)
    return (kernels_sums.by_float(fraction, common, end),
            [factors, halves >> FRACTION, halves & INT32_MAX,
             *([] if common is not None else [places])])


def _places(real: float) -> int:
    """Fractional bits with which half of the inverse of ``real`` times twice a result plus 1 fits
    31 bits, or exceeds every sum."""
    return max(15 - int(np.frexp(0.5 / real)[1]), 0)


def _inverse(real: float, where: str) -> int:
    """Half of the inverse of ``real``, with its ``_places`` and 31 fractional bits, such that times
    2 n - 1 it is less than the first sum whose result is n, and not by more than 1."""
    places, bound = _places(real), np.array([[INT32_MAX]])
    levels = np.arange(1, min(-INT16[0], int(INT32_MAX * real) + 1) + 1)
    first = first_at_least(float_half_away(real), levels, 0 * bound, bound)[0]
    inside = first < INT32_MAX
    if not inside.any():
        return (1 << 2 * FRACTION) - 1      # no sum gives any
    odd, first = 2 * levels[inside] - 1, first[inside]
    least = int((-(-((first - 1) << FRACTION + places) // odd)).max())
    most = int((-(-(first << FRACTION + places) // odd)).min()) - 1
    if least > most:
        raise UnsupportedError(f"{where}: no inverse of its factor {real!r} is exact for all sums; "
                               f"change a scale")
    return (least + most) // 2
