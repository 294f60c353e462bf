"""Issues the steps of DENSE, DEPTHWISE and MAX_POOL: loops, stalls, what is given back when."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import array_controller_signature, line_position_bits
from kaniwa.hw.parts.loop_counters import LOOPS, LoopCounters
from kaniwa.hw.parts.stream_buffer import StreamBuffer
from kaniwa.hw.steps.row_release import RowRelease
from kaniwa.hw.steps.walkers import OffsetWalker, RowWalker, WordWalker
from kaniwa.hw.steps.window_reach import WindowReach
from kaniwa.isa import Mode

__all__ = ["DenseController"]


class DenseController(Component):
    """Walks the loops of an instruction and issues a step a cycle unless something is missing.

    No idle cycle between steps, blocks, pixels and rows. A step waits for ``loaded`` to pass the
    end of its pixel's window in its own row, for its ring word to be among the ``ring_written``,
    and the last one of a block for a free result slot. Each is seen one cycle after it comes. A
    step reads the line buffer if its row is valid. Ports: ``array_controller_signature``.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__(dict(array_controller_signature(config).members))

    def elaborate(self, platform):
        m = Module()
        config, fields, start = self._config, self.fields, self.start
        m.submodules.counters = counters = LoopCounters()
        m.submodules.offsets = offsets = OffsetWalker(config)
        m.submodules.rows = rows = RowWalker(config)
        m.submodules.words = words = WordWalker(config)

        walking = Signal()    # the walkers are at a step
        advance = Signal()    # all steps on their way move on
        walk = Signal()
        m.d.comb += [
            walk.eq(walking & advance),
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
        instruction_end = counters.ends[-1]
        first = Signal(reset_less=True)       # first step of its block
        row_first = Signal(reset_less=True)   # first step of its output row
        with m.If(start):
            m.d.sync += [walking.eq(1), first.eq(1), row_first.eq(1)]
        with m.Elif(walk):
            m.d.sync += [
                walking.eq(~instruction_end),
                first.eq(counters.ends[LOOPS.index("kernel_rows")]),
                row_first.eq(counters.ends[LOOPS.index("ofm_columns")]),
            ]

        # What a step takes along from here.
        position = line_position_bits(config)
        step_shape = data.StructLayout({
            "first": 1, "last": 1, "row_first": 1, "instruction_end": 1,
            "row_valid": 1, "row_below": 1,
            "row_lane": rows.row_lane.shape(), "offset": signed(position),
            "word": words.word.shape(), "word_end": 1, "column": words.column.shape(),
        })
        walked = Signal(step_shape)
        m.d.comb += [
            walked.first.eq(first),
            walked.last.eq(counters.ends[LOOPS.index("kernel_rows")]),
            walked.row_first.eq(row_first),
            walked.instruction_end.eq(instruction_end),
            walked.row_valid.eq((rows.row >= 0) & (rows.row < fields.ifm_rows)),
            walked.row_below.eq(rows.row >= fields.ifm_rows),
            walked.row_lane.eq(rows.row_lane),
            walked.offset.eq(offsets.offset),
            walked.word.eq(words.word),
            walked.word_end.eq(words.word_end),
            walked.column.eq(words.column),
        ]

        # Stages 1 and 2: position that ``loaded`` has to reach.
        m.submodules.reach = reach = WindowReach(config)
        m.d.comb += [
            reach.advance.eq(advance),
            reach.row_valid.eq(walked.row_valid),
            reach.row_lane.eq(rows.row_lane),
            reach.row_shift.eq(rows.row_shift),
            reach.pixel_offset.eq(offsets.pixel_offset),
            reach.window_span.eq(fields.window_span),
            reach.ifm_row_bytes.eq(fields.ifm_row_bytes),
        ]
        valid_1, step_1 = Signal(), Signal(step_shape, reset_less=True)
        valid_2, step_2 = Signal(), Signal(step_shape, reset_less=True)
        with m.If(advance):
            m.d.sync += [
                valid_1.eq(walking), step_1.eq(walked), valid_2.eq(valid_1), step_2.eq(step_1),
            ]
        m.d.comb += [
            self.leaving.eq(valid_2 & step_2.instruction_end & advance),
            self.ring_end.eq(words.word),
        ]

        # Stage 3: the step waits here, with room for one behind it, so that those before need not
        # wait for what issues it. What it waits for is looked up as it comes first, and again in
        # each cycle in which it waits, so that only flip-flops decide.
        waiting_shape = data.StructLayout({
            "step": step_shape, "needed": position, "needs_load": 1, "line_position": position,
            "mode": 2, "weights_stream": 1, "pad_value": signed(8),
            "row_bytes": self.step.row_bytes.shape(),
            "held": words.held.shape(), "line_end": self.line_base.shape(),
        })
        m.submodules.waiting = waiting = StreamBuffer(waiting_shape)
        arriving, here, following = waiting.i.payload, waiting.o.payload, waiting.following
        m.d.comb += [
            advance.eq(waiting.i.ready),
            waiting.i.valid.eq(valid_2),
            arriving.step.eq(step_2),
            arriving.needed.eq(reach.needed),
            arriving.needs_load.eq(reach.needs_load),
            arriving.line_position.eq(reach.row_start + step_2.offset),
            arriving.mode.eq(fields.mode),
            arriving.weights_stream.eq(fields.weights_stream),
            arriving.pad_value.eq(fields.pad_value),
            arriving.row_bytes.eq(fields.ifm_row_bytes),
            arriving.held.eq(words.held),
            arriving.line_end.eq(self.line_base),
        ]
        step_3 = here.step
        load_ok, weights_ok = Signal(), Signal()

        def available(place):
            loaded = ~place.needs_load | ~(self.loaded - place.needed)[position - 1]
            # 1 <= ring_written - word <= ring_words, for what was written is not ahead by more.
            word = place.step.word
            written = ~(self.ring_written + ~word)[len(word) - 1]
            return Cat(loaded, written | (place.mode == Mode.MAX_POOL))

        m.d.sync += Cat(load_ok, weights_ok).eq(
            Mux(waiting.moves, available(following), available(here)))

        waits = waiting.o.valid & self.turn
        issue = Signal()
        m.d.comb += [
            issue.eq(waits & load_ok & weights_ok & (self.slot_ok | ~step_3.last)),
            waiting.o.ready.eq(issue),
            self.pending.eq(waiting.o.valid),
            self.issue.eq(issue),
            self.take_slot.eq(issue & step_3.last),
            self.line_read.eq(issue & step_3.row_valid),
            self.line_position.eq(here.line_position),
            self.stall_load.eq(waits & ~load_ok),
            self.stall_weights.eq(waits & load_ok & ~weights_ok),
            self.stall_result.eq(waits & load_ok & weights_ok & ~issue),
        ]

        uses_weights = here.mode != Mode.MAX_POOL
        m.d.comb += [
            self.step.mode.eq(here.mode),
            self.step.row_bytes.eq(here.row_bytes),
            self.step.pad_value.eq(here.pad_value),
            *(self.step[name].eq(step_3[name])
              for name in ("row_valid", "offset", "column", "first", "last")),
            self.step.compute.eq(1),
            self.ring.read.eq(uses_weights),
            self.ring.word.eq(step_3.word),
            self.ring.release.eq(uses_weights & Mux(
                here.weights_stream, step_3.word_end, step_3.instruction_end)),
            self.ring.count.eq(Mux(here.weights_stream, 1, here.held)),
        ]

        m.submodules.release = release = RowRelease(config)
        m.d.comb += [
            release.moves.eq(waiting.moves),
            release.first.eq(step_3.row_first),
            release.above.eq(~step_3.row_valid & ~step_3.row_below),
            release.below.eq(step_3.row_below),
            release.row_lane.eq(step_3.row_lane),
            release.line_end.eq(here.line_end),
            release.ended.eq(issue & step_3.instruction_end),
            release.turn.eq(self.turn),
            self.free.eq(release.free),
            self.free_lane.eq(release.free_lane),
        ]
        return m
