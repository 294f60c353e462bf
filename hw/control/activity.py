"""Signs of life of a run, for the watchdog."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from kaniwa.hw.signatures import transfer

__all__ = ["Activity"]


class Activity(Component):
    """Progress of a run, without latency: a step, an instruction retired, a request to memory.

    ``ports``: the ports to memory, of which each has a bit of ``progress`` above the first two.
    """

    def __init__(self, ports: int):
        self._ports = ports
        super().__init__({
            "issued": In(1),
            "retire": In(1),
            "ports": In(transfer()).array(ports),
            "progress": Out(2 + ports),
        })

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.progress.eq(Cat(
            self.issued, self.retire, *(port.valid & port.ready for port in self.ports)))
        return m
