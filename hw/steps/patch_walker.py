"""The loops of patches: reads that gather them, and steps of the array that use them."""

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
from kaniwa.hw.steps.walkers import RowWalker
from kaniwa.isa import FIELDS

__all__ = ["GatherWalker", "PatchWalker", "gather_read_layout", "gather_row_layout",
           "patch_step_layout"]


def _patch_words(config: AcceleratorConfig) -> range:
    """Words of the patch buffer since reset, modulo twice its size."""
    return range(2 * config.patch_bytes // config.dot_width)


def gather_read_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A read for a patch. Bytes 0 to ``last`` of it go to ``position`` of the patch buffer.

    The last one goes into word ``last_word``; after it all words below word ``complete`` are so.
    """
    return data.StructLayout({
        "row_valid": 1, "offset": signed(line_position_bits(config)), "instruction_end": 1,
        "position": range(config.patch_bytes), "last": range(config.dot_width),
        "last_word": _patch_words(config), "complete": _patch_words(config),
    })


def gather_row_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Facts of a read that the release of input rows needs: ``first`` one of an output row."""
    lane = line_position_bits(config) - line_lane_bits(config)
    return data.StructLayout({"first": 1, "above": 1, "below": 1, "lane": unsigned(lane)})


class GatherWalker(Component):
    """Walks y, x, kernel rows and chunks, a read a cycle.

    ``start`` sets it to the first read of ``fields``, from the next cycle on; ``advance`` takes it
    to the next one. Patches begin at whole words, one behind the other.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        layout = gather_row_layout(config)
        super().__init__({
            "start": In(1),
            "advance": In(1),
            "fields": In(unit_layout("array", config)),
            "products": In(products_layout(config)),
            "line_base": In(layout["lane"].shape),
            "read": Out(gather_read_layout(config)),
            "row": Out(layout),
            "row_shift": Out(exact_log2(config.read_bytes)),
            "pixel_offset": Out(signed(line_position_bits(config))),
        })

    def elaborate(self, platform):
        m = Module()
        fields, read = self.fields, self.read
        loops = ("chunks", "kernel_rows", "ofm_columns", "ofm_rows")
        m.submodules.counters = counters = LoopCounters(loops, {
            "chunks": -(-FIELDS["segment_bytes"].high // self._config.dot_width)})
        m.submodules.rows = rows = RowWalker(self._config)
        chunk_end, pixel_end, columns_end, rows_end = counters.ends
        m.d.comb += [
            counters.start.eq(self.start),
            counters.advance.eq(self.advance),
            *(counters.counts[name].eq(fields[name]) for name in loops),
            rows.start.eq(self.start),
            rows.advance.eq(self.advance),
            rows.fields.eq(fields),
            rows.products.eq(self.products),
            rows.line_base.eq(self.line_base),
            # A kernel row is one segment; its bytes are read once for all blocks.
            rows.ends.eq(Cat(chunk_end, chunk_end, pixel_end, pixel_end, columns_end, rows_end)),
            self.row_shift.eq(rows.row_shift),
            self.row.above.eq(rows.row < 0),
            self.row.below.eq(rows.row >= fields.ifm_rows),
            self.row.lane.eq(rows.row_lane),
            read.row_valid.eq(~(self.row.above | self.row.below)),
            read.instruction_end.eq(rows_end),
        ]
        with m.If(self.start | self.advance):
            m.d.sync += self.row.first.eq(self.start | columns_end)
        self._offsets(m, chunk_end, pixel_end, columns_end)
        self._places(m, chunk_end, pixel_end)
        return m

    def _offsets(self, m, chunk_end, pixel_end, columns_end):
        """Offset of a read in its row, and that of its pixel."""
        fields, shape = self.fields, self.pixel_offset.shape()
        offset = Signal(shape, reset_less=True)
        pixel = Signal(shape, reset_less=True)
        following = Signal(shape)
        with m.If(self.start | columns_end):
            m.d.comb += following.eq(-fields.pad_left_bytes)
        with m.Elif(pixel_end):
            m.d.comb += following.eq(pixel + fields.pixel_step)
        with m.Elif(chunk_end):
            m.d.comb += following.eq(pixel)
        with m.Else():
            m.d.comb += following.eq(offset + self._config.dot_width)
        with m.If(self.start | self.advance):
            m.d.sync += offset.eq(following)
            with m.If(self.start | pixel_end):
                m.d.sync += pixel.eq(following)
        m.d.comb += [self.read.offset.eq(offset), self.pixel_offset.eq(pixel)]

    def _places(self, m, chunk_end, pixel_end):
        """Places in the patch buffer for the bytes of a read."""
        read, width = self.read, self._config.dot_width
        byte_bits = exact_log2(width)
        position = Signal(range(2 * self._config.patch_bytes))
        last_byte = Signal.like(position)
        tail = Signal(byte_bits, reset_less=True)   # last byte of the last chunk
        m.d.sync += tail.eq(self.fields.segment_bytes[:byte_bits] - 1)
        with m.If(self.advance):
            m.d.sync += position.eq(
                Mux(pixel_end, Cat(Const(0, byte_bits), read.complete), last_byte + 1))
        m.d.comb += [
            read.last.eq(Mux(chunk_end, tail, width - 1)),
            last_byte.eq(position + read.last),
            read.position.eq(position),
            read.last_word.eq(last_byte[byte_bits:]),
            read.complete.eq(read.last_word + (pixel_end | last_byte[:byte_bits].all())),
        ]


def patch_step_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A step of the array: ``patch_word`` of the patch buffer meets ``word`` of the weight ring.

    ``uses_up``: neither it nor a word of the patch buffer before it is needed after this step.
    After the step ``count`` ring words are given back if ``release``.
    """
    return data.StructLayout({
        "first": 1, "last": 1, "instruction_end": 1,
        "patch_word": _patch_words(config), "uses_up": 1,
        "word": range(2 * config.ring_words),
        "release": 1, "count": range(config.ring_words + 1),
        "weight_zero_point": signed(8),
    })


class PatchWalker(Component):
    """Walks y, x, blocks and steps, a step a cycle; ``start``, ``advance`` as in GatherWalker.

    ``ring_end`` is the ring word after that of the step.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "start": In(1),
            "advance": In(1),
            "fields": In(unit_layout("array", config)),
            "ring_base": In(range(2 * config.ring_words)),
            "step": Out(patch_step_layout(config)),
            "ring_end": Out(range(2 * config.ring_words)),
        })

    def elaborate(self, platform):
        m = Module()
        fields, step = self.fields, self.step
        loops = ("steps", "blocks", "ofm_columns", "ofm_rows")
        m.submodules.counters = counters = LoopCounters(loops, {
            "steps": self._config.patch_bytes // self._config.dot_width // 2})
        block_end, pixel_end, _, rows_end = counters.ends
        m.d.comb += [
            counters.start.eq(self.start),
            counters.advance.eq(self.advance),
            *(counters.counts[name].eq(fields[name]) for name in loops),
        ]

        # A pixel's ring words come again for the next one, unless they arrive anew.
        ring_word = Signal.like(self.ring_end, reset_less=True)
        ring_begin = Signal.like(self.ring_end, reset_less=True)
        m.d.comb += self.ring_end.eq(ring_word + 1)
        with m.If(self.start):
            m.d.sync += [ring_word.eq(self.ring_base), ring_begin.eq(self.ring_base)]
        with m.Elif(self.advance):
            m.d.sync += ring_word.eq(
                Mux(pixel_end & ~fields.weights_stream, ring_begin, self.ring_end))

        first = Signal(reset_less=True)
        word = Signal(_patch_words(self._config))
        patch_begin = Signal.like(word)
        following = Signal.like(word)
        m.d.comb += following.eq(word + 1)
        with m.If(self.start | self.advance):
            m.d.sync += first.eq(self.start | block_end)
        with m.If(self.advance):
            m.d.sync += word.eq(Mux(block_end & ~pixel_end, patch_begin, following))
            with m.If(pixel_end):
                m.d.sync += patch_begin.eq(following)

        m.d.comb += [
            step.first.eq(first),
            step.last.eq(block_end),
            step.instruction_end.eq(rows_end),
            step.patch_word.eq(word),
            step.uses_up.eq(counters.lasts[loops.index("blocks")]),
            step.word.eq(ring_word),
            step.release.eq(fields.weights_stream | rows_end),
            step.count.eq(Mux(fields.weights_stream, 1, self.ring_end - ring_begin)),
            step.weight_zero_point.eq(fields.weight_zero_point),
        ]
        return m
