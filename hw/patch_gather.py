"""Issues the reads that gather the bytes of patches."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import array_controller_signature
from kaniwa.hw.patch_walker import GatherWalker, gather_read_layout
from kaniwa.hw.row_release import RowRelease
from kaniwa.hw.window_reach import WindowReach

__all__ = ["PatchGather"]

# Ports as in ``array_controller_signature``.
SHARED = ("start", "fields", "products", "line_base", "turn", "loaded",
          "line_read", "line_position", "free", "free_lane")


class PatchGather(Component):
    """A read a cycle, unless its window is not loaded or a word it writes to is still in use.

    ``issue``: ``read`` is issued, the first 4 cycles after ``start``. ``complete`` counts words of
    the patch buffer since reset, modulo twice its size, that need no more reads than those issued
    up to the cycle before; ``used_word`` is the last one used up. Each is seen one cycle after it
    comes. ``active``: a read is still to be issued, so ``fields`` are needed; from the cycle after
    ``start`` on. ``lacks_load``: a read waits for ``loaded``.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        shared = array_controller_signature(config).members
        layout = gather_read_layout(config)
        super().__init__({
            **{name: shared[name] for name in SHARED},
            "used_word": In(layout["last_word"].shape),
            "issue": Out(1),
            "read": Out(layout),
            "complete": Out(layout["complete"].shape),
            "active": Out(1),
            "lacks_load": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config, fields = self._config, self.fields
        m.submodules.walker = walker = GatherWalker(config)
        m.submodules.reach = reach = WindowReach(config)
        walking, advance = Signal(), Signal()
        valid = [walking, *(Signal(name=f"valid_{stage}") for stage in (1, 2, 3))]
        reads = [walker.read, *(Signal.like(walker.read, name=f"read_{stage}", reset_less=True)
                                for stage in (1, 2, 3))]
        rows = [walker.row, *(Signal.like(walker.row, name=f"row_{stage}", reset_less=True)
                              for stage in (1, 2))]
        m.d.comb += [
            walker.start.eq(self.start),
            walker.advance.eq(walking & advance),
            walker.fields.eq(fields),
            walker.products.eq(self.products),
            walker.line_base.eq(self.line_base),
            reach.advance.eq(advance),
            reach.row_valid.eq(walker.read.row_valid),
            reach.row_lane.eq(walker.row.lane),
            reach.row_shift.eq(walker.row_shift),
            reach.pixel_offset.eq(walker.pixel_offset),
            reach.window_span.eq(fields.window_span),
            reach.ifm_row_bytes.eq(fields.ifm_row_bytes),
            self.active.eq(Cat(valid).any()),
        ]
        with m.If(self.start):
            m.d.sync += walking.eq(1)
        with m.Elif(walker.advance & walker.read.instruction_end):
            m.d.sync += walking.eq(0)

        # Stage 3: the read waits here. What it waits for is looked up as it arrives, and again in
        # each cycle in which it waits, so that only flip-flops decide.
        read = reads[3]
        needed = Signal.like(reach.needed, reset_less=True)
        needs_load = Signal(reset_less=True)
        line_position = Signal.like(self.line_position, reset_less=True)
        with m.If(advance):
            for stage in (1, 2, 3):
                m.d.sync += [valid[stage].eq(valid[stage - 1]), reads[stage].eq(reads[stage - 1])]
            m.d.sync += [
                rows[1].eq(rows[0]),
                rows[2].eq(rows[1]),
                needed.eq(reach.needed),
                needs_load.eq(reach.needs_load),
                line_position.eq(reach.row_start + reads[2].offset),
            ]
        load_ok, room_ok = Signal(), Signal()

        def available(needed, needs_load, read):
            loaded = ~needs_load | ~(self.loaded - needed)[len(needed) - 1]
            # There is room once the word before it in its place is used up.
            return Cat(loaded, ~(read.last_word + ~self.used_word)[len(read.last_word) - 1])

        m.d.sync += Cat(load_ok, room_ok).eq(Mux(
            advance, available(reach.needed, reach.needs_load, reads[2]),
            available(needed, needs_load, read)))
        waits = valid[3] & self.turn
        complete = Signal.like(self.complete)
        with m.If(self.issue):
            m.d.sync += complete.eq(read.complete)
        m.d.comb += [
            self.issue.eq(waits & load_ok & room_ok),
            advance.eq(~valid[3] | self.issue),
            self.read.eq(read),
            self.complete.eq(complete),
            self.line_read.eq(self.issue & read.row_valid),
            self.line_position.eq(line_position),
            self.lacks_load.eq(waits & ~load_ok),
        ]

        m.submodules.release = release = RowRelease(config)
        m.d.comb += [
            release.arrives.eq(advance & valid[2] & rows[2].first),
            release.above.eq(rows[2].above),
            release.below.eq(rows[2].below),
            release.row_lane.eq(rows[2].lane),
            release.line_end.eq(self.line_base),
            release.ended.eq(self.issue & read.instruction_end),
            release.ended_line_end.eq(self.line_base),
            release.turn.eq(self.turn),
            self.free.eq(release.free),
            self.free_lane.eq(release.free_lane),
        ]
        return m
