"""From the sums of a recurrent cell's gates to its state and its hidden state, in a pipeline."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from kaniwa.hw.multiplier.plain import WideProduct, delay
from kaniwa.hw.parts.unchecked_read import UncheckedRead
from kaniwa.hw.units.cell import function as cell_function
from kaniwa.hw.units.cell.fetch import FRAMES
from kaniwa.hw.units.cell.fields import fields_layout
from kaniwa.hw.units.cell.function import CellFunction
from kaniwa.hw.units.cell.products import sums_layout
from kaniwa.hw.units.cell.rescale import CellRescale
from kaniwa.hw.units.cell.state import KEPT, CellState, function_tag
from kaniwa.units.cell.isa import GATES, MOST_CELLS, POWERS

__all__ = ["CellGates", "PAIRS"]

PAIRS = cell_function.BLOCKS + 2   # pairs of multiplier blocks, which share b
FRAME = len(GATES) + 1             # cycles that the sums of a frame take
PRODUCTS = 4                       # that wait for their rescaling: one comes each FRAME, give or
                                   # take as many cycles, and one goes
UPDATE = GATES.index("cell")       # the gate with tanh
# An output gate is kept while its cell's state is made, waits for its turn, and is in the function.
assert cell_function.LATENCY + 2 * FRAME + FRAME <= KEPT * FRAME


def _sum_tag() -> data.StructLayout:
    """Whose sum it is: of a gate, with the input or (``hidden``) the hidden state, or a cell's
    ``result``."""
    return data.StructLayout({"result": unsigned(1), "hidden": unsigned(1), "gate": unsigned(2),
                              "cell": range(MOST_CELLS)})


class CellGates(Component):
    """Takes the ``sums`` of frames (``done``), FRAMES of them at most that ``frame_done`` has not
    told to have left; ``hidden`` is the new hidden state of ``hidden_cell``.

    From ``start`` on the frames of all cells with the input, and those with the hidden state, take
    turns. A frame takes four cycles in a row of each pipeline, and in a fifth one, which frames
    with the input have where it is in use, there is room for a state's function, and for a result's
    rescaling. ``load*``, ``peek*``: those of ``CellState``.
    ``block_*``: pairs of multiplier blocks of latency 2.
    """

    def __init__(self, wide=WideProduct):
        self._state = CellState(wide)
        super().__init__({
            "start": In(1), "fields": In(fields_layout()),
            "done": In(1), "sums": In(sums_layout()), "frame_done": Out(1),
            "hidden_valid": Out(1), "hidden_cell": Out(range(MOST_CELLS)), "hidden": Out(signed(8)),
            **{name: member for name, member in self._state.signature.members.items()
               if name.startswith(("load", "peek"))},
            "block_a": Out(data.ArrayLayout(signed(18), 2 * PAIRS)),
            "block_b": Out(data.ArrayLayout(signed(18), PAIRS)),
            "block_p": In(data.ArrayLayout(signed(36), 2 * PAIRS)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.rescale = rescale = CellRescale(_sum_tag())
        m.submodules.function = function = CellFunction(function_tag())
        m.submodules.state = state = self._state
        self._blocks(m, function, rescale)
        self._begin(m, rescale, state)
        self._between(m, rescale, function, state)
        m.d.comb += [
            state.valid.eq(function.o_valid), state.value.eq(function.o_value),
            state.tag.eq(function.o_tag), state.early_tag.eq(function.early_tag),
            state.admit_shift.eq(self.fields.admit_shift), state.clip.eq(self.fields.clip),
            state.load.eq(self.load), state.load_cell.eq(self.load_cell),
            state.load_value.eq(self.load_value), state.peek.eq(self.peek),
            state.peek_cell.eq(self.peek_cell), self.peeked.eq(state.peeked),
        ]

        # What is rescaled, and the zero point.
        moved = Signal(signed(33), reset_less=True)
        m.d.sync += [moved.eq(rescale.o_value + self.fields.output_zero),
                     self.hidden.eq(_limited(moved, 8))]
        valid = Signal()
        m.d.sync += [valid.eq(rescale.o_valid & rescale.o_tag.result), self.hidden_valid.eq(valid),
                     self.hidden_cell.eq(delay(m, rescale.o_tag.cell, 1, "hidden_cell"))]
        return m

    def _blocks(self, m, function, rescale):
        """The function has the first block of a pair each, the rescaling two whole pairs."""
        for block in range(cell_function.BLOCKS):
            m.d.comb += [self.block_a[2 * block].eq(function.block_a[block]),
                         self.block_b[block].eq(function.block_b[block]),
                         function.block_p[block].eq(self.block_p[2 * block])]
        for block in range(4):
            place = 2 * cell_function.BLOCKS + block
            m.d.comb += [self.block_a[place].eq(rescale.block_a[block]),
                         rescale.block_p[block].eq(self.block_p[place])]
        for pair in range(2):
            m.d.comb += self.block_b[cell_function.BLOCKS + pair].eq(rescale.block_b[pair])

    def _begin(self, m, rescale, state):
        """Sums of frames, or a cell's o * tanh(c) between them, into the rescaling."""
        f = self.fields
        m.submodules.queue = queue = SyncFIFOBuffered(width=len(Value.cast(self.sums)),
                                                      depth=FRAMES)
        sums = Signal(sums_layout())
        slot = Signal(range(FRAME))
        hidden, cell = Signal(), Signal(range(MOST_CELLS))
        m.d.comb += [queue.w_data.eq(self.sums), queue.w_en.eq(self.done), sums.eq(queue.r_data),
                     queue.r_en.eq(self.frame_done)]
        with m.If(self.frame_done):
            m.d.sync += [slot.eq(0), cell.eq(cell + 1)]
            with m.If(cell == f.cells - 1):
                m.d.sync += [cell.eq(0), hidden.eq(~hidden)]
        with m.Elif(queue.r_rdy):
            m.d.sync += slot.eq(slot + 1)
        with m.If(self.start):
            m.d.sync += [cell.eq(0), hidden.eq(0)]

        # States' functions may come closer together than the turns of their products.
        m.submodules.products = products = SyncFIFOBuffered(
            width=len(state.product) + len(state.product_cell), depth=PRODUCTS)
        of_gate, product, product_cell = Signal(), Signal(signed(32)), Signal(range(MOST_CELLS))
        # A frame of the input leaves out the turn of a product that is not there.
        between = slot == FRAME - 1
        m.d.comb += [
            self.frame_done.eq(between | ((slot == FRAME - 2) & ~hidden & ~products.r_rdy)),
            of_gate.eq(queue.r_rdy & ~between), products.w_en.eq(state.product_valid),
            products.w_data.eq(Cat(state.product, state.product_cell)),
            Cat(product, product_cell).eq(products.r_data), products.r_en.eq(~of_gate),
        ]

        values, tag = Signal(signed(32), reset_less=True), Signal(_sum_tag(), reset_less=True)
        valid = Signal()
        m.d.sync += [
            valid.eq(of_gate | products.r_rdy),
            values.eq(Mux(of_gate, sums[slot[:2]], product)),
            tag.result.eq(~of_gate), tag.hidden.eq(hidden), tag.gate.eq(slot),
            tag.cell.eq(Mux(of_gate, cell, product_cell)),
        ]
        names = [f"{what}_{gate}" for what in ("input", "hidden") for gate in GATES]
        place = Cat(slot[:2], hidden)
        for port, what in ((rescale.multiplier, "multiplier"), (rescale.shift, "shift")):
            chosen = Signal.like(port, name=what, reset_less=True)
            m.d.sync += chosen.eq(Mux(of_gate, Array(f[f"{what}_{name}"] for name in names)[place],
                                      f[f"{what}_output"]))
            m.d.comb += port.eq(chosen)
        m.d.comb += [rescale.valid.eq(valid), rescale.value.eq(values), rescale.tag.eq(tag)]

    def _between(self, m, rescale, function, state):
        """A gate's two sums, kept and added, or a cell's state between them, into the function."""
        m.submodules.kept = kept = Memory(shape=unsigned(16), depth=len(GATES) * MOST_CELLS,
                                          init=[], attrs={"no_rw_check": 1})
        write, read = kept.write_port(), UncheckedRead.of(m, kept)
        tag, early = rescale.o_tag, rescale.early_tag
        before = Signal(signed(16), reset_less=True)
        m.d.comb += [
            write.en.eq(rescale.o_valid & ~tag.result & ~tag.hidden),
            write.addr.eq(Cat(tag.gate, tag.cell)), write.data.eq(_limited(rescale.o_value, 16)),
            read.addr.eq(Cat(early.gate, early.cell)), read.en.eq(1),
        ]
        m.d.sync += before.eq(read.data)
        total = Signal(signed(33), reset_less=True)
        is_gate, gate = Signal(), Signal(_sum_tag(), reset_less=True)
        m.d.sync += [total.eq(rescale.o_value + before), gate.eq(tag),
                     is_gate.eq(rescale.o_valid & ~tag.result & tag.hidden)]

        waiting = Signal()             # a state that has not been taken yet
        value = Signal(signed(16), reset_less=True)
        cell = Signal(range(MOST_CELLS), reset_less=True)
        taken = Signal()
        m.d.comb += taken.eq(waiting & ~is_gate)
        m.d.sync += waiting.eq(state.state_valid | (waiting & ~taken))
        with m.If(state.state_valid):
            m.d.sync += [value.eq(state.state), cell.eq(state.state_cell)]

        # In Q3.12 two bits less behind the point than the exponential's argument, three for tanh.
        update = gate.gate == UPDATE
        argument, valid = Signal(signed(16), reset_less=True), Signal()
        tanh, left = Signal(reset_less=True), Signal(3, reset_less=True)
        whose = Signal(function_tag(), reset_less=True)
        m.d.sync += [
            valid.eq(is_gate | taken),
            argument.eq(Mux(is_gate, _limited(total, 16), value)),
            tanh.eq(~is_gate | update),
            left.eq(Mux(is_gate, Cat(update, 1), self.fields.admit_shift - POWERS[0])),
            whose.state.eq(~is_gate), whose.gate.eq(gate.gate),
            whose.cell.eq(Mux(is_gate, gate.cell, cell)),
        ]
        m.d.comb += [function.valid.eq(valid), function.value.eq(argument), function.tanh.eq(tanh),
                     function.left.eq(left), function.tag.eq(whose)]


def _limited(value, bits):
    """``value`` limited to so many bits."""
    over = (value[bits - 1:-1] ^ value[-1].replicate(len(value) - bits)).any()
    return Cat(Mux(over, (~value[-1]).replicate(bits - 1), value[:bits - 1]),
               value[-1]).as_signed()
