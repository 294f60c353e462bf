"""The vector unit's program store, and the instruction that is next."""

from amaranth import *
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from kaniwa.hw.parts.unchecked_read import UncheckedRead
from kaniwa.units.vector.isa import STORE_INSTRUCTIONS, VECTOR_BYTES

__all__ = ["VectorFetch"]

BITS = 8 * VECTOR_BYTES


class VectorFetch(Component):
    """STORE_INSTRUCTIONS instructions, and ``instruction``, valid while ``valid`` is 1.

    ``take`` (only while valid): the instruction has been used; the next one is there three cycles
    later. ``jump`` goes on at ``target`` instead, also while nothing is valid.
    """

    def __init__(self):
        place = range(STORE_INSTRUCTIONS)
        super().__init__({
            "write": In(1), "write_place": In(place), "write_data": In(BITS),
            "instruction": Out(BITS), "valid": Out(1),
            "take": In(1), "jump": In(1), "target": In(place),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = Memory(shape=unsigned(BITS), depth=STORE_INSTRUCTIONS, init=[],
                                            attrs={"no_rw_check": 1})
        write, read = store.write_port(), UncheckedRead.of(m, store)
        place = Signal(range(STORE_INSTRUCTIONS), reset_less=True)
        settled = Signal()   # what was read is the instruction at ``place``
        m.d.comb += [
            write.addr.eq(self.write_place), write.data.eq(self.write_data),
            write.en.eq(self.write), read.addr.eq(place), read.en.eq(1),
        ]
        m.d.sync += settled.eq(1)
        with m.If(~self.valid & settled):
            m.d.sync += [self.instruction.eq(read.data), self.valid.eq(1),
                         place.eq(place + 1), settled.eq(0)]
        with m.If(self.take):
            m.d.sync += self.valid.eq(0)
        with m.If(self.jump):
            m.d.sync += [place.eq(self.target), self.valid.eq(0), settled.eq(0)]
        return m
