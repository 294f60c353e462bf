"""Place where the steps of the array wait, and what lets them go: the same for all controllers."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from kaniwa.hw.parts.stream_buffer import StreamBuffer
from kaniwa.hw.steps.signatures import step_issue

__all__ = ["StepIssuer"]


class StepIssuer(Component):
    """Holds a step (``shape``) until all it needs is there; issues one a cycle at best.

    A step waits as ``here``, with room for one behind it, so that those before need not wait for
    what issues it. Its needs are looked up as it comes first, and again in each cycle in which it
    waits, so that only flip-flops decide: ``data_here`` and ``weights_here`` say that bytes and
    ring word of ``here`` are there, ``data_following`` and ``weights_following`` those of
    ``following``. They count in the next cycle, in which ``following`` has come if ``moves`` is 1.
    A step with ``last`` needs a result slot too.

    ``issuing`` is that of the controller. ``data_ok``: the bytes of the waiting step are
    there.
    """

    def __init__(self, shape):
        self._shape = shape
        super().__init__({
            "i": In(stream.Signature(shape)),
            "here": Out(shape),
            "following": Out(shape),
            "moves": Out(1),
            "data_here": In(1),
            "data_following": In(1),
            "weights_here": In(1),
            "weights_following": In(1),
            "last": In(1),
            "data_ok": Out(1),
            "issuing": Out(step_issue()),
        })

    def look_up(self, data, weights, last):
        """Statements that look a step's needs up, for the step that waits and the one behind it.

        ``data(step)``, ``weights(step)``: 1 where the step's bytes and ring word are there.
        ``last``: the waiting step makes a result.
        """
        return [
            self.data_here.eq(data(self.here)),
            self.data_following.eq(data(self.following)),
            self.weights_here.eq(weights(self.here)),
            self.weights_following.eq(weights(self.following)),
            self.last.eq(last),
        ]

    def elaborate(self, platform):
        m = Module()
        m.submodules.waiting = waiting = StreamBuffer(self._shape)
        m.d.comb += [
            waiting.i.valid.eq(self.i.valid),
            waiting.i.payload.eq(self.i.payload),
            self.i.ready.eq(waiting.i.ready),
            self.here.eq(waiting.o.payload),
            self.following.eq(waiting.following),
            self.moves.eq(waiting.moves),
        ]
        data_ok, weights_ok = self.data_ok, Signal()
        m.d.sync += Cat(data_ok, weights_ok).eq(Mux(
            waiting.moves, Cat(self.data_following, self.weights_following),
            Cat(self.data_here, self.weights_here)))
        side = self.issuing
        waits = waiting.o.valid & side.turn
        m.d.comb += [
            side.issue.eq(waits & data_ok & weights_ok & (side.slot_ok | ~self.last)),
            waiting.o.ready.eq(side.issue),
            side.pending.eq(waiting.o.valid),
            side.take_slot.eq(side.issue & self.last),
            side.stall_load.eq(waits & ~data_ok),
            side.stall_weights.eq(waits & data_ok & ~weights_ok),
            side.stall_result.eq(waits & data_ok & weights_ok & ~side.issue),
        ]
        return m
