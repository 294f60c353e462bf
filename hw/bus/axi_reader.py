"""Reads of outside memory over AXI4: bursts to the bus, words from it."""

from amaranth import *
from amaranth.lib import fifo, stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.bus.gather import PAGE_BYTES, burst_layout
from kaniwa.hw.bus.registers import fault
from kaniwa.hw.bus.signatures import axi4
from kaniwa.hw.bus.words import WordOfBeats

__all__ = ["AxiReader"]


class AxiReader(Component):
    """Asks for bursts, ``bursts`` of them at a time, and gives their words in order.

    ``rready`` is always 1, for the core has asked only for what it has room for. Throughput: a beat
    a cycle. Latency: 1 cycle to ``ar``, 1 cycle from the last beat of a word. A word with a beat
    that failed is 0, and a ``fault``.
    """

    def __init__(self, config: AcceleratorConfig, *, address_bits: int, data_bits: int,
                 bursts: int):
        self._config = config
        self._data_bits = data_bits
        self._bursts = bursts
        bus = axi4(address_bits, data_bits).members.items()
        super().__init__({
            "base": In(address_bits),
            "burst": In(stream.Signature(burst_layout(config))),
            "word": Out(stream.Signature(8 * config.read_bytes, always_ready=True)),
            "fault": Out(fault()),
            **{name: member for name, member in bus if name.startswith(("ar", "r"))},
        })

    def elaborate(self, platform):
        m = Module()
        read_bytes = self._config.read_bytes
        low = exact_log2(read_bytes)
        beats = 8 * read_bytes // self._data_bits
        burst = self.burst.payload
        m.submodules.asked = asked = fifo.SyncFIFO(width=len(burst.word), depth=self._bursts)
        takes = self.burst.valid & self.burst.ready
        m.d.comb += [
            self.burst.ready.eq((~self.arvalid | self.arready) & asked.w_rdy),
            asked.w_en.eq(takes),
            asked.w_data.eq(burst.word),
            self.arsize.eq(exact_log2(self._data_bits // 8)),
        ]
        with m.If(self.arready):
            m.d.sync += self.arvalid.eq(0)
        with m.If(takes):
            m.d.sync += [
                self.arvalid.eq(1),
                self.araddr.eq(self.base + Cat(C(0, low), burst.word)),
                self.arlen.eq(Cat(C(beats - 1, exact_log2(beats)), burst.further)),
            ]

        m.submodules.words = words = WordOfBeats(self._config, self._data_bits)
        m.d.comb += [
            words.valid.eq(self.rvalid),
            words.data.eq(self.rdata),
            words.error.eq(self.rresp[1]),
            words.code.eq(self.rresp),
            self.word.valid.eq(words.word_valid),
            self.word.payload.eq(words.word),
        ]
        # No burst crosses a page, so the word's place in it is all that counts.
        place_bits = exact_log2(PAGE_BYTES // read_bytes)
        place = Signal(place_bits)   # of the next word, behind the first of its burst
        number = Cat((asked.r_data[:place_bits] + place)[:place_bits], asked.r_data[place_bits:])
        ends = words.ends
        m.d.comb += asked.r_en.eq(ends & self.rlast)
        with m.If(ends):
            m.d.sync += place.eq(Mux(self.rlast, 0, place + 1))
        m.d.sync += self.fault.address.eq(Cat(C(0, low), number, C(1, 1)))
        m.d.comb += [self.fault.valid.eq(words.word_valid & words.word_failed),
                     self.fault.code.eq(words.word_code)]
        return m
