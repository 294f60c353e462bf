"""Walks the loops of DENSE, DEPTHWISE and MAX_POOL, step by step."""

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
from kaniwa.hw.parts.loop_counters import LOOPS, LoopCounters
from kaniwa.hw.steps.signatures import pool_pairs
from kaniwa.hw.steps.step_list import listed_port
from kaniwa.hw.steps.walkers import OffsetWalker, RowWalker, WordWalker

__all__ = ["DenseWalker", "dense_step_layout"]


def dense_step_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A step as its instruction's loops give it.

    ``first``, ``last``: of its block. ``row_first``: of its output row. ``row_valid``: its input
    row is there; else ``row_below`` or above. ``word_end``: the last step of its ring word.
    ``pair``: it is one of two blocks. ``chunk``: what of a list is still to be added to ``offset``,
    in chunks.
    """
    position = line_position_bits(config)
    return data.StructLayout({
        "first": 1, "last": 1, "row_first": 1, "instruction_end": 1,
        "row_valid": 1, "row_below": 1,
        "row_lane": position - line_lane_bits(config), "offset": signed(position),
        "word": range(2 * config.ring_words), "word_end": 1, "column": range(config.dot_width),
        **({"pair": 1} if config.pool_blocks > 1 else {}),
        **({"chunk": position - exact_log2(config.dot_width)} if config.step_entries else {}),
    })


class DenseWalker(Component):
    """Walks the loops of an instruction: ``step`` is the first one from the cycle after ``start``
    on, and moves with ``advance``.

    ``products``, ``line_base`` and ``ring_base`` are read at ``start``. ``row_shift`` and
    ``pixel_offset`` are those of ``WindowReach``. ``held``: ring words up to this step. ``pairs``
    and ``odd`` are those of ``pool_pairs``.

    With ``step_entries``, ``listed`` takes a step of the list with ``start`` and with each
    ``advance`` but the last one: ``advance`` is 1 only while there is one.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        position = line_position_bits(config)
        lane = position - line_lane_bits(config)
        super().__init__({
            "start": In(1),
            "advance": In(1),
            "fields": In(unit_layout("array", config)),
            "products": In(products_layout(config)),
            "line_base": In(lane),
            "ring_base": In(range(2 * config.ring_words)),
            **pool_pairs(config),
            "step": Out(dense_step_layout(config)),
            "row_shift": Out(exact_log2(config.read_bytes)),
            "pixel_offset": Out(signed(position)),
            "held": Out(range(2 * config.ring_words)),
            **listed_port(config),
        })

    def elaborate(self, platform):
        m = Module()
        config, fields, start, walk = self._config, self.fields, self.start, self.advance
        m.submodules.counters = counters = LoopCounters(
            listed=config.step_entries > 0)
        m.submodules.offsets = offsets = OffsetWalker(config)
        m.submodules.rows = rows = RowWalker(config)
        m.submodules.words = words = WordWalker(config)
        m.d.comb += [
            counters.start.eq(start),
            counters.advance.eq(walk),
            *(counters.counts[name].eq(fields[name]) for name in LOOPS),
            rows.products.eq(self.products),
            rows.line_base.eq(self.line_base),
            words.ring_base.eq(self.ring_base),
        ]
        for walker in (offsets, rows, words):
            m.d.comb += [
                walker.start.eq(start), walker.advance.eq(walk), walker.ends.eq(counters.ends),
                walker.fields.eq(fields),
            ]
        first = Signal(reset_less=True)
        row_first = Signal(reset_less=True)
        with m.If(start):
            m.d.sync += [first.eq(1), row_first.eq(1)]
        with m.Elif(walk):
            m.d.sync += [
                first.eq(counters.ends[LOOPS.index("kernel_rows")]),
                row_first.eq(counters.ends[LOOPS.index("ofm_columns")]),
            ]
        step = self.step
        m.d.comb += [
            step.first.eq(first),
            step.last.eq(counters.ends[LOOPS.index("kernel_rows")]),
            step.row_first.eq(row_first),
            step.instruction_end.eq(counters.ends[-1]),
            step.row_valid.eq((rows.row >= 0) & (rows.row < fields.ifm_rows)),
            step.row_below.eq(rows.row >= fields.ifm_rows),
            step.row_lane.eq(rows.row_lane),
            step.offset.eq(offsets.offset),
            step.word.eq(words.word),
            step.word_end.eq(words.word_end),
            step.column.eq(words.column),
            self.row_shift.eq(rows.row_shift),
            self.pixel_offset.eq(offsets.pixel_offset),
            self.held.eq(words.held),
        ]
        if config.pool_blocks > 1:
            last_block = counters.lasts[LOOPS.index("blocks")]
            m.d.comb += step.pair.eq(self.pairs & ~(self.odd & last_block))
        if config.step_entries:
            self._take_listed(m, counters)
        return m

    def _take_listed(self, m, counters):
        """The steps of a list, as they come."""
        listed, chunk = self.listed, Signal.like(self.step.chunk, reset_less=True)
        m.d.comb += [
            counters.is_listed.eq(self.fields.listed),
            counters.next_last.eq(listed.payload.segment_end),
            listed.ready.eq(self.fields.listed
                            & (self.start | (self.advance & ~counters.ends[-1]))),
            self.step.chunk.eq(chunk),
        ]
        with m.If(self.start | self.advance):
            m.d.sync += chunk.eq(Mux(self.fields.listed, listed.payload.chunk, 0))
