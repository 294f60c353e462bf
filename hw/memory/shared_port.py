"""One side of device memory for the core and, now and then for a cycle, for the host."""

from amaranth import *
from amaranth.lib import wiring

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.memory.host_port import HostPort, give_words, port_members
from kaniwa.hw.memory.system import READS_IN_FLIGHT

__all__ = ["SharedPort", "make_port"]


def make_port(config: AcceleratorConfig, *, overlap: bool, one_channel: bool = False):
    """What lies before a side of memory: with ``overlap`` a SharedPort, which ``one_channel`` is
    for, else a HostPort."""
    return SharedPort(config, one_channel=one_channel) if overlap else HostPort(config)


class SharedPort(wiring.Component):
    """As ``HostPort``, but that the host has memory during a run, too.

    The core has the ports as if it were alone until the host asks. An access of the host waits for
    a cycle, and on until memory has taken a request of the core that it has seen. Then it has its
    port, with ``one_channel`` both, until memory takes it. Behind it the core has at least a cycle.
    So where memory is always ready, an access of the host takes a cycle of the core's, and comes a
    cycle after it was asked for. The host has one access under way: it waits for a read's word.
    Ports are given by flip-flops; all else is one multiplexer, and no latency.
    """

    def __init__(self, config: AcceleratorConfig, *, one_channel: bool = False):
        self._one_channel = one_channel
        super().__init__(port_members(config))

    def elaborate(self, platform):
        m = Module()
        turns = Signal(2)    # the host's, of the ports to read and to write
        ports = ((self.core_read, self.host_read, self.read),
                 (self.core_write, self.host_write, self.write))
        for number, (core, host, memory) in enumerate(ports):
            core, host, memory = core.request, host.request, memory.request
            turn = turns[number]
            given = turns.any() if self._one_channel else turn
            m.d.comb += [
                memory.valid.eq(Mux(given, turn, core.valid)),
                Value.cast(memory.payload).eq(Mux(given, host.payload, core.payload)),
                core.ready.eq(memory.ready & ~given),
                host.ready.eq(memory.ready & turn),
            ]
            # What memory has seen of the core stays there until it is taken.
            stuck = core.valid & ~memory.ready
            m.d.sync += turn.eq(Mux(turn, ~memory.ready, host.valid & ~stuck))
        self._share_responses(m, turns[0])
        return m

    def _share_responses(self, m, turn):
        """Words come in the order of the requests: the host's comes behind so many of the core."""
        request, response = self.read.request, self.read.response
        count = range(READS_IN_FLIGHT + 1)
        core_reads = Signal(count)      # that memory has to answer
        ahead = Signal(count)           # of these, before the host's word
        own = Signal()                  # the next word is the host's
        left = Signal(count)
        m.d.comb += left.eq(core_reads - (response.valid & ~own))
        m.d.sync += core_reads.eq(left + (self.core_read.request.valid
                                          & self.core_read.request.ready))
        with m.If(turn & request.ready):
            m.d.sync += [ahead.eq(left), own.eq(left == 0)]
        with m.Elif(response.valid):
            m.d.sync += [ahead.eq(ahead - (ahead != 0)), own.eq(ahead == 1)]
        give_words(m, self, to_core=~own, to_host=own)
