"""Gives one side of device memory to the core or, while it is idle, to the host."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import read_port, write_port

__all__ = ["HostPort"]


class HostPort(wiring.Component):
    """Passes the ports of the core on while ``busy`` (a flip-flop), those of the host otherwise.

    Latency: none; requests pass one multiplexer, responses go to whoever has the memory. The host
    waits while it has it not; the core asks only while it has it, so ``busy`` is not in the way of
    its ``ready``. ``busy`` changes only while no response is outstanding: the core becomes busy by
    a request of the host itself, and idle when its memory is.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "busy": In(1),
            "core_read": In(read_port(config)),
            "core_write": In(write_port(config)),
            "host_read": In(read_port(config)),
            "host_write": In(write_port(config)),
            "read": Out(read_port(config)),
            "write": Out(write_port(config)),
        })

    def elaborate(self, platform):
        m = Module()
        pairs = ((self.core_read, self.host_read, self.read),
                 (self.core_write, self.host_write, self.write))
        for core, host, memory in pairs:
            m.d.comb += [
                memory.request.valid.eq(Mux(self.busy, core.request.valid, host.request.valid)),
                Value.cast(memory.request.payload).eq(
                    Mux(self.busy, core.request.payload, host.request.payload)),
                core.request.ready.eq(memory.request.ready),
                host.request.ready.eq(~self.busy & memory.request.ready),
            ]
        response = self.read.response
        for port, has in ((self.core_read, self.busy), (self.host_read, ~self.busy)):
            m.d.comb += [
                port.response.valid.eq(response.valid & has),
                port.response.payload.eq(response.payload),
            ]
        return m
