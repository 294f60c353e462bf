"""Samples as they arrive: through the table, checked for their frame, packed into words."""

from amaranth import *
from amaranth.lib import data, memory, stream
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.bus.signatures import axi_stream
from kaniwa.hw.parts.stream_buffer import StreamBuffer
from kaniwa.hw.parts.unchecked_read import UncheckedRead
from kaniwa.hw.sensor.layouts import frame_word_layout, size_bits

__all__ = ["SampleInput"]


class SampleInput(Component):
    """Packs frames of ``length`` samples into ``words``; the first byte goes to ``first_lane``.

    A frame ends with ``tlast``, or with ``count`` behind ``length`` samples. One that ends too
    ``early`` or too ``late`` is void: a word that is ``bad`` says so, and what is left of the frame
    is dropped. While there is no room, samples wait; with ``skip`` they never do, and a frame
    without room for one of them is ``missed`` in the same way. ``dropped``, with the number of
    ``dropped_samples``: those that came to nothing. All four are 1 for a cycle.
    With ``use_table`` a sample is an index of the table, which ``table_write`` changes.
    Throughput: a sample a cycle. Latency: 3 cycles from a word's last sample. ``open`` is a
    flip-flop: no sample is taken while it is 0. Settings change only while this block is reset.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        bits = size_bits(config)
        super().__init__({
            "sample": In(axi_stream(8)),
            "open": In(1),
            "length": In(bits),
            "first_lane": In(range(config.write_bytes)),
            "use_table": In(1),
            "count": In(1),
            "skip": In(1),
            "table_write": In(1),
            "table_index": In(8),
            "table_value": In(8),
            "words": Out(stream.Signature(frame_word_layout(config))),
            "early": Out(1),
            "late": Out(1),
            "missed": Out(1),
            "dropped": Out(1),
            "dropped_samples": Out(bits),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.arrive = arrive = StreamBuffer(data.StructLayout({"value": 8, "last": 1}))
        m.d.comb += [
            arrive.i.valid.eq(self.sample.tvalid & self.open),
            arrive.i.payload.value.eq(self.sample.tdata),
            arrive.i.payload.last.eq(self.sample.tlast),
            self.sample.tready.eq(arrive.i.ready & self.open),
        ]
        m.submodules.table = table = memory.Memory(
            shape=unsigned(8), depth=256, init=[], attrs={"no_rw_check": 1})
        write, looked_up = table.write_port(), UncheckedRead.of(m, table)
        has, consume = Signal(), Signal()   # the sample behind the table; it goes
        plain, last = Signal(8, reset_less=True), Signal(reset_less=True)
        moves = ~has | consume
        m.d.comb += [
            write.addr.eq(self.table_index),
            write.data.eq(self.table_value),
            write.en.eq(self.table_write),
            looked_up.addr.eq(arrive.o.payload.value),
            looked_up.en.eq(moves),
            arrive.o.ready.eq(moves),
        ]
        with m.If(moves):
            m.d.sync += [has.eq(arrive.o.valid), plain.eq(arrive.o.payload.value),
                         last.eq(arrive.o.payload.last)]
        self._pack(m, has, Mux(self.use_table, looked_up.data, plain), last, consume)
        return m

    def _pack(self, m, has, value, last, consume):
        """Put samples into the word, and watch where their frame ends."""
        write_bytes = self._config.write_bytes
        position, last_position = Signal(size_bits(self._config)), Signal.like(self.length)
        m.d.sync += last_position.eq(self.length - 1)
        lane, begins = Signal(range(write_bytes)), Signal(init=1)
        here = Mux(begins, self.first_lane, lane)
        full = Signal()       # the word is whole, and waits to be taken
        void = Signal()       # of the frame being taken samples are dropped to its end
        owes = Signal()       # a frame that was missed has had words, and is not yet called bad
        room = ~full | self.words.ready
        at_end = position == last_position
        ends = Mux(self.count, at_end, last)
        takes, misses = Signal(), Signal()
        m.d.comb += [
            takes.eq(has & ~void & room & ~owes),
            misses.eq(has & ~void & ~(room & ~owes) & self.skip),
            consume.eq(takes | misses | (has & void)),
            self.early.eq(takes & ends & ~at_end),
            self.late.eq(takes & at_end & ~ends),
            self.missed.eq(misses),
            self.dropped.eq(self.early | self.late | misses | (has & void)),
            self.dropped_samples.eq(Mux(void, 1, position + 1)),
            self.words.valid.eq(full),
        ]
        with m.If(self.words.ready):
            m.d.sync += full.eq(0)
        word = self.words.payload
        with m.If(takes):
            for number in range(write_bytes):
                with m.If(here == number):
                    m.d.sync += word.word.word_select(number, 8).eq(value)
            m.d.sync += [full.eq((here == write_bytes - 1) | ends | at_end),
                         word.last.eq(ends & at_end), word.bad.eq(ends ^ at_end),
                         lane.eq(here + 1), void.eq(at_end & ~ends)]
        with m.Elif(owes & room):
            m.d.sync += [full.eq(1), word.last.eq(0), word.bad.eq(1), owes.eq(0)]
        with m.If(misses):
            m.d.sync += [void.eq(~ends), owes.eq((owes & ~room) | (position != 0))]
        with m.If(has & void & ends):
            m.d.sync += void.eq(0)
        with m.If(consume):
            over = ends | (takes & at_end)
            m.d.sync += [position.eq(Mux(over, 0, position + 1)), begins.eq(over)]
