"""Gives one side of device memory to the core or, while it is idle, to the host."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import read_port, write_port

__all__ = ["HostPort", "give_words", "port_members"]


def port_members(config: AcceleratorConfig) -> dict[str, wiring.Member]:
    """Ports of the core and of the host, and those of the memory that they share."""
    return {
        "core_read": In(read_port(config)),
        "core_write": In(write_port(config)),
        "host_read": In(read_port(config)),
        "host_write": In(write_port(config)),
        "read": Out(read_port(config)),
        "write": Out(write_port(config)),
    }


def give_words(m: Module, port, *, to_core: Value, to_host: Value) -> None:
    """A word that memory answers with goes to the one of whom the signal is 1."""
    response = port.read.response
    for reader, has in ((port.core_read, to_core), (port.host_read, to_host)):
        m.d.comb += [
            reader.response.valid.eq(response.valid & has),
            reader.response.payload.eq(response.payload),
        ]


class HostPort(wiring.Component):
    """Passes the ports of the core on while ``busy`` (a flip-flop), those of the host otherwise.

    Latency: none; requests pass one multiplexer, responses go to whoever has the memory. The host
    waits while it has it not; the core asks only while it has it, so ``busy`` is not in the way of
    its ``ready``. ``busy`` changes only while no response is outstanding: the core becomes busy by
    a request of the host itself, and idle when its memory is.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({"busy": In(1), **port_members(config)})

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
        give_words(m, self, to_core=self.busy, to_host=~self.busy)
        return m
