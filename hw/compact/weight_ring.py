"""The ring of weights of the compact core."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.parts.unchecked_read import unchecked_memory

__all__ = ["CompactWeightRing"]


class CompactWeightRing(Component):
    """ring_words words, a weight for each multiplier, in chunks of read_bytes: low ones first.

    ``word_written`` is 1 with the last chunk of a word, which may be read from the next cycle on.
    ``read_data`` comes a cycle after ``read_enable``. A word is never read while it is written.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        index = range(config.ring_words)
        super().__init__({
            "begin": In(1),
            "chunk": In(8 * config.read_bytes),
            "chunk_valid": In(1),
            "write_index": In(index),
            "word_written": Out(1),
            "read_enable": In(1),
            "read_index": In(index),
            "read_data": Out(8 * config.tile_bytes),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        chunks = config.tile_bytes // config.read_bytes
        chunk = Signal(range(chunks))   # of the word, the next to come
        last = chunk == chunks - 1
        m.d.comb += self.word_written.eq(self.chunk_valid & last)
        with m.If(self.chunk_valid):
            m.d.sync += chunk.eq(Mux(last, 0, chunk + 1))
        with m.If(self.begin):
            m.d.sync += chunk.eq(0)
        words = []
        for number in range(chunks):
            write, read = unchecked_memory(
                m, f"chunk_{number}", unsigned(len(self.chunk)), config.ring_words)
            words.append(read.data)
            m.d.comb += [
                write.addr.eq(self.write_index),
                write.data.eq(self.chunk),
                write.en.eq(self.chunk_valid & (chunk == number)),
                read.addr.eq(self.read_index),
                read.en.eq(self.read_enable),
            ]
        m.d.comb += self.read_data.eq(Cat(words))
        return m
