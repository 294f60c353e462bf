"""Reach of a step's window in the line buffer."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import line_lane_bits, line_position_bits

__all__ = ["WindowReach"]


class WindowReach(Component):
    """Beginning of a step's row, and the position that ``loaded`` has to reach for its window.

    Two stages: the outputs are those of the step that was there two cycles with ``advance``
    before. ``needs_load``: the row is real and the window does not end left of it.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        position = line_position_bits(config)
        super().__init__({
            "advance": In(1),
            "row_valid": In(1),
            "row_lane": In(position - line_lane_bits(config)),
            "row_shift": In(exact_log2(config.read_bytes)),
            "pixel_offset": In(signed(position)),
            "window_span": In(position),         # from the cycle of ``start`` on
            "ifm_row_bytes": In(position - 1),   # rows are line_bytes at most
            "row_start": Out(position),
            "needed": Out(position),
            "needs_load": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        position = len(self.row_start)
        span_past_row = Signal(signed(position + 1), reset_less=True)
        m.d.sync += span_past_row.eq(self.window_span - self.ifm_row_bytes)

        row_valid = Signal(reset_less=True)
        row_start = Signal(position, reset_less=True)
        window_end = Signal(signed(position), reset_less=True)
        past_row = Signal(reset_less=True)
        stage_2 = Signal(len(self.row_start) + len(self.needed) + 1, reset_less=True)
        m.d.comb += Cat(self.row_start, self.needed, self.needs_load).eq(stage_2)
        with m.If(self.advance):
            m.d.sync += [
                row_valid.eq(self.row_valid),
                row_start.eq((self.row_lane << line_lane_bits(self._config)) + self.row_shift),
                window_end.eq(self.pixel_offset + self.window_span),
                past_row.eq(self.pixel_offset + span_past_row >= 0),
                stage_2.eq(Cat(
                    row_start,
                    (row_start + Mux(past_row, self.ifm_row_bytes, window_end))[:position],
                    row_valid & (window_end >= 0))),
            ]
        return m
