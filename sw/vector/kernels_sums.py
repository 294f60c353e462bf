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
from kaniwa.vector.builder import Builder, Pointer, Register
from kaniwa.vector.isa import Function, Shift, Width
from kaniwa.vector.kernels import Place, Rescaling, elementwise

__all__ = ["Digit", "Finish", "by_float", "by_multiplier", "high_bytes", "low_bytes", "mean_of",
           "period", "repeated_words", "rescaled", "sums"]

Int64 = npt.NDArray[np.int64]
DIGIT = 8


@dataclass(frozen=True)
class Digit:
    """Where a digit of all sums lies, and what it counts: 256^``power``."""

    address: int
    power: int


# What becomes of sums, of which nothing is used behind, with registers of its constants, and
# spare ones.
Finish = Callable[[Builder, Register, Sequence[Register], Sequence[Register]], None]


def high_bytes(config: AcceleratorConfig, count: int, x: Place, y: Place) -> bytes:
    """int8 x >> 8 of int16."""
    return _bytes(config, count, x, y, lambda k, value: k.shift_right(value, value, DIGIT))


def low_bytes(config: AcceleratorConfig, count: int, x: Place, y: Place) -> bytes:
    """int8 (x & 255) - 128 of int16."""
    def low(k: Builder, value: Register) -> None:
        k.bits(value, value, 255)
        k.add(value, value, -128)

    return _bytes(config, count, x, y, low)


def _bytes(config: AcceleratorConfig, count: int, x: Place, y: Place,
           change: Callable[[Builder, Register], None]) -> bytes:
    k = Builder(config)

    def body(k: Builder, registers: list[Register]) -> Register:
        change(k, registers[0])
        return registers[0]

    elementwise(k, count, [x], y, body)
    return k.finish()


def period(config: AcceleratorConfig, channels: int) -> int:
    """Elements after which channels lie in the same lanes again; as many of them as a register
    holds, if it holds any."""
    least = math.lcm(channels, config.requant_lanes)
    most = Builder(config).limit
    return least if least > most else most // least * least


def repeated_words(config: AcceleratorConfig, values: Int64) -> npt.NDArray[np.int32]:
    """int32 [period] constants of sums whose channels have ``values``."""
    return np.resize(values, period(config, len(values))).astype(np.int32)


def sums(config: AcceleratorConfig, count: int, channels: int, digits: Sequence[Digit], y: Place,
         constants: Sequence[int], finish: Finish) -> bytes:
    """``count`` sums, ``finish`` and a store.

    ``constants`` are addresses of ``repeated_words`` of all channels, where sums lie channel by
    channel, or, with ``channels`` 0, values that all have.
    """
    k = Builder(config)
    pieces = _Pieces(k, digits, y, finish)
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
    with k.loop(max(count // whole, 1)):
        for source, address in zip(sources, constants, strict=True):
            k.point(source, address)
        pieces.all_of(min(whole, count), words, sources)
    if count > whole and count % whole:
        for source, address in zip(sources, constants, strict=True):
            k.point(source, address)
        pieces.all_of(count % whole, words, sources)
    return k.finish()


class _Pieces:
    """As many sums at a time as a register holds."""

    def __init__(self, k: Builder, digits: Sequence[Digit], y: Place, finish: Finish) -> None:
        self._k, self._width, self._finish = k, y.width, finish
        self._powers = [digit.power for digit in digits]
        self._sources = [k.pointer(digit.address) for digit in digits]
        self._to = k.pointer(y.address)
        self._digits = [k.vector() for _ in digits]
        self._spare = [k.vector() for _ in range(4)]

    def all_of(self, count: int, constants: Sequence[Register], sources: Sequence[Pointer],
               most: int | None = None) -> None:
        """``count`` sums, at most ``most`` at a time; constants are loaded for each piece where
        they have ``sources``."""
        k, size = self._k, most or self._k.limit
        whole, rest = divmod(count, size)
        for times, elements in ((whole, size), (min(rest, 1), rest)):
            if not times:
                continue
            k.length(elements)
            with k.loop(times):
                for register, source in zip(constants, sources, strict=False):
                    k.load(register, source, Width.INT32, elements << Width.INT32)
                for register, source in zip(self._digits, self._sources, strict=True):
                    k.load(register, source, Width.INT8, elements)
                total = self._together()
                self._finish(k, total, constants, self._spare)
                k.store(total, self._to, self._width, elements << self._width)

    def _together(self) -> Register:
        """The digits' sum, from the highest power on."""
        k, total, at = self._k, self._digits[0], max(self._powers)
        started = False
        for power in range(at, -1, -1):
            here = [register for register, own in zip(self._digits, self._powers, strict=True)
                    if own == power]
            if started:
                first = here.pop(0) if here else None
                k.shift_left(total, total, DIGIT, plus=first if first is not None else 0)
            else:
                total, started = here.pop(0), True
            for register in here:
                k.add(total, total, register)
        return total


def by_multiplier(extra: int | None, end: Rescaling) -> Finish:
    """LiteRT's MultiplyByQuantizedMultiplier of 48 bits: half up.

    Its constants are the multiplier of 15 bits times 2^(31 + extra - right shift), and ``extra``,
    at least 1, where that is None.
    """
    def finish(k: Builder, value: Register, constants: Sequence[Register],
               spare: Sequence[Register]) -> None:
        k.multiply(value, value, constants[0], Shift.UP_31 if extra == 0 else Shift.FLOOR_31)
        if extra != 0:
            k.shift_right(value, value, constants[1] if extra is None else extra, "up")
        end.limit(k, value)

    return finish


def by_float(fraction_bits: int, places: int | None, end: Rescaling) -> Finish:
    """A float64 product rounded half away from zero.

    Its constants are the factor with 31 + ``fraction_bits`` fractional bits, by which a result is
    found or the one below; half of the factor's inverse, with ``places`` and 31 more fractional
    bits: what a magnitude has to exceed for the next result; and ``places`` where that is None.
    """
    def finish(k: Builder, value: Register, constants: Sequence[Register],
               spare: Sequence[Register]) -> None:
        magnitude, result, odd, least = spare
        factor, inverse, more = constants[:3]
        k.compute(Function.MAXIMUM, magnitude, value, factor=-1, addend=value)
        k.multiply(result, magnitude, factor, Shift.FLOOR_31)
        k.shift_right(result, result, fraction_bits, "up")
        k.add(odd, result, result)
        k.add(odd, odd, 1)
        k.multiply(least, odd, more, Shift.FLOOR_31)
        k.multiply(odd, odd, inverse)
        k.add(least, least, odd)
        k.shift_right(least, least, constants[3] if places is None else places)
        k.less(least, least, magnitude)
        k.subtract(result, result, least)
        _signed(k, value, result, odd)
        end.limit(k, value)

    return finish


def rescaled(end: Rescaling) -> Finish:
    """LiteRT's double rounding, the same for all sums."""
    def finish(k: Builder, value: Register, constants: Sequence[Register],
               spare: Sequence[Register]) -> None:
        end.write(k, value)

    return finish


def mean_of(count: int, end: Rescaling) -> Finish:
    """The mean of ``count``, ties away from zero: (|sum| + count / 2) / count, by a reciprocal
    that is exact for fewer than 2^15 values of int16."""
    bits = (count - 1).bit_length() - 1
    inverse = -(-(1 << 31 + bits) // count) if count > 1 else 0

    def finish(k: Builder, value: Register, constants: Sequence[Register],
               spare: Sequence[Register]) -> None:
        if count > 1:
            magnitude, negative = spare[:2]
            k.compute(Function.MAXIMUM, magnitude, value, factor=-1, addend=value)
            k.add(magnitude, magnitude, count // 2)
            k.multiply(magnitude, magnitude, inverse, Shift.FLOOR_31)
            k.shift_right(magnitude, magnitude, bits)
            _signed(k, value, magnitude, negative)
        end.limit(k, value)

    return finish


def _signed(k: Builder, value: Register, magnitude: Register, spare: Register) -> None:
    """``value`` = ``magnitude`` with the sign of ``value``; ``magnitude`` is overwritten."""
    k.subtract(spare, 0, magnitude)
    k.select_negative(magnitude, value, spare)
    k.move(value, magnitude)
