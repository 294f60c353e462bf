"""Device memory for the units of a compact core: one access at a time, on chip or outside."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.compact.fields import reader_port, word_bits, writer_port
from kaniwa.hw.interfaces import read_port, write_port

__all__ = ["CompactMemory", "COMPACT_READERS"]

COMPACT_READERS = ("commands", "operand", "activations", "weights")   # highest priority first


class CompactMemory(Component):
    """Four readers, one after the other, and a writer of bytes, on one of two memory sides.

    Throughput on chip: a read in 2 cycles, in 3 for the same reader; a byte written in a cycle.
    Outside, each takes as long as that memory does. A read is chosen one cycle before the memory
    sees it, and ``data`` are those of the memory. A write comes before a read that no memory has
    seen.
    An access at or past ``memory_bytes``, or 1 << ``outside_bits`` outside, is not made: ``error``
    then is 1, for a read until reset. ``hold`` keeps new accesses out; ``idle``: none is under way.
    Without ``outside`` there is no such side: it has no ports, and its addresses are errors.
    """

    def __init__(self, config: AcceleratorConfig, *, outside: bool):
        self._config = config
        self._outside = outside
        super().__init__({
            **{name: In(reader_port(config)) for name in COMPACT_READERS},
            "data": Out(8 * config.read_bytes),
            "write": In(writer_port(config)),
            "local_read": Out(read_port(config)),
            "local_write": Out(write_port(config)),
            **({"outside_read": Out(read_port(config)),
                "outside_write": Out(write_port(config))} if self._outside else {}),
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
        read, write = self._sides(m, word[-1], self.write.address[-1])
        words_beyond = self._beyond(word, low)
        blocked = Signal()   # by a write; not once the memory has seen the read
        stuck = Signal()
        with m.Switch(owner):
            for number, reader in enumerate(readers):
                with m.Case(number):
                    m.d.comb += [word.eq(reader.word), reader.response.eq(read.response.valid)]
        m.d.comb += [
            self.data.eq(read.response.payload),
            read.request.payload.eq(Cat(C(0, low), word[:config.span_bits - low])),
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
        write_beyond = self._beyond(self.write.address, 0)
        started = Signal()   # the memory has seen the write, so it is not taken back
        m.d.comb += [
            write.request.valid.eq(self.write.valid & ~write_beyond & ~stuck
                                   & (started | ~self.hold)),
            write.request.payload.address.eq(
                Cat(C(0, part), self.write.address[part:config.span_bits])),
            write.request.payload.data.eq(self.write.byte.replicate(config.write_bytes)),
            write.request.payload.mask.eq(1 << self.write.address[:part]),
            self.write.ready.eq(write.request.valid & write.request.ready),
            blocked.eq(write.request.valid),
            self.error.eq((chosen & words_beyond) | (self.write.valid & write_beyond)),
        ]
        m.d.sync += started.eq(write.request.valid & ~write.request.ready)
        return m

    def _beyond(self, address, low):
        """True where an address, in units of 1 << ``low`` bytes, is in no memory there is."""
        units = self._config.memory_bytes >> low
        if not self._config.outside_bits:
            return address >= units
        past = address[-2] if self._outside else 1
        return Mux(address[-1], past, address[:-1] >= units)

    def _sides(self, m, reads_outside, writes_outside):
        """The ports for reads and writes: those of the side that each is for, while it lasts."""
        if not self._outside:
            return self.local_read, self.local_write
        read = read_port(self._config).create(path=("read",))
        write = write_port(self._config).create(path=("written",))
        for local, outside, either, chosen in (
                (self.local_read, self.outside_read, read, reads_outside),
                (self.local_write, self.outside_write, write, writes_outside)):
            m.d.comb += [
                local.request.valid.eq(either.request.valid & ~chosen),
                outside.request.valid.eq(either.request.valid & chosen),
                local.request.payload.eq(either.request.payload),
                outside.request.payload.eq(either.request.payload),
                either.request.ready.eq(
                    Mux(chosen, outside.request.ready, local.request.ready)),
            ]
        for name in ("valid", "payload"):
            m.d.comb += getattr(read.response, name).eq(
                Mux(reads_outside, getattr(self.outside_read.response, name),
                    getattr(self.local_read.response, name)))
        return read, write
