"""When input rows are used up."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import line_lane_bits, line_position_bits

__all__ = ["RowRelease"]


class RowRelease(Component):
    """Frees the input rows above an output row once the output row before is done, that is when its
    own ``first`` step comes to wait; all rows when the instruction has ``ended``.

    ``moves``: in the next cycle another step waits. The waiting step's row is at ``row_lane``;
    ``above``, ``below``: it lies outside the input. ``ended``: it is the instruction's last one and
    leaves. ``free`` comes with ``turn``, from flip-flops.
    """

    def __init__(self, config: AcceleratorConfig):
        lane = line_position_bits(config) - line_lane_bits(config)
        super().__init__({
            "moves": In(1),
            "first": In(1),
            "above": In(1),
            "below": In(1),
            "row_lane": In(lane),
            "line_end": In(lane),        # past the last row
            "ended": In(1),
            "turn": In(1),
            "free": Out(1),
            "free_lane": Out(lane),
        })

    def elaborate(self, platform):
        m = Module()
        fresh = Signal()      # the step that waits has not freed its rows yet
        all_due = Signal()    # those of the instruction that has ended
        all_lane = Signal.like(self.free_lane, reset_less=True)
        m.d.sync += [
            fresh.eq(self.moves | (fresh & ~self.turn)),
            all_due.eq(self.ended),
            all_lane.eq(self.line_end),
        ]
        # The turn passes on in the second cycle after the last step at the earliest.
        m.d.comb += [
            self.free.eq(self.turn & (all_due | (fresh & self.first & ~self.above))),
            self.free_lane.eq(
                Mux(all_due, all_lane, Mux(self.below, self.line_end, self.row_lane))),
        ]
        return m
