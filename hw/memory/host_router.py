"""Routes the host's reads and writes to the side of device memory that holds the address."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import read_port, write_port

__all__ = ["HostRouter"]

SIDE_BIT = 31   # of an address: 0 on chip, 1 outside


class HostRouter(Component):
    """One reader and one writer for several sides of device memory; no latency.

    ``reads`` and ``writes`` have a port for each of ``sides``, the values of an address's highest
    bit; an only side gets all addresses. A response comes from the side that was asked: the host
    waits for it before it asks another one.
    """

    def __init__(self, config: AcceleratorConfig, sides: tuple[int, ...]):
        self._sides = sides
        super().__init__({
            "read": In(read_port(config)),
            "write": In(write_port(config)),
            "reads": Out(read_port(config)).array(len(sides)),
            "writes": Out(write_port(config)).array(len(sides)),
        })

    def elaborate(self, platform):
        m = Module()
        for side, read, write in zip(self._sides, self.reads, self.writes, strict=True):
            self._route(m, side, self.read.request, read.request, self.read.request.payload)
            self._route(m, side, self.write.request, write.request,
                        self.write.request.payload.address)
            with m.If(read.response.valid):
                m.d.comb += [self.read.response.valid.eq(1),
                             self.read.response.payload.eq(read.response.payload)]
        return m

    def _route(self, m, side, wanted, request, address):
        """Offer what is ``wanted`` to one side, if it is that side's."""
        here = address[SIDE_BIT] == side if len(self._sides) > 1 else C(1)
        m.d.comb += [
            request.valid.eq(wanted.valid & here),
            request.payload.eq(wanted.payload),
        ]
        with m.If(here):
            m.d.comb += wanted.ready.eq(request.ready)
