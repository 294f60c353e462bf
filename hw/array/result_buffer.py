"""Result slots between the array and requantization."""

from amaranth import *
from amaranth.lib import memory, stream
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import result_layout
from kaniwa.hw.parts.unchecked_read import UncheckedRead

__all__ = ["ResultBuffer"]


class ResultBuffer(Component):
    """FIFO of ``result_slots`` results, with registered output.

    Latency: 2 cycles. Throughput: one result a cycle. ``i`` and ``i_pool`` (only where
    ``config.max_pool``) are never valid in the same cycle. Neither can be held: the array sends a
    result only if a slot is free for it. ``returned`` is 1 in the cycle after one in which a slot
    became free. The memory has a write and a read port and suits distributed RAM; no
    slot is read in the cycle in which it is written.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        result = result_layout(config)
        super().__init__({
            "i": In(stream.Signature(result, always_ready=True)),
            **({"i_pool": In(stream.Signature(result, always_ready=True))}
               if config.max_pool else {}),
            "o": Out(stream.Signature(result)),
            "returned": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        slots = self._config.result_slots
        m.submodules.slots = ram = memory.Memory(
            shape=self.o.payload.shape(), depth=slots, init=[], attrs={"no_rw_check": 1})
        write, read = ram.write_port(), UncheckedRead.of(m, ram)
        used = Signal(range(slots + 1))
        there = Signal()   # used != 0
        read_addr = Signal(range(slots))

        m.d.comb += [
            write.data.eq(self.i.payload),
            write.en.eq(self.i.valid),
        ]
        if self._config.max_pool:
            m.d.comb += write.en.eq(self.i.valid | self.i_pool.valid)
            with m.If(self.i_pool.valid):
                m.d.comb += write.data.eq(self.i_pool.payload)

        m.d.comb += [
            read.addr.eq(read_addr),
            read.en.eq(there & (~self.o.valid | self.o.ready)),
            self.o.payload.eq(read.data),
        ]
        m.d.sync += [
            write.addr.eq(write.addr + write.en),
            read_addr.eq(read_addr + read.en),
            self.returned.eq(read.en),
        ]
        with m.If(write.en & ~read.en):
            m.d.sync += [used.eq(used + 1), there.eq(1)]
        with m.Elif(read.en & ~write.en):
            m.d.sync += [used.eq(used - 1), there.eq(used != 1)]
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += self.o.valid.eq(there)
        return m
