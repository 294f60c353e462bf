"""gemmlowp's logistic function and tanh of 16 bits, one a cycle, in a pipeline."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from kaniwa.hw.multiplier.plain import delay
from kaniwa.hw.parts.unchecked_read import UncheckedRead

__all__ = ["CellFunction", "LATENCY", "EARLY", "BLOCKS"]

BLOCKS = 6        # multiplier blocks of latency 2
LATENCY = 50      # cycles from argument to result
EARLY = 2         # how much before the result its tag comes, too
FRACTION = 14     # bits behind the point of the exponential's argument
BEFORE = 7        # and before it
TABLE = 12        # of those bits the table is of, up to a quarter
# exp(-2^k) in Q0.15 for k = -2 ... 3, of the bits above the table's; exp(-2^4) is 0.
FACTORS = (25520, 19875, 12055, 4435, 600, 11)
EIGHTH, THIRD = 28918, 10923      # exp(-1/8), 1/3 in Q0.15
INTERCEPT, SLOPE = 23130, -15420                      # 48/17, -32/17 in Q2.13
UNIT = 1 << 13


class CellFunction(Component):
    """``o_value``, Q0.15, is the logistic function, or with ``tanh`` tanh, of ``value``.

    ``value`` * 2^``left`` has FRACTION bits behind the point, of twice the argument for tanh, and
    BEFORE before it at most. ``tag`` comes out with the result, and EARLY cycles before it. Nothing
    waits. ``block_a``, ``block_b``, ``block_p``: multiplier blocks of latency 2.

    exp(-x) is a table's word, of the low bits of x, times a factor for each higher one; then come
    three steps of Newton and Raphson for 2 / (1 + exp(-x)), as in gemmlowp's ``fixedpoint.h``.
    """

    def __init__(self, tag: data.Layout):
        self._tag = tag
        super().__init__({
            "valid": In(1), "value": In(signed(16)), "tanh": In(1), "left": In(3), "tag": In(tag),
            "early_tag": Out(tag), "early_valid": Out(1),
            "o_valid": Out(1), "o_value": Out(signed(16)), "o_tag": Out(tag),
            "block_a": Out(data.ArrayLayout(signed(18), BLOCKS)),
            "block_b": Out(data.ArrayLayout(signed(18), BLOCKS)),
            "block_p": In(data.ArrayLayout(signed(36), BLOCKS)),
        })

    def elaborate(self, platform):
        m = Module()
        exponential, age = self._exponential(m)
        x, age = self._newton(m, exponential, age)
        assert age == LATENCY - 2
        zero = delay(m, self.value == 0, age, "zero")
        negative = delay(m, self.value[-1], age, "negative")
        tanh = delay(m, self.tanh, age, "is_tanh")

        # 2 / (1 + e) in Q2.13, to Q0.15: half of it, or what is above 1.
        scaled = Signal(signed(18), reset_less=True)
        finish, mirrored = Signal(2, reset_less=True), Signal(reset_less=True)
        m.d.sync += [
            scaled.eq(Mux(tanh, (x - UNIT) << 2, x << 1)),
            finish.eq(Cat(zero, tanh)), mirrored.eq(negative),
        ]
        limited = Mux(~scaled[-1] & scaled[15:17].any(), 32767, scaled[:16].as_signed())
        with m.If(finish[0]):
            m.d.sync += self.o_value.eq(Mux(finish[1], 0, 1 << 14))
        with m.Elif(mirrored):
            m.d.sync += self.o_value.eq(Mux(finish[1], 0, 32767) - limited)
        with m.Else():
            m.d.sync += self.o_value.eq(limited)

        tag, valid = self.tag, self.valid
        for cycle in range(LATENCY):
            if cycle == LATENCY - EARLY:
                m.d.comb += [self.early_tag.eq(tag), self.early_valid.eq(valid)]
            later, after = Signal.like(tag, reset_less=True), Signal(name=f"valid_{cycle}")
            m.d.sync += [later.eq(tag), after.eq(valid)]
            tag, valid = later, after
        m.d.comb += [self.o_tag.eq(tag), self.o_valid.eq(valid)]
        return m

    def _exponential(self, m):
        """exp(-|argument|) in Q0.15, and its age; anything where the argument is 0."""
        magnitude = Signal(16, reset_less=True)   # 2^15 at most
        left = Signal(3, reset_less=True)
        m.d.sync += [magnitude.eq(Mux(self.value[-1], -self.value, self.value)[:16]),
                     left.eq(self.left)]
        # With 14 bits behind the point, less the lowest one: the quarter that x ends in is then
        # never 0, as gemmlowp has it.
        x = Signal(FRACTION + BEFORE, reset_less=True)
        m.d.sync += x.eq(Array(magnitude << n for n in range(FRACTION + BEFORE - 14))[left] - 1)
        m.submodules.table = table = Memory(shape=unsigned(15), depth=1 << TABLE,
                                            init=[_below(n) for n in range(1 << TABLE)])
        read = UncheckedRead.of(m, table)
        m.d.comb += [read.addr.eq(x[:TABLE]), read.en.eq(1)]
        result = Signal(15, reset_less=True)
        m.d.sync += result.eq(read.data)
        high, age = delay(m, x[TABLE:], 2, "high"), 4
        for number, factor in enumerate(FACTORS):
            following = Signal(15, name=f"result_{number}", reset_less=True)
            m.d.sync += following.eq(Mux(
                delay(m, high[number], 2, f"taken_{number}"),
                _times_constant(m, result, factor, f"power_{number}"),
                delay(m, result, 2, f"kept_{number}")))
            result, high = following, delay(m, high, 3, f"high_{number}")
            age += 3
        gone = Signal(reset_less=True)
        last = Signal(15, reset_less=True)
        m.d.sync += gone.eq(high[len(FACTORS):].any())
        m.d.comb += last.eq(Mux(gone, 0, delay(m, result, 1, "result_last")))
        return last, age + 1

    def _newton(self, m, exponential, age):
        """2 / (1 + exponential) in Q2.13, and its age."""
        half = Signal(16, reset_less=True)        # (1 + e) / 2 in Q0.15: 2^14 to 2^15 - 1
        m.d.sync += half.eq((exponential + (1 << 15)) >> 1)
        slope = _times_constant(m, half, SLOPE, "slope")
        x = Signal(signed(16), name="x_0", reset_less=True)
        m.d.sync += x.eq(slope + INTERCEPT)
        half, age = delay(m, half, 3, "half_0"), age + 4
        for step in range(3):
            error = Signal(signed(16), name=f"error_{step}", reset_less=True)
            m.d.sync += error.eq(UNIT - self._times(m, 2 * step, half, x))
            change = Signal(signed(16), name=f"change_{step}", reset_less=True)
            m.d.sync += change.eq(self._times(m, 2 * step + 1, delay(m, x, 3, f"x_{step}_old"),
                                              error))
            following = Signal(signed(16), name=f"x_{step + 1}", reset_less=True)
            m.d.sync += following.eq(delay(m, x, 6, f"x_{step}_older") + (change << 2))
            x, age = following, age + 7
            if step < 2:
                half = delay(m, half, 7, f"half_{step + 1}")
        return x, age

    def _times(self, m, block, a, b):
        """a * b in Q0.15, rounded half up, 2 cycles later: then it is an adder from a register."""
        m.d.comb += [self.block_a[block].eq(a), self.block_b[block].eq(b)]
        product = Signal(signed(36), name=f"product_{block}")
        m.d.comb += product.eq(self.block_p[block])
        return (product[15:].as_signed() + product[14])[:16].as_signed()


def _times_constant(m, value, constant, name):
    """``value``, not negative, times ``constant`` in Q0.15, rounded half up, 2 cycles later."""
    digits, place, left = [], 0, constant
    while left:
        if left & 1:
            digit = 2 - (left & 3)      # the next bit differs from this one: fewer digits
            digits.append((digit, place))
            left -= digit
        left, place = left >> 1, place + 1
    halves = []
    for half, chosen in enumerate((digits[::2], digits[1::2])):
        part = Signal(signed(len(value) + 17), name=f"{name}_{half}", reset_less=True)
        m.d.sync += part.eq(sum((value << place if digit > 0 else -(value << place)
                                 for digit, place in chosen), C(0, 1)))
        halves.append(part)
    total = Signal(signed(len(value) + 2), name=f"{name}_total", reset_less=True)
    m.d.sync += total.eq((halves[0] + halves[1] + (1 << 14)) >> 15)
    return total


def _below(index: int) -> int:
    """exp(-(index + 1) / 2^FRACTION), up to a quarter: gemmlowp's series round -1/8, in Q0.15."""

    def times(a: int, b: int) -> int:
        return (a * b + (1 << 14)) >> 15

    x = (1 << 12) - (index + 1 << 15 - FRACTION)
    square = times(x, x)
    fourth = (times(square, square) + 2) >> 2
    series = times(fourth + times(square, x), THIRD) + square
    series = (series + (series >= 0)) >> 1
    return EIGHTH + times(x + series, EIGHTH)
