"""Issues the columns and steps of COLUMN: depthwise with a window filled column by column."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, Out, connect, flipped
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.enums import Mode
from kaniwa.hw.interfaces import line_lane_bits, line_position_bits
from kaniwa.hw.steps.column_walker import ColumnWalker, column_layout
from kaniwa.hw.steps.issuer import StepIssuer
from kaniwa.hw.steps.row_release import RowRelease
from kaniwa.hw.steps.signatures import array_controller_signature

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
        m.submodules.walker = walker = ColumnWalker(self._config)
        m.submodules.issuer = issuer = StepIssuer(self._waiting_layout())
        walking = Signal()
        advance = issuer.i.ready    # all columns on their way move on
        m.d.comb += [
            walker.start.eq(self.start),
            walker.advance.eq(walking & advance),
            walker.fields.eq(self.fields),
            walker.products.eq(self.products),
            walker.line_base.eq(self.line_base),
            walker.ring_base.eq(self.ring_base),
        ]
        with m.If(self.start):
            m.d.sync += walking.eq(1)
        with m.Elif(walker.advance & walker.column.instruction_end):
            m.d.sync += walking.eq(0)
        self._locate(m, walker, walking, issuer)
        self._look_up(m, issuer)
        self._issue(m, issuer)
        self._release(m, issuer)
        return m

    def _waiting_layout(self) -> data.StructLayout:
        """A column that waits, with all that the array needs of its instruction."""
        config = self._config
        lane = line_position_bits(config) - line_lane_bits(config)
        return data.StructLayout({
            "column": column_layout(config), "rows": self._rows, "below": 1, "needed": lane,
            "positions": data.ArrayLayout(unsigned(line_position_bits(config)), self._rows),
            "single_row": 1, "own": 1, "corner": 1, "pad_value": signed(8),
            "row_bytes": self.step.row_bytes.shape(),
            "held": range(2 * config.ring_words), "line_end": lane,
        })

    def _locate(self, m, walker, walking, issuer):
        """Stages 1 and 2, from the walker to where a column waits: its bytes, and its real rows."""
        config, fields, walked = self._config, self.fields, walker.column
        lane, advance = line_lane_bits(config), issuer.i.ready

        # From a place in the window's top row to the one in each row: multiples of the pitch, and
        # the lanes between the word that a row begins in and the row.
        pitch = fields.line_pitch[lane:]
        before = fields.ifm_address[lane:exact_log2(config.read_bytes)]
        pitches = [Const(0, 1), pitch, pitch << 1, pitch + (pitch << 1)][:self._rows]
        down = [Signal(len(pitch) + 2, name=f"down_{row}", reset_less=True)
                for row in range(self._rows)]
        m.d.sync += [distance.eq(rows + before)
                     for distance, rows in zip(down, pitches, strict=True)]

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
                rows_2.eq(rows_1 & (in_row_1 & ~column_1.again).replicate(self._rows)),
                below_2.eq(column_1.row >= fields.ifm_rows),
                needed_2.eq(origin_1 + deepest),
            ]
        m.d.comb += [
            self.leaving.eq(valid_2 & column_2.instruction_end & advance),
            self.ring_end.eq(walked.word),
        ]
        arriving = issuer.i.payload
        m.d.comb += [
            issuer.i.valid.eq(valid_2),
            arriving.column.eq(column_2),
            arriving.rows.eq(rows_2),
            arriving.below.eq(below_2),
            arriving.needed.eq(needed_2),
            *(position.eq((origin_2 + distance) << lane)
              for position, distance in zip(arriving.positions, down, strict=True)),
            arriving.single_row.eq(fields.single_row),
            arriving.own.eq(fields.phase_windows),
            # The kernel has a column that its steps do not meet in a half.
            arriving.corner.eq(~fields.chunks[1]
                               & (fields.segments > self._config.column_window[1])),
            arriving.row_bytes.eq(fields.ifm_row_bytes),
            arriving.pad_value.eq(fields.pad_value),
            arriving.held.eq(walker.held),
            arriving.line_end.eq(self.line_base),
        ]

    def _look_up(self, m, issuer):
        """Look up a column's needs: bytes in the line buffer, a ring word, a result slot."""
        lane = line_lane_bits(self._config)

        def loaded(place):
            needed = place.needed
            return ~(self.loaded[lane:] + ~needed)[len(needed) - 1] | ~place.rows.any()

        def written(place):
            word = place.column.word
            return ~(self.ring_written + ~word)[len(word) - 1] | ~place.column.compute

        m.d.comb += issuer.look_up(loaded, written, issuer.here.column.last)

    def _issue(self, m, issuer):
        """The waiting column as a step, its read, and its use of the weight ring."""
        connect(m, issuer.issuing, flipped(self.issuing))
        here, column, issue = issuer.here, issuer.here.column, issuer.issuing.issue
        lane = line_lane_bits(self._config)
        one_row = here.single_row | (self._rows == 1)
        m.d.comb += [
            self.step.mode.eq(Mode.COLUMN),
            self.step.single_row.eq(here.single_row),
            self.step.row_valid.eq(here.rows[0]),
            self.step.rows.eq(here.rows),
            self.step.offset.eq(column.offset << lane),
            self.step.row_bytes.eq(here.row_bytes),
            self.step.pad_value.eq(here.pad_value),
            *(self.step[name].eq(column[name]) for name in (
                "preset", "compute", "again", "first", "last")),
            self.ring.read.eq(column.compute),
            self.ring.word.eq(column.word),
            self.ring.release.eq(column.instruction_end),
            self.ring.count.eq(here.held),
            self.line_read.eq(issue & one_row & here.rows[0]),
            self.line_position.eq(here.positions[0]),
        ]
        if self._config.phase_windows:
            m.d.comb += [self.step.own.eq(here.own), self.step.phase.eq(column.phase),
                         self.step.corner.eq(here.own & here.corner & column.phase)]
        if self._rows > 1:
            m.d.comb += [
                self.column_read.eq(issue & ~one_row),
                self.column_positions.eq(here.positions),
            ]

    def _release(self, m, issuer):
        """Input rows that are used up."""
        here, column = issuer.here, issuer.here.column
        m.submodules.release = release = RowRelease(self._config)
        m.d.comb += [
            release.moves.eq(issuer.moves),
            release.first.eq(column.row_first),
            release.above.eq(column.row < 0),
            release.below.eq(here.below),
            release.row_lane.eq(column.row_lane),
            release.line_end.eq(here.line_end),
            release.ended.eq(issuer.issuing.issue & column.instruction_end),
            release.turn.eq(self.issuing.turn),
            self.free.eq(release.free),
            self.free_lane.eq(release.free_lane),
        ]
