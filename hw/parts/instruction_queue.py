"""Queue of instructions before a unit."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import unit_layout

__all__ = ["InstructionQueue"]


class InstructionQueue(Component):
    """Holds up to ``config.instruction_queue`` instructions for ``unit``.

    Latency: 2 cycles, 1 with a single entry. Throughput: one a cycle, every other cycle with a
    single entry. Registered output.
    """

    def __init__(self, config: AcceleratorConfig, unit: str):
        self._depth = config.instruction_queue
        layout = unit_layout(unit, config)
        super().__init__({
            "i": In(stream.Signature(layout)),
            "o": Out(stream.Signature(layout)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(
            width=self.i.payload.shape().size, depth=self._depth)
        m.d.comb += [
            fifo.w_data.eq(self.i.payload),
            fifo.w_en.eq(self.i.valid),
            self.i.ready.eq(fifo.w_rdy),
            self.o.payload.eq(fifo.r_data),
            self.o.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.o.ready),
        ]
        return m
