"""The loops of COLUMN: depthwise with a window that is filled column by column."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import (
    line_lane_bits,
    line_position_bits,
    products_layout,
    unit_layout,
)
from kaniwa.hw.parts.loop_counters import LoopCounters

__all__ = ["ColumnWalker", "column_layout"]

LOOPS = ("phases", "ofm_columns", "blocks", "ofm_rows")   # around the columns, innermost first


def column_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A column on its way through the loops.

    ``row``: input row at the top of the window, ``row_lane`` its lane in the line buffer; both may
    lie outside the input. ``kernel_left``: kernel rows from there on. ``offset``: of the block's
    channels in the row, in lanes: every block begins at one. ``compute``: it ends a step of the
    array, which uses ring word ``word`` and is the ``first``, ``last`` one of its pixel and block.
    ``again``: no column, but another step with the window as it is. ``phase``: modulo 2.
    ``preset``, ``row_first``: first column of a block, of an output row.
    """
    lane = line_position_bits(config) - line_lane_bits(config)
    return data.StructLayout({
        "row": signed(18), "row_lane": unsigned(lane),
        "kernel_left": unsigned(8),
        "offset": signed(lane),
        "compute": 1, "again": 1, "phase": 1, "first": 1, "last": 1,
        "word": range(2 * config.ring_words),
        "preset": 1, "row_first": 1, "instruction_end": 1,
    })


class ColumnWalker(Component):
    """Walks y, b, x, phases and columns, a column a cycle, and one more with ``chunks`` = 2.

    ``start`` sets it to the first column of ``fields``, from the next cycle on; ``advance`` takes
    it to the next one. After the last one ``column.word`` is past the instruction's last ring word,
    and ``held`` counts its words.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        layout = column_layout(config)
        super().__init__({
            "start": In(1),
            "advance": In(1),
            "fields": In(unit_layout("array", config)),
            "products": In(products_layout(config)),
            "line_base": In(layout["row_lane"].shape),
            "ring_base": In(range(2 * config.ring_words)),
            "column": Out(layout),
            "held": Out(range(2 * config.ring_words)),
        })

    def elaborate(self, platform):
        m = Module()
        fields, column = self.fields, self.column
        m.submodules.counters = counters = LoopCounters(LOOPS)
        now = Signal(column.shape(), reset_less=True)
        column_end = Signal(reset_less=True)   # the last one of its phase
        walk = Signal()   # on to the next phase
        phases_end, pixels_end, blocks_end, rows_end = (column_end & end for end in counters.ends)
        m.d.comb += [
            walk.eq(self.advance & column_end),
            counters.start.eq(self.start),
            counters.advance.eq(walk),
            *(counters.counts[name].eq(fields[name]) for name in LOOPS),
        ]

        columns_after = Signal(8, reset_less=True)   # after the next one
        twice = fields.chunks[1]
        read = Signal(reset_less=True)         # the last one of its phase that is read
        first_pixel = Signal(reset_less=True)
        count = Mux(self.start | pixels_end | (first_pixel & ~phases_end),
                    fields.columns_first, fields.columns_next)
        with m.If(self.start | (self.advance & phases_end)):
            m.d.sync += first_pixel.eq(self.start | pixels_end)
        with m.If(self.start | walk):
            m.d.sync += now.phase.eq(~(self.start | phases_end | now.phase))
        with m.If(self.start | walk):
            m.d.sync += [
                columns_after.eq(count - 2),
                read.eq(count == 1),
                column_end.eq((count == 1) & ~twice),
                now.again.eq(0),
            ]
        with m.Elif(self.advance):
            m.d.sync += [
                columns_after.eq(columns_after - 1),
                read.eq(columns_after == 0),
                column_end.eq(Mux(twice, read, columns_after == 0)),
                now.again.eq(read),
            ]

        # Where it does not slide, the array takes the window whenever it is full of new columns.
        group = Signal(range(self._config.dot_width), reset_less=True)
        short = exact_log2(self._config.column_window[1])
        full = group[:short].all() & (group[short:].all() | ~fields.single_row)
        with m.If(self.start | self.advance):
            m.d.sync += group.eq(Mux(self.start | column_end, 0, group + 1))

        m.d.comb += [
            column.eq(now),
            column.compute.eq(read | now.again | (full & ~fields.sliding)),
            column.last.eq(phases_end),
            column.instruction_end.eq(rows_end),
        ]
        with m.If(self.start):
            m.d.sync += [now.first.eq(1), now.preset.eq(1), now.row_first.eq(1)]
        with m.Elif(self.advance):
            m.d.sync += [
                now.first.eq(phases_end | (now.first & ~column.compute)),
                now.preset.eq(pixels_end),
                now.row_first.eq(blocks_end),
            ]
        ends = column_end, phases_end, pixels_end, blocks_end, rows_end
        self._offsets(m, now, ends)
        self._rows(m, now, ends)
        self._words(m, now, ends)
        return m

    def _offsets(self, m, now, ends):
        """Offsets go on by one addition to what they were at the start of the loop that goes on."""
        fields, lane = self.fields, line_lane_bits(self._config)
        column_end, phases_end, pixels_end, blocks_end, _ = ends
        block = Signal.like(now.offset, reset_less=True)   # of the first column of its block
        pixel = Signal.like(now.offset, reset_less=True)
        following = Signal.like(now.offset)
        with m.If(self.start | blocks_end):
            # A window that slides has its left padding by ``preset``, but not those of the phases.
            m.d.comb += following.eq(Mux(fields.sliding & ~fields.phase_windows, 0,
                                         -fields.pad_left_bytes[lane:]))
        with m.Elif(pixels_end):
            m.d.comb += following.eq(block + fields.block_width[lane:])
        with m.Elif(phases_end & ~fields.sliding):
            m.d.comb += following.eq(pixel + fields.pixel_step[lane:])
        with m.Elif(column_end & ~phases_end):
            m.d.comb += following.eq(pixel)
        with m.Else():
            m.d.comb += following.eq(
                now.offset + Mux(now.again, 0, fields.segment_step[lane:]))
        with m.If(self.start | self.advance):
            m.d.sync += now.offset.eq(following)
            with m.If(self.start | pixels_end):
                m.d.sync += block.eq(following)
            with m.If(self.start | phases_end):
                m.d.sync += pixel.eq(following)

    def _rows(self, m, now, ends):
        fields, products = self.fields, self.products
        column_end, phases_end, _, blocks_end, _ = ends
        stride = Signal.like(products.stride_lanes, reset_less=True)
        with m.If(self.start):
            m.d.sync += stride.eq(products.stride_lanes)
        pitch = fields.line_pitch[line_lane_bits(self._config):]

        rows, lone = self._config.column_window[0], fields.single_row   # a phase's rows

        def walk(name, first, by_phase, by_stride):
            """One coordinate of the window's top row, and of the kernel's."""
            present = now[name]
            top = Signal.like(present, name=f"top_{name}", reset_less=True)
            following = Signal.like(present, name=f"following_{name}")
            with m.If(self.start):
                m.d.comb += following.eq(first[0] - first[1])
            with m.Elif(blocks_end):
                m.d.comb += following.eq(top + by_stride)
            with m.Elif(phases_end):
                m.d.comb += following.eq(top)
            with m.Else():
                m.d.comb += following.eq(present + by_phase)
            with m.If(self.start | (self.advance & column_end)):
                m.d.sync += present.eq(following)
            with m.If(self.start | (self.advance & blocks_end)):
                m.d.sync += top.eq(following)

        walk("row", (0, fields.pad_top), Mux(lone, 1, rows), fields.stride_rows)
        walk("row_lane", (self.line_base, products.pad_lanes),
             Mux(lone, pitch, pitch << exact_log2(rows)), stride)
        with m.If(self.start | (self.advance & phases_end)):
            m.d.sync += now.kernel_left.eq(fields.kernel_rows)
        with m.Elif(self.advance & column_end):
            m.d.sync += now.kernel_left.eq(now.kernel_left - Mux(lone, 1, rows))

    def _words(self, m, now, ends):
        """A block's ring words come again for each of its pixels, all of them for each row."""
        _, phases_end, pixels_end, blocks_end, rows_end = ends
        instruction = Signal.like(now.word, reset_less=True)   # first word of it
        block = Signal.like(now.word, reset_less=True)
        following = Signal.like(now.word)
        m.d.comb += self.held.eq(now.word - instruction)
        with m.If(self.start):
            m.d.comb += following.eq(self.ring_base)
            m.d.sync += instruction.eq(self.ring_base)
        with m.Elif(blocks_end & ~rows_end):
            m.d.comb += following.eq(instruction)
        with m.Elif(phases_end & ~pixels_end):
            m.d.comb += following.eq(block)
        with m.Else():
            m.d.comb += following.eq(now.word + self.column.compute)
        with m.If(self.start | self.advance):
            m.d.sync += now.word.eq(following)
            with m.If(self.start | pixels_end):
                m.d.sync += block.eq(following)
