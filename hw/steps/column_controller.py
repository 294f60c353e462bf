"""Issues the columns and steps of COLUMN: depthwise with a window filled column by column."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import (
    array_controller_signature,
    line_lane_bits,
    line_position_bits,
)
from kaniwa.hw.parts.stream_buffer import StreamBuffer
from kaniwa.hw.steps.column_walker import ColumnWalker, column_layout
from kaniwa.hw.steps.row_release import RowRelease
from kaniwa.isa import Mode

__all__ = ["ColumnController"]


class ColumnController(Component):
    """Reads a column a cycle unless something is missing; with some of them the array has a step.

    No idle cycle between columns, pixels, blocks and rows. A column waits for ``loaded`` to pass
    its bytes in the last of its rows that counts, one that ends a step for its ring word too, and
    the last one of a pixel for a result slot. A column without a step is not counted as issued.

    A window of one row is read by ``line_read``; one of more by ``column_read``, with the
    positions of all rows in ``column_positions``, of which ``step.rows`` count. Other ports as in
    ``array_controller_signature``.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        self._rows = config.column_window[0]
        ports = dict(array_controller_signature(config).members)
        if self._rows > 1:
            ports |= {"column_read": Out(1), "column_positions": Out(data.ArrayLayout(
                unsigned(line_position_bits(config)), self._rows))}
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        config, fields = self._config, self.fields
        lane = line_lane_bits(config)
        m.submodules.walker = walker = ColumnWalker(config)
        walked = walker.column

        walking = Signal()
        advance = Signal()    # all columns on their way move on
        m.d.comb += [
            walker.start.eq(self.start),
            walker.advance.eq(walking & advance),
            walker.fields.eq(fields),
            walker.products.eq(self.products),
            walker.line_base.eq(self.line_base),
            walker.ring_base.eq(self.ring_base),
        ]
        with m.If(self.start):
            m.d.sync += walking.eq(1)
        with m.Elif(walker.advance & walked.instruction_end):
            m.d.sync += walking.eq(0)

        # Multiples of the pitch, for the lower rows of the window.
        pitch = fields.line_pitch[lane:]
        triple = Signal(len(pitch) + 2, reset_less=True)
        m.d.sync += triple.eq(pitch + (pitch << 1))
        down = [Const(0, 1), pitch, pitch << 1, triple][:self._rows]

        # Stage 1: where the top row has its bytes; which rows are real.
        valid_1, column_1 = Signal(), Signal(column_layout(config), reset_less=True)
        origin_1 = Signal.like(walked.row_lane, reset_less=True)
        rows_1 = Signal(self._rows, reset_less=True)
        in_row_1 = Signal(reset_less=True)
        rows_left = Signal(signed(19))
        m.d.comb += rows_left.eq(fields.ifm_rows - walked.row)
        with m.If(advance):
            m.d.sync += [
                valid_1.eq(walking),
                column_1.eq(walked),
                origin_1.eq(walked.row_lane + walked.offset),
                rows_1.eq(Cat((walked.row >= -row) & (rows_left > row) & (walked.kernel_left > row)
                              & ~(fields.single_row & (row > 0)) for row in range(self._rows))),
                in_row_1.eq((walked.offset >= 0)
                            & ((walked.offset << lane) < fields.ifm_row_bytes)),
            ]

        # Stage 2: lane that ``loaded`` has to pass.
        valid_2, column_2 = Signal(), Signal(column_layout(config), reset_less=True)
        origin_2 = Signal.like(origin_1, reset_less=True)
        rows_2 = Signal.like(rows_1, reset_less=True)
        below_2 = Signal(reset_less=True)    # the top row is below the input
        needed_2 = Signal.like(origin_1, reset_less=True)
        deepest = down[0]
        for row in range(1, self._rows):
            deepest = Mux(rows_1[row], down[row], deepest)
        with m.If(advance):
            m.d.sync += [
                valid_2.eq(valid_1),
                column_2.eq(column_1),
                origin_2.eq(origin_1),
                rows_2.eq(rows_1 & in_row_1.replicate(self._rows)),
                below_2.eq(column_1.row >= fields.ifm_rows),
                needed_2.eq(origin_1 + deepest),
            ]
        m.d.comb += [
            self.leaving.eq(valid_2 & column_2.instruction_end & advance),
            self.ring_end.eq(walked.word),
        ]

        # Stage 3: the column waits here, with room for one behind it, so that those before need not
        # wait for what issues it. What it waits for is looked up as it comes first, and again in
        # each cycle in which it waits, so that only flip-flops decide.
        waiting_shape = data.StructLayout({
            "column": column_layout(config), "rows": self._rows, "below": 1,
            "needed": needed_2.shape(),
            "positions": data.ArrayLayout(unsigned(line_position_bits(config)), self._rows),
            "single_row": 1, "row_bytes": self.step.row_bytes.shape(), "pad_value": signed(8),
            "held": walker.held.shape(), "line_end": self.line_base.shape(),
        })
        m.submodules.waiting = waiting = StreamBuffer(waiting_shape)
        arriving, here, following = waiting.i.payload, waiting.o.payload, waiting.following
        m.d.comb += [
            advance.eq(waiting.i.ready),
            waiting.i.valid.eq(valid_2),
            arriving.column.eq(column_2),
            arriving.rows.eq(rows_2),
            arriving.below.eq(below_2),
            arriving.needed.eq(needed_2),
            *(position.eq((origin_2 + distance) << lane)
              for position, distance in zip(arriving.positions, down, strict=True)),
            arriving.single_row.eq(fields.single_row),
            arriving.row_bytes.eq(fields.ifm_row_bytes),
            arriving.pad_value.eq(fields.pad_value),
            arriving.held.eq(walker.held),
            arriving.line_end.eq(self.line_base),
        ]
        column = here.column
        load_ok, weights_ok = Signal(), Signal()

        def available(place):
            word, needed = place.column.word, place.needed
            loaded = ~(self.loaded[lane:] + ~needed)[len(needed) - 1]
            written = ~(self.ring_written + ~word)[len(word) - 1]
            return Cat(loaded | ~place.rows.any(), written | ~place.column.compute)

        m.d.sync += Cat(load_ok, weights_ok).eq(
            Mux(waiting.moves, available(following), available(here)))

        waits = waiting.o.valid & self.turn
        one_row = here.single_row | (self._rows == 1)
        issue = Signal()
        m.d.comb += [
            issue.eq(waits & load_ok & weights_ok & (self.slot_ok | ~column.last)),
            waiting.o.ready.eq(issue),
            self.pending.eq(waiting.o.valid),
            self.issue.eq(issue),
            self.take_slot.eq(issue & column.last),
            self.step.mode.eq(Mode.COLUMN),
            self.step.single_row.eq(here.single_row),
            self.step.row_valid.eq(here.rows[0]),
            self.step.rows.eq(here.rows),
            self.step.offset.eq(column.offset << lane),
            self.step.row_bytes.eq(here.row_bytes),
            self.step.pad_value.eq(here.pad_value),
            *(self.step[name].eq(column[name]) for name in ("preset", "compute", "first", "last")),
            self.ring.read.eq(column.compute),
            self.ring.word.eq(column.word),
            self.ring.release.eq(column.instruction_end),
            self.ring.count.eq(here.held),
            self.line_read.eq(issue & one_row & here.rows[0]),
            self.line_position.eq(here.positions[0]),
            self.stall_load.eq(waits & ~load_ok),
            self.stall_weights.eq(waits & load_ok & ~weights_ok),
            self.stall_result.eq(waits & load_ok & weights_ok & ~issue),
        ]
        if self._rows > 1:
            m.d.comb += [
                self.column_read.eq(issue & ~one_row),
                self.column_positions.eq(here.positions),
            ]
        m.submodules.release = release = RowRelease(config)
        m.d.comb += [
            release.moves.eq(waiting.moves),
            release.first.eq(column.row_first),
            release.above.eq(column.row < 0),
            release.below.eq(here.below),
            release.row_lane.eq(column.row_lane),
            release.line_end.eq(here.line_end),
            release.ended.eq(issue & column.instruction_end),
            release.turn.eq(self.turn),
            self.free.eq(release.free),
            self.free_lane.eq(release.free_lane),
        ]
        return m
