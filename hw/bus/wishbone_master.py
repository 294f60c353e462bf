"""Outside memory over a Wishbone master port."""

from amaranth import *
from amaranth.lib.wiring import Component, connect, flipped
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.bus.gather import MOST_BEATS, PAGE_BYTES, Gather
from kaniwa.hw.bus.guard import RunGuard
from kaniwa.hw.bus.master import BURST_WORDS, READS, master_ports
from kaniwa.hw.bus.signatures import wishbone
from kaniwa.hw.bus.words import WordOfBeats
from kaniwa.hw.parts.stream_buffer import StreamBuffer
from kaniwa.isa.bus import BusResponse

__all__ = ["WishboneMaster"]

CLASSIC, INCREMENTING, END_OF_BURST = 0, 2, 7   # cti (Wishbone B4, table 4-2)


class WishboneMaster(Component):
    """``master_ports``, with a classic Wishbone master of ``data_bits`` as ``bus``.

    One transfer at a time: a write, or a burst of up to ``burst_words`` words, with the tags of
    registered feedback, which a slave may ignore. Writes go first, so a read never overtakes one.
    ``cyc`` is 0 for a cycle behind each, for an arbiter may pass the bus on only then.
    Throughput: a beat a cycle but that one. Latency: 3 cycles from a read to ``stb``, and one
    for each word of its burst; 2 from a write; 1 cycle from the last beat to its word. All outputs
    are flip-flops.
    """

    def __init__(self, config: AcceleratorConfig, *, address_bits: int, data_bits: int,
                 burst_words: int = BURST_WORDS, reads: int = READS):
        self._config = config
        self._data_bits = data_bits
        self._reads = reads
        self._beats = 8 * config.read_bytes // data_bits
        self._burst_words = min(burst_words, MOST_BEATS // self._beats)
        super().__init__(master_ports(
            config, wishbone(address_bits, data_bits, bursts=True), address_bits))

    def elaborate(self, platform):
        m = Module()
        m.submodules.guard = guard = RunGuard(self._config, self._reads)
        m.submodules.gather = gather = Gather(self._config, self._burst_words)
        m.submodules.words = words = StreamBuffer(gather.i.payload.shape())
        m.submodules.writes = writes = StreamBuffer(self.write.request.payload.shape())
        connect(m, flipped(self.read), guard.core_read)
        connect(m, flipped(self.write), guard.core_write)
        request = guard.read.request
        m.d.comb += [
            words.i.valid.eq(request.valid),
            words.i.payload.eq(request.payload[exact_log2(self._config.read_bytes):]),
            request.ready.eq(words.i.ready),
            guard.busy.eq(self.busy),
            guard.writing.eq(self.writing),
            self.quiet.eq(guard.quiet),
        ]
        connect(m, words.o, gather.i)
        connect(m, guard.write.request, writes.i)
        self._transfer(m, writes.o, gather.o)
        self._receive(m, guard)
        writing = writes.o.valid | (self.bus.cyc & self.bus.we)
        was_writing = Signal()
        m.d.sync += was_writing.eq(writing)
        m.d.comb += self.writing.eq(writing | was_writing)
        return m

    def _transfer(self, m, write, burst):
        """Begin a transfer while there is none, and take it from beat to beat."""
        bus, config = self.bus, self._config
        beat_bytes = self._data_bits // 8
        low = exact_log2(beat_bytes)
        write_beats = max(1, config.write_bytes // beat_bytes)
        # Beats behind the one that is shown.
        more = Signal(range(max(self._beats * self._burst_words, write_beats)))
        rest = Signal(8 * config.write_bytes, reset_less=True)
        rest_mask = Signal(config.write_bytes, reset_less=True)
        lanes = max(1, beat_bytes // config.write_bytes)
        lane = write.payload.address[exact_log2(config.write_bytes):][:exact_log2(lanes)]
        mask = Cat(Mux(lane == number, write.payload.mask, 0) for number in range(lanes))
        read_low = exact_log2(config.read_bytes)
        first = Cat(C(0, read_low), burst.payload.word)[low:]
        base = self.base[low:]
        self._ends = bus.stb & (bus.ack | bus.err)
        # The device address of the word, for its fault.
        self._word = Signal(31, reset_less=True)
        m.d.comb += [write.ready.eq(~bus.cyc), burst.ready.eq(~bus.cyc & ~write.valid)]
        with m.If(~bus.cyc):
            m.d.sync += [bus.cyc.eq(write.valid | burst.valid),
                         bus.stb.eq(write.valid | burst.valid), bus.we.eq(write.valid)]
            with m.If(write.valid):
                m.d.sync += [
                    bus.adr.eq(base + write.payload.address[low:31]), bus.cti.eq(CLASSIC),
                    bus.dat_w.eq(write.payload.data.replicate(lanes)), bus.sel.eq(mask),
                    rest.eq(write.payload.data >> self._data_bits),
                    rest_mask.eq(write.payload.mask >> beat_bytes), more.eq(write_beats - 1),
                    self._word.eq(write.payload.address),
                ]
            with m.Else():
                further = Cat(C(self._beats - 1, exact_log2(self._beats)), burst.payload.further)
                m.d.sync += [
                    bus.adr.eq(base + first), bus.sel.eq(-1), more.eq(further),
                    bus.cti.eq(Mux(further == 0, CLASSIC, INCREMENTING)),
                    self._word.eq(Cat(C(0, read_low), burst.payload.word)),
                ]
        with m.Elif(self._ends):
            m.d.sync += [
                bus.cyc.eq(more != 0), bus.stb.eq(more != 0), more.eq(more - 1),
                bus.adr.eq(bus.adr + 1), bus.dat_w.eq(rest),
                rest.eq(rest >> self._data_bits), rest_mask.eq(rest_mask >> beat_bytes),
            ]
            with m.If(bus.we):
                m.d.sync += bus.sel.eq(rest_mask)
            with m.Elif(more == 1):
                m.d.sync += bus.cti.eq(END_OF_BURST)

    def _receive(self, m, guard):
        """Words that were read, and errors."""
        bus = self.bus
        m.submodules.receive = words = WordOfBeats(self._config, self._data_bits)
        m.d.comb += [
            words.valid.eq(self._ends & ~bus.we),
            words.data.eq(bus.dat_r),
            words.error.eq(bus.err),
            words.code.eq(BusResponse.SLVERR),
            guard.read.response.valid.eq(words.word_valid),
            guard.read.response.payload.eq(words.word),
        ]
        with m.If(words.ends):
            page = self._word[:exact_log2(PAGE_BYTES)]   # which a burst does not leave
            m.d.sync += page.eq(page + self._config.read_bytes)
        write_failed = Signal()
        m.d.sync += [
            write_failed.eq(self._ends & bus.we & bus.err),
            self.fault.address.eq(Cat(self._word, C(1, 1))),
        ]
        m.d.comb += [
            self.fault.valid.eq(
                ((words.word_valid & words.word_failed) | write_failed) & ~guard.draining),
            self.fault.write.eq(write_failed),
            self.fault.code.eq(BusResponse.SLVERR),
        ]
