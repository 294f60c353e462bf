"""Puts single results of a recurrent cell together to words of memory."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import write_port

__all__ = ["CellStore", "ROOM"]

DEPTH = 16  # words that may wait for memory
ROOM = 4    # with no more than so many, what is on the way in the pipelines has room


class CellStore(Component):
    """Elements of 1 or (``wide``) 2 bytes, one after the other from ``address`` on, that of the
    ``first`` one; ``last``: the word goes out even if it is not full.

    Nothing waits: ``room`` says whether what makes elements may begin some more. ``busy``: some are
    not written yet.
    """

    def __init__(self, config: AcceleratorConfig):
        self._bytes = config.write_bytes
        self._word = data.StructLayout({"address": 32, "mask": self._bytes,
                                        "data": 8 * self._bytes})
        super().__init__({
            "valid": In(1), "value": In(signed(16)), "wide": In(1),
            "first": In(1), "last": In(1), "address": In(32),
            "room": Out(1, init=1), "busy": Out(1),
            "memory": Out(write_port(config)),
        })

    def elaborate(self, platform):
        m = Module()
        size = exact_log2(self._bytes)
        following = Signal(32, reset_less=True)
        address = Signal(32)
        m.d.comb += address.eq(Mux(self.first, self.address, following))
        places = Signal(self._bytes)   # where the element goes
        m.d.comb += places.eq(Cat(C(1, 1), self.wide) << address[:size])
        step = Mux(self.wide, 2, 1)
        full = (address[:size] + step)[size]
        word = Signal(self._word, reset_less=True)
        gone = Signal(init=1)          # the word is in the queue, or there is none
        with m.If(self.valid):
            m.d.sync += [
                following.eq(address + step),
                word.address.eq(Cat(C(0, size), address[size:])),
                word.mask.eq(Mux(gone, 0, word.mask) | places),
                gone.eq(full | self.last),
            ]
        for place in range(self._bytes):
            # The high byte of an element of two is at odd places.
            high = self.wide & bool(place & 1)
            with m.If(self.valid & places[place]):
                m.d.sync += word.data.word_select(place, 8).eq(
                    Mux(high, self.value[8:], self.value[:8]))
        ready = Signal()
        m.d.sync += ready.eq(self.valid & (full | self.last))

        m.submodules.queue = queue = SyncFIFOBuffered(width=self._word.size, depth=DEPTH)
        request = self.memory.request
        out = Signal(self._word)
        m.d.comb += [
            queue.w_data.eq(word), queue.w_en.eq(ready), out.eq(queue.r_data),
            request.valid.eq(queue.r_rdy), queue.r_en.eq(request.ready),
            request.payload.address.eq(out.address), request.payload.data.eq(out.data),
            request.payload.mask.eq(out.mask),
            self.busy.eq(ready | (queue.level != 0)),
        ]
        # Registered: requests and operands' addresses hang on it.
        m.d.sync += self.room.eq(queue.level <= ROOM)
        return m
