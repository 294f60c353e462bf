"""From bytes of the line buffer to the operands of the array: padding, and who sees which byte."""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.enums import Mode
from kaniwa.hw.interfaces import array_layout, gather_layout, pool_layout, step_layout

__all__ = ["Window"]


class Window(Component):
    """Masks the padding of a read and spreads it over the array.

    Latency: 4 cycles from a step to its operands. Throughput: one step a cycle, no back-pressure.
    ``i_data`` has the bytes of a step and ``i_weights`` its ring word 3 cycles after it. Steps go
    to ``o``, or with MAX_POOL to ``o_pool`` (only where ``config.max_pool``).

    Byte j of a read is real where the row is and 0 <= offset + j < row_bytes, else ``pad_value``.
    DENSE: all rows of ``activations`` get the N bytes. DEPTHWISE: row m < depthwise_lanes gets byte
    m in ``column``, zeros elsewhere. COLUMN: they are the window that moves: row m < column_lanes
    has channel m's, tap (row r, column c) of a window of C columns at r * C + c. A step shifts all
    columns one to the left (``preset``: sets them to ``pad_value``) and brings the last one: byte m
    of the read, or of the ``rows`` in ``i_columns``, those that are not real as ``pad_value``. Only
    with ``compute`` the window goes to ``o``. A step ``again`` leaves the window as it is. Steps of
    other modes overwrite it. A step with ``own`` has a window of its ``phase`` instead, of 2 * C
    columns, which no other steps change and nothing presets: of which the right half, or ``again``
    the left one, goes to ``o``. With ``corner``, in phase 1, only the right half's first row does;
    the taps behind it are the last column of phase 0's left half, the first byte of that of phase
    1, and zeros.

    Where there is a patch buffer: DENSE with ``patch`` has all rows get the N bytes of ``i_patch``
    instead, which come with those of the read. With ``gather`` the masked bytes of the read go to
    ``o_gather`` 4 cycles after the step, whatever goes to ``o``.
    """

    latency = 4

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        self._rows, self._columns = config.column_window
        super().__init__({
            "i": In(stream.Signature(step_layout(config), always_ready=True)),
            "i_data": In(data.ArrayLayout(signed(8), config.dot_width)),
            **({"i_columns": In(data.ArrayLayout(
                data.ArrayLayout(signed(8), config.lane_bytes), self._rows))}
               if config.depthwise and self._rows > 1 else {}),
            **({"i_patch": In(data.ArrayLayout(signed(8), config.dot_width)),
                "o_gather": Out(stream.Signature(gather_layout(config), always_ready=True))}
               if config.patch_bytes else {}),
            "i_weights": In(8 * config.tile_bytes),
            "o": Out(stream.Signature(array_layout(config), always_ready=True)),
            **({"o_pool": Out(stream.Signature(pool_layout(config), always_ready=True))}
               if config.max_pool else {}),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        width = config.dot_width
        step = self.i.payload

        tag = self._tag(m, step)
        valid = self.i.valid
        tags = [tag]
        # Of a step that changes the operands.
        fresh, writes = self.i.valid & (~step.again | tag.own), Signal()
        for stage in range(1, self.latency):
            next_valid = Signal(name=f"valid_{stage}")
            tags.append(Signal.like(tag, name=f"tag_{stage}", reset_less=True))
            m.d.sync += [next_valid.eq(valid), tags[-1].eq(tags[-2])]
            valid = next_valid
            if stage < self.latency - 1:
                next_fresh = Signal(name=f"fresh_{stage}")
                m.d.sync += next_fresh.eq(fresh)
                fresh = next_fresh
        m.d.sync += writes.eq(fresh)
        tag = tags[-1]

        first, end = self._real_bytes(m, step)

        # Cycle 3: which bytes are real; they and the ring word arrive.
        real = Signal(width, reset_less=True)
        taps = Signal(width, reset_less=True)   # the column in use of DEPTHWISE
        dense = Signal(reset_less=True)
        tag_3 = tags[2]
        m.d.sync += [
            real.eq(Cat((first <= j) & (end > j) for j in range(width))),
            taps.eq(Cat(tag_3.depthwise & (tag_3.column == j) for j in range(width))),
            dense.eq(~(tag_3.depthwise | tag_3.columns)),
        ]
        masked = [Mux(real[j], self.i_data[j], tag.pad_value).as_unsigned() for j in range(width)]

        dense_bytes = masked
        if config.patch_bytes:
            dense_bytes = self._patch(m, valid, tag, masked)

        # Cycle 4: masked and spread.
        operands = Signal(array_layout(config), reset_less=True)
        m.d.sync += [
            Value.cast(operands.weights).eq(self.i_weights),
            operands.first.eq(tag.first),
            operands.last.eq(tag.last),
            operands.weight_zero_point.eq(tag.weight_zero_point),
            self.o.valid.eq(valid & ~tag.pool & tag.compute),
        ]
        window = self._window(m, tag_3, tag, operands, writes) if config.depthwise else {}
        with m.If(writes):
            for row in range(config.activation_lanes):
                for j in range(width):
                    byte = dense_bytes[j] & dense.replicate(8)
                    if row < config.depthwise_lanes:
                        byte = byte | (masked[row] & taps[j].replicate(8))
                    m.d.sync += operands.activations[row][j].eq(byte | window.get((row, j), 0))
        m.d.comb += self.o.payload.eq(operands)
        if config.depthwise:
            # The last column of a window of one row comes the way of a tap of DEPTHWISE.
            with m.If(tag_3.columns):
                m.d.sync += taps[-1].eq(tag_3.one_row)
        if config.max_pool:
            m.d.sync += self.o_pool.valid.eq(valid & tag.pool)
            m.d.comb += [
                self.o_pool.payload.first.eq(operands.first),
                self.o_pool.payload.last.eq(operands.last),
                *(byte.eq(value) for byte, value in zip(
                    self.o_pool.payload.bytes, operands.activations[0], strict=False)),
            ]
            if config.pool_blocks > 1:
                pair = Signal(reset_less=True)
                m.d.sync += pair.eq(tag.pair)
                m.d.comb += self.o_pool.payload.pair.eq(pair)
        return m

    def _tag(self, m, step):
        """What of a step goes along unchanged."""
        config = self._config
        unchanged = (("pair",) * (config.pool_blocks > 1) + (
            "patch", "gather", "gather_position", "gather_last") * bool(config.patch_bytes))
        tag = Signal(data.StructLayout({
            "pool": 1, "depthwise": 1, "columns": 1, "first": 1, "last": 1,
            "pad_value": signed(8), "column": step.column.shape(),
            "one_row": 1, "rows": self._rows, "preset": 1, "compute": 1, "again": 1,
            "own": 1, "phase": 1, "corner": 1,
            "weight_zero_point": signed(8),
            **{name: step[name].shape() for name in unchanged},
        }))
        m.d.comb += [
            tag.pool.eq(step.mode == Mode.MAX_POOL),
            tag.depthwise.eq(step.mode == Mode.DEPTHWISE),
            tag.columns.eq(step.mode == Mode.COLUMN),
            tag.one_row.eq(step.single_row | (self._rows == 1)),
            *(tag[name].eq(step[name]) for name in ("own", "phase", "corner")
              if config.phase_windows),
            *(tag[name].eq(step[name]) for name in (
                "first", "last", "pad_value", "column", "rows", "preset", "compute", "again",
                "weight_zero_point", *unchanged)),
        ]
        return tag

    def _real_bytes(self, m, step):
        """Cycles 1 and 2: the first byte of the read that is real, and the end of those."""
        width = self._config.dot_width
        # Cycle 1: bytes of the read that are left padding, bytes that are so or in the row.
        before = Signal(signed(len(step.offset) + 1), reset_less=True)
        inside = Signal(signed(len(step.offset) + 1), reset_less=True)
        row_valid = Signal(reset_less=True)
        m.d.sync += [
            before.eq(-step.offset),
            inside.eq(step.row_bytes - step.offset),
            row_valid.eq(step.row_valid),
        ]

        # Cycle 2: the same, 0 to N; no byte is in a row outside the input.
        def up_to_width(value):
            """The smaller of N and a value that is not negative."""
            low = exact_log2(width)
            return Mux(value[low:-1].any(), width, value[:low])

        first = Signal(range(width + 1), reset_less=True)
        end = Signal(range(width + 1), reset_less=True)
        m.d.sync += [
            first.eq(Mux(before[-1], 0, up_to_width(before))),
            end.eq(Mux(inside[-1] | ~row_valid, 0, up_to_width(inside))),
        ]
        return first, end

    def _patch(self, m, valid, tag, masked):
        """Sends bytes to the patch buffer; returns those that DENSE uses."""
        gathered = Signal.like(self.o_gather.payload, reset_less=True)
        m.d.sync += [
            self.o_gather.valid.eq(valid & tag.gather),
            gathered.position.eq(tag.gather_position),
            gathered.last.eq(tag.gather_last),
            Value.cast(gathered.data).eq(Cat(masked)),
        ]
        m.d.comb += self.o_gather.payload.eq(gathered)
        return [Mux(tag.patch, patch.as_unsigned(), byte)
                for patch, byte in zip(self.i_patch, masked, strict=True)]

    def _window(self, m, tag_3, tag, operands, writes):
        """Bytes that COLUMN adds to those of the operands: right neighbors, or a new column."""
        def of_columns(condition):
            registered = Signal(reset_less=True)
            m.d.sync += registered.eq(tag_3.columns & condition)
            return registered.replicate(8)

        shift = of_columns(~tag_3.preset & ~tag_3.own)
        fill = of_columns(tag_3.preset & ~tag_3.own) & tag.pad_value
        if self._rows > 1:
            shift_row = of_columns(~tag_3.preset & tag_3.one_row)
            fill_row = of_columns(tag_3.preset & tag_3.one_row) & tag.pad_value
            newest = of_columns(~tag_3.one_row & ~(tag_3.own & tag_3.again))
            # Of the rows but the first one, whose taps a corner has others in.
            newest_below = of_columns(~tag_3.one_row & ~(tag_3.own & (tag_3.again | tag_3.corner)))
        own = self._own_windows(m, writes, tag_3, tag) if self._config.phase_windows else {}
        window = {}
        for lane in range(self._config.column_lanes):
            activations = operands.activations[lane]
            for row in range(self._rows):
                end = (row + 1) * self._columns - 1
                for j in range(row * self._columns, end):
                    window[lane, j] = ((activations[j + 1].as_unsigned() & shift) | fill
                                       | own.get((lane, j), 0))
                byte = Const(0, 8)
                if self._rows > 1:
                    byte = self._newest(tag, row, lane) & (newest_below if row else newest)
                if row < self._rows - 1:
                    byte = byte | (activations[end + 1].as_unsigned() & shift_row) | fill_row
                window[lane, end] = byte | own.get((lane, end), 0)
        return window

    def _newest(self, tag, row, lane):
        """A byte of the column that comes in, or padding."""
        return Mux(tag.rows[row], self.i_columns[row][lane], tag.pad_value).as_unsigned()

    def _own_windows(self, m, writes, tag_3, tag):
        """The windows of both phases; returns the bytes that the array takes of them, but for those
        of the column that comes in."""
        columns = self._columns
        right, below, left = (
            [Signal(name=f"{part}_{phase}", reset_less=True) for phase in range(2)]
            for part in ("right", "below", "left"))
        corner = Signal(reset_less=True)
        m.d.sync += corner.eq(tag_3.own & tag_3.corner)
        for phase in range(2):
            of_phase = tag_3.own & (tag_3.phase == phase)
            m.d.sync += [right[phase].eq(of_phase & ~tag_3.again),
                         below[phase].eq(of_phase & ~tag_3.again & ~tag_3.corner),
                         left[phase].eq(of_phase & tag_3.again)]
        taken = {}
        for lane in range(self._config.column_lanes):
            windows = [[Signal(8 * 2 * columns, name=f"own_{phase}_{lane}_{row}", reset_less=True)
                        for row in range(self._rows)] for phase in range(2)]
            # Shifted with this step: the last column of a left half was the first of the right one.
            beside = [*(window.word_select(columns - 1, 8) for window in windows[0]),
                      windows[1][0].word_select(columns, 8)]
            for row in range(self._rows):
                of_row = [window[row] for window in windows]
                for window, comes in zip(of_row, right, strict=True):
                    with m.If(writes & comes):
                        m.d.sync += window.eq(Cat(window[8:], self._newest(tag, row, lane)))
                for column in range(columns):
                    tap = row * columns + column
                    parts = [window.word_select(column, 8) & seen.replicate(8)
                             for window, seen in zip(of_row, left, strict=True)]
                    if column < columns - 1:    # shifted with this step
                        parts += [window.word_select(columns + column + 1, 8) & seen.replicate(8)
                                  for window, seen in zip(of_row, below if row else right,
                                                          strict=True)]
                    if 0 <= tap - columns < len(beside):
                        parts.append(beside[tap - columns] & corner.replicate(8))
                    taken[lane, tap] = reduce(or_, parts)
        return taken
