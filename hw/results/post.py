"""Post: from accumulators to the bytes that are stored: bias, requantization, tables, ADD, MUL."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import (
    beat_layout,
    parameter_layout,
    result_layout,
    unit_layout,
    vector_blocks,
)
from kaniwa.hw.multiplier.plain import PlainMultiplier
from kaniwa.hw.results.elementwise import Elementwise, table_layout
from kaniwa.hw.results.operand_queue import OperandQueue
from kaniwa.hw.results.requantizer import Requantizer, settings_layout
from kaniwa.hw.signatures import ring_reader
from kaniwa.isa import FACTOR_BITS, Mode

__all__ = ["Post"]

# Beats in the pipeline at once, at most: one in each of its 10 + 1 places, rounded up.
IN_FLIGHT = 16


class Post(wiring.Component):
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
        lanes, words = config.requant_lanes, config.parameter_words
        self._tag = data.StructLayout({
            "count": range(lanes + 1), "last": 1, "add": 1, "table": 1, "bank": 1,
        })
        self._beat = data.StructLayout({
            "values": data.ArrayLayout(signed(32), lanes),
            "settings": settings_layout(),
            "tag": self._tag,
        })
        super().__init__({
            "i_instruction": In(stream.Signature(unit_layout("post"))),
            "i_results": In(stream.Signature(result_layout(config))),
            "i_operand": In(stream.Signature(beat_layout(config))),
            "i_table": In(stream.Signature(table_layout())),
            "parameters": Out(ring_reader(words)),
            "parameter_data": In(data.ArrayLayout(parameter_layout(), lanes)),
            "o": Out(stream.Signature(beat_layout(config))),
            "done": Out(16),
            "waiting_for_store": Out(1),
            "idle": Out(1),
            **({"vector": In(vector_blocks(config))} if config.vector_unit else {}),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.requantizer = requantizer = Requantizer(
            self.config, self._tag, self._multiplier,
            self.config.elementwise and self.config.elementwise_multiply, self._late_bias)
        if self.config.vector_unit:
            wiring.connect(m, wiring.flipped(self.vector), requantizer.vector)

        now = Signal(unit_layout("post"), reset_less=True)
        # The beat whose parameters are at parameter_data.
        beat = Signal(self._beat, reset_less=True)
        beat_valid = Signal()
        beat_taken = Signal()
        active = Signal()   # beats of ``now`` are still to come
        instruction_ready = Signal()
        self._take_apart(m, now, active, instruction_ready, beat, beat_valid, beat_taken)

        # A sum (or product) comes round: it goes before new beats.
        sums = Signal(data.ArrayLayout(signed(32), self.config.requant_lanes))
        sums_valid = Signal()
        # No sum comes, and the operand of the beat is there: a flip-flop, for hundreds hang on it.
        # ``beat_allowed``: the same of the operand where that is known too late for it.
        may_go = Signal(init=1)
        sums_tag = Signal(self._tag, reset_less=True)
        beat_allowed = Signal(init=1)
        last_left = Signal()
        if self.config.elementwise:
            in_loop = self._elementwise(
                m, requantizer.o, now, beat, beat_allowed, beat_taken, sums, sums_valid, may_go,
                sums_tag, last_left)
            # A cycle behind: nothing new comes into the loop between two instructions.
            loop_empty = Signal()
            m.d.sync += loop_empty.eq(~(active | beat_valid | in_loop))
            m.d.comb += instruction_ready.eq(~now.add | loop_empty)
        else:
            m.d.comb += [
                instruction_ready.eq(1),
                self.i_table.ready.eq(1),
                self.o.valid.eq(requantizer.o.valid),
                requantizer.o.ready.eq(self.o.ready),
                self.o.payload.values.eq(requantizer.o.payload.values),
                self.o.payload.count.eq(requantizer.o.payload.tag.count),
                last_left.eq(requantizer.o.payload.tag.last),
            ]

        into = requantizer.i
        m.d.comb += [
            into.valid.eq(sums_valid | (beat_valid & beat_allowed & may_go)),
            beat_taken.eq(beat_valid & beat_allowed & may_go & into.ready),
            into.payload.settings.eq(beat.settings),
            into.payload.tag.eq(beat.tag),
        ]
        with m.If(sums_valid):
            m.d.comb += [
                into.payload.settings.rounding.eq(now.add_rounding),
                into.payload.settings.zero_point.eq(now.add_zero_point),
                into.payload.settings.low.eq(now.add_min),
                into.payload.settings.high.eq(now.add_max),
                into.payload.tag.eq(sums_tag),
                into.payload.tag.add.eq(0),
            ]
        for lane, record in enumerate(self.parameter_data):
            value = beat.values[lane]
            if self._late_bias:
                m.d.comb += into.payload.bias[lane].eq(Mux(sums_valid, 0, record.bias))
            else:
                value += record.bias
            m.d.comb += [
                into.payload.values[lane].eq(Mux(sums_valid, sums[lane], value)),
                into.payload.multiplier[lane].eq(
                    Mux(sums_valid, now.add_multiplier, record.multiplier)),
                into.payload.shift[lane].eq(Mux(sums_valid, now.add_shift, record.shift)),
            ]

        outstanding = Signal(range(IN_FLIGHT))
        started = self.i_instruction.valid & self.i_instruction.ready
        finished = self.o.valid & self.o.ready & last_left
        m.d.sync += [
            outstanding.eq(outstanding + started - finished),
            self.done.eq(self.done + finished),
        ]
        m.d.comb += [
            self.waiting_for_store.eq(self.o.valid & ~self.o.ready),
            self.idle.eq(outstanding == 0),
        ]
        return m

    def _take_apart(self, m, now, active, instruction_ready, beat, beat_valid, beat_taken):
        """The loops over pixels, blocks and beats: from result slots to ``beat``.

        COLUMN has the blocks outside the pixels of a row.
        """
        lanes = self.config.requant_lanes
        rows_after = Signal(16, reset_less=True)  # this and the next two: after the current one
        outer_after = Signal(16, reset_less=True)
        inner_after = Signal(16, reset_less=True)
        outer = Signal(16, reset_less=True)   # pixels and blocks, less one
        inner = Signal(16, reset_less=True)
        by_block = Signal(reset_less=True)
        width = Signal(8, reset_less=True)  # channels of the block from this beat on

        # What a beat ends is looked up one beat ahead, so that only flip-flops decide.
        block_end = Signal(reset_less=True)    # width <= lanes
        block_narrow = Signal(reset_less=True)   # block_width <= lanes
        last_narrow = Signal(reset_less=True)
        inner_one = Signal(reset_less=True)    # inner == 0
        outer_one = Signal(reset_less=True)
        inner_last = Signal(reset_less=True)   # inner_after == 0
        outer_last = Signal(reset_less=True)
        rows_last = Signal(reset_less=True)
        part = Signal(range(self.config.out_lanes // lanes))

        # Positions in the parameter ring: of the instruction, of the beat, and past the block.
        start = Signal.like(self.parameters.written)
        word = Signal.like(self.parameters.written)
        limit = Signal.like(self.parameters.written)
        block_words = Signal(range(self.config.out_lanes // lanes + 1), reset_less=True)

        inner_end = block_end & inner_last
        row_end = inner_end & outer_last
        last = row_end & rows_last

        # Whether the words are there is looked up a cycle ahead for every limit that may come next.
        # Less than all words apart: the highest bit of the difference is its sign.
        words_away = Signal(init=1)
        next_limit = Signal.like(limit)   # of the next block of the pixel, or of its first one
        first_limit = Signal.like(limit)
        free = ~beat_valid | beat_taken
        may_start = Signal()
        accepted = self.i_results.valid & may_start

        def look_up(place):
            return words_away.eq((self.parameters.written - place)[len(limit) - 1])

        m.d.comb += [
            next_limit.eq(limit + block_words),
            first_limit.eq(start + block_words),
            may_start.eq(active & ~words_away & free),
            self.i_results.ready.eq(may_start & block_end),
            self.parameters.enable.eq(free),   # goes far, and harms nothing where no beat starts
            self.parameters.index.eq(word),
            self.i_instruction.ready.eq(~active & instruction_ready),
        ]

        m.d.sync += [
            self.parameters.release.eq(accepted & last),
            self.parameters.release_count.eq(limit - start),
        ]
        m.d.sync += look_up(limit)
        with m.If(beat_taken):
            m.d.sync += beat_valid.eq(0)
        with m.If(free):
            m.d.sync += [
                beat.settings.rounding.eq(now.rounding),
                beat.settings.zero_point.eq(now.zero_point),
                beat.settings.low.eq(now.act_min),
                beat.settings.high.eq(now.act_max),
                beat.tag.count.eq(Mux(block_end, width, lanes)),
                beat.tag.last.eq(last),
                beat.tag.add.eq(now.add),
                beat.tag.table.eq(now.table),
                beat.tag.bank.eq(now.table_bank),
            ]
            with m.Switch(part):
                for number in range(self.config.out_lanes // lanes):
                    with m.Case(number):
                        for lane in range(lanes):
                            m.d.sync += beat.values[lane].eq(
                                self.i_results.payload[number * lanes + lane])
        with m.If(accepted):
            m.d.sync += [
                beat_valid.eq(1),
                active.eq(~last),
                part.eq(Mux(block_end, 0, part + 1)),
                width.eq(width - lanes),
                block_end.eq(width <= 2 * lanes),
                word.eq(word + 1),
            ]
            # Whether the block after this one is the last one of its pixel.
            last_next = Mux(
                by_block,
                Mux(inner_last, Mux(outer_last, outer_one, outer_after == 1), outer_last),
                Mux(inner_last, inner_one, inner_after == 1))
            with m.If(block_end):
                m.d.sync += [
                    inner_after.eq(inner_after - 1),
                    inner_last.eq(inner_after == 1),
                    width.eq(Mux(last_next, now.last_width, now.block_width)),
                    block_end.eq(Mux(last_next, last_narrow, block_narrow)),
                ]
                with m.If(by_block & ~inner_end):
                    m.d.sync += word.eq(limit - block_words)
                with m.Else():
                    m.d.sync += [word.eq(limit), limit.eq(next_limit), look_up(next_limit)]
            with m.If(inner_end):
                m.d.sync += [
                    outer_after.eq(Mux(row_end, outer, outer_after - 1)),
                    outer_last.eq(Mux(row_end, outer_one, outer_after == 1)),
                    inner_after.eq(inner),
                    inner_last.eq(inner_one),
                ]
                with m.If(~by_block | row_end):
                    m.d.sync += [word.eq(start), limit.eq(first_limit), look_up(first_limit)]
            with m.If(row_end):
                m.d.sync += [rows_after.eq(rows_after - 1), rows_last.eq(rows_after == 1)]
            with m.If(last):
                m.d.sync += start.eq(limit)

        with m.If(self.i_instruction.valid & self.i_instruction.ready):
            new = self.i_instruction.payload
            new_words = (new.block_width + (lanes - 1)) // lanes
            new_by_block = new.mode == Mode.COLUMN
            new_width = Mux(new.blocks == 1, new.last_width, new.block_width)
            for count, one, after, last_round, of_pixels in (
                    (outer, outer_one, outer_after, outer_last, ~new_by_block),
                    (inner, inner_one, inner_after, inner_last, new_by_block)):
                value = Mux(of_pixels, new.ofm_columns, new.blocks)
                m.d.sync += [count.eq(value - 1), after.eq(value - 1),
                             one.eq(value == 1), last_round.eq(value == 1)]
            m.d.sync += [
                active.eq(1),
                now.eq(new),
                rows_after.eq(new.ofm_rows - 1),
                rows_last.eq(new.ofm_rows == 1),
                by_block.eq(new_by_block),
                width.eq(new_width),
                block_end.eq(new_width <= lanes),
                block_narrow.eq(new.block_width <= lanes),
                last_narrow.eq(new.last_width <= lanes),
                word.eq(start),
                block_words.eq(new_words),
                limit.eq(start + new_words),
                words_away.eq(1),   # the limit changes
            ]

    def _elementwise(self, m, requantized, now, beat, beat_allowed, beat_taken, sums, sums_valid,
                     may_go, sums_tag, last_left):
        """Tables and the way back of the sums.

        Returns whether a sum is still to come round. With MUL the lanes' products go in place of
        the sums: |product| <= 2^(2 * FACTOR_BITS - 2).
        """
        m.submodules.elementwise = elementwise = Elementwise(self.config, self._tag)
        wiring.connect(m, wiring.flipped(self.i_table), elementwise.i_table)
        given, made = elementwise.i, elementwise.o
        m.d.comb += [
            given.valid.eq(requantized.valid),
            requantized.ready.eq(given.ready),
            given.payload.values.eq(requantized.payload.values),
            given.payload.add.eq(requantized.payload.tag.add),
            given.payload.table.eq(requantized.payload.tag.table),
            given.payload.bank.eq(requantized.payload.tag.bank),
            given.payload.tag.eq(requantized.payload.tag),
            self.o.valid.eq(made.valid & ~made.payload.tag.add),
            self.o.payload.values.eq(made.payload.values),
            self.o.payload.count.eq(made.payload.tag.count),
            last_left.eq(made.payload.tag.last),
            # A sum never waits, so the loop cannot block itself: the pipeline moves while a sum
            # is at its end, as its operands were there before it started.
            made.ready.eq(made.payload.tag.add | self.o.ready),
        ]

        # The entries have a register of their own: the way from a memory through an adder or a
        # multiplier is too long for a cycle. A sum has 32 bits: whoever fills the tables keeps it
        # within them.
        entries = Signal.like(made.payload.entries, reset_less=True)
        comes_round = made.valid & made.payload.tag.add
        m.d.sync += [
            sums_valid.eq(comes_round),
            sums_tag.eq(made.payload.tag),
            entries.eq(made.payload.entries),
        ]
        m.d.comb += [total.eq(first + second)
                     for total, (first, second) in zip(sums, entries, strict=True)]
        if self.config.elementwise_multiply:
            into = m.submodules.requantizer.i.payload
            m.d.comb += into.multiply.eq(sums_valid & now.multiply)
            m.d.comb += [
                product.eq(self._multiplier.narrow(
                    m, *(entry[:FACTOR_BITS].as_signed() for entry in pair)))
                for product, pair in zip(into.products, entries, strict=True)]

        in_loop = Signal(range(IN_FLIGHT))  # sums on their first way
        some_in_loop = Signal()             # in_loop != 0
        claimed = beat_taken & beat.tag.add
        m.d.sync += in_loop.eq(in_loop + claimed - sums_valid)
        with m.If(claimed ^ sums_valid):
            m.d.sync += some_in_loop.eq(claimed | (in_loop != 1))
        if self.config.requant_cycles > 1:
            m.d.comb += [
                elementwise.i_operand.payload.eq(self.i_operand.payload.values),
                elementwise.i_operand.valid.eq(self.i_operand.valid),
                self.i_operand.ready.eq(elementwise.i_operand.ready),
                beat_allowed.eq(~beat.tag.add | (self.i_operand.valid & ~some_in_loop)),
            ]
            m.d.sync += may_go.eq(~comes_round)
        else:
            m.submodules.operands = operands = OperandQueue(self.config)
            wiring.connect(m, operands.o, elementwise.i_operand)
            m.d.comb += [
                operands.i.payload.eq(self.i_operand.payload.values),
                operands.i.valid.eq(self.i_operand.valid),
                self.i_operand.ready.eq(operands.i.ready),
                operands.claim.eq(claimed),
            ]
            adds = Mux(self.parameters.enable, now.add, beat.tag.add)   # the beat of the next cycle
            m.d.sync += may_go.eq(~comes_round & (~adds | operands.following))
        return some_in_loop
