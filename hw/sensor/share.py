"""On-chip memory shared by the core or the host, and the sensor ports."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import read_port, write_port

__all__ = ["MemoryShare"]


class MemoryShare(Component):
    """Passes the ports of ``others`` on to memory, and those of the sensor while nobody is busy.

    While ``busy`` (a flip-flop) others have memory as if they were alone, without a wait. Otherwise
    an access of the sensor goes first, and one of others waits for a cycle at most. Memory is
    always ready and answers ``memory_latency`` cycles behind a request, as ``OnChipMemory`` does;
    a response goes to whoever asked, whatever ``busy`` is by then. The sensor reads or writes, not
    both in a cycle. Latency: none; a multiplexer whose select does not hang on the requests of
    others.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "busy": In(1),
            "others_read": In(read_port(config)),
            "others_write": In(write_port(config)),
            "sensor_read": In(read_port(config)),
            "sensor_write": In(write_port(config)),
            "read": Out(read_port(config)),
            "write": Out(write_port(config)),
        })

    def elaborate(self, platform):
        m = Module()
        pairs = ((self.others_read.request, self.sensor_read.request, self.read.request),
                 (self.others_write.request, self.sensor_write.request, self.write.request))
        waits = Signal()     # an access of others does
        may = ~self.busy & ~waits
        # Memory with one channel has an access at a time, so neither port of others goes.
        sensor = may & (self.sensor_read.request.valid | self.sensor_write.request.valid)
        m.d.sync += waits.eq(sensor & Cat(other.valid for other, *_ in pairs).any())
        for other, own, memory in pairs:
            m.d.comb += [
                memory.valid.eq(Mux(sensor, own.valid, other.valid)),
                Value.cast(memory.payload).eq(Mux(sensor, own.payload, other.payload)),
                other.ready.eq(memory.ready & ~sensor),
                own.ready.eq(memory.ready & may),
            ]
        asked = Signal(self._config.memory_latency)   # by the sensor, in each of the cycles before
        m.d.sync += asked.eq(Cat(sensor & self.sensor_read.request.valid, asked))
        response, own = self.read.response, asked[-1]
        for port, has in ((self.others_read, ~own), (self.sensor_read, own)):
            m.d.comb += [
                port.response.valid.eq(response.valid & has),
                port.response.payload.eq(response.payload),
            ]
        return m
