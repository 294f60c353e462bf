"""Brings the items of the weight stream down to byte 0."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.parts.shift_down import shift_down
from kaniwa.hw.parts.stream_buffer import StreamBuffer
from kaniwa.hw.weights.items import (
    block_layout,
    grain,
    has_modes,
    item_layout,
    moving_units,
    start_places,
    unit_bytes,
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
            "block": In(block_layout(config)),
            "o": Out(stream.Signature(window_layout(config))),
            "o_block": Out(block_layout(config)),
        })

    def elaborate(self, platform):
        m = Module()
        unit = unit_bytes(self._config)
        unit_bits = exact_log2(unit)
        m.submodules.windows = windows = StreamBuffer(window_layout(self._config))
        connect(m, windows.o, flipped(self.o))
        item, given = self.i.payload, windows.i.payload
        starts, width = list(item.starts), 8 * self._config.plane_weights
        if has_modes(self._config):
            m.d.comb += given.bytes.eq(self._from(item, 0, starts.pop(0), width))
        else:
            m.d.comb += given.bytes.eq(self._moved(item))
        for number, start in enumerate(starts):
            more = len(given.more) if number == len(starts) - 1 else 0
            m.d.comb += Cat(given.others[number], given.more[:more]).eq(
                self._from(item, number + 1, start, width + more))
        m.d.comb += [
            self.i.ready.eq(windows.i.ready),
            windows.i.valid.eq(self.i.valid),
            given.number.eq(item.number),
            given.widths.eq(item.widths),
            given.whole.eq(item.whole),
            given.offset.eq(item.position[exact_log2(grain(self._config)):unit_bits]),
        ]
        # A header is taken only while the buffer has room, so what waits in its second place is of
        # the block in work; its first may be of the one before.
        block = Signal(block_layout(self._config), reset_less=True)   # of the first
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += block.eq(self.block)
        m.d.comb += self.o_block.eq(block)
        return m

    def _from(self, item, group, start, width):
        """So many bits of the words from unit ``start`` of a ``group`` on."""
        used = range(start_places(self._config, group))
        return shift_down(item.words, start[:Shape.cast(used).width],
                          8 * unit_bytes(self._config), width)

    def _moved(self, item):
        """The first words: units that come down to byte 0, and those that stay where they are."""
        unit = unit_bytes(self._config)
        moving = 8 * unit * moving_units(self._config)
        shifted = (Cat(item.words[0], item.words[1])
                   >> Cat(C(0, exact_log2(unit) + 3), item.position[exact_log2(unit):]))
        return Cat(shifted[:moving], item.words[0][moving:])
