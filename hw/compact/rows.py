"""Input rows that the compact core's array goes through."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.compact.fields import instruction_ports
from kaniwa.hw.compact.load import line_count_bits

__all__ = ["CompactRows"]


class CompactRows(Component):
    """The input row of a step: y * stride_rows + ky * dilation_rows - pad_top, and where it is.

    It goes on row by row: ``next_row`` by dilation_rows, ``restart`` back to the output row's
    first one, ``next_output_row`` from that by stride_rows. The first row of a move is there in
    the next cycle, each further one a cycle later; ``ready`` then: ``real`` and loaded, or outside
    the input. ``line``, ``shift``: where its first byte is, in lines and bytes past them.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            **instruction_ports(config),
            "rows_loaded": In(config.count_bits),
            "load_active": In(1),
            "next_row": In(1),
            "restart": In(1),
            "next_output_row": In(1),
            "ready": Out(1),
            "real": Out(1),
            "line": Out(line_count_bits(config)),
            "shift": Out(exact_log2(config.read_bytes)),
            "top_line": Out(line_count_bits(config)),
        })

    def elaborate(self, platform):
        m = Module()
        fields = self.fields
        row = Signal(signed(self._config.count_bits + 1), reset_less=True)
        line, shift = Signal.like(self.line), Signal.like(self.shift, reset_less=True)
        top_row = Signal.like(row, reset_less=True)
        top_line, top_shift = Signal.like(line), Signal.like(shift, reset_less=True)

        # A move in several steps; the first one is that of the step which asks for it.
        going = Signal()
        vertical = Signal(reset_less=True)   # to the next output row
        rounds = Signal(len(fields.stride_rows), reset_less=True)
        reached, at_once, at_top = Signal(), Signal(), Signal()
        to_top = self.restart | self.next_output_row   # from the output row's first one
        starts = self.next_row | self.next_output_row
        moves = starts | going
        m.d.comb += [
            reached.eq(rounds == Mux(vertical, fields.stride_rows, fields.dilation_rows)),
            at_once.eq(Mux(self.next_output_row, fields.stride_rows == 1,
                           fields.dilation_rows == 1)),
            at_top.eq((going & vertical & reached)
                      | (self.next_output_row & (fields.stride_rows == 1))),
        ]

        base_row, base_line, base_shift = (Signal.like(part) for part in (row, line, shift))
        m.d.comb += [
            base_row.eq(Mux(to_top, top_row, row)),
            base_line.eq(Mux(to_top, top_line, line)),
            base_shift.eq(Mux(to_top, top_shift, shift)),
        ]
        # Rows above the input have no place: they all are where row 0 is.
        on = moves & ~base_row[-1]
        new_row, new_line, new_shift = (Signal.like(part) for part in (row, line, shift))
        m.d.comb += [
            new_row.eq(Mux(moves | self.begin, base_row + 1, base_row)),
            new_line.eq(Mux(on, base_line + fields.line_pitch, base_line)),
            new_shift.eq(Mux(on, base_shift + fields.ifm_pitch[:len(shift)], base_shift)),
        ]
        with m.If(self.begin | moves | self.restart):
            m.d.sync += [row.eq(new_row), line.eq(new_line), shift.eq(new_shift)]
        with m.If(going):
            m.d.sync += [going.eq(~reached), rounds.eq(rounds + 1)]
        with m.If(starts):
            m.d.sync += [going.eq(~at_once), rounds.eq(2), vertical.eq(self.next_output_row)]
        with m.If(self.begin):
            m.d.sync += [line.eq(0), going.eq(0)]
        with m.If(self.begin | at_top):
            m.d.sync += [top_row.eq(new_row), top_line.eq(new_line), top_shift.eq(new_shift)]
        with m.If(self.begin):
            m.d.sync += top_line.eq(0)
        with m.If(self.starts.pad_top.valid):   # -pad_top - 1: ``begin`` adds one
            m.d.sync += row.eq(~Cat(self.starts.pad_top.value, C(0, 1)).as_signed())
        with m.If(self.starts.ifm_address.valid):
            m.d.sync += shift.eq(self.starts.ifm_address.value)

        m.d.comb += [
            self.real.eq(row.as_unsigned() < self.rows_loaded),
            self.ready.eq(~going & (self.real | row[-1] | ~self.load_active)),
            self.line.eq(line),
            self.shift.eq(shift),
            self.top_line.eq(top_line),
        ]
        return m
