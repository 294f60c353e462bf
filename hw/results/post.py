"""Post: from accumulators to the bytes that are stored: bias, requantization, tables, ADD, MUL."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import (
    beat_layout,
    parameter_layout,
    result_layout,
    unit_layout,
    vector_blocks,
)
from kaniwa.hw.multiplier.plain import PlainMultiplier
from kaniwa.hw.results.beat_splitter import BeatSplitter, post_tag_layout
from kaniwa.hw.results.elementwise import table_layout
from kaniwa.hw.results.pipelined_requantizer import PipelinedRequantizer
from kaniwa.hw.results.serial_requantizer import SerialRequantizer
from kaniwa.hw.results.sum_loop import IN_FLIGHT, NoLoop, SumLoop
from kaniwa.hw.signatures import ring_reader

__all__ = ["Post"]


class Post(Component):
    """Take result slots apart into beats, requantize them, map them, add or multiply the operand.

    requant_cycles = 1: a beat a cycle, from block to block and pixel to pixel, and two idle cycles
    between instructions. A beat of an ADD passes the requantizer twice, so one in two cycles, and
    the next instruction starts a cycle after the last sum has gone round (11 cycles). Latency from
    result to beat: 11 cycles (10 without elementwise), 22 with ADD. MUL takes the same way as ADD:
    what comes round is a product in place of a sum. With elementwise ``o.payload`` comes from a
    memory late in its cycle: a register is to follow it at once.
    requant_cycles = C > 1: a beat in C cycles, or one ADD beat in 2C + 7.

    Settings travel with the beats; those of the sum stay with the instruction, which is why it
    waits. ``done`` counts instructions whose last beat has left ``o``. A block starts a cycle after
    all its parameter words are written; an instruction's are released after the start of its last
    beat. With vector_unit the requantizer's ``vector`` is one of ours, for use while ``idle``.
    """

    def __init__(self, config: AcceleratorConfig, multiplier=PlainMultiplier):
        self.config = config
        self._multiplier = multiplier
        # Beside packed multipliers the parameters lie in block RAM, and come late in the cycle.
        self._late_bias = config.packed_multipliers
        super().__init__({
            "i_instruction": In(stream.Signature(unit_layout("post", config))),
            "i_results": In(stream.Signature(result_layout(config))),
            "i_operand": In(stream.Signature(beat_layout(config))),
            "i_table": In(stream.Signature(table_layout())),
            "parameters": Out(ring_reader(config.parameter_words)),
            "parameter_data": In(data.ArrayLayout(parameter_layout(), config.requant_lanes)),
            "o": Out(stream.Signature(beat_layout(config))),
            "done": Out(16),
            "waiting_for_store": Out(1),
            "idle": Out(1),
            **({"vector": In(vector_blocks(config))} if config.vector_unit else {}),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.splitter = splitter = BeatSplitter(config)
        kind = PipelinedRequantizer if config.requant_cycles == 1 else SerialRequantizer
        m.submodules.requantizer = requantizer = kind(
            config, post_tag_layout(config), self._multiplier,
            config.elementwise and config.elementwise_multiply, self._late_bias)
        m.submodules.loop = loop = (
            SumLoop(config, self._multiplier) if config.elementwise else NoLoop(config))
        connect(m, flipped(self.i_instruction), splitter.i_instruction)
        connect(m, flipped(self.i_results), splitter.i_results)
        connect(m, splitter.parameters, flipped(self.parameters))
        connect(m, requantizer.o, loop.i)
        connect(m, flipped(self.i_operand), loop.i_operand)
        connect(m, flipped(self.i_table), loop.i_table)
        connect(m, loop.o, flipped(self.o))
        if config.vector_unit:
            connect(m, flipped(self.vector), requantizer.vector)

        beat, now = splitter.o, splitter.now
        goes = beat.valid & loop.allowed & loop.may_go
        m.d.comb += [
            requantizer.i.valid.eq(loop.sums.valid | goes),
            beat.ready.eq(goes & requantizer.i.ready),
            loop.taken.eq(beat.ready),
            loop.beat_add.eq(beat.payload.tag.add),
            loop.next_add.eq(Mux(self.parameters.enable, now.add, beat.payload.tag.add)),
        ]
        self._choose(m, requantizer.i.payload, beat.payload, now, loop.sums)

        if config.elementwise:
            # A cycle behind: nothing new comes into the loop between two instructions.
            loop_empty = Signal()
            m.d.sync += loop_empty.eq(~(splitter.active | beat.valid | loop.in_loop))
            m.d.comb += splitter.may_begin.eq(~now.add | loop_empty)
        else:
            m.d.comb += splitter.may_begin.eq(1)
        outstanding = Signal(range(IN_FLIGHT))
        started = self.i_instruction.valid & self.i_instruction.ready
        finished = self.o.valid & self.o.ready & loop.last
        m.d.sync += [
            outstanding.eq(outstanding + started - finished),
            self.done.eq(self.done + finished),
        ]
        m.d.comb += [
            self.waiting_for_store.eq(self.o.valid & ~self.o.ready),
            self.idle.eq(outstanding == 0),
        ]
        return m

    def _choose(self, m, into, beat, now, sums):
        """A sum with the instruction's settings for sums, or else the beat with its parameters."""
        m.d.comb += [into.settings.eq(beat.settings), into.tag.eq(beat.tag)]
        with m.If(sums.valid):
            m.d.comb += [
                into.settings.rounding.eq(now.add_rounding),
                into.settings.zero_point.eq(now.add_zero_point),
                into.settings.low.eq(now.add_min),
                into.settings.high.eq(now.add_max),
                into.tag.eq(sums.tag),
                into.tag.add.eq(0),
            ]
        for lane, record in enumerate(self.parameter_data):
            value = beat.values[lane]
            if self._late_bias:
                m.d.comb += into.bias[lane].eq(Mux(sums.valid, 0, record.bias))
            else:
                value += record.bias
            m.d.comb += [
                into.values[lane].eq(Mux(sums.valid, sums.values[lane], value)),
                into.multiplier[lane].eq(Mux(sums.valid, now.add_multiplier, record.multiplier)),
                into.shift[lane].eq(Mux(sums.valid, now.add_shift, record.shift)),
            ]
        if self.config.elementwise and self.config.elementwise_multiply:
            m.d.comb += [
                into.multiply.eq(sums.valid & now.multiply), into.products.eq(sums.products)]
