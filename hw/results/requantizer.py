"""Requantizer: 32-bit values to int8 by ``(value * multiplier + b) >> shift``."""

from abc import abstractmethod
from typing import NamedTuple

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import vector_blocks
from kaniwa.hw.multiplier.plain import PlainMultiplier
from kaniwa.hw.parts.adders import wire
from kaniwa.hw.parts.stream_buffer import StreamBuffer
from kaniwa.hw.results.rounding import QUOTIENT, clamped, rounded_quotient, settings_layout
from kaniwa.isa import FACTOR_BITS

__all__ = ["Products", "Requantizer", "requantizer_layout", "requantized_layout", "TOTAL", "delay"]

# |value * multiplier| < 2^62, and the correction of Rounding.DOUBLE does not take it there.
TOTAL = 63


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


class Products(NamedTuple):
    """The products of a vector, and what goes along with them."""

    valid: Value
    totals: list    # of each lane, TOTAL bits
    shift: Value
    settings: data.View
    tag: Value


class Requantizer(wiring.Component):
    """Scale ``requant_lanes`` values to int8, exactly for every value, multiplier and shift.

    ``o.values = clamp(((value * multiplier + b) >> shift) + zero_point, low, high)``, b as in
    Rounding; with a shift of 0 there is no b and no tie. b is not added as it stands: the shift
    leaves the integer part, the bit below it (half) and whether anything is below that (sticky),
    and rounding is one increment.

    ``PipelinedRequantizer`` and ``SerialRequantizer`` multiply; here is what follows the product.
    Bits of ``multiplier`` from multiplier_bits up are ignored. With ``products`` the values may
    come from multipliers, late in the cycle: they are chosen in the next one. So are ``biases``
    added in the next one; the sum has 32 bits too.

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
        self._finish(m, advance, results.i, self._multiply(m, advance, results.full))
        return m

    @abstractmethod
    def _multiply(self, m, advance, full) -> Products:
        """Take the input. All registers move with ``advance``; ``full``, the opposite, comes from
        a flip-flop of its own."""

    def _along(self, payload):
        """The members of the input that go along with the values."""
        return [payload.shift, payload.settings, payload.tag]

    def _value(self, payload, lane):
        """The lane's value, wherever it comes from."""
        value = payload.values[lane]
        if self._products:
            value = Mux(payload.multiply, payload.products[lane], value)
        return (value + payload.bias[lane])[:32].as_signed() if self._biases else value

    def _finish(self, m, advance, results, products):
        """Four cycles from the total to the result: shift, shift, round, clamp."""
        valid, totals, shift, settings, tag = products
        rounding = delay(m, advance, settings.rounding, 2)[2]
        zero_point = delay(m, advance, settings.zero_point, 2)[2]
        least = delay(m, advance, settings.low, 3)[3]
        most = delay(m, advance, settings.high, 3)[3]
        if self.config.vector_unit:
            wraps = delay(m, advance, settings.low > settings.high, 3)[3]
        for lane, total in enumerate(totals):
            # Below the units: the half. 1 + QUOTIENT bits are left after the last shift.
            number = (Cat(C(0, 1), total), C(0, 1), C(0, 1))
            fine = delay(m, advance, shift[lane][:3], 1)[1]
            number = self._shift(m, advance, number, shift[lane][3:], (32, 16, 8))
            number = self._shift(m, advance, number, fine, (4, 2, 1))
            rounded = rounded_quotient(m, advance, number, number[0][-1], rounding, zero_point)
            limited = clamped(rounded, least, most)
            m.d.comb += results.payload.values[lane].eq(
                Mux(wraps, rounded[:8].as_signed(), limited) if self.config.vector_unit
                else limited)
        m.d.comb += [
            results.valid.eq(delay(m, advance, valid, 3, reset_less=False)[3]),
            results.payload.tag.eq(delay(m, advance, tag, 3)[3]),
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


def delay(m, advance, value, cycles, reset_less=True):
    """``value`` now and in each of the next cycles, registered."""
    stages = [value]
    for number in range(cycles):
        stage = Signal(value.shape(), name=f"delayed_{number + 1}", reset_less=reset_less)
        with m.If(advance):
            m.d.sync += stage.eq(stages[-1])
        stages.append(stage)
    return stages
