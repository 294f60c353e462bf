"""Issues the reads that gather the bytes of patches."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.parts.stream_buffer import StreamBuffer
from kaniwa.hw.steps.patch_walker import GatherWalker, gather_read_layout
from kaniwa.hw.steps.row_release import RowRelease
from kaniwa.hw.steps.signatures import array_controller_signature
from kaniwa.hw.steps.window_reach import WindowReach

__all__ = ["PatchGather"]

# Ports as in ``array_controller_signature``; ``turn`` as in its ``issuing``.
SHARED = ("start", "fields", "products", "line_base", "loaded",
          "line_read", "line_position", "free", "free_lane")


class PatchGather(Component):
    """A read a cycle, unless its window is not loaded or a word it writes to is still in use.

    ``issue``: ``read`` is issued, the first 4 cycles after ``start``. ``complete`` counts words of
    the patch buffer since reset, modulo twice its size, that need no more reads than those issued
    up to the cycle before; ``used_word`` is the last one used up. Each is seen one cycle after it
    comes. ``active`` (a flip-flop): a read is still to be issued, so ``fields`` are needed; from
    the cycle after ``start`` on. ``lacks_load``: a read waits for ``loaded``.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        shared = array_controller_signature(config).members
        layout = gather_read_layout(config)
        super().__init__({
            **{name: shared[name] for name in SHARED},
            "turn": In(1),
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
        valid = [walking, Signal(name="valid_1"), Signal(name="valid_2")]
        stage_shape = data.StructLayout(
            {"read": walker.read.shape(), "row": walker.row.shape()})
        walked = Signal(stage_shape)
        m.d.comb += [walked.read.eq(walker.read), walked.row.eq(walker.row)]
        stages = [walked, *(Signal(stage_shape, name=f"stage_{stage}", reset_less=True)
                            for stage in (1, 2))]
        waiting_shape = data.StructLayout({
            "stage": stage_shape, "needed": reach.needed.shape(), "needs_load": 1,
            "line_position": self.line_position.shape(),
        })
        m.submodules.waiting = waiting = StreamBuffer(waiting_shape)
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
        ]
        with m.If(self.start):
            m.d.sync += walking.eq(1)
        with m.Elif(walker.advance & walker.read.instruction_end):
            m.d.sync += walking.eq(0)

        with m.If(advance):
            for stage in (1, 2):
                m.d.sync += [valid[stage].eq(valid[stage - 1]), stages[stage].eq(stages[stage - 1])]

        # Stage 3: the read waits here, with room for one behind it, so that those before need not
        # wait for what issues it. What it waits for is looked up as it comes first, and again in
        # each cycle in which it waits, so that only flip-flops decide.
        arriving, here, following = waiting.i.payload, waiting.o.payload, waiting.following
        read = here.stage.read
        m.d.comb += [
            advance.eq(waiting.i.ready),
            waiting.i.valid.eq(valid[2]),
            arriving.stage.eq(stages[2]),
            arriving.needed.eq(reach.needed),
            arriving.needs_load.eq(reach.needs_load),
            arriving.line_position.eq(reach.row_start + stages[2].read.offset),
        ]
        load_ok, room_ok = Signal(), Signal()

        def available(place):
            loaded = ~place.needs_load | ~(self.loaded - place.needed)[len(place.needed) - 1]
            # There is room once the word before it in its place is used up.
            last_word = place.stage.read.last_word
            return Cat(loaded, ~(last_word + ~self.used_word)[len(last_word) - 1])

        m.d.sync += Cat(load_ok, room_ok).eq(
            Mux(waiting.moves, available(following), available(here)))
        waits = waiting.o.valid & self.turn
        with m.If(self.start):
            m.d.sync += self.active.eq(1)
        with m.Elif(self.issue & read.instruction_end):
            m.d.sync += self.active.eq(0)
        complete = Signal.like(self.complete)
        with m.If(self.issue):
            m.d.sync += complete.eq(read.complete)
        m.d.comb += [
            self.issue.eq(waits & load_ok & room_ok),
            waiting.o.ready.eq(self.issue),
            self.read.eq(read),
            self.complete.eq(complete),
            self.line_read.eq(self.issue & read.row_valid),
            self.line_position.eq(here.line_position),
            self.lacks_load.eq(waits & ~load_ok),
        ]

        self._release(m, waiting.moves, here.stage)
        return m

    def _release(self, m, moves, stage):
        """Input rows that are used up, by the read that waits."""
        m.submodules.release = release = RowRelease(self._config)
        m.d.comb += [
            release.moves.eq(moves),
            release.first.eq(stage.row.first),
            release.above.eq(stage.row.above),
            release.below.eq(stage.row.below),
            release.row_lane.eq(stage.row.lane),
            release.line_end.eq(self.line_base),
            release.ended.eq(self.issue & stage.read.instruction_end),
            release.turn.eq(self.turn),
            self.free.eq(release.free),
            self.free_lane.eq(release.free_lane),
        ]
