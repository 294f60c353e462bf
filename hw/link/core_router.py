"""Routes the host's reads and writes to the on-chip memory of the core that the address names."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.driver.frames import CORE_BIT, MOST_CORES, check_cores
from kaniwa.hw.interfaces import read_port, write_port

__all__ = ["CoreRouter"]


class CoreRouter(Component):
    """One reader and one writer for the memories of several cores, one access of each at a time.

    Bits 24 to 27 of an address name the core; the memories look at lower ones only. All ways are
    long, as cores lie beside each other on a device: requests and responses are registers.
    Latency: a cycle to the memory, and one back. Throughput: a read in the memory's latency and 2
    cycles, a write in 2 cycles. There is no access to a core that is not there.
    """

    def __init__(self, config: AcceleratorConfig, cores: int):
        check_cores(cores, config.memory_bytes, False)
        super().__init__({
            "read": In(read_port(config)),
            "write": In(write_port(config)),
            "reads": Out(read_port(config)).array(cores),
            "writes": Out(write_port(config)).array(cores),
        })

    def elaborate(self, platform):
        m = Module()
        read_core = self._pass_on(m, self.read.request, [port.request for port in self.reads],
                                  lambda payload: payload)
        self._pass_on(m, self.write.request, [port.request for port in self.writes],
                      lambda payload: payload.address)
        responses = [port.response for port in self.reads]
        m.d.sync += [
            self.read.response.valid.eq(Cat(response.valid for response in responses).any()),
            self.read.response.payload.eq(
                Array(response.payload for response in responses)[read_core]),
        ]
        return m

    def _pass_on(self, m, given, ports, address_of):
        """Keep a request until the port of its core takes it; gives the core."""
        waiting, kept = Signal(), Signal.like(given.payload, reset_less=True)
        core = address_of(kept)[CORE_BIT:CORE_BIT + exact_log2(MOST_CORES)]
        m.d.comb += given.ready.eq(~waiting)
        with m.If(given.valid & ~waiting):
            m.d.sync += [waiting.eq(1), kept.eq(given.payload)]
        for number, port in enumerate(ports):
            here = waiting & (core == number)
            m.d.comb += [port.valid.eq(here), port.payload.eq(kept)]
            with m.If(here & port.ready):
                m.d.sync += waiting.eq(0)
        return core
