"""Data that the vector unit writes to device memory: results, packed into pieces of a word."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import write_port
from kaniwa.hw.units.vector.load import BYTES, row_step
from kaniwa.units.vector.isa import Width, piece_of

__all__ = ["VectorStore", "queue_depth"]


def queue_depth(lanes: int) -> int:
    """Pieces that the queue holds, and that may be on their way to it: four groups of words."""
    return max(32, 4 * lanes)


class VectorStore(Component):
    """Packs groups of elements, already limited to their width, into pieces, and writes these.

    ``start``, while it is not ``busy``: groups to ``address``, of ``kind`` (Width) or as ``rows``:
    a lane's bytes one behind the other, ``pitch`` apart, those of the ``last`` lanes only.
    ``count`` groups, of the last of which ``last`` elements are written. The first group begins
    with ``start``, others with ``issue``, and not while ``pause`` is 1. Its results are in
    ``lane_data`` from the cycle behind ``capture`` on, for two cycles; those of a group of several
    pieces, until all are taken.

    Pieces wait in a queue, in which there is room for all that have begun. The room of one that
    leaves counts a slot later. ``busy`` until memory has accepted the last one.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        lanes = config.requant_lanes
        super().__init__({
            "start": In(1), "kind": In(2), "rows": In(1), "address": In(32),
            "count": In(range(65)), "last": In(range(lanes + 1)),
            "pitch": In(signed(32)), "back": In(signed(32)),
            "slot": In(1), "issue": In(1), "pause": Out(1),
            "capture": In(1), "lane_data": In(data.ArrayLayout(signed(32), lanes)),
            "narrow": Out(1), "byte": Out(1),
            "busy": Out(1),
            "memory": Out(write_port(config)),
        })

    def elaborate(self, platform):
        m = Module()
        lanes = self._config.requant_lanes
        self._piece = piece = piece_of(lanes)
        # Pieces of a group, or for rows of as many groups as a piece has bytes.
        self._pieces = {width: lanes * size // piece for width, size in BYTES.items()}
        # While nothing is stored, what comes is taken in each cycle: ``start`` comes late in its.
        kind, rows = Signal(2, reset_less=True), Signal(reset_less=True)
        with m.If(~self.busy):
            m.d.sync += [kind.eq(self.kind), rows.eq(self.rows)]
        self._started = started = Signal()
        m.d.sync += started.eq(self.start)
        m.d.comb += [self.narrow.eq(kind != Width.INT32), self.byte.eq(kind == Width.INT8)]
        pieces = self._by_kind(m, kind, rows, {w: n - 1 for w, n in self._pieces.items()},
                               lanes - 1)
        push, word = self._put_together(m, kind, rows, pieces)
        popped = self._write(m, kind, rows, pieces, push, word)
        self._reserve(m, kind, rows, popped)
        return m

    def _by_kind(self, m, kind, rows, numbers, of_rows):
        """A number for each width, or for rows."""
        found = Signal(range(max(2, of_rows + 1, *(n + 1 for n in numbers.values()))))
        with m.If(rows):
            m.d.comb += found.eq(of_rows)
        with m.Else(), m.Switch(kind):
            for width, number in numbers.items():
                with m.Case(width):
                    m.d.comb += found.eq(number)
        return found

    def _reserve(self, m, kind, rows, popped):
        """``pause``, where the queue has no room, or its pieces need more time.

        Groups begin in slots, and ``pause`` is asked in slots only. So it is a flip-flop that is
        set in the cycle between two of them, from what has begun in the slot before.
        """
        lanes, piece = self._config.requant_lanes, self._piece
        depth = queue_depth(lanes)
        need = self._by_kind(m, kind, rows, self._pieces, lanes)
        slots = self._by_kind(m, kind, rows, {w: -(-n // 2) - 1 for w, n in self._pieces.items()},
                              max(0, lanes // 2 - piece))
        started, issued = self._started, Signal()
        m.d.sync += issued.eq(self.issue)
        reserved, part = Signal(range(depth + 1)), Signal(range(piece))
        wait, next_wait = Signal.like(slots), Signal.like(slots)
        # ``part``: groups of a piece that have begun. A piece begins with the first of them.
        next_part = Signal.like(part)
        begins = started | (issued & (part == 0))
        with m.If(started | issued):
            m.d.comb += next_part.eq(Mux(rows, Mux(started, 0, part) + 1, 0))
        with m.Else():
            m.d.comb += next_part.eq(part)
        with m.If(begins):
            m.d.comb += next_wait.eq(slots)
        with m.Elif((part == 0) & (wait != 0)):
            m.d.comb += next_wait.eq(wait - 1)
        with m.Else():
            m.d.comb += next_wait.eq(wait)
        full = reserved > depth - Mux(begins, need << 1, need)
        with m.If(~self.slot):
            m.d.sync += [
                part.eq(next_part), wait.eq(next_wait),
                self.pause.eq((next_part == 0) & ((next_wait != 0) | full)),
            ]
        m.d.sync += reserved.eq(reserved + Mux(begins & ~self.slot, need, 0) - popped)

    def _put_together(self, m, kind, rows, pieces):
        """A piece in each cycle in which there is one."""
        lanes, piece = self._config.requant_lanes, self._piece
        arrived, part = Signal(), Signal(range(piece))
        beat = Signal.like(pieces)
        m.d.sync += arrived.eq(self.capture)
        with m.If(self._started):
            m.d.sync += part.eq(0)
        with m.Elif(arrived):
            m.d.sync += part.eq(part + 1)
        push = (arrived & (~rows | (part == piece - 1))) | (beat != 0)
        with m.If(push):
            m.d.sync += beat.eq(Mux(beat == pieces, 0, beat + 1))
        # Which form a piece has comes from a flip-flop: the choice among them is long already.
        choice = Signal(range(sum(self._pieces.values()) + lanes))
        first = Signal.like(choice)
        m.d.comb += first.eq(self._first_form(kind, rows))
        with m.If(self._started | (push & (beat == pieces))):
            m.d.sync += choice.eq(first)
        with m.Elif(push):
            m.d.sync += choice.eq(choice + 1)
        # A lane's bytes move on in each slot; those of lane 2 n are sent after n more of them.
        forms = []
        for lane in range(lanes):
            older = Signal(8 * (piece - 1 + lane // 2), name=f"older_{lane}", reset_less=True)
            line = Cat(self.lane_data[lane][:8], older)
            with m.If(self.slot):
                m.d.sync += older.eq(line[:len(older)])
            bytes_of = [line[8 * n:8 * n + 8] for n in range(piece + lane // 2)]
            forms.append(Cat(reversed(bytes_of[lane // 2:])))
        for width, size in BYTES.items():
            every = Cat(self.lane_data[n][:8 * size] for n in range(lanes))
            forms.extend(every[8 * piece * n:8 * piece * (n + 1)]
                         for n in range(self._pieces[width]))
        return push, Array(forms)[choice]

    def _first_form(self, kind, rows):
        """The number of the first form of a piece: those of rows come first, then each width's."""
        number, numbers = self._config.requant_lanes, {}
        for width in BYTES:
            numbers[width] = number
            number += self._pieces[width]
        widths = Array(C(numbers.get(width, 0), range(number)) for width in range(4))
        return Mux(rows, 0, widths[kind])

    def _write(self, m, kind, rows, pieces, push, word):
        """Pieces from the queue to memory; 1 where one leaves the queue."""
        lanes, piece, size = self._config.requant_lanes, self._piece, self._config.write_bytes
        depth, low = queue_depth(lanes), exact_log2(size)
        m.submodules.queue = queue = Memory(shape=unsigned(8 * piece), depth=depth, init=[])
        write, read = queue.write_port(), queue.read_port(domain="comb")
        put, get = Signal(range(depth)), Signal(range(depth))
        level = Signal(range(depth + 1))
        request = self.memory.request
        free = ~request.valid | request.ready
        popped = free & (level != 0)
        m.d.comb += [write.addr.eq(put), write.data.eq(word), write.en.eq(push),
                     read.addr.eq(get)]
        m.d.sync += [put.eq(put + push), get.eq(get + popped), level.eq(level + push - popped)]

        address, beat = Signal(32, reset_less=True), Signal.like(pieces)
        # ``left``: groups behind the piece.
        left, last = Signal(7, reset_less=True), Signal.like(self.last, reset_less=True)
        running, is_last = Signal(), Signal()     # the last group, or the last ones of rows
        groups = Mux(rows, piece, 1)
        masks = Signal(piece)
        with m.If(rows):
            m.d.comb += masks.eq((beat < last).replicate(piece))
        with m.Else(), m.Switch(kind):
            for width, bytes_of in BYTES.items():
                with m.Case(width):
                    m.d.comb += masks.eq(Cat(
                        ~is_last | ((beat * piece + n) >> exact_log2(bytes_of) < last)
                        for n in range(piece)))
        places = range(size // piece)
        here = address[exact_log2(piece):low]
        mask = Cat(masks & (here == n).replicate(piece) for n in places) if len(places) > 1 else (
            masks)
        m.d.comb += self.busy.eq(running | request.valid)
        with m.If(free):
            m.d.sync += [
                request.valid.eq((level != 0) & masks.any()),
                request.payload.address.eq(Cat(C(0, low), address[low:])),
                request.payload.data.eq(read.data.replicate(len(places))),
                request.payload.mask.eq(mask),
            ]
        with m.If(popped):
            m.d.sync += [
                address.eq(address + Mux(
                    rows, row_step(beat, lanes, last, self.pitch, self.back), piece)),
                beat.eq(beat + 1),
            ]
            with m.If(beat == pieces):
                m.d.sync += [beat.eq(0), left.eq(left - groups), running.eq(~is_last),
                             is_last.eq(left == groups)]
        with m.If(~self.busy):
            m.d.sync += [
                address.eq(self.address), last.eq(self.last),
                left.eq(self.count - Mux(self.rows, piece, 1)),
                is_last.eq(self.count == Mux(self.rows, piece, 1)),
            ]
        with m.If(self.start):
            m.d.sync += running.eq(1)
        return popped
