"""Brings the items of the weight stream down to byte 0."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.parts.stream_buffer import StreamBuffer
from kaniwa.hw.weights.items import (
    UNITS,
    block_layout,
    grain,
    item_layout,
    moving_units,
    window_layout,
)

__all__ = ["ItemWindow"]


class ItemWindow(Component):
    """Shifts each item so that the unit in which it begins is at byte 0, and holds two of them.

    Latency: 1 cycle. Throughput: an item a cycle. ``o_block`` is the block of the item at ``o``.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(item_layout(config))),
            "block": In(block_layout()),
            "o": Out(stream.Signature(window_layout(config))),
            "o_block": Out(block_layout()),
        })

    def elaborate(self, platform):
        m = Module()
        unit = self._config.read_bytes // UNITS
        unit_bits = exact_log2(unit)
        moving = moving_units(self._config)
        m.submodules.windows = windows = StreamBuffer(window_layout(self._config))
        connect(m, windows.o, flipped(self.o))
        item, given = self.i.payload, windows.i.payload
        position, shifted = item.position, Signal(8 * unit * moving)
        m.d.comb += [
            self.i.ready.eq(windows.i.ready),
            shifted.eq(Cat(item.words[0], item.words[1])
                       >> Cat(C(0, unit_bits + 3), position[unit_bits:])),
            windows.i.valid.eq(self.i.valid),
            given.bytes.eq(Cat(shifted, item.words[0][8 * unit * moving:])),
            given.second.eq(item.words.as_value() >> Cat(C(0, unit_bits + 3), item.second)),
            given.number.eq(item.number),
            given.widths.eq(item.widths),
            given.whole.eq(item.whole),
            given.offset.eq(position[exact_log2(grain(self._config)):unit_bits]),
        ]
        # A header is taken only while the buffer has room, so what waits in its second place is of
        # the block in work; its first may be of the one before.
        block = Signal(block_layout(), reset_less=True)   # of the first
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += block.eq(self.block)
        m.d.comb += self.o_block.eq(block)
        return m
