"""Requantizer: 32-bit values to int8 by ``(value * multiplier + b) >> shift``."""

from typing import Any, NamedTuple

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.enums import Rounding
from kaniwa.hw.interfaces import vector_blocks
from kaniwa.hw.multiplier.plain import PlainMultiplier
from kaniwa.hw.parts.adders import above, times, weighted, wire
from kaniwa.hw.parts.stream_buffer import StreamBuffer
from kaniwa.isa import FACTOR_BITS

__all__ = ["Requantizer", "settings_layout", "requantizer_layout", "requantized_layout"]

# What a signed 18 x 18 multiplier block takes of an unsigned operand.
LIMB = 17
# Low multiplier bits that are multiplied at once by adders.
DIGIT = 4
# |value * multiplier| < 2^62, and the correction of Rounding.DOUBLE does not take it there.
TOTAL = 63
# Bits of the quotient that matter: from -256 down and 255 up, any zero point saturates int8.
QUOTIENT = 9


def settings_layout() -> data.StructLayout:
    """What is the same for all lanes: Rounding, zero point, and the limits of the result."""
    return data.StructLayout({
        "rounding": Rounding, "zero_point": signed(8), "low": signed(8), "high": signed(8),
    })


def requantizer_layout(config: AcceleratorConfig, tag=8, products=False,
                       biases=False) -> data.StructLayout:
    """A vector of values with the parameters of each, the settings, and a tag to pass along.

    With ``products`` there may be others in place of the values, where ``multiply`` is 1. With
    ``biases`` there is one to add to each of them.
    """
    lanes = config.requant_lanes
    others = {"products": data.ArrayLayout(signed(2 * FACTOR_BITS), lanes),
              "multiply": unsigned(1)} if products else {}
    if biases:
        others["bias"] = data.ArrayLayout(signed(32), lanes)
    return data.StructLayout({
        **others,
        "values": data.ArrayLayout(signed(32), lanes),
        "multiplier": data.ArrayLayout(unsigned(31), lanes),
        "shift": data.ArrayLayout(unsigned(6), lanes),
        "settings": settings_layout(),
        "tag": tag,
    })


def requantized_layout(config: AcceleratorConfig, tag=8) -> data.StructLayout:
    """A vector of results with the tag of its values."""
    return data.StructLayout({
        "values": data.ArrayLayout(signed(8), config.requant_lanes),
        "tag": tag,
    })


class _Products(NamedTuple):
    """The product of each lane, with what goes along."""

    valid: Any
    totals: Any
    shift: Any
    settings: Any
    tag: Any


class Requantizer(wiring.Component):
    """Scale ``requant_lanes`` values to int8, exactly for every value, multiplier and shift.

    ``o.values = clamp(((value * multiplier + b) >> shift) + zero_point, low, high)``, b as in
    Rounding; with a shift of 0 there is no b and no tie. b is not added as it stands: the shift
    leaves the integer part, the bit below it (half) and whether anything is below that (sticky),
    and rounding is one increment.

    requant_cycles = 1: a vector a cycle, latency 9; a lane takes two 18 x 18 products of
    ``multiplier``, the strategy for the FPGA, for the high bits of the multiplier and a tree of
    adders for the low ones. Else a vector in
    requant_cycles, latency requant_cycles + 5, adders only. Bits of ``multiplier`` from
    multiplier_bits up are ignored. With ``products`` the values may come from multipliers, late in
    the cycle: they are chosen in the next one. So are ``biases`` added in the next one; the sum
    has 32 bits too.

    With vector_unit there is ``vector``, which may have the blocks while no vector is in here.
    """

    def __init__(self, config: AcceleratorConfig, tag=8, multiplier=PlainMultiplier,
                 products=False, biases=False):
        self.config = config
        self._multiplier = multiplier
        self._products = products
        self._biases = biases
        super().__init__({
            "i": In(stream.Signature(requantizer_layout(config, tag, products, biases))),
            "o": Out(stream.Signature(requantized_layout(config, tag))),
            **({"vector": In(vector_blocks(config))} if config.vector_unit else {}),
        })

    def elaborate(self, platform):
        m = Module()
        # Its first entry is the last register of the pipeline. What enables all registers before
        # is a flip-flop, for it goes far.
        m.submodules.results = results = StreamBuffer(self.o.payload.shape())
        wiring.connect(m, results.o, wiring.flipped(self.o))
        advance = results.i.ready
        if self.config.requant_cycles == 1:
            m.d.comb += self.i.ready.eq(~results.full)
            self._finish(m, advance, results.i, self._multiply(m, advance))
        else:
            self._finish(m, advance, results.i, self._multiply_serially(m, advance))
        return m

    def _along(self, payload):
        """The members of the input that go along with the values."""
        return [payload.shift, payload.settings, payload.tag]

    def _value(self, payload, lane):
        """The lane's value, wherever it comes from."""
        value = payload.values[lane]
        if self._products:
            value = Mux(payload.multiply, payload.products[lane], value)
        return (value + payload.bias[lane])[:32].as_signed() if self._biases else value

    def _correct(self, value, shift, rounding):
        """What Rounding.DOUBLE adds to the product beside half, in units of 2^(W-1): -1, 0, 1."""
        active = (rounding == Rounding.DOUBLE) & (shift > self.config.multiplier_bits)
        return Cat(active, active & value[-1]).as_signed()

    def _multiply(self, m, advance):
        """Cycles 1-5: valid, the total of each lane, and shift, settings and tag.

        Cycle 1 is the input's own: what it comes from may take the rest of a cycle.
        """
        given = Signal.like(self.i.payload, reset_less=True)
        with m.If(advance):
            m.d.sync += given.eq(self.i.payload)
        valid = _delay(m, advance, self.i.valid, 5, reset_less=False)
        shift, settings, tag = (_delay(m, advance, member, 4) for member in self._along(given))
        totals = [
            self._multiply_lane(m, advance, given, lane, shift[1][lane], settings[1].rounding)
            for lane in range(self.config.requant_lanes)
        ]
        return _Products(valid[5], totals, shift[4], settings[4], tag[4])

    def _multiply_lane(self, m, advance, given, lane, shift, rounding):
        low_bits = self.config.multiplier_bits - LIMB

        # Cycle 2: operands.
        value = Signal(signed(32), reset_less=True)
        multiplier = Signal(self.config.multiplier_bits, reset_less=True)

        # Cycle 3: the high multiplier bits in two multiplier blocks, which have operand registers
        # of their own, the low ones in digits.
        new_value = Signal(signed(32))
        m.d.comb += new_value.eq(self._value(given, lane))
        new_multiplier = given.multiplier[lane][:self.config.multiplier_bits]
        block_low, block_high = self._multiplier.wide(), self._multiplier.wide()
        m.submodules[f"block_{lane}_low"] = block_low
        m.submodules[f"block_{lane}_high"] = block_high
        for block, limb in ((block_low, new_value[:LIMB]),
                            (block_high, new_value[LIMB:].as_signed())):
            m.d.comb += [block.enable.eq(advance), block.a.eq(limb),
                         block.b.eq(new_multiplier[low_bits:])]
        if self.config.vector_unit:
            self._lend(m, lane, block_low, block_high)
        product_low, product_high = block_low.p[:2 * LIMB], block_high.p[:32].as_signed()
        correction = Signal(signed(2), reset_less=True)
        digits = [multiplier[i:min(i + DIGIT, low_bits)] for i in range(0, low_bits, DIGIT)]
        products = [Signal(signed(32 + len(digit)), name=f"product_digit_{number}",
                           reset_less=True) for number, digit in enumerate(digits)]

        # Cycle 4: one sum for the high and one for the low bits of the multiplier. The unit of
        # the correction is that of bit 16 of the high sum.
        corrected = above(m, product_low, correction, LIMB - 1)
        high = Signal(signed(32 + LIMB), reset_less=True)
        low = Signal(signed(32 + low_bits), reset_less=True)

        # Cycle 5: the total.
        total = Signal(signed(TOTAL), reset_less=True)

        # Formed outside the condition, or each wire in them would be ANDed with it.
        new_products = [times(m, value, digit) for digit in digits]
        new_high, new_low = above(m, corrected, product_high, LIMB), weighted(m, products, DIGIT)
        new_total = above(m, low, high, low_bits)
        with m.If(advance):
            m.d.sync += [
                value.eq(new_value),
                multiplier.eq(new_multiplier),
                correction.eq(self._correct(value, shift, rounding)),
                *(product.eq(new) for product, new in zip(products, new_products, strict=True)),
                high.eq(new_high),
                low.eq(new_low),
                total.eq(new_total),
            ]
        return total

    def _lend(self, m, lane, *blocks):
        """Let ``vector`` have the blocks of a lane. They are enabled, as nothing waits in here."""
        vector = self.vector
        for number, block in enumerate(blocks, len(blocks) * lane):
            with m.If(vector.select):
                m.d.comb += [block.a.eq(vector.a[number]), block.b.eq(vector.b[lane])]
            m.d.comb += vector.p[number].eq(block.p)

    def _multiply_serially(self, m, advance):
        """requant_cycles cycles of a few multiplier bits each, low ones first."""
        cycles = self.config.requant_cycles
        busy = Signal()
        step = Signal(range(cycles))
        last = step == cycles - 1
        accepted = self.i.valid & self.i.ready
        given = self._along(self.i.payload)
        along = [Signal(member.shape(), reset_less=True) for member in given]
        valid = _delay(m, advance, busy & last, 1, reset_less=False)[1]
        finished = [_delay(m, advance, member, 1)[1] for member in along]

        m.d.comb += self.i.ready.eq(advance & (~busy | last))
        with m.If(advance):
            with m.If(busy):
                m.d.sync += step.eq(step + 1)
            with m.If(accepted):
                m.d.sync += busy.eq(1)
                m.d.sync += [register.eq(member)
                             for register, member in zip(along, given, strict=True)]
            with m.Elif(last):
                m.d.sync += busy.eq(0)

        shift, settings, _ = along
        totals = [
            self._multiply_lane_serially(
                m, lane, advance & busy, accepted, step == 0, shift[lane], settings.rounding)
            for lane in range(self.config.requant_lanes)
        ]
        return _Products(valid, totals, *finished)

    def _multiply_lane_serially(self, m, lane, running, accepted, first, shift, rounding):
        bits, digit_bits = self.config.multiplier_bits, 32 // self.config.requant_cycles
        value = Signal(signed(32), reset_less=True)
        multiplier = Signal(bits, reset_less=True)
        # The bits already shifted out, and the rest: |rest| <= 2^31.
        low = Signal(32, reset_less=True)
        rest = Signal(signed(32), reset_less=True)
        # |value * digit + rest| <= 2^31 * 2^digit_bits, which only the negative side reaches.
        total = Signal(signed(32 + digit_bits))
        correction = Cat(C(0, bits - 1), self._correct(value, shift, rounding)).as_signed()
        m.d.comb += total.eq(
            times(m, value, multiplier[:digit_bits]) + Mux(first, correction, rest))
        with m.If(running):
            m.d.sync += [
                low.eq(Cat(low[digit_bits:], total[:digit_bits])),
                rest.eq(total[digit_bits:].as_signed()),
                multiplier.eq(multiplier[digit_bits:]),
            ]
        with m.If(accepted):
            m.d.sync += [
                value.eq(self._value(self.i.payload, lane)),
                multiplier.eq(self.i.payload.multiplier[lane]),
            ]
        return Cat(low, rest)[:TOTAL].as_signed()

    def _finish(self, m, advance, results, products):
        """Four cycles from the total to the result: shift, shift, round, clamp."""
        shift, settings = products.shift, products.settings
        rounding = _delay(m, advance, settings.rounding, 2)[2]
        zero_point = _delay(m, advance, settings.zero_point, 2)[2]
        least = _delay(m, advance, settings.low, 3)[3]
        most = _delay(m, advance, settings.high, 3)[3]
        if self.config.vector_unit:
            wraps = _delay(m, advance, settings.low > settings.high, 3)[3]
        for lane, total in enumerate(products.totals):
            # Below the units: the half. 1 + QUOTIENT bits are left after the last shift.
            number = (Cat(C(0, 1), total), C(0, 1), C(0, 1))
            fine = _delay(m, advance, shift[lane][:3], 1)[1]
            number = self._shift(m, advance, number, shift[lane][3:], (32, 16, 8))
            number = self._shift(m, advance, number, fine, (4, 2, 1))
            rounded = self._round(m, advance, number, rounding, zero_point)
            clamped = Mux(rounded < least, least,
                          Mux(rounded > most, most, rounded[:8].as_signed()))
            m.d.comb += results.payload.values[lane].eq(
                Mux(wraps, rounded[:8].as_signed(), clamped) if self.config.vector_unit
                else clamped)
        m.d.comb += [
            results.valid.eq(_delay(m, advance, products.valid, 3, reset_less=False)[3]),
            results.payload.tag.eq(_delay(m, advance, products.tag, 3)[3]),
        ]

    def _shift(self, m, advance, number, amount, distances):
        """Shift right by each distance whose bit of ``amount`` is set, the last bit first; a cycle.

        A number is (value, sticky: something was shifted out, overflow: the value has lost bits
        that are not its sign). Each distance leaves as many bits as the ones after it need.
        """
        value, sticky, overflow = number
        sign = value[-1]
        for distance, active in zip(distances, reversed(amount), strict=True):
            width = distance + QUOTIENT  # beside it, the sign is kept whatever is lost
            lost_low = value[:distance].any()
            lost_high = (value[width - 1:-1] ^ sign.replicate(len(value) - width)).any()
            moved = Cat(value[distance:-1], sign.replicate(width + distance - len(value)))
            sticky |= active & lost_low
            overflow |= ~active & lost_high
            value = wire(m, Cat(Mux(active, moved, value[:width - 1]), sign))
        registers = [Signal.like(part, reset_less=True) for part in (value, sticky, overflow)]
        with m.If(advance):
            m.d.sync += Cat(registers).eq(Cat(value, sticky, overflow))
        return registers

    def _round(self, m, advance, number, rounding, zero_point):
        """The quotient rounded, with the zero point; a cycle."""
        value, sticky, overflow = number
        half, odd, negative = value[0], value[1], value[-1]
        up = Signal()
        with m.Switch(rounding):
            with m.Case(Rounding.AWAY):
                m.d.comb += up.eq(half & (sticky | ~negative))
            with m.Case(Rounding.EVEN):
                m.d.comb += up.eq(half & (sticky | odd))
            with m.Default():
                m.d.comb += up.eq(half)
        # -256 - 128 .. 255 + 1 + 127; where the quotient was lost, anything beyond int8 will do.
        rounded = Signal(signed(QUOTIENT + 1), reset_less=True)
        with m.If(advance):
            m.d.sync += rounded.eq(value[1:].as_signed() + zero_point + up)
            with m.If(overflow):
                m.d.sync += rounded[-2:].eq(Cat(~negative, negative))
        return rounded


def _delay(m, advance, value, cycles, reset_less=True):
    """``value`` now and in each of the next cycles, registered."""
    stages = [value]
    for number in range(cycles):
        stage = Signal(value.shape(), name=f"delayed_{number + 1}", reset_less=reset_less)
        with m.If(advance):
            m.d.sync += stage.eq(stages[-1])
        stages.append(stage)
    return stages
