"""When input rows are used up."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import line_lane_bits, line_position_bits

__all__ = ["RowRelease"]


class RowRelease(Component):
    """Frees the input rows above an output row once the output row before is done, that is when its
    own first step ``arrives``; all rows when the instruction has ``ended``.

    The arriving step's row is at ``row_lane``; ``above``, ``below``: it lies outside the input.
    ``free`` comes with ``turn``, at the earliest one cycle later.
    """

    def __init__(self, config: AcceleratorConfig):
        lane = line_position_bits(config) - line_lane_bits(config)
        super().__init__({
            "arrives": In(1),
            "above": In(1),
            "below": In(1),
            "row_lane": In(lane),
            "line_end": In(lane),        # past the last row, of the arriving step
            "ended": In(1),
            "ended_line_end": In(lane),  # and of the step that ended the instruction
            "turn": In(1),
            "free": Out(1),
            "free_lane": Out(lane),
        })

    def elaborate(self, platform):
        m = Module()
        due = Signal()
        lane = Signal.like(self.free_lane, reset_less=True)
        m.d.comb += [self.free.eq(due & self.turn), self.free_lane.eq(lane)]
        with m.If(self.ended):
            m.d.sync += [due.eq(1), lane.eq(self.ended_line_end)]
        with m.Elif(self.arrives):
            m.d.sync += [
                due.eq(~self.above),
                lane.eq(Mux(self.below, self.line_end, self.row_lane)),
            ]
        with m.Elif(self.turn):
            m.d.sync += due.eq(0)
        return m
