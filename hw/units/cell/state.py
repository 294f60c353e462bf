"""The cell state of an LSTM: f * c + i * g, and what o * tanh(c) is made of."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from kaniwa.hw.multiplier.plain import WideProduct, delay
from kaniwa.hw.parts.adders import wire
from kaniwa.hw.parts.unchecked_read import UncheckedRead
from kaniwa.units.cell.isa import MOST_CELLS, POWERS

__all__ = ["CellState", "function_tag", "KEPT"]

PLACES = range(POWERS[0], POWERS[1] + 1)   # of the point of i * g
KEPT = 16   # output gates that wait for their tanh(c): more than there can be on the way


def function_tag() -> data.StructLayout:
    """Whose function it is: that of a ``gate`` of a cell, or (``state``) of its state."""
    return data.StructLayout({"state": unsigned(1), "gate": unsigned(2),
                              "cell": range(MOST_CELLS)})


class CellState(Component):
    """Takes the functions of gates, a cell's in the order of GATES in four cycles in a row, and of
    states, in any other cycle.

    ``early_tag`` is ``tag`` two cycles before. ``state_valid``: the new state of ``state_cell``,
    4 cycles behind the cell's output gate.
    ``product_valid``: o * tanh(c) of ``product_cell``, 3 cycles behind the state's function.
    ``admit_shift``, ``clip``: as in the descriptor. While none of this goes on states are written
    (``load``) and read (``peek``: 2 cycles later, ``peeked``) from outside. ``wide``: what makes
    products, with the ports and the latency of ``WideProduct``.
    """

    def __init__(self, wide=WideProduct):
        self._wide = wide
        super().__init__({
            "valid": In(1), "value": In(signed(16)), "tag": In(function_tag()),
            "early_tag": In(function_tag()),
            "admit_shift": In(5), "clip": In(16),
            "state_valid": Out(1), "state_cell": Out(range(MOST_CELLS)), "state": Out(signed(16)),
            "product_valid": Out(1), "product_cell": Out(range(MOST_CELLS)),
            "product": Out(signed(32)),
            "load": In(1), "load_cell": In(range(MOST_CELLS)), "load_value": In(signed(16)),
            "peek": In(1), "peek_cell": In(range(MOST_CELLS)), "peeked": Out(signed(16)),
        })

    def elaborate(self, platform):
        m = Module()
        forget, admit, update, output = (self.tag.gate == gate for gate in range(4))
        of_gate = wire(m, self.valid & ~self.tag.state)
        of_state = wire(m, self.valid & self.tag.state)
        before = self._words(m)

        # f * c when f comes, i * g when g does, two cycles later.
        admitted = Signal(signed(16), reset_less=True)
        with m.If(of_gate & admit):
            m.d.sync += admitted.eq(self.value)
        kept = self._product(m, "keep", self.value, before)
        added = self._product(m, "admit", admitted, self.value)
        halves = Array((1 << place - 1) - 1 for place in PLACES)
        below = Signal(POWERS[1] - 1, reset_less=True)      # stays the same in a sequence
        power = (self.admit_shift - POWERS[0])[:3]
        m.d.sync += below.eq(halves[power])
        nudged = added + below + ~added[-1]
        shifts = Array((nudged >> place)[:17].as_signed() for place in PLACES)
        keeps, adds = Signal(signed(17), reset_less=True), Signal(signed(17), reset_less=True)
        m.d.sync += [
            keeps.eq(_divided(delay(m, kept, 2, "kept"), 15)),
            adds.eq(shifts[power]),
        ]
        total = Signal(signed(18), reset_less=True)
        m.d.sync += total.eq(keeps + adds)
        low, high = Signal(signed(17), reset_less=True), Signal(signed(17), reset_less=True)
        m.d.sync += [low.eq(-self.clip), high.eq(Mux(self.clip[-1], 32767, self.clip))]
        m.d.sync += self.state.eq(Mux(total < low, low, Mux(total > high, high, total)))
        written, cell = of_gate & update, self.tag.cell
        for cycle in range(5):
            later = Signal(name=f"written_{cycle}")
            m.d.sync += later.eq(written)
            written = later
        m.d.comb += [self.state_valid.eq(written), self.state_cell.eq(delay(m, cell, 5, "cell"))]
        self._outputs(m, of_gate & output, of_state)
        return m

    def _words(self, m):
        """The states; that of the cell of ``early_tag``, two cycles later."""
        m.submodules.states = states = Memory(shape=unsigned(16), depth=MOST_CELLS, init=[],
                                              attrs={"no_rw_check": 1})
        write, read = states.write_port(), UncheckedRead.of(m, states)
        m.d.comb += [
            write.en.eq(self.load | self.state_valid),
            write.addr.eq(Mux(self.load, self.load_cell, self.state_cell)),
            write.data.eq(Mux(self.load, self.load_value, self.state)),
            read.addr.eq(Mux(self.peek, self.peek_cell, self.early_tag.cell)), read.en.eq(1),
        ]
        m.d.sync += self.peeked.eq(read.data)
        return self.peeked

    def _outputs(self, m, of_gate, of_state):
        """Output gates, until the function of their cell's state comes."""
        m.submodules.outputs = outputs = Memory(shape=unsigned(16), depth=KEPT, init=[])
        write, read = outputs.write_port(), outputs.read_port(domain="comb")
        output = Signal(signed(16), reset_less=True)
        m.d.comb += [
            write.en.eq(of_gate), write.addr.eq(self.tag.cell), write.data.eq(self.value),
            read.addr.eq(self.early_tag.cell),
        ]
        m.d.sync += output.eq(read.data)
        m.d.sync += self.product.eq(self._product(m, "output", delay(m, output, 1, "output"),
                                                  self.value))
        valid = of_state
        for cycle in range(3):
            later = Signal(name=f"product_valid_{cycle}")
            m.d.sync += later.eq(valid)
            valid = later
        m.d.comb += [self.product_valid.eq(valid),
                     self.product_cell.eq(delay(m, self.tag.cell, 3, "product_cell"))]

    def _product(self, m, name, a, b):
        """a * b, two cycles later."""
        m.submodules[f"{name}_product"] = block = self._wide()
        m.d.comb += [block.enable.eq(1), block.a.eq(a), block.b.eq(b)]
        return block.p[:32].as_signed()


def _divided(value, place):
    """``value`` / 2^``place``, rounded half away from zero."""
    return ((value + ((1 << place - 1) - 1) + ~value[-1]) >> place)[:17].as_signed()
