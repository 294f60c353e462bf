"""Writes that leave bytes out, for an SDRAM chip without a data mask."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

__all__ = ["Merge"]


class Merge(Component):
    """Says of the write in turn whether it may go to the chip, or is to be merged before.

    ``taken``: a write with ``mask`` is taken in this cycle. With ``fetch`` the word at its address
    is to be read; ``read``: the column command for that is given in this cycle. ``comes``: its
    word is there, 1 + ``cas`` + ``words_read`` cycles later, and is to be merged into the write.
    ``whole``: the write leaves out no byte, or is merged. ``fetch`` and ``whole`` are flip-flops.
    """

    def __init__(self, *, mask_bits: int, words_read: int, cas: int):
        self._latency = 1 + cas + words_read
        super().__init__({
            "taken": In(1), "mask": In(mask_bits), "read": In(1),
            "fetch": Out(1), "comes": Out(1), "whole": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        on_the_way = Signal(self._latency)
        m.d.sync += on_the_way.eq(Cat(self.read, on_the_way))
        m.d.comb += self.comes.eq(on_the_way[-1])
        with m.If(self.taken):
            m.d.sync += [self.whole.eq(self.mask.all()), self.fetch.eq(~self.mask.all())]
        with m.Elif(self.read):
            m.d.sync += self.fetch.eq(0)
        with m.Elif(self.comes):
            m.d.sync += self.whole.eq(1)
        return m
