"""A lane of the vector unit: its words, the product, the shift, and what is made of them."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from kaniwa.hw.parts.adders import wire
from kaniwa.hw.parts.unchecked_read import UncheckedRead
from kaniwa.units.vector.isa import TAPS, WORDS

__all__ = ["VectorLane", "operand_layout", "product_layout", "combine_layout", "write_layout",
           "LIMB"]

# Bits of an operand's lower limb; so the highest bit of a shift's count says which limb 2^n is in.
LIMB = 16
ADDRESS = range(WORDS)
# Bits that a product can be shifted by.
TAP = sorted(set(TAPS))


def operand_layout() -> data.StructLayout:
    """Choice of a group's factor and addend.

    The factor is that of register b (``own``), 2^n of its low 5 bits (``power``; with ``right``
    2^(31-n)), or ``limb``, a constant's limb, low bits first, else 0. The addend is register b
    (``addend``) or ``constant``, one of which is 0.
    """
    return data.StructLayout({
        "own": unsigned(1), "power": unsigned(1), "right": unsigned(1), "limb": unsigned(LIMB + 1),
        "addend": unsigned(1), "constant": unsigned(32),
    })


def product_layout() -> data.StructLayout:
    """Treatment of a group's product: its ``tap`` of TAP, rounded half ``up``, or half ``away``
    from zero; all bits inverted (``invert``). ``carry``: what is added to X + Y beside rounding, or
    with ``round`` what inverts that."""
    return data.StructLayout({"tap": unsigned(2), "up": unsigned(1), "away": unsigned(1),
                              "invert": unsigned(1), "round": unsigned(1), "carry": unsigned(1)})


def combine_layout() -> data.StructLayout:
    """Operation on X and Y, as Function says; one of these, or none for LEADING_ZEROS.

    ``fold``: Y is the result before, of this or (with ``across``) of the next lane, and not the
    addend. ``other``: Y, X and Y, X or Y. Where X and Y are compared, X comes inverted.
    """
    return data.StructLayout({
        "fold": unsigned(1), "across": unsigned(1), "other": unsigned(2),
        "add": unsigned(1), "less": unsigned(1), "least": unsigned(1), "most": unsigned(1),
        "zeros": unsigned(1),
    })


def write_layout(lanes: int) -> data.StructLayout:
    """Place of a group's results, and whether they are written."""
    return data.StructLayout({
        "valid": unsigned(1), "mask": unsigned(lanes), "select": unsigned(1), "word": ADDRESS,
    })


class VectorLane(Component):
    """One of the unit's lanes: WORDS words of 32 bits, and the pipeline behind them.

    A group takes two cycles, ``phase`` 0 and 1, in every stage; the words have one read port,
    which gives A in one of them and B in the other. With the cycle in which A is addressed as 0:

    1 A read; 2 B read, or the address of a table's word from A (then all of the rest is two cycles
    later); 3, 4 the factor's limbs; 4, 5 operands of the blocks; 6, 7 their products; 8 the
    product's two halves; 9 the product; 10 shifted; 11 X, and X + Y; 12 the result; 13 it is
    written. A read sees it from cycle 14 on.

    ``operand`` holds in cycles 3 and 4, ``product`` in 7 and 8, two cycles before its use (each
    lane has its own, near what it chooses from), ``combine`` in 11 and 12, ``write`` in 13 and 14.
    ``address`` is that of the read in the next cycle. ``block_*`` go to two
    multiplier blocks of latency 2, ``block_b`` to both.

    ``take`` in cycle 3 has the multiplier take A, which else stays what it was; ``pick`` takes the
    low 8 bits of B for the offset, which ``lookup_offset`` takes from A in an address.

    ``load_write`` writes ``load_data``, while no group's results are. ``saturated`` is the result
    limited to a ``byte``, to 16 bits (``narrow`` alone), or as it is, from cycle 15 on, taken with
    ``capture`` in 14. Reads and writes never meet in a word.
    """

    def __init__(self, lane: int, lanes: int):
        self._lane = lane
        super().__init__({
            "address": In(ADDRESS),
            "lookup": In(1),
            "lookup_wide": In(1),
            "lookup_offset": In(1),
            "take": In(1),
            "pick": In(1),
            "lookup_block": In(2),
            "operand": In(operand_layout()),
            "product": In(product_layout()),
            "combine": In(combine_layout()),
            "write": In(write_layout(lanes)),
            "result": Out(signed(32)),
            "next_result": In(signed(32)),
            "load_write": In(1),
            "load_word": In(ADDRESS),
            "load_data": In(signed(32)),
            "capture": In(1),
            "narrow": In(1),
            "byte": In(1),
            "saturated": Out(signed(32)),
            "block_a": Out(data.ArrayLayout(signed(18), 2)),
            "block_b": Out(signed(18)),
            "block_p": In(data.ArrayLayout(signed(36), 2)),
        })

    def elaborate(self, platform):
        m = Module()
        # Each lane has its own, for it goes to hundreds of registers.
        phase = Signal()
        m.d.sync += phase.eq(~phase)
        a, b = self._read(m, phase)
        self._saturate(m, self.result)
        addend = self._operands(m, phase, a, b)
        total = self._multiply(m)
        treatment = Signal.like(self.product, reset_less=True)
        with m.If(~phase):
            m.d.sync += treatment.eq(self.product)
        x, carry = self._shift(m, phase, total, treatment)
        self._combine(m, phase, x, carry, addend)
        return m

    def _read(self, m, phase):
        """A in cycles 2 and 3, B in cycles 3 and 4."""
        m.submodules.words = words = Memory(shape=unsigned(32), depth=WORDS, init=[],
                                            attrs={"no_rw_check": 1})
        write, read = words.write_port(), UncheckedRead.of(m, words)
        a = Signal(signed(32), reset_less=True)
        b = Signal(signed(32), reset_less=True)
        address = Signal(ADDRESS, reset_less=True)
        ninth = Mux(self.lookup_wide, a[8], self.lookup_block[0])
        offset = Signal(8, reset_less=True)
        with m.If(phase & self.pick):
            m.d.sync += offset.eq(b[:8])
        shifted = wire(m, (a[:8].as_unsigned() - (offset & self.lookup_offset.replicate(8)))[:8])
        table = Cat(shifted, ninth, self.lookup_block[1])
        m.d.sync += address.eq(Mux(self.lookup, table, self.address))
        with m.If(phase):
            m.d.sync += a.eq(read.data)
        with m.Else():
            m.d.sync += b.eq(read.data)
        nonzero = self._nonzero = Signal(reset_less=True)
        strobe = (self.write.valid & phase & self.write.mask[self._lane]
                  & (nonzero | ~self.write.select))
        m.d.comb += [
            read.addr.eq(address), read.en.eq(1),
            write.addr.eq(Mux(self.load_write, self.load_word, self.write.word)),
            write.data.eq(Mux(self.load_write, self.load_data, self.result)),
            write.en.eq(strobe | self.load_write),
        ]
        return a, b

    def _saturate(self, m, result):
        """A result limited to 8, 16 or 32 bits, for a store: what is over in cycle 13, the rest in
        14."""
        sign = result[-1]
        over_8, over_16 = (Signal(name=f"over_{bits}", reset_less=True) for bits in (8, 16))
        beyond_16 = wire(m, (result[15:31] ^ sign.replicate(16)).any())
        m.d.sync += [
            over_16.eq(beyond_16 & self.narrow),
            over_8.eq((beyond_16 & self.narrow)
                      | ((result[7:15] ^ sign.replicate(8)).any() & self.byte)),
        ]
        with m.If(self.capture):
            m.d.sync += self.saturated.eq(Cat(
                Mux(over_8, (~sign).replicate(7), result[:7]),
                Mux(over_8, ~sign ^ self.byte, result[7]),
                Mux(over_16, (~sign).replicate(7), result[8:15]),
                Mux(over_16, sign, result[15]), result[16:]).as_signed())

    def _operands(self, m, phase, a, b):
        """Operands of the blocks from cycle 4 on, a limb of the factor each; the addend in 11."""
        held = Signal(signed(32), reset_less=True)
        with m.If(phase & self.take):
            m.d.sync += held.eq(a)
        # In phase 1 the low bits of the factor, unsigned; in phase 0 the rest, signed, of which
        # 2^31 needs 17.
        operand = self.operand
        low = [wire(m, (b[:2] ^ operand.right.replicate(2)) == n) for n in range(4)]
        high = [wire(m, ((b[2:4] ^ operand.right.replicate(2)) == n) & operand.power
                     & (b[4] ^ operand.right ^ phase)) for n in range(4)]
        power = Cat(low[n % 4] & high[n // 4] for n in range(LIMB))
        own = Mux(phase, b[:LIMB], b[LIMB:]) & operand.own.replicate(LIMB)
        limb = Signal(signed(18), reset_less=True)
        m.d.sync += limb.eq(Cat(own | power | operand.limb[:LIMB],
                                (b[-1] & operand.own & ~phase | operand.limb[LIMB]).replicate(2)))
        m.d.comb += [
            self.block_a[0].eq(held[:LIMB]), self.block_a[1].eq(held[LIMB:].as_signed()),
            self.block_b.eq(limb),
        ]
        addend = (b & operand.addend.replicate(32)) | operand.constant
        for stage in range(4):
            later = Signal(32, name=f"addend_{stage}", reset_less=True)
            with m.If(~phase):
                m.d.sync += later.eq(addend)
            addend = later
        return addend

    def _multiply(self, m):
        """The product of 64 bits in cycle 9: |A * F| <= 2^62. What is there in 10 is none."""
        low, high = self.block_p[0], self.block_p[1]
        # A times a limb: at most 2^31 * 2^16.
        part = Signal(signed(49), reset_less=True)
        first = Signal(signed(49), reset_less=True)
        total = Signal(signed(64), reset_less=True)
        m.d.sync += [
            part.eq(Cat(low[:LIMB], low[LIMB:].as_signed() + high[:33].as_signed()).as_signed()),
            first.eq(part),
            total.eq(Cat(first[:LIMB], first[LIMB:].as_signed() + part)),
        ]
        return total

    def _shift(self, m, phase, total, treatment):
        """X and the carry into X + Y, in cycles 11 and 12."""
        sign = total[-1]
        differs = total[:63] ^ sign.replicate(63)
        over, beyond, end = [], C(0, 1), 63
        for tap in reversed(TAP):
            beyond = wire(m, beyond | differs[tap + 31:end].any())
            over.insert(0, beyond)
            end = tap + 31
        # The bits below the half, and the half; what is not shifted is not rounded.
        far = treatment.tap[1]
        sticky = total[:14].any() | (far & total[14:30].any())
        half = Mux(far, total[30], total[14])
        up = half & (treatment.up | (treatment.away & (sticky | ~sign)))
        shifted = Signal(32, reset_less=True)
        limit, negative, more = (Signal(name=name, reset_less=True)
                                 for name in ("limit", "negative", "more"))
        x = Signal(32, reset_less=True)
        carry = Signal(reset_less=True)
        m.d.sync += [
            shifted.eq(Array(total[tap:tap + 32] for tap in TAP)[treatment.tap]),
            limit.eq(Array(over)[treatment.tap]), negative.eq(sign),
            more.eq(up & ~Array(over)[treatment.tap]),
        ]
        with m.If(~phase):
            whole = Cat(Mux(limit, (~negative).replicate(31), shifted[:31]),
                        Mux(limit, negative, shifted[31]))
            m.d.sync += [
                x.eq(whole ^ treatment.invert.replicate(32)),
                # Y - X - more = Y + ~X + 1 - more
                carry.eq((more & treatment.round) ^ treatment.carry),
            ]
        return x, carry

    def _combine(self, m, phase, x, carry, addend):
        """The result, in cycles 13 and 14, written in the first of them."""
        combine = self.combine
        y = wire(m, Mux(combine.fold,
                        Mux(combine.across, self.next_result, self.result).as_unsigned(), addend))
        total = Signal(33, reset_less=True)   # of two numbers of 32 bits and a carry, signed
        other = Signal(32, reset_less=True)
        zeros, places = self._nibbles(m, phase, x)
        with m.If(phase):
            # The carry's place is one below the sum's.
            grown = Cat(C(1, 1), x).as_signed() + Cat(carry, y).as_signed()
            m.d.sync += [
                total.eq(grown[1:]), self._nonzero.eq(x.any()),
                other.eq(Mux(combine.other[1], x | y,
                             Mux(combine.other[0], x & y, y))),
            ]

        # Of Y - X - 1: X is less than Y.
        less = ~total[32]
        over = combine.add & (total[32] ^ total[31])
        forced = combine.less | combine.zeros | over
        takes_x = (combine.least & less) | (combine.most & ~less)
        # 0: the sum; 1: other; 2: X; 3: bits that are all the same, but for the highest one.
        choice = Signal(2)
        same, top = Signal(), Signal()
        m.d.comb += [
            choice.eq(Cat(forced | ~(combine.add | takes_x), forced | takes_x)),
            same.eq(less & ~combine.zeros),
            top.eq(Mux(over, ~less, Mux(combine.zeros, 0, Mux(combine.less, less, Mux(
                combine.add, total[31], Mux(takes_x, ~x[31], other[31])))))),
        ]
        chosen = Mux(choice[1], Mux(choice[0], same.replicate(31), ~x[:31]),
                     Mux(choice[0], other[:31], total[:31]))
        counted = self._count(m, zeros, places) & combine.zeros.replicate(6)
        with m.If(~phase):
            m.d.sync += self.result.eq(Cat(chosen[:6] | counted, chosen[6:], top))

    def _nibbles(self, m, phase, x):
        """Of each nibble of X, high ones first: whether it is 0, and the zeros above its 1."""
        zeros = Signal(8, reset_less=True)
        places = [Signal(2, name=f"place_{n}", reset_less=True) for n in range(8)]
        with m.If(phase):
            for number in range(8):
                nibble = x[28 - 4 * number:32 - 4 * number]
                m.d.sync += [
                    zeros[number].eq(~nibble.any()),
                    places[number].eq(Mux(nibble[3], 0, Mux(nibble[2], 1, Mux(nibble[1], 2, 3)))),
                ]
        return zeros, places

    def _count(self, m, zeros, places):
        """Bits of the number of leading zeros."""
        number, place = Signal(3), Signal(2)
        with m.If(zeros.all()):
            pass
        for n in range(8):
            with m.Elif(~zeros[n]):
                m.d.comb += [number.eq(n), place.eq(places[n])]
        return Cat(place, number, zeros.all())
