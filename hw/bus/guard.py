"""Keeps the accesses of one run to outside memory apart from those of the next."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import read_port, write_port
from kaniwa.hw.parts.credits import Credits

__all__ = ["RunGuard"]


class RunGuard(wiring.Component):
    """Passes reads and writes of the core on to a bus, and words back; no latency.

    A run that ends early, by the watchdog for example, may leave accesses that the bus has not
    answered. Their words are dropped. A run that begins meanwhile waits, with ``draining``, until
    all of them are answered. ``words``: reads that may be on their way; more wait.
    ``writing``: writes are on their way; ``quiet``: nothing is.
    """

    def __init__(self, config: AcceleratorConfig, words: int):
        self._words = words
        super().__init__({
            "busy": In(1),
            "core_read": In(read_port(config)),
            "core_write": In(write_port(config)),
            "read": Out(read_port(config)),
            "write": Out(write_port(config)),
            "writing": In(1),
            "draining": Out(1),
            "quiet": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.credits = credits = Credits(self._words)
        was_busy, was_draining = Signal(), Signal()
        begins = self.busy & ~was_busy
        m.d.comb += [
            self.quiet.eq(credits.none_out & ~self.writing),
            self.draining.eq(~self.quiet & (was_draining | begins)),
        ]
        m.d.sync += [was_busy.eq(self.busy), was_draining.eq(self.draining)]
        for core, bus, may_pass in ((self.core_read.request, self.read.request, credits.left),
                                    (self.core_write.request, self.write.request, 1)):
            passes = may_pass & ~self.draining
            m.d.comb += [
                bus.valid.eq(core.valid & passes),
                bus.payload.eq(core.payload),
                core.ready.eq(bus.ready & passes),
            ]
        response = self.read.response
        m.d.comb += [
            credits.take.eq(self.read.request.valid & self.read.request.ready),
            credits.give.eq(response.valid),
            self.core_read.response.valid.eq(
                response.valid & self.busy & ~self.draining),
            self.core_read.response.payload.eq(response.payload),
        ]
        return m
