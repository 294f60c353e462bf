"""Places of the array's reads: offsets in a row, rows of the line buffer, words of the ring."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.enums import Mode
from kaniwa.hw.interfaces import (
    line_lane_bits,
    line_position_bits,
    products_layout,
    unit_layout,
)
from kaniwa.hw.parts.loop_counters import LOOPS

__all__ = ["OffsetWalker", "RowWalker", "WordWalker"]


def _walker_ports(config, ports):
    """Ports that all walkers have, and ``ports``.

    ``start`` sets the walker to the first step of ``fields``; ``advance`` takes it to the next one,
    ``ends`` being those of the present step.
    """
    return {
        "start": In(1), "advance": In(1), "ends": In(len(LOOPS)),
        "fields": In(unit_layout("array", config)), **ports,
    }


class OffsetWalker(Component):
    """Offset of a read in its row: x * pixel_step - pad_left + b * block_width + s * segment_step
    + c * N, formed by one addition a step to what it was at the start of the loop that goes on.

    ``offset`` is that of the present step, or with ``listed`` of the first chunk of its segment;
    ``pixel_offset`` is that of its pixel's first one.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        offset = signed(line_position_bits(config))
        super().__init__(_walker_ports(config, {
            "offset": Out(offset), "pixel_offset": Out(offset),
        }))

    def elaborate(self, platform):
        m = Module()
        fields, shape = self.fields, self.offset.shape()
        chunks, segments, kernel_rows, blocks, columns, _ = self.ends
        offset = Signal(shape, reset_less=True)
        segment_offset = Signal(shape, reset_less=True)
        block_offset = Signal(shape, reset_less=True)
        pixel_offset = Signal(shape, reset_less=True)

        # All the places it may go on to are added up side by side; the loop that goes on chooses.
        following = Signal(shape)
        with m.If(self.start | columns):
            m.d.comb += following.eq(-fields.pad_left_bytes)
        with m.Elif(blocks):
            m.d.comb += following.eq(pixel_offset + fields.pixel_step)
        with m.Elif(kernel_rows):
            m.d.comb += following.eq(block_offset + Mux(fields.mode == Mode.DENSE, 0,
                                                        fields.block_width))
        with m.Elif(segments):
            m.d.comb += following.eq(block_offset)
        with m.Elif(chunks):
            m.d.comb += following.eq(segment_offset + fields.segment_step)
        with m.Else():
            by = self._config.dot_width
            # Of a list the chunks are added later, to the offset of their segment.
            m.d.comb += following.eq(
                offset + (Mux(fields.listed, 0, by) if self._config.step_entries else by))

        with m.If(self.start | self.advance):
            m.d.sync += offset.eq(following)
            with m.If(self.start | chunks):
                m.d.sync += segment_offset.eq(following)
            with m.If(self.start | segments):
                m.d.sync += block_offset.eq(following)
            with m.If(self.start | blocks):
                m.d.sync += pixel_offset.eq(following)
        m.d.comb += [self.offset.eq(offset), self.pixel_offset.eq(pixel_offset)]
        return m


class RowWalker(Component):
    """Input row of a step and the position of its first byte in the line buffer.

    ``row``: y * stride_rows + ky * dilation_rows - pad_top; it may lie outside the input.
    ``row_lane``, ``row_shift``: its position, in lanes and bytes past them.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        low = exact_log2(config.read_bytes)
        lane = unsigned(line_position_bits(config) - line_lane_bits(config))
        super().__init__(_walker_ports(config, {
            "products": In(products_layout(config)),   # of the instruction, at ``start``
            "line_base": In(lane),                     # of its first row, at ``start``
            "row": Out(signed(18)),
            "row_lane": Out(lane),
            "row_shift": Out(low),
        }))

    def elaborate(self, platform):
        m = Module()
        fields, products = self.fields, self.products
        _, segments, kernel_rows, _, columns, _ = self.ends
        pitches = Signal(products.shape(), reset_less=True)
        with m.If(self.start):
            m.d.sync += pitches.eq(products)

        def walk(output, first, by_dilation, by_stride):
            """One coordinate: of the step's row, and of the row at the top of the kernel."""
            now = Signal(output.shape(), name=f"{output.name}_now", reset_less=True)
            top = Signal(output.shape(), name=f"{output.name}_top", reset_less=True)
            following = Signal(output.shape(), name=f"{output.name}_following")
            with m.If(self.start):
                m.d.comb += following.eq(first[0] - first[1])
            with m.Elif(columns):
                m.d.comb += following.eq(top + by_stride)
            with m.Elif(kernel_rows):
                m.d.comb += following.eq(top)
            with m.Else():
                m.d.comb += following.eq(now + by_dilation)
            with m.If(self.start | (self.advance & segments)):
                m.d.sync += now.eq(following)
            with m.If(self.start | (self.advance & columns)):
                m.d.sync += top.eq(following)
            m.d.comb += output.eq(now)

        walk(self.row, (0, fields.pad_top), fields.dilation_rows, fields.stride_rows)
        walk(self.row_lane, (self.line_base, products.pad_lanes),
             pitches.dilation_lanes, pitches.stride_lanes)
        walk(self.row_shift, (fields.ifm_address[:len(self.row_shift)], products.pad_shift),
             pitches.dilation_shift, pitches.stride_shift)
        return m


class WordWalker(Component):
    """Ring word and multiplier column of a step.

    ``word`` counts ring words since reset, modulo 2 * ring_words. ``word_end``: no later step of
    the block uses it. ``held``: words since the instruction's first one; after its last step these
    are all its words. With weights_stream ``word`` runs on from pixel to pixel. MAX_POOL uses none.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__(_walker_ports(config, {
            "ring_base": In(range(2 * config.ring_words)),   # the first word, at ``start``
            "word": Out(range(2 * config.ring_words)),
            "word_end": Out(1),
            "held": Out(range(2 * config.ring_words)),
            "column": Out(range(config.dot_width)),
        }))

    def elaborate(self, platform):
        m = Module()
        fields = self.fields
        _, _, kernel_rows, blocks, _, rows = self.ends
        word = Signal.like(self.word, reset_less=True)
        first_word = Signal.like(self.word, reset_less=True)
        column = Signal.like(self.column, reset_less=True)
        m.d.comb += [
            self.word.eq(word),
            self.word_end.eq((fields.mode == Mode.DENSE) | kernel_rows
                             | (column == self._config.dot_width - 1)),
            self.held.eq(word - first_word),
            self.column.eq(column),
        ]
        with m.If(self.start):
            m.d.sync += [word.eq(self.ring_base), first_word.eq(self.ring_base), column.eq(0)]
        with m.Elif(self.advance):
            m.d.sync += column.eq(Mux(kernel_rows, 0, column + 1))
            with m.If(blocks & ~fields.weights_stream & ~rows):
                m.d.sync += word.eq(first_word)
            with m.Elif(self.word_end & (fields.mode != Mode.MAX_POOL)):
                m.d.sync += word.eq(word + 1)
        return m
