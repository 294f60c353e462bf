"""Inputs and hidden states of a recurrent cell, as its products want them."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from kaniwa.hw.multiplier.plain import delay
from kaniwa.hw.parts.unchecked_read import UncheckedRead
from kaniwa.hw.units.cell.products import operands_layout
from kaniwa.units.cell.isa import MOST_CELLS, MOST_INPUTS, PRODUCTS, WORD_BYTES

__all__ = ["CellOperands", "INPUT_PLACES", "STEP_PLACES", "WAY"]

WAY = 3   # cycles from a place to its operands

# Places are of PRODUCTS elements. An input may begin anywhere in its first word of memory.
INPUT_PLACES = MOST_INPUTS // PRODUCTS + WORD_BYTES // PRODUCTS
STEP_PLACES = MOST_CELLS // PRODUCTS     # of hidden states, for each of two steps


class CellOperands(Component):
    """Elements of 9 bits: int8 less a zero point.

    ``load``: ``word`` less ``zero`` goes to the words' place ``load_place`` of the hidden states
    (``hidden``) or inputs. ``write``: ``element`` goes to place ``write_place`` of the hidden
    states, those of elements. ``place``, of inputs or (``of_hidden``) hidden states, is read;
    ``operands`` are there WAY cycles later.
    """

    def __init__(self):
        super().__init__({
            "load": In(1), "hidden": In(1), "load_place": In(range(INPUT_PLACES)),
            "word": In(unsigned(8 * WORD_BYTES)), "zero": In(signed(8)),
            "write": In(1), "write_place": In(range(2 * MOST_CELLS)), "element": In(signed(9)),
            "of_hidden": In(1), "place": In(range(INPUT_PLACES)),
            "operands": Out(operands_layout()),
        })

    def elaborate(self, platform):
        m = Module()
        shape = data.ArrayLayout(unsigned(9), WORD_BYTES)
        words = WORD_BYTES // PRODUCTS
        m.submodules.inputs = inputs = Memory(shape=shape, depth=INPUT_PLACES // words, init=[],
                                              attrs={"no_rw_check": 1})
        m.submodules.states = states = Memory(shape=shape, depth=2 * STEP_PLACES // words, init=[],
                                              attrs={"no_rw_check": 1})
        loaded = Cat((self.word.word_select(n, 8).as_signed() - self.zero)[:9]
                     for n in range(WORD_BYTES))
        to_inputs, to_states = inputs.write_port(), states.write_port(granularity=1)
        lane = self.write_place[:4]
        m.d.comb += [
            to_inputs.en.eq(self.load & ~self.hidden), to_inputs.addr.eq(self.load_place),
            Value.cast(to_inputs.data).eq(loaded),
            to_states.en.eq((C(1, 1) << lane) & self.write.replicate(WORD_BYTES)
                            | (self.load & self.hidden).replicate(WORD_BYTES)),
            to_states.addr.eq(Mux(self.write, self.write_place[4:], self.load_place)),
            Value.cast(to_states.data).eq(Mux(self.write, self.element.as_unsigned()
                                              .replicate(WORD_BYTES), loaded)),
        ]
        read_inputs, read_states = UncheckedRead.of(m, inputs), UncheckedRead.of(m, states)
        of_hidden, part = Signal(reset_less=True), Signal(range(words), reset_less=True)
        m.d.comb += [
            read_inputs.addr.eq(self.place[2:]), read_inputs.en.eq(1),
            read_states.addr.eq(self.place[2:]), read_states.en.eq(1),
        ]
        m.d.sync += [of_hidden.eq(self.of_hidden), part.eq(self.place[:2])]
        # A block RAM's word comes late in the cycle.
        of_inputs, of_states = (Signal(9 * PRODUCTS, name=name, reset_less=True)
                                for name in ("of_inputs", "of_states"))
        m.d.sync += [
            of_inputs.eq(Value.cast(read_inputs.data).word_select(part, 9 * PRODUCTS)),
            of_states.eq(Value.cast(read_states.data).word_select(part, 9 * PRODUCTS)),
            Value.cast(self.operands).eq(Mux(delay(m, of_hidden, 1, "of_hidden"), of_states,
                                             of_inputs)),
        ]
        return m
