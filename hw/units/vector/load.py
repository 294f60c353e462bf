"""Data that the vector unit reads from device memory: elements of loads, and programs."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import read_port
from kaniwa.hw.parts.adders import wire
from kaniwa.units.vector.isa import STORE_INSTRUCTIONS, VECTOR_BYTES, Width, piece_of

__all__ = ["VectorLoad", "row_step", "units_of"]

BYTES = {Width.INT8: 1, Width.INT16: 2, Width.INT32: 4}
# Beyond the widths: an element of 4 bytes for all lanes, an instruction, pieces of rows.
EVERYWHERE, PROGRAM, ROWS = 3, 4, 5


def units_of(lanes: int, port_bytes: int) -> dict[Width, tuple[int, int]]:
    """Of each width: the bytes that go over the port at once, and how often for a group."""
    return {width: (min(lanes * size, port_bytes), max(1, lanes * size // port_bytes))
            for width, size in BYTES.items()}


def row_step(row, lanes: int, last, pitch, back):
    """What is added to the address of a row's piece for the next one, of ``lanes`` of which the
    ``last`` rows differ."""
    return Mux(row == lanes - 1, back, Mux(row + 1 < last, pitch, 0))


class VectorLoad(Component):
    """Reads ``count`` items from ``address`` on: groups of elements, single ones, instructions, or
    pieces of rows, one for each lane.

    ``start`` takes kind (Width, EVERYWHERE, PROGRAM, ROWS), address, count, lanes of the last group
    (``last``) and ``place``, where the first goes. A word is requested for each unit of it, so
    every response is one write, two cycles after it, and no response has to wait. ``busy`` from the
    cycle after ``start`` until the last write. Throughput: one unit a cycle.

    A lane writes an element of its piece of a row in each cycle, from the third one behind the
    response on; so the next piece may come when all lanes have had theirs.

    ``mask`` says which lanes write ``lane_data`` to word ``place`` of theirs.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        lanes = config.requant_lanes
        super().__init__({
            "start": In(1), "kind": In(3), "address": In(32), "first_place": In(10),
            "count": In(range(STORE_INSTRUCTIONS + 1)), "last": In(range(lanes + 1)),
            "whole_last": In(1),
            "busy": Out(1),
            "memory": Out(read_port(config)),
            "lane_data": Out(data.ArrayLayout(signed(32), lanes)),
            "mask": Out(lanes), "place": Out(data.ArrayLayout(10, lanes)),
            "pitch": In(signed(32)), "back": In(signed(32)),
            "instruction": Out(8 * VECTOR_BYTES), "instruction_valid": Out(1),
            "instruction_place": Out(10),
        })

    def elaborate(self, platform):
        m = Module()
        kind = Signal(3)
        with m.If(self.start):
            m.d.sync += kind.eq(self.kind)
        asking = self._request(m, kind)
        waiting = self._respond(m, kind)
        m.d.comb += self.busy.eq(asking | waiting)
        return m

    def _steps(self):
        """The unit in bytes and the units of an item, by kind."""
        steps = dict(units_of(self._config.requant_lanes, self._config.read_bytes))
        lanes = self._config.requant_lanes
        return steps | {EVERYWHERE: (4, 1), PROGRAM: (VECTOR_BYTES, 1),
                        ROWS: (piece_of(lanes), lanes)}

    def _chosen(self, m, kind, what):
        """A number by kind."""
        value = Signal(range(max(what.values()) + 1))
        with m.Switch(kind):
            for number, constant in what.items():
                with m.Case(number):
                    m.d.comb += value.eq(constant)
        return value

    def _aligned(self, m):
        """The bits of an address in a word that count, by the kind that begins."""
        return self._chosen(m, self.kind, {
            k: self._config.read_bytes - min(size, self._config.read_bytes)
            for k, (size, _) in self._steps().items()})

    def _request(self, m, kind):
        """A request for each unit; 1 while there are some to be made."""
        steps = self._steps()
        step = self._chosen(m, kind, {k: size for k, (size, _) in steps.items()})
        beats = self._chosen(m, kind, {k: count - 1 for k, (_, count) in steps.items()})
        address = Signal(32, reset_less=True)
        left = Signal.like(self.count)      # items after the one being requested
        beat = Signal.like(beats)
        asking = Signal()
        low = exact_log2(self._config.read_bytes)
        m.d.comb += [
            self.memory.request.valid.eq(asking),
            self.memory.request.payload.eq(Cat(C(0, low), address[low:])),
        ]
        between = self._between(kind == ROWS, beat, step)
        with m.If(asking & self.memory.request.ready):
            m.d.sync += [address.eq(address + between), beat.eq(beat + 1)]
            with m.If(beat == beats):
                m.d.sync += [beat.eq(0), left.eq(left - 1), asking.eq(left != 0)]
        with m.If(self.start):
            m.d.sync += [address.eq(self.address), left.eq(self.count - 1), asking.eq(1),
                         beat.eq(0)]
        return asking

    def _between(self, is_rows, beat, step):
        """What is added to the address of a unit."""
        row = row_step(beat, self._config.requant_lanes, self.last, self.pitch, self.back)
        return Mux(is_rows, row, step)

    def _respond(self, m, kind):
        """Units taken out of the words that come; 1 until all are written."""
        config, lanes = self._config, self._config.requant_lanes
        steps = self._steps()
        # What follows from the kind is there long before the first word.
        step = self._known(m, self._chosen(m, kind, {k: size % config.read_bytes
                                                     for k, (size, _) in steps.items()}))
        beats = self._known(m, self._chosen(m, kind, {
            k: count - 1 for k, (_, count) in steps.items()}))
        everywhere, is_rows, is_program = (self._known(m, kind == number)
                                           for number in (EVERYWHERE, ROWS, PROGRAM))
        low = Signal(exact_log2(config.read_bytes), reset_less=True)
        left, beat = Signal.like(self.count), Signal.like(beats)
        place = Signal(10, reset_less=True)
        last = Signal.like(self.last, reset_less=True)
        whole_last = Signal(reset_less=True)
        waiting, written = Signal(), Signal()
        word = Signal(8 * config.read_bytes, reset_less=True)
        arrived = Signal()
        m.d.sync += [word.eq(self.memory.response.payload),
                     arrived.eq(self.memory.response.valid)]

        # The unit comes to the word's beginning. It is no longer than what it is shifted by.
        parts = [word[i:i + 8] for i in range(0, 8 * config.read_bytes, 8)]
        for bit in reversed(range(exact_log2(min(4, lanes)), len(low))):
            size = 1 << bit
            parts[:size] = [Mux(low[bit], parts[size + i], parts[i]) for i in range(size)]
        parts = [wire(m, part) for part in parts]
        first = Cat(parts[:4])
        # One element for all lanes is in every place of the unit.
        unit = Signal(8 * config.read_bytes, reset_less=True)
        taken = Signal()
        rows, writes, writing = self._rows(m, is_rows & taken, beat, unit)
        m.d.sync += [unit.eq(Mux(everywhere, first.replicate(config.read_bytes // 4), Cat(parts))),
                     taken.eq(arrived), written.eq(taken | writing)]
        m.d.comb += self.instruction.eq(unit[:8 * VECTOR_BYTES])
        is_word = wire(m, everywhere | (kind == Width.INT32))
        is_byte = (kind == Width.INT8) | is_rows
        mask = Signal(lanes)
        for lane in range(lanes):
            byte, half, whole = (
                unit[8 * size * (lane % min(lanes, config.read_bytes // size)):][:8 * size]
                for size in (1, 2, 4))
            byte = wire(m, Mux(is_rows, rows[lane], byte))
            sign = wire(m, Mux(is_byte, byte[7], half[15]))
            m.d.sync += self.lane_data[lane].eq(Cat(
                Mux(is_word, whole[:8], Mux(is_byte, byte, half[:8])),
                Mux(is_word, whole[8:16], Mux(is_byte, sign.replicate(8), half[8:])),
                Mux(is_word, whole[16:], sign.replicate(16))).as_signed())
            with m.Switch(kind):
                for width, size in BYTES.items():
                    with m.Case(width):
                        m.d.comb += mask[lane].eq(
                            beat == lane // min(lanes, config.read_bytes // size))
                with m.Case(ROWS):
                    pass
                with m.Default():
                    m.d.comb += mask[lane].eq(1)
        m.d.comb += [self.instruction_valid.eq(taken & is_program),
                     self.instruction_place.eq(place)]
        # The row that a word belongs to comes a cycle before ``beat``.
        row = Signal.like(beat)
        with m.If(arrived):
            m.d.sync += [low.eq(low + self._between(is_rows, row, step)), row.eq(row + 1)]
            with m.If(row == beats):
                m.d.sync += row.eq(0)
        with m.If(taken):
            m.d.sync += beat.eq(beat + 1)
            with m.If(beat == beats):
                m.d.sync += [beat.eq(0), left.eq(left - 1), place.eq(place + 1),
                             waiting.eq(left != 0)]
        within = [whole_last | (left != 0) | (lane < last) for lane in range(lanes)]
        strobes = (mask & (taken & ~is_program).replicate(lanes)) | writes
        m.d.sync += self.mask.eq(strobes & (Cat(within) | writes))
        for lane in range(lanes):
            own = Signal(10, name=f"own_{lane}", reset_less=True)   # the next word
            m.d.sync += self.place[lane].eq(own)
            with m.If(strobes[lane]):
                m.d.sync += own.eq(own + 1)
            with m.If(self.start):
                m.d.sync += own.eq(self.first_place)
        with m.If(self.start):
            # An address is taken down to a multiple of the unit.
            m.d.sync += [low.eq(self.address[:len(low)] & self._aligned(m)),
                         left.eq(self.count - 1), beat.eq(0), row.eq(0),
                         place.eq(self.first_place), last.eq(self.last),
                         whole_last.eq(self.whole_last), waiting.eq(1)]
        return waiting | written | writing

    def _known(self, m, value):
        """``value``, a cycle later."""
        known = Signal(value.shape(), reset_less=True)
        m.d.sync += known.eq(value)
        return known

    def _rows(self, m, begins, beat, unit):
        """The byte of its piece that each lane writes, which lanes do, and whether any does.

        ``begins``: a lane's piece is there, that of lane ``beat``.
        """
        lanes, piece = self._config.requant_lanes, piece_of(self._config.requant_lanes)
        writes, writing, found = Signal(lanes), Signal(), []
        go_on = Signal(lanes)
        for lane in range(lanes):
            held = Signal(8 * piece, name=f"piece_{lane}", reset_less=True)
            left = Signal(range(piece + 1), name=f"left_{lane}")
            m.d.comb += [writes[lane].eq(left != 0), go_on[lane].eq(left > 1)]
            with m.If(begins & (beat == lane)):
                m.d.sync += [held.eq(unit), left.eq(piece)]
            with m.Elif(left != 0):
                m.d.sync += [held.eq(held[8:]), left.eq(left - 1)]
            found.append(held[:8])
        m.d.sync += writing.eq(begins | go_on.any())
        return found, writes, writing
