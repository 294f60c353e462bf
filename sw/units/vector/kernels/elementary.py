"""Kernels for the vector unit that equal LiteRT's integer kernels, as programs.

Each returns a program of ``Builder``. A ``Place`` is where a tensor lies: elements one behind the
other, from an address that is a multiple of the lanes' bytes or of a memory word, whichever is
less. Tables and multipliers are computed by the caller, from the golden kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.units.vector.builder import Builder, Operand, Pointer, Register
from kaniwa.units.vector.isa import Function, Shift, Width
from kaniwa.units.vector.kernels.fixedpoint import (
    Constants16,
    Spare,
    constants_16,
    inverse_square_root,
    logistic_16,
    rescale,
    tanh_16,
)

__all__ = ["ONE_Q31", "Place", "Rescaling", "elementwise", "requantize", "add",
           "squared_difference", "largest", "multiply", "byte_table", "int16_table", "interpolate",
           "interpolated_words", "sigmoid_int16", "gate_logistic", "gate_tanh", "mean", "rsqrt",
           "row_pitch", "table_words", "pair_words"]

Scaling = tuple[int, int]   # multiplier in Q31 and left shift
ONE_Q31 = 1 << 31           # for a square: the multiplication is that of the square itself
Body = Callable[[Builder, list[Register]], Register]


@dataclass(frozen=True)
class Place:
    """Place of elements of a width in device memory."""

    address: int
    width: Width


@dataclass(frozen=True)
class Rescaling:
    """The end of a quantised kernel: a rescaling, a zero point, and the limits of the result, where
    they are not those of its type, which a store applies."""

    scaling: Scaling
    zero_point: int = 0
    low: int | None = None
    high: int | None = None

    def write(self, k: Builder, d: Register) -> None:
        """Apply it to ``d``."""
        rescale(k, d, d, *self.scaling)
        if self.zero_point:
            k.add(d, d, self.zero_point)
        self.limit(k, d)

    def last_shift(self, k: Builder) -> Operand | None:
        """The factor of a last shift, for ``store``; None where there is none, or limits follow.
        With a zero point it is a scalar, which is set here."""
        right = -self.scaling[1]
        if right <= 0 or self.low is not None or self.high is not None:
            return None
        if not self.zero_point:
            return 1 << 31 - right
        factor = k.scalar()
        k.constant(factor, 1 << 31 - right)
        return factor

    def store(self, k: Builder, d: Register, factor: Operand | None, to: Pointer, width: Width,
              step: int) -> None:
        """Apply it to ``d``, and store that: STORE shifts by ``factor``, that of ``last_shift``,
        and adds the zero point."""
        if factor is None:
            self.write(k, d)
            k.store(d, to, width, step)
        else:
            if self.scaling[0] != ONE_Q31:
                k.multiply(d, d, self.scaling[0], Shift.UP_31)
            k.store_product(to, width, factor, Shift.AWAY_31, self.zero_point, step, a=d)

    def limit(self, k: Builder, d: Register) -> None:
        """Only the limits."""
        if self.low is not None:
            k.maximum(d, d, self.low)
        if self.high is not None:
            k.minimum(d, d, self.high)


def row_pitch(config: AcceleratorConfig, count: int) -> int:
    """Elements from one row of ``count`` to the next: whole groups of lanes."""
    return -(-count // config.requant_lanes) * config.requant_lanes


def table_words(entries: Sequence[int] | np.ndarray) -> bytes:
    """int32 words of a table; entry i is for the value whose low bits are i."""
    return np.asarray(entries, np.int64).astype("<i4").tobytes()


def pair_words(first: np.ndarray, second: np.ndarray) -> bytes:
    """Words of two 16-bit numbers each; ``first`` in the high half is signed."""
    return table_words((first.astype(np.int64) << 16) | (second.astype(np.int64) & 0xFFFF))


def _elementwise(k: Builder, count: int, inputs: Sequence[Place], output: Place, body: Body,
                 end: Rescaling | None = None) -> bytes:
    """``elementwise`` as a whole program."""
    elementwise(k, count, inputs, output, body, end)
    return k.finish()


def elementwise(k: Builder, count: int, inputs: Sequence[Place], output: Place, body: Body,
                end: Rescaling | None = None) -> None:
    """``body``, and ``end``, on as many elements at once as a register holds, until ``count`` are
    done."""
    registers = [k.vector() for _ in inputs]
    sources = [k.pointer(place.address) for place in inputs]
    to = k.pointer(output.address)
    factor = end.last_shift(k) if end else None

    def part(elements: int) -> None:
        for register, source, place in zip(registers, sources, inputs, strict=True):
            k.load(register, source, place.width, elements << place.width)
        result, step = body(k, registers), elements << output.width
        if end:
            end.store(k, result, factor, to, output.width, step)
        else:
            k.store(result, to, output.width, step)

    whole, rest = divmod(count, k.limit)
    if whole:
        k.length(k.limit)
        with k.loop(whole):
            part(k.limit)
    if rest:
        k.length(rest)
        part(rest)
    k.free(*registers)
    k.release(*sources, to)


def requantize(config: AcceleratorConfig, count: int, x: Place, y: Place, zero_point: int,
               end: Rescaling) -> bytes:
    """y = end(x - zero_point): QUANTIZE from one quantised type to another."""
    k = Builder(config)

    def body(k: Builder, registers: list[Register]) -> Register:
        value = registers[0]
        if zero_point:
            k.add(value, value, -zero_point)
        return value

    return _elementwise(k, count, [x], y, body, end)


def add(config: AcceleratorConfig, count: int, a: Place, b: Place, y: Place, left_shift: int,
        zero_points: tuple[int, int], scalings: tuple[Scaling, Scaling], end: Rescaling,
        subtract: bool = False) -> bytes:
    """ADD or SUB: both operands on a common scale with ``left_shift`` fractional bits."""
    k = Builder(config)

    def body(k: Builder, registers: list[Register]) -> Register:
        first, second = registers
        terms = 0, 0 if subtract else first
        for value, zero_point, scaling, plus in zip(registers, zero_points, scalings, terms,
                                                    strict=True):
            if zero_point:
                k.add(value, value, -zero_point)
            k.shift_left(value, value, left_shift)
            rescale(k, value, value, *scaling, plus)
        if subtract:
            k.subtract(second, first, second)
        return second

    return _elementwise(k, count, [a, b], y, body, end)


def squared_difference(config: AcceleratorConfig, count: int, a: Place, b: Place, y: Place,
                       table: int | None, coarse: int, factor: int, end: Rescaling) -> bytes:
    """SQUARED_DIFFERENCE of int8: end((table[fine] - factor * coarse)^2).

    ``coarse``: the number of the operand with the larger scale, whose value on the common scale is
    ``factor`` times as many steps; the table is ``table_words`` of the other's, zero points
    included. Without the address of a ``table`` it is the one that the program before has left.
    The difference must be below 2^15; with a multiplier of ONE_Q31 below 2^31, and ``end`` takes
    the upper half of its square.
    """
    k = Builder(config)
    shift = Shift.UP_31 if end.scaling[0] == ONE_Q31 else Shift.LOW
    words = k.table(256)
    if table is not None:
        k.load_table(words, k.pointer(table), 256)

    def body(k: Builder, registers: list[Register]) -> Register:
        fine = registers[1 - coarse]
        k.look_up(fine, fine, words)
        k.multiply(fine, registers[coarse], -factor, plus=fine)
        k.multiply(fine, fine, fine, shift)
        return fine

    return _elementwise(k, count, [a, b], y, body, end)


def multiply(config: AcceleratorConfig, count: int, a: Place, b: Place, y: Place,
             zero_points: tuple[int, int], end: Rescaling) -> bytes:
    """MUL of two quantised tensors."""
    k = Builder(config)

    def body(k: Builder, registers: list[Register]) -> Register:
        for value, zero_point in zip(registers, zero_points, strict=True):
            if zero_point:
                k.add(value, value, -zero_point)
        first, second = registers
        k.multiply(first, first, second)
        return first

    return _elementwise(k, count, [a, b], y, body, end)


def largest(config: AcceleratorConfig, count: int, *places: Place, end: Rescaling) -> bytes:
    """The largest of all elements at the same place in tensors of one scale, the last place being
    the result's, with the limits of ``end``."""
    k = Builder(config)

    def body(k: Builder, registers: list[Register]) -> Register:
        value, *others = registers
        for other in others:
            k.maximum(value, value, other)
        end.limit(k, value)
        return value

    return _elementwise(k, count, places[:-1], places[-1], body)


def byte_table(config: AcceleratorConfig, count: int, x: Place, y: Place, table: int) -> bytes:
    """A function of int8 (LOGISTIC, TANH, GELU, ...): ``table_words`` for 0..127, -128..-1."""
    k = Builder(config)
    words = k.table(256)
    k.load_table(words, k.pointer(table), 256)

    def body(k: Builder, registers: list[Register]) -> Register:
        k.look_up(registers[0], registers[0], words)
        return registers[0]

    return _elementwise(k, count, [x], y, body)


def int16_table(config: AcceleratorConfig, count: int, x: Place, y: Place,
                table: int | None) -> bytes:
    """LiteRT's interpolated function of int16: ``pair_words`` of 512 entries and the slope behind
    each plus 32768, for x >> 7 = 0..255, -256..-1. Without the address of a ``table`` it is the
    one that the program before has left."""
    k = Builder(config)
    words = k.table(512)
    if table is not None:
        k.load_table(words, k.pointer(table), 512)
    spare = k.vector(), k.vector()

    def body(k: Builder, registers: list[Register]) -> Register:
        interpolate(k, registers[0], words, spare)
        return registers[0]

    return _elementwise(k, count, [x], y, body)


def interpolate(k: Builder, value: Register, words: Register,
                spare: tuple[Register, Register]) -> None:
    """``value`` of int16 becomes what ``words``, a table as in ``int16_table``, has for it."""
    base, slope = spare
    k.shift_right(slope, value, 7)
    k.look_up(base, slope, words, 512)
    k.bits(slope, base, 0xFFFF)
    k.add(slope, slope, -32768)
    k.shift_right(base, base, 16)
    k.bits(value, value, 127)
    k.multiply(value, value, slope)
    k.shift_right(value, value, 7, "up", plus=base)


def interpolated_words(entries: np.ndarray) -> bytes:
    """The table of ``interpolate`` for 513 ``entries`` of int16, for -32768 and on in steps of
    128."""
    wide = entries.astype(np.int64)
    slopes = np.diff(wide).astype(np.int16).astype(np.int64) + 32768
    return pair_words(np.roll(wide[:-1], 256), np.roll(slopes, 256))


def sigmoid_int16(config: AcceleratorConfig, count: int, x: Place, y: Place, table: int | None,
                  scaling: tuple[int, int], tanh: bool) -> bytes:
    """LOGISTIC or TANH of int16, in its reference form.

    ``scaling``: multiplier and right shift to 1 / (3 * 4096). ``table``: ``pair_words`` of what an
    entry of the sigmoid's table lacks to the next one, and the entry; None: as in ``int16_table``.
    """
    k = Builder(config)
    words = k.table(256)
    if table is not None:
        k.load_table(words, k.pointer(table), 256)
    argument, low, step, beyond = (k.vector() for _ in range(4))
    bits = 8 if tanh else 9
    last = (0xFFFF << 8) if tanh else (0x7FFF << 10)
    multiplier, right = scaling

    def body(k: Builder, registers: list[Register]) -> Register:
        value = registers[0]
        k.multiply(argument, value, multiplier)
        if right:
            k.shift_right(argument, argument, right, "up")
        k.compute(Function.MAXIMUM, value, argument, factor=-1, addend=argument)    # its magnitude
        k.shift_right(low, value, bits)
        k.minimum(low, low, 254)
        k.look_up(low, low, words)
        k.shift_right(step, low, 16)
        k.bits(low, low, 0xFFFF)
        k.at_least(beyond, value, 255 << bits)
        k.bits(value, value, (1 << bits) - 1)
        k.multiply(value, value, step)
        k.shift_left(value, low, bits, plus=value)
        k.select(value, beyond, last)
        if tanh:
            k.subtract(low, (1 << 23) + 127, value)
            k.add(value, value, 128 - (1 << 23))
        else:
            k.subtract(low, (1 << 25) + 511, value)
            k.add(value, value, 512)
        k.select_negative(value, argument, low)
        k.shift_right(value, value, 8 if tanh else 10)
        return value

    return _elementwise(k, count, [x], y, body)


def gate_logistic(config: AcceleratorConfig, count: int, x: Place, y: Place) -> bytes:
    """The sigmoid of an LSTM's gates: int16 Q3.12 to Q0.15."""
    return _gate(config, count, x, y, logistic_16)


def gate_tanh(config: AcceleratorConfig, count: int, x: Place, y: Place,
              integer_bits: int) -> bytes:
    """The tanh of an LSTM's gates: int16 with ``integer_bits`` (0 to 6) to Q0.15."""
    return _gate(config, count, x, y, partial(tanh_16, fraction_bits=15 - integer_bits))


def _gate(config: AcceleratorConfig, count: int, x: Place, y: Place,
          function: Callable[[Builder, Register, Register, Spare, Constants16], None]) -> bytes:
    k = Builder(config)
    result, constants = k.vector(), constants_16(k)
    spare = (k.vector(), k.vector(), k.vector(), k.vector())

    def body(k: Builder, registers: list[Register]) -> Register:
        function(k, result, registers[0], spare, constants)
        return result

    return _elementwise(k, count, [x], y, body)


def mean(config: AcceleratorConfig, count: int, channels: int, pitch: int, x: Place, y: Place,
         zero_point: int, end: Rescaling) -> bytes:
    """MEAN of ``count`` rows of ``channels``, ``pitch`` bytes apart: a result for each channel.

    ``end`` divides by ``count`` too, as LiteRT's multiplier does.
    """
    k = Builder(config)
    value, total = k.vector(), k.vector()
    source, to = k.pointer(x.address), k.pointer(y.address)

    def part(elements: int, first: int) -> None:
        k.length(elements)
        k.point(source, x.address + (first << x.width))
        k.constant(total, -count * zero_point)
        with k.loop(count):
            k.load(value, source, x.width, pitch)
            k.add(total, total, value)
        end.write(k, total)
        k.store(total, to, y.width, elements << y.width)

    for first in range(0, channels, k.limit):
        part(min(k.limit, channels - first), first)
    return k.finish()


def rsqrt(config: AcceleratorConfig, count: int, x: Place, y: Place, zero_point: int,
          end: Rescaling) -> bytes:
    """RSQRT of int8: 1 / sqrt(x - zero_point), 0 giving the largest output. ``end`` is for the root
    with 20 fractional bits."""
    k = Builder(config)
    root, shift, zero = k.vector(), k.vector(), k.vector()
    spare = (k.vector(), k.vector(), k.vector())

    def body(k: Builder, registers: list[Register]) -> Register:
        value = registers[0]
        k.add(value, value, -zero_point)
        k.less(zero, value, 1)
        inverse_square_root(k, root, shift, value, spare)
        k.subtract(shift, 20, shift)
        k.constant(value, 1)
        k.shift_left(value, value, shift)
        k.multiply(value, value, root, Shift.UP_31)
        end.write(k, value)
        k.select(value, zero, 127)
        return value

    return _elementwise(k, count, [x], y, body)
