"""A ring of words in block RAM, written lane by lane and read at any place."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from kaniwa.hw.parts.unchecked_read import unchecked_memory
from kaniwa.hw.signatures import ring_reader

__all__ = ["RingMemory"]


class RingMemory(wiring.Component):
    """``words`` words (a power of two) of ``lanes`` lanes of ``shape``; lane 0 is written first.

    With ``given`` the input is a structure of that layout, a lane and a bit ``whole``: the word has
    this in each of its lanes, and is complete. It must be the word's first.

    Throughput: one lane in and one word out a cycle. What comes in is written in the next cycle,
    for the blocks of a ring lie far apart. ``read_data`` (of ``read_shape``) is valid
    one cycle after ``reader.enable`` and holds until the next read. ``reader.index`` is a word's
    place in the ring. One write and one read port; a word is never read while it is written.

    ``written`` counts complete words since reset modulo 2 * words; a word may be read from the
    cycle in which it is counted. ``release`` gives back the ``release_count`` oldest words, which
    must have been counted; the last read of them may be in the same cycle. There is room for others
    two cycles later.
    """

    def __init__(self, shape, lanes: int, words: int, read_shape, given=None):
        self._shape, self._lanes, self._words = shape, lanes, words
        self._has_whole = given is not None
        super().__init__({
            "i": In(stream.Signature(given if given is not None else shape)),
            "reader": In(ring_reader(words)),
            "read_data": Out(read_shape),
        })

    def elaborate(self, platform):
        m = Module()
        reader = self.reader
        used = Signal(range(self._words + 1))  # words complete and not released
        lane = Signal(range(self._lanes))
        accepted = self.i.valid & self.i.ready
        completed, whole = Signal(), Signal()
        lane_given = Signal(self._shape)
        width = Shape.cast(self._shape).width
        m.d.comb += Value.cast(lane_given).eq(Value.cast(self.i.payload)[:width])
        if self._has_whole:
            m.d.comb += whole.eq(self.i.payload.whole)
        released = Signal.like(reader.release_count)
        m.d.comb += [
            self.i.ready.eq(~used[-1]),   # it counts to the power of two that ``words`` is
            completed.eq(accepted & (whole | (lane == self._lanes - 1))),
        ]
        with m.If(accepted):
            m.d.sync += lane.eq(Mux(completed, 0, lane + 1))
        m.d.sync += [
            released.eq(Mux(reader.release, reader.release_count, 0)),
            used.eq(used + completed - released),
        ]

        # The write in the next cycle.
        payload = Signal.like(lane_given, reset_less=True)
        enables = Signal(self._lanes)
        completes = Signal()
        m.d.sync += [
            payload.eq(lane_given),
            enables.eq(Mux(accepted, Mux(whole, -1, 1 << lane), 0)),
            completes.eq(completed),
            reader.written.eq(reader.written + completes),
        ]

        # A memory a lane. Reads and writes never meet, so what a meeting gives does not matter.
        words = []
        for n in range(self._lanes):
            write, read = unchecked_memory(m, f"lane_{n}", unsigned(width), self._words)
            words.append(read.data)
            m.d.comb += [
                write.addr.eq(reader.written[:-1]),
                write.data.eq(payload),
                write.en.eq(enables[n]),
                read.addr.eq(reader.index),
                read.en.eq(reader.enable),
            ]
        m.d.comb += Value.cast(self.read_data).eq(Cat(words))
        return m
