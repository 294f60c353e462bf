"""Sums of products of int16 on the vector unit: put together from digits, and rescaled.

The array multiplies bytes. What it is given of an int16 is its high byte, and its low one less 128;
what it hands over of a sum are digits of 8 bits, -128 to 127, each with a power of 256.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kaniwa.config import AcceleratorConfig
from kaniwa.units.vector.builder import Builder, Pointer, Register
from kaniwa.units.vector.isa import Function, Shift, Width
from kaniwa.units.vector.kernels.elementary import Place, Rescaling

__all__ = ["Digit", "Finish", "by_float", "by_multiplier", "high_and_low", "mean_of",
           "of_products", "period", "reduced", "repeated_words", "rescaled", "sums"]

Int64 = npt.NDArray[np.int64]
BITS = 8      # of a digit


@dataclass(frozen=True)
class Digit:
    """Place of a digit of all sums, and the unit that it counts: 256^``power``."""

    address: int
    power: int


# Makes results of totals, with registers of its constants, four spare ones, and a scalar 1 behind.
Finish = Callable[[Builder, Sequence[Register], Sequence[Register], Sequence[Register]], Register]


def high_and_low(config: AcceleratorConfig, count: int, x: int, high: int, low: int) -> bytes:
    """Of ``count`` int16 at ``x``: int8 x >> 8 to ``high``, (x & 255) - 128 to ``low``."""
    k = Builder(config)
    value, part = k.vector(), k.vector()
    source, *to = (k.pointer(address) for address in (x, high, low))
    for times, elements in _parts_of(count, k.limit):
        k.length(elements)
        with k.loop(times):
            k.load(value, source, Width.INT16, elements << Width.INT16)
            k.shift_right(part, value, BITS)
            k.store(part, to[0], Width.INT8, elements)
            k.bits(value, value, 255)
            k.add(value, value, -128)
            k.store(value, to[1], Width.INT8, elements)
    return k.finish()


def _parts_of(count: int, most: int) -> list[tuple[int, int]]:
    """Pairs of repetitions and elements at once, ``most`` at most, that make up ``count``."""
    whole, rest = divmod(count, most)
    return [part for part in ((whole, most), (min(rest, 1), rest)) if part[0]]


def period(config: AcceleratorConfig, channels: int) -> int:
    """Elements after which channels lie in the same lanes again; as many of them as a register
    holds, if it holds any."""
    least = math.lcm(channels, config.requant_lanes)
    most = Builder(config).limit
    return least if least > most else most // least * least


def repeated_words(config: AcceleratorConfig, values: Int64) -> npt.NDArray[np.int32]:
    """int32 [period] constants of sums whose channels have ``values``."""
    return np.resize(values, period(config, len(values))).astype(np.int32)


def sums(config: AcceleratorConfig, count: int, channels: int, totals: Sequence[Sequence[Digit]],
         y: Place, constants: Sequence[int], finish: Finish) -> bytes:
    """``count`` results, of one or several totals each, whose digits lie in planes of ``count``.

    ``constants`` are addresses of ``repeated_words`` of all channels, where results lie channel by
    channel, or, with ``channels`` 0, values that all have.
    """
    k = Builder(config)
    pieces = _Pieces(k, totals, y, finish)
    if not channels:
        scalars = [k.scalar() for _ in constants]
        for scalar, value in zip(scalars, constants, strict=True):
            k.constant(scalar, value)
        pieces.all_of(count, scalars, [])
        return k.finish()
    words = [k.vector() for _ in constants]
    sources = [k.pointer(address) for address in constants]
    whole = period(config, channels)
    if whole <= k.limit:
        k.length(whole)
        for register, source in zip(words, sources, strict=True):
            k.load(register, source, Width.INT32)
        pieces.all_of(count, words, [], whole)
        return k.finish()
    for times, elements in _parts_of(count, whole):
        with k.loop(times):
            for source, address in zip(sources, constants, strict=True):
                k.point(source, address)
            pieces.all_of(elements, words, sources)
    return k.finish()


class _Pieces:
    """As many results at a time as a register holds."""

    def __init__(self, k: Builder, totals: Sequence[Sequence[Digit]], y: Place,
                 finish: Finish) -> None:
        self._k, self._width, self._finish = k, y.width, finish
        self._digits = [sorted(digits, key=lambda digit: -digit.power) for digits in totals]
        self._source, self._to = k.pointer(self._digits[0][0].address), k.pointer(y.address)
        self._totals = [k.vector() for _ in totals]
        self._lower = [k.vector() for _ in range(max(map(len, totals)) - 1)]
        self._spare = [*(k.vector() for _ in range(4)), k.scalar()]
        k.constant(self._spare[-1], 1)

    def all_of(self, count: int, constants: Sequence[Register], sources: Sequence[Pointer],
               most: int | None = None) -> None:
        """``count`` results, at most ``most`` at a time; constants are loaded for each piece where
        they have ``sources``."""
        k = self._k
        for times, elements in _parts_of(count, most or k.limit):
            k.length(elements)
            with k.loop(times):
                for register, source in zip(constants, sources, strict=False):
                    k.load(register, source, Width.INT32, elements << Width.INT32)
                self._together(elements)
                result = self._finish(k, self._totals, constants, self._spare)
                k.store(result, self._to, self._width, elements << self._width)

    def _together(self, elements: int) -> None:
        """The totals of the next ``elements``; the pointer goes from plane to plane."""
        k, first = self._k, self._digits[0][0].address
        addresses = [digit.address for digits in self._digits for digit in digits]
        steps = iter(after - before for before, after in zip(
            addresses, [*addresses[1:], first + elements], strict=True))
        for total, digits in zip(self._totals, self._digits, strict=True):
            registers = [total, *self._lower][:len(digits)]
            for register in registers:
                k.load(register, self._source, Width.INT8, next(steps))
            power = digits[0].power
            for register, digit in zip(registers[1:], digits[1:], strict=True):
                if digit.power == power:
                    k.add(total, total, register)
                else:
                    k.shift_left(total, total, BITS * (power - digit.power), plus=register)
                    power = digit.power
            if power:
                k.shift_left(total, total, BITS * power)


def reduced(multiplier: int, shift: int) -> tuple[int, int]:
    """Multiplier of 15 bits and right shift that LiteRT's MultiplyByQuantizedMultiplier of 48 bits
    makes of a multiplier in Q31 and its left shift."""
    if not multiplier:
        return 0, 31      # any
    return (multiplier + (1 << 15)) >> 16 if multiplier < 0x7FFF0000 else 0x7FFF, 15 - shift


def by_multiplier(extra: int | None, end: Rescaling) -> Finish:
    """LiteRT's MultiplyByQuantizedMultiplier of 48 bits: half up.

    Its constants are the multiplier of 15 bits times 2^(31 + extra - right shift), and ``extra``,
    at least 1, where that is None.
    """
    def finish(k: Builder, totals: Sequence[Register], constants: Sequence[Register],
               spare: Sequence[Register]) -> Register:
        value = totals[0]
        k.multiply(value, value, constants[0], Shift.UP_31 if extra == 0 else Shift.FLOOR_31)
        if extra != 0:
            k.shift_right(value, value, constants[1] if extra is None else extra, "up")
        end.limit(k, value)
        return value

    return finish


def by_float(fraction_bits: int, places: int | None, end: Rescaling) -> Finish:
    """A float64 product rounded half away from zero.

    Its constants are the factor with 31 + ``fraction_bits`` fractional bits, by which a result is
    found or the one below; half of the factor's inverse, with ``places`` and 31 more fractional
    bits: what a magnitude has to exceed for the next result; and ``places`` where that is None.
    """
    def finish(k: Builder, totals: Sequence[Register], constants: Sequence[Register],
               spare: Sequence[Register]) -> Register:
        value = totals[0]
        magnitude, result, odd, least, one = spare
        factor, inverse, more = constants[:3]
        k.compute(Function.MAXIMUM, magnitude, value, factor=-1, addend=value)
        k.multiply(result, magnitude, factor, Shift.FLOOR_31)
        k.shift_right(result, result, fraction_bits, "up")
        k.shift_left(odd, result, 1, plus=one)
        k.multiply(least, odd, more, Shift.FLOOR_31)
        k.multiply(odd, odd, inverse)
        k.add(least, least, odd)
        if places:
            k.compute(Function.LESS, least, least, factor=1 << 31 - places, shift=Shift.FLOOR_31,
                      addend=magnitude)
        else:
            if places is None:
                k.shift_right(least, least, constants[3])
            k.less(least, least, magnitude)
        k.subtract(result, result, least)
        _signed(k, value, result, odd)
        end.limit(k, result)
        return result

    return finish


def rescaled(end: Rescaling) -> Finish:
    """LiteRT's double rounding, the same for all sums."""
    def finish(k: Builder, totals: Sequence[Register], constants: Sequence[Register],
               spare: Sequence[Register]) -> Register:
        end.write(k, totals[0])
        return totals[0]

    return finish


def mean_of(count: int, end: Rescaling) -> Finish:
    """The mean of ``count``, ties away from zero: (|sum| + count / 2) / count, by a reciprocal
    that is exact for fewer than 2^15 values of int16."""
    bits = (count - 1).bit_length() - 1
    inverse = -(-(1 << 31 + bits) // count) if count > 1 else 0

    def finish(k: Builder, totals: Sequence[Register], constants: Sequence[Register],
               spare: Sequence[Register]) -> Register:
        value = totals[0]
        magnitude = value
        if count > 1:
            magnitude, negative = spare[:2]
            k.compute(Function.MAXIMUM, magnitude, value, factor=-1, addend=value)
            k.add(magnitude, magnitude, count // 2)
            k.multiply(magnitude, magnitude, inverse, Shift.FLOOR_31)
            k.shift_right(magnitude, magnitude, bits)
            _signed(k, value, magnitude, negative)
        end.limit(k, magnitude)
        return magnitude

    return finish


def of_products(multiplier: int, right: int) -> Finish:
    """LiteRT's MultiplyByQuantizedMultiplier of products of two int16, half up, by a ``multiplier``
    of 15 bits and a shift of 17 to 46.

    Totals are those of high by high bytes, of high by low ones, and of low by low: 2^16, 2^8 and 1
    times. Together they are 2^31 u + 2^16 v + w with v of 15 and w of 16 bits.
    """
    after = right - 16

    def finish(k: Builder, totals: Sequence[Register], constants: Sequence[Register],
               spare: Sequence[Register]) -> Register:
        (high, middle, low), (part, rest) = totals, spare[:2]
        k.shift_right(part, low, BITS)
        k.add(middle, middle, part)
        k.bits(low, low, 255)
        k.bits(rest, middle, 255)
        k.shift_left(low, rest, BITS, plus=low)         # w
        k.shift_right(middle, middle, BITS, plus=high)
        k.multiply(low, low, multiplier)
        k.shift_right(low, low, 16)
        k.bits(rest, middle, 0x7FFF)                    # v
        k.multiply(low, rest, multiplier, plus=low)
        k.shift_right(high, middle, 15)                 # u
        if after <= 15:
            k.multiply(high, high, multiplier << 15 - after)
            k.shift_right(high, low, after, "up", plus=high)
        else:
            k.multiply(high, high, multiplier)
            k.shift_right(high, low, 15, plus=high)
            k.shift_right(high, high, after - 15, "up")
        return high

    return finish


def _signed(k: Builder, value: Register, magnitude: Register, spare: Register) -> None:
    """``magnitude`` gets the sign of ``value``."""
    k.subtract(spare, 0, magnitude)
    k.select_negative(magnitude, value, spare)
