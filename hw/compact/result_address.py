"""Address of a result in a tensor, for the compact core."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.compact.fields import address_bits, start_bits

__all__ = ["CompactResultAddress"]


class CompactResultAddress(Component):
    """The address of a byte: of the next channel after ``next_channel``, the next pixel's first
    one after ``next_pixel``, the next row's after ``next_row``, the tensor's after ``begin``, which
    is what came last as ``first`` with ``first_valid``.

    The address is there 3 cycles after any of these, each a pulse that comes at that distance.
    """

    def __init__(self, config: AcceleratorConfig):
        address = address_bits(config)
        super().__init__({
            "begin": In(1),
            "first": In(start_bits(config)),
            "first_valid": In(1),
            "row_pitch": In(config.span_bits),
            "pixel_pitch": In(16),
            "next_channel": In(1),
            "next_pixel": In(1),
            "next_row": In(1),
            "address": Out(address),
        })

    def elaborate(self, platform):
        m = Module()
        row = Signal.like(self.address, reset_less=True)
        pixel = Signal.like(self.address, reset_less=True)
        address = Signal.like(self.address, reset_less=True)
        row_moved, pixel_moved = Signal(), Signal()
        m.d.sync += [
            row_moved.eq(self.begin | self.next_row),
            pixel_moved.eq(row_moved | self.next_pixel),
        ]
        with m.If(self.first_valid):
            m.d.sync += row.eq(self.first)
        with m.If(self.next_row):
            m.d.sync += row.eq(row + self.row_pitch)
        with m.If(self.next_pixel):
            m.d.sync += pixel.eq(pixel + self.pixel_pitch)
        with m.If(row_moved):
            m.d.sync += pixel.eq(row)
        with m.If(self.next_channel):
            m.d.sync += address.eq(address + 1)
        with m.If(pixel_moved):
            m.d.sync += address.eq(pixel)
        m.d.comb += self.address.eq(address)
        return m
