"""Reads the output tensor, and offers its bytes as a stream."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.bus.signatures import axi_stream
from kaniwa.hw.interfaces import read_port
from kaniwa.hw.parts.stream_buffer import StreamBuffer
from kaniwa.hw.sensor.layouts import place_bits, size_bits

__all__ = ["ResultOutput"]


class ResultOutput(Component):
    """Offers ``length`` bytes, at least 1, from ``address`` on, with ``tlast`` at the last one.

    ``start`` is heeded while ``ready`` is 1, and takes the settings with it. ``reading``: words are
    still to come from memory; it falls in the cycle of ``finished``. Bytes may then go on to be
    offered: as many as two words have, and two. One read is on its way at a time. Throughput: a
    byte a cycle, where a word comes within read_bytes cycles. Latency: 3 cycles and that of memory
    from ``start`` to the first byte.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "start": In(1),
            "ready": Out(1),
            "address": In(size_bits(config)),
            "length": In(size_bits(config)),
            "reading": Out(1),
            "finished": Out(1),
            "read": Out(read_port(config)),
            "result": Out(axi_stream(8)),
        })

    def elaborate(self, platform):
        m = Module()
        read_bytes = self._config.read_bytes
        low = exact_log2(read_bytes)
        place, last_place = (Signal(place_bits(self._config, read_bytes), reset_less=True)
                             for _ in range(2))
        lane = Signal(range(read_bytes), reset_less=True)   # of the byte that is shown
        left = Signal(size_bits(self._config))              # bytes, with that one; 0: at rest
        word, following = (Signal(8 * read_bytes, reset_less=True) for _ in range(2))
        has, has_following, asks = Signal(), Signal(), Signal()
        response = self.read.response
        m.d.comb += [
            self.ready.eq(left == 0),
            self.read.request.valid.eq(asks),
            self.read.request.payload.eq(Cat(C(0, low), place)),
            self.finished.eq(response.valid & (place == last_place)),
        ]
        m.submodules.leave = leave = StreamBuffer(data.StructLayout({"value": 8, "last": 1}))
        at_last = left == 1
        goes = has & leave.i.ready
        uses_up = goes & (at_last | (lane == read_bytes - 1))
        moves = has_following & (~has | uses_up)
        m.d.comb += [
            leave.i.valid.eq(has),
            leave.i.payload.value.eq(word.word_select(lane, 8)),
            leave.i.payload.last.eq(at_last),
            self.result.tvalid.eq(leave.o.valid),
            self.result.tdata.eq(leave.o.payload.value),
            self.result.tlast.eq(leave.o.payload.last),
            leave.o.ready.eq(self.result.tready),
        ]
        with m.If(self.read.request.ready):
            m.d.sync += asks.eq(0)
        with m.If(goes):
            m.d.sync += [left.eq(left - 1), lane.eq(lane + 1)]
        with m.If(uses_up):
            m.d.sync += has.eq(0)
        with m.If(moves):
            m.d.sync += [has.eq(1), word.eq(following), has_following.eq(0),
                         asks.eq(self.reading)]
        with m.If(response.valid):
            m.d.sync += [following.eq(response.payload), has_following.eq(1),
                         place.eq(place + 1), self.reading.eq(~self.finished)]
        with m.If(self.start & self.ready):
            m.d.sync += [
                place.eq(self.address[low:]), last_place.eq((self.address + self.length - 1)[low:]),
                lane.eq(self.address), left.eq(self.length), asks.eq(1), self.reading.eq(1),
            ]
        return m
