"""The cell unit: a sequence of an integer LSTM, weights streamed, gates in a pipeline."""

from typing import NamedTuple

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import read_port, write_port
from kaniwa.hw.multiplier.plain import WideProduct, delay
from kaniwa.hw.units.cell.fetch import CellFetch
from kaniwa.hw.units.cell.fields import fields_layout, fields_of, illegal
from kaniwa.hw.units.cell.gates import PAIRS, CellGates
from kaniwa.hw.units.cell.operands import WAY, CellOperands
from kaniwa.hw.units.cell.products import CellProducts
from kaniwa.hw.units.cell.receive import CellReceive
from kaniwa.hw.units.cell.store import CellStore
from kaniwa.units.cell.isa import DESCRIPTOR_BYTES, MOST_CELLS, WORD_BYTES

__all__ = ["CellUnit"]


class _Parts(NamedTuple):
    """The blocks of a unit."""

    fetch: CellFetch
    receive: CellReceive
    operands: CellOperands
    products: CellProducts
    gates: CellGates
    store: CellStore


class CellUnit(Component):
    """Runs the sequence whose descriptor is at ``address``, from ``start`` on, which may come while
    it is ``idle``; that is 1 again when memory has accepted all that it stored.

    ``error``: the descriptor was illegal, and nothing has been done; it stays until the next start.
    ``read``, ``write``: device memory. Every response is taken at once. ``block_*``: PAIRS pairs of
    multiplier blocks of latency 2, enabled, those of a pair with the same b. ``wide``: what makes
    other products, with the ports and the latency of ``WideProduct``.
    """

    def __init__(self, config: AcceleratorConfig, wide=WideProduct):
        self._config, self._gates = config, CellGates(wide)
        super().__init__({
            "start": In(1), "address": In(32), "idle": Out(1), "error": Out(1),
            "read": Out(read_port(config)),
            "write": Out(write_port(config)),
            "block_a": Out(data.ArrayLayout(signed(18), 2 * PAIRS)),
            "block_b": Out(data.ArrayLayout(signed(18), PAIRS)),
            "block_p": In(data.ArrayLayout(signed(36), 2 * PAIRS)),
        })

    def elaborate(self, platform):
        m = Module()
        parts = _Parts(CellFetch(), CellReceive(), CellOperands(), CellProducts(), self._gates,
                       CellStore(self._config))
        for name, part in parts._asdict().items():
            m.submodules[name] = part
        fetch, receive, gates = parts.fetch, parts.receive, parts.gates
        connect(m, fetch.request, flipped(self.read.request))
        connect(m, parts.store.memory, flipped(self.write))

        word, valid = Signal(8 * WORD_BYTES, reset_less=True), Signal()
        m.d.sync += [word.eq(self.read.response.payload), valid.eq(self.read.response.valid)]
        fields = Signal(fields_layout())
        bits = Signal(8 * DESCRIPTOR_BYTES, reset_less=True)
        start, sequence = Signal(), Signal()    # the descriptor is legal; and it runs
        with m.If(valid & ~sequence):
            m.d.sync += bits.eq(Cat(bits[8 * WORD_BYTES:], word))
        m.d.comb += [
            Value.cast(fields).eq(Cat(fields_of(bits))),
            fetch.start.eq(start), fetch.fields.eq(fields), fetch.address.eq(self.address),
            fetch.frame_done.eq(gates.frame_done), fetch.room.eq(parts.store.room),
            receive.start.eq(start), receive.run.eq(sequence), receive.fields.eq(fields),
            receive.valid.eq(valid & sequence),
            gates.start.eq(start), gates.fields.eq(fields),
            self.block_a.eq(gates.block_a), self.block_b.eq(gates.block_b),
            gates.block_p.eq(self.block_p),
        ]
        self._sum(m, parts, word)
        self._load_states(m, parts, word)
        step_done = self._new_states(m, parts, fields, start)
        m.d.comb += fetch.step_done.eq(step_done)
        reading, cell, hidden, stored = self._store(m, parts, fields, start, step_done)

        received = Signal(range(DESCRIPTOR_BYTES // WORD_BYTES + 1))
        steps = Signal(16, reset_less=True)
        wrong = Signal(reset_less=True)
        m.d.sync += wrong.eq(illegal(fields))
        with m.If(step_done):
            m.d.sync += steps.eq(steps - 1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.idle.eq(1), fetch.describe.eq(self.start)]
                m.d.sync += [received.eq(0), sequence.eq(0)]
                with m.If(self.start):
                    m.d.sync += self.error.eq(0)
                    m.next = "DESCRIPTOR"
            with m.State("DESCRIPTOR"):
                with m.If(valid):
                    m.d.sync += received.eq(received + 1)
                with m.If(received == DESCRIPTOR_BYTES // WORD_BYTES):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += steps.eq(fields.steps)
                m.next = "DECIDE"
            with m.State("DECIDE"):
                with m.If(wrong):
                    m.d.sync += self.error.eq(1)
                    m.next = "IDLE"
                with m.Else():
                    m.d.comb += start.eq(1)
                    m.d.sync += sequence.eq(1)
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.sync += [cell.eq(0), hidden.eq(1)]
                with m.If(steps == 0):
                    m.next = "STORE"
            with m.State("STORE"):
                m.d.comb += reading.eq(parts.store.room)
                with m.If(reading):
                    m.d.sync += cell.eq(cell + 1)
                    with m.If(cell == fields.cells - 1):
                        m.d.sync += [cell.eq(0), hidden.eq(0)]
                        with m.If(~hidden):
                            m.next = "DRAIN"
            with m.State("DRAIN"):
                with m.If(stored & ~parts.store.busy):
                    m.next = "IDLE"
        return m

    def _sum(self, m, parts, word):
        """A word meets its operands WAY cycles later."""
        receive, operands, products, gates = (parts.receive, parts.operands, parts.products,
                                              parts.gates)
        arrived = receive.weights
        for cycle in range(WAY):
            later = Signal(name=f"arrived_{cycle}")
            m.d.sync += later.eq(arrived)
            arrived = later
        m.d.comb += [
            products.valid.eq(arrived), products.word.eq(delay(m, word, WAY, "word")),
            products.operands.eq(operands.operands),
            *(getattr(products, name).eq(delay(m, getattr(receive, name), WAY, name))
              for name in ("bias", "first", "last")),
            gates.done.eq(products.done), gates.sums.eq(products.sums),
            operands.load.eq(receive.load), operands.hidden.eq(receive.hidden),
            operands.load_place.eq(receive.load_place), operands.word.eq(word),
        ]

    def _load_states(self, m, parts, word):
        """A word of cell states, one after the other."""
        receive, gates = parts.receive, parts.gates
        most = WORD_BYTES // 2
        states = Signal(8 * WORD_BYTES, reset_less=True)
        left = Signal(range(most + 1))
        cell = Signal(range(MOST_CELLS))
        with m.If(receive.states):
            m.d.sync += [states.eq(word), left.eq(most)]
        with m.Elif(left != 0):
            m.d.sync += [states.eq(states >> 16), left.eq(left - 1), cell.eq(cell + 1)]
        with m.Elif(~receive.run):
            m.d.sync += cell.eq(0)
        m.d.comb += [
            parts.fetch.taken.eq(left == 1), gates.load.eq(left != 0), gates.load_cell.eq(cell),
            gates.load_value.eq(states[:16]),
        ]

    def _new_states(self, m, parts, fields, start):
        """New hidden states are operands of the next step; whether the last one of a step comes."""
        operands, gates = parts.operands, parts.gates
        half, done = Signal(), Signal()
        with m.If(start):
            m.d.sync += half.eq(1)
        with m.Elif(done):
            m.d.sync += half.eq(~half)
        m.d.comb += [
            done.eq(gates.hidden_valid & (gates.hidden_cell == fields.cells - 1)),
            operands.write.eq(gates.hidden_valid),
            operands.write_place.eq(Cat(gates.hidden_cell, half)),
            operands.element.eq(gates.hidden - fields.hidden_zero),
            operands.zero.eq(Mux(parts.receive.hidden, fields.hidden_zero, fields.input_zero)),
        ]
        return done

    def _store(self, m, parts, fields, start, step_done):
        """New hidden states go to the step's row; behind the last step what is ``reading`` of a
        ``cell``, its ``hidden`` state or its state, WAY cycles later. Those, and whether all that
        has been read is on its way."""
        receive, operands, gates, store = (parts.receive, parts.operands, parts.gates, parts.store)
        row = Signal(32, reset_less=True)
        with m.If(start):
            m.d.sync += row.eq(fields.output_address)
        with m.Elif(step_done):
            m.d.sync += row.eq(row + fields.output_pitch)

        reading, cell, hidden = Signal(), Signal(range(MOST_CELLS)), Signal()
        stored, waits = reading, reading
        for cycle in range(WAY):
            later = Signal(name=f"stored_{cycle}")
            m.d.sync += later.eq(stored)
            stored, waits = later, waits | later
        place = delay(m, cell, WAY, "stored_cell")
        ends = delay(m, cell == fields.cells - 1, WAY, "ends")
        peeked = delay(m, gates.peeked, WAY - 2, "peeked")
        of_hidden = delay(m, hidden, WAY, "of_hidden")
        element = Signal(signed(8))
        m.d.comb += [
            gates.peek.eq(reading), gates.peek_cell.eq(cell),
            operands.of_hidden.eq(reading | receive.of_hidden),
            operands.place.eq(Mux(reading, Cat(cell[2:], receive.half), receive.place)),
            element.eq(operands.operands[place[:2]] + fields.hidden_zero),
        ]
        with m.If(stored):
            m.d.comb += [
                store.valid.eq(1), store.wide.eq(~of_hidden),
                store.value.eq(Mux(of_hidden, element, peeked)),
                store.first.eq(place == 0), store.last.eq(ends),
                store.address.eq(Mux(of_hidden, fields.last_hidden, fields.last_cell)),
            ]
        with m.Else():
            m.d.comb += [
                store.valid.eq(gates.hidden_valid), store.value.eq(gates.hidden),
                store.first.eq(gates.hidden_cell == 0), store.last.eq(step_done),
                store.address.eq(row),
            ]
        return reading, cell, hidden, ~waits
