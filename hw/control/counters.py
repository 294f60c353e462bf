"""Counts what each cycle of a run was spent on, and keeps the counts of every layer."""

from amaranth import *
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In

from kaniwa.hw.signatures import counter_access, step_events
from kaniwa.isa import COUNTERS

__all__ = ["Counters", "TOTALS"]

TOTALS = 1 << 10   # this bit of COUNTER_TAG selects the running totals


class Counters(Component):
    """Cumulative counters in the order of COUNTERS, and a snapshot of them at each ``retire``.

    A cycle with ``running`` counts as issued, else as the first cause that applies, else as
    fill, so the causes add up to the cycles. Snapshots go to a memory of 32-bit words, one
    layer's after the other; those of tags from ``tags`` on are dropped. A snapshot takes 8
    cycles; one that has to wait shows the counts of up to 8 cycles later for each before it.
    ``access.data`` belongs to the ``tag`` and ``index`` of the cycle before.
    """

    start: In(1)    # clears the counters
    running: In(1)
    events: In(step_events())
    dependency: In(1)         # the load unit waits for a watermark
    waiting_for_store: In(1)  # the post unit waits for the store unit
    retire: In(1)
    retire_tag: In(10)
    access: In(counter_access())   # ``idle``: no snapshot is waiting or being written

    def __init__(self, tags: int = 1024):
        self._tags = tags
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        # Cleared by ``start`` alone: with the domain's reset as well, a gate would, a device away.
        counters = {name: Signal(32, name=name, reset_less=True) for name in COUNTERS}

        cause = Signal(len(COUNTERS) - 1)   # one-hot, in the order of COUNTERS without cycles
        causes = {name: cause[i] for i, name in enumerate(COUNTERS[1:])}
        with m.If(self.events.issued):
            m.d.comb += causes["issued"].eq(1)
        with m.Elif(self.events.stall_load):
            m.d.comb += [causes["dependency"].eq(self.dependency),
                         causes["load"].eq(~self.dependency)]
        with m.Elif(self.events.stall_weights):
            m.d.comb += causes["weights"].eq(1)
        with m.Elif(self.events.stall_result):
            m.d.comb += [causes["store"].eq(self.waiting_for_store),
                         causes["requantize"].eq(~self.waiting_for_store)]
        with m.Else():
            m.d.comb += causes["fill"].eq(1)
        # Counted in the next cycle, for what happens comes from all over the device.
        counted = Signal.like(cause)
        counts = Signal()
        retired = Signal()
        retired_tag = Signal.like(self.retire_tag, reset_less=True)
        m.d.sync += [
            counted.eq(cause), counts.eq(self.running),
            retired.eq(self.retire), retired_tag.eq(self.retire_tag),
        ]
        with m.If(self.start):
            m.d.sync += [counter.eq(0) for counter in counters.values()]
        with m.Elif(counts):
            m.d.sync += counters["cycles"].eq(counters["cycles"] + 1)
            m.d.sync += [counters[name].eq(counters[name] + counted[i])
                         for i, name in enumerate(COUNTERS[1:])]

        m.submodules.memory = memory = Memory(
            shape=32, depth=self._tags * len(COUNTERS), init=[])
        write, read = memory.write_port(), memory.read_port()
        m.submodules.waiting = waiting = SyncFIFO(width=10, depth=4)
        m.d.comb += [waiting.w_en.eq(retired), waiting.w_data.eq(retired_tag)]

        # The counters are copied at once and written one a cycle.
        snapshot = Signal(32 * len(COUNTERS), reset_less=True)
        tag = Signal(10, reset_less=True)
        index = Signal(range(len(COUNTERS)))
        writing = Signal()
        m.d.comb += [
            write.addr.eq(Cat(index, tag)),
            write.data.eq(snapshot[:32]),
            write.en.eq(writing & (tag < self._tags)),
            waiting.r_en.eq(~writing | (index == len(COUNTERS) - 1)),
            self.access.idle.eq(~writing & ~waiting.r_rdy & ~retired & ~self.retire),
        ]
        with m.If(writing):
            m.d.sync += [snapshot.eq(snapshot >> 32), index.eq(index + 1)]
        with m.If(waiting.r_en):
            m.d.sync += [snapshot.eq(Cat(*counters.values())), tag.eq(waiting.r_data),
                         writing.eq(waiting.r_rdy)]

        total = Signal(32, reset_less=True)
        show_total = Signal()
        m.d.comb += [read.en.eq(1), read.addr.eq(Cat(self.access.index, self.access.tag)),
                     self.access.data.eq(Mux(show_total, total, read.data))]
        m.d.sync += [total.eq(Array(counters.values())[self.access.index]),
                     show_total.eq(self.access.tag >= TOTALS)]
        return m
