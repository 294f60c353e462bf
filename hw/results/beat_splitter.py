"""Takes result slots apart into beats, each with its settings and its parameter word."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.enums import Mode
from kaniwa.hw.interfaces import result_layout, unit_layout
from kaniwa.hw.results.rounding import settings_layout
from kaniwa.hw.signatures import ring_reader

__all__ = ["BeatSplitter", "post_tag_layout", "post_beat_layout"]


def post_tag_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Tag that accompanies a beat through the requantizer; ``last``: of its instruction."""
    return data.StructLayout({
        "count": range(config.requant_lanes + 1), "last": 1, "add": 1, "table": 1, "bank": 1,
    })


def post_beat_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A beat on its way to the requantizer; its parameters come from the parameter buffer."""
    return data.StructLayout({
        "values": data.ArrayLayout(signed(32), config.requant_lanes),
        "settings": settings_layout(),
        "tag": post_tag_layout(config),
    })


def loop_ends_layout() -> data.StructLayout:
    """Loops that the present beat ends. ``inner_end``: the inner loop over blocks, or with
    ``by_block`` over pixels; ``row_end`` and ``last``: the output row and the instruction."""
    return data.StructLayout({
        "block_end": 1, "inner_end": 1, "row_end": 1, "last": 1, "by_block": 1,
    })


class BeatLoops(Component):
    """Loops over pixels, blocks and beats. COLUMN has the blocks outside the pixels of a row.

    ``begin`` starts ``new``; ``accepted`` goes to the next beat. ``now`` is ``new`` from the cycle
    after ``begin`` on. ``width``: channels of the block from this beat on; ``part``: the beat's
    place in its block; ``spread``: each value makes several channels of it. ``ends`` comes from
    flip-flops and a few gates.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        lanes = config.requant_lanes
        super().__init__({
            "begin": In(1),
            "new": In(unit_layout("post", config)),
            "now": In(unit_layout("post", config)),
            "accepted": In(1),
            "ends": Out(loop_ends_layout()),
            "width": Out(8),
            "part": Out(range(config.block_lanes // lanes)),
            **({"spread": Out(1)} if config.spread > 1 else {}),
        })

    def elaborate(self, platform):
        m = Module()
        lanes = self._config.requant_lanes
        now, new, ends = self.now, self.new, self.ends
        rows_after = Signal(16, reset_less=True)  # this and the next two: after the current one
        outer_after = Signal(16, reset_less=True)
        inner_after = Signal(16, reset_less=True)
        outer = Signal(16, reset_less=True)   # pixels and blocks, less one
        inner = Signal(16, reset_less=True)
        by_block = Signal(reset_less=True)
        width = Signal(8, reset_less=True)
        part = Signal.like(self.part)

        # What a beat ends is looked up one beat ahead, so that only flip-flops decide.
        block_end = Signal(reset_less=True)    # width <= lanes
        block_narrow = Signal(reset_less=True)   # block_width <= lanes
        last_narrow = Signal(reset_less=True)
        inner_one = Signal(reset_less=True)    # inner == 0
        outer_one = Signal(reset_less=True)
        inner_last = Signal(reset_less=True)   # inner_after == 0
        outer_last = Signal(reset_less=True)
        rows_last = Signal(reset_less=True)
        m.d.comb += [
            self.width.eq(width), self.part.eq(part),
            ends.block_end.eq(block_end),
            ends.inner_end.eq(block_end & inner_last),
            ends.row_end.eq(ends.inner_end & outer_last),
            ends.last.eq(ends.row_end & rows_last),
            ends.by_block.eq(by_block),
        ]
        with m.If(self.accepted):
            m.d.sync += [
                part.eq(Mux(block_end, 0, part + 1)),
                width.eq(width - lanes),
                block_end.eq(width <= 2 * lanes),
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
            with m.If(ends.inner_end):
                m.d.sync += [
                    outer_after.eq(Mux(ends.row_end, outer, outer_after - 1)),
                    outer_last.eq(Mux(ends.row_end, outer_one, outer_after == 1)),
                    inner_after.eq(inner),
                    inner_last.eq(inner_one),
                ]
            with m.If(ends.row_end):
                m.d.sync += [rows_after.eq(rows_after - 1), rows_last.eq(rows_after == 1)]

        with m.If(self.begin):
            new_by_block = new.mode == Mode.COLUMN
            new_width = Mux(new.blocks == 1, new.last_width, new.block_width)
            for count, one, after, last_round, of_pixels in (
                    (outer, outer_one, outer_after, outer_last, ~new_by_block),
                    (inner, inner_one, inner_after, inner_last, new_by_block)):
                value = Mux(of_pixels, new.ofm_columns, new.blocks)
                m.d.sync += [count.eq(value - 1), after.eq(value - 1),
                             one.eq(value == 1), last_round.eq(value == 1)]
            m.d.sync += [
                rows_after.eq(new.ofm_rows - 1),
                rows_last.eq(new.ofm_rows == 1),
                by_block.eq(new_by_block),
                width.eq(new_width),
                block_end.eq(new_width <= lanes),
                block_narrow.eq(new.block_width <= lanes),
                last_narrow.eq(new.last_width <= lanes),
            ]
            if self._config.spread > 1:
                m.d.sync += self.spread.eq(new.block_width > self._config.out_lanes)
        return m


class ParameterWords(Component):
    """The parameter word of each beat: read for it, waited for, and given back at the end.

    ``away``: not all words of the present block are written. It is looked up a cycle ahead for
    every limit that may come next. ``reads``: the next beat's word is to be read.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "begin": In(1),
            "new": In(unit_layout("post", config)),
            "accepted": In(1),
            "ends": In(loop_ends_layout()),
            "reads": In(1),
            "away": Out(1, init=1),
            "ring": Out(ring_reader(config.parameter_words)),
        })

    def elaborate(self, platform):
        m = Module()
        lanes = self._config.requant_lanes
        new, ends, ring = self.new, self.ends, self.ring
        # Positions in the parameter ring: of the instruction, of the beat, and past the block.
        start = Signal.like(ring.written)
        word = Signal.like(ring.written)
        limit = Signal.like(ring.written)
        block_words = Signal(range(self._config.block_lanes // lanes + 1), reset_less=True)
        next_limit = Signal.like(limit)   # of the next block of the pixel, or of its first one
        first_limit = Signal.like(limit)

        def look_up(place):
            # Less than all words apart: the highest bit of the difference is its sign.
            return self.away.eq((ring.written - place)[len(limit) - 1])

        m.d.comb += [
            next_limit.eq(limit + block_words),
            first_limit.eq(start + block_words),
            ring.enable.eq(self.reads),
            ring.index.eq(word),
        ]
        m.d.sync += [
            ring.release.eq(self.accepted & ends.last),
            ring.release_count.eq(limit - start),
        ]
        m.d.sync += look_up(limit)
        with m.If(self.accepted):
            m.d.sync += word.eq(word + 1)
            with m.If(ends.block_end):
                with m.If(ends.by_block & ~ends.inner_end):
                    m.d.sync += word.eq(limit - block_words)
                with m.Else():
                    m.d.sync += [word.eq(limit), limit.eq(next_limit), look_up(next_limit)]
            with m.If(ends.inner_end):
                with m.If(~ends.by_block | ends.row_end):
                    m.d.sync += [word.eq(start), limit.eq(first_limit), look_up(first_limit)]
            with m.If(ends.last):
                m.d.sync += start.eq(limit)
        with m.If(self.begin):
            new_words = (new.block_width + (lanes - 1)) // lanes
            m.d.sync += [
                word.eq(start),
                block_words.eq(new_words),
                limit.eq(start + new_words),
                self.away.eq(1),   # the limit changes
            ]
        return m


class BeatSplitter(Component):
    """Takes result slots apart into beats of requant_lanes values, without a gap.

    ``o.payload`` is the beat whose parameter word has been read by ``parameters``; ``o.ready`` may
    only be 1 with ``o.valid``. ``now``: the instruction in work; ``active``: beats of it are still
    to be made. An instruction begins while ``may_begin`` is 1.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i_instruction": In(stream.Signature(unit_layout("post", config))),
            "i_results": In(stream.Signature(result_layout(config))),
            "parameters": Out(ring_reader(config.parameter_words)),
            "may_begin": In(1),
            "now": Out(unit_layout("post", config)),
            "active": Out(1),
            "o": Out(stream.Signature(post_beat_layout(config))),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.loops = loops = BeatLoops(self._config)
        m.submodules.words = words = ParameterWords(self._config)
        connect(m, words.ring, flipped(self.parameters))
        now = Signal.like(self.now, reset_less=True)
        beat = Signal.like(self.o.payload, reset_less=True)
        valid, active, ends = self.o.valid, self.active, loops.ends
        free = ~valid | self.o.ready
        may_start, begin = Signal(), Signal()
        accepted = self.i_results.valid & may_start
        m.d.comb += [
            self.now.eq(now),
            self.o.payload.eq(beat),
            may_start.eq(active & ~words.away & free),
            self.i_results.ready.eq(may_start & ends.block_end),
            self.i_instruction.ready.eq(~active & self.may_begin),
            begin.eq(self.i_instruction.valid & self.i_instruction.ready),
            words.reads.eq(free),   # goes far, and harms nothing where no beat starts
            words.ends.eq(ends),
            loops.now.eq(now),
        ]
        for part in (loops, words):
            m.d.comb += [
                part.begin.eq(begin), part.new.eq(self.i_instruction.payload),
                part.accepted.eq(accepted),
            ]
        with m.If(self.o.ready):
            m.d.sync += valid.eq(0)
        with m.If(free):
            self._fill(m, beat, now, loops)
        with m.If(accepted):
            m.d.sync += [valid.eq(1), active.eq(~ends.last)]
        with m.If(begin):
            m.d.sync += [active.eq(1), now.eq(self.i_instruction.payload)]
        return m

    def _fill(self, m, beat, now, loops):
        """The present part of the result slot, with the instruction's settings."""
        lanes = self._config.requant_lanes
        m.d.sync += [
            beat.settings.rounding.eq(now.rounding),
            beat.settings.zero_point.eq(now.zero_point),
            beat.settings.low.eq(now.act_min),
            beat.settings.high.eq(now.act_max),
            beat.tag.count.eq(Mux(loops.ends.block_end, loops.width, lanes)),
            beat.tag.last.eq(loops.ends.last),
            beat.tag.add.eq(now.add),
            beat.tag.table.eq(now.table),
            beat.tag.bank.eq(now.table_bank),
        ]
        results, parts = self.i_results.payload, self._config.out_lanes // lanes
        with m.Switch(loops.part[:Shape.cast(range(parts)).width]):
            for number in range(parts):
                with m.Case(number):
                    for lane in range(lanes):
                        m.d.sync += beat.values[lane].eq(results[number * lanes + lane])
        if self._config.spread > 1:
            with m.If(loops.spread), m.Switch(loops.part):
                for number in range(parts * self._config.spread):
                    with m.Case(number):
                        for lane in range(lanes):
                            m.d.sync += beat.values[lane].eq(
                                results[(number * lanes + lane) // self._config.spread])
