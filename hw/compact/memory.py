"""On-chip memory for the units of a compact core: one access at a time."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.compact.fields import reader_port, word_bits, writer_port
from kaniwa.hw.interfaces import read_port, write_port

__all__ = ["CompactMemory", "COMPACT_READERS"]

COMPACT_READERS = ("commands", "operand", "activations", "weights")   # highest priority first


class CompactMemory(Component):
    """Four readers, one after the other, and a writer of bytes, on one memory side.

    Throughput: a read in 2 cycles, in 3 for the same reader; a byte written in a cycle. A read is
    chosen one cycle before the memory sees it, and ``data`` are those of the memory. A write comes
    before a read that the memory has not seen.
    An access at or past ``memory_bytes`` is not made: ``error`` then is 1, for a read until reset.
    ``hold`` keeps new accesses out; ``idle``: none is under way.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            **{name: In(reader_port(config)) for name in COMPACT_READERS},
            "data": Out(8 * config.read_bytes),
            "write": In(writer_port(config)),
            "local_read": Out(read_port(config)),
            "local_write": Out(write_port(config)),
            "hold": In(1),
            "idle": Out(1),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        low = exact_log2(config.read_bytes)
        readers = [getattr(self, name) for name in COMPACT_READERS]
        owner = Signal(range(len(readers)), reset_less=True)
        chosen = Signal()    # the owner's request is on its way to the memory
        sent = Signal()      # and the memory has it
        word = Signal(word_bits(config))
        read, write = self.local_read, self.local_write
        words_beyond = word >= config.memory_bytes >> low
        blocked = Signal()   # by a write; not once the memory has seen the read
        stuck = Signal()
        with m.Switch(owner):
            for number, reader in enumerate(readers):
                with m.Case(number):
                    m.d.comb += [word.eq(reader.word), reader.response.eq(read.response.valid)]
        m.d.comb += [
            self.data.eq(read.response.payload),
            read.request.payload.eq(Cat(C(0, low), word[:-1])),
            read.request.valid.eq(chosen & ~words_beyond & (stuck | ~blocked)),
            self.idle.eq(~chosen & ~sent & ~write.request.valid),
        ]
        m.d.sync += stuck.eq(read.request.valid & ~read.request.ready)
        with m.If(read.request.valid & read.request.ready):
            m.d.sync += [chosen.eq(0), sent.eq(1)]
        with m.Elif(read.response.valid):
            m.d.sync += sent.eq(0)
        # A reader that gets its word in this cycle asks for the next one from the next on.
        asks = Cat(reader.request & ~reader.response for reader in readers)
        with m.If(~chosen & (~sent | read.response.valid) & asks.any() & ~self.hold):
            m.d.sync += chosen.eq(1)
            for number in reversed(range(len(readers))):
                with m.If(asks[number]):
                    m.d.sync += owner.eq(number)

        part = exact_log2(config.write_bytes)
        write_beyond = self.write.address >= config.memory_bytes
        started = Signal()   # the memory has seen the write, so it is not taken back
        m.d.comb += [
            write.request.valid.eq(self.write.valid & ~write_beyond & ~stuck
                                   & (started | ~self.hold)),
            write.request.payload.address.eq(
                Cat(C(0, part), self.write.address[part:-1])),
            write.request.payload.data.eq(self.write.byte.replicate(config.write_bytes)),
            write.request.payload.mask.eq(1 << self.write.address[:part]),
            self.write.ready.eq(write.request.valid & write.request.ready),
            blocked.eq(write.request.valid),
            self.error.eq((chosen & words_beyond) | (self.write.valid & write_beyond)),
        ]
        m.d.sync += started.eq(write.request.valid & ~write.request.ready)
        return m
