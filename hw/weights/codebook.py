"""Turns codes into the weights that they stand for."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import chunk_layout

__all__ = ["Codebook", "codes_layout", "entry_layout"]


def codes_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A chunk, of which the weights are codes where ``is_coded``: not in a whole word of zeros."""
    return data.StructLayout({"chunk": chunk_layout(config), "is_coded": 1})


def entry_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A weight of the codebook, and the low bits of the code that stands for it."""
    return data.StructLayout({
        "valid": 1, "code": range(config.codebook_entries), "weight": 8})


class Codebook(Component):
    """Looks each code of a chunk up by its low bits; other chunks pass.

    Latency: 0 cycles. The chunk is in a register before, and goes into another one in the weight
    ring. ``entry`` writes a weight; it is looked up from the next cycle on.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(codes_layout(config))),
            "entry": In(entry_layout(config)),
            "o": Out(stream.Signature(chunk_layout(config))),
        })

    def elaborate(self, platform):
        m = Module()
        entries, given, chunk = self._config.codebook_entries, self.i.payload, self.o.payload
        # Each weight of a chunk reads by itself: yosys copies the memory, where it is RAM in LUTs.
        m.submodules.weights = memory = Memory(shape=8, depth=entries, init=[])
        write = memory.write_port()
        m.d.comb += [
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready),
            chunk.whole.eq(given.chunk.whole),
            write.en.eq(self.entry.valid),
            write.addr.eq(self.entry.code),
            write.data.eq(self.entry.weight),
        ]
        for number in range(self._config.decoded_bytes):
            code = given.chunk.weights.word_select(number, 8)
            read = memory.read_port(domain="comb")
            m.d.comb += [
                read.addr.eq(code[:exact_log2(entries)]),
                chunk.weights.word_select(number, 8).eq(Mux(given.is_coded, read.data, code)),
            ]
        return m
