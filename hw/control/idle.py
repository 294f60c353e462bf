"""Gathers which units are at rest, for the sequencer."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out, Signature

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.signatures import transfer
from kaniwa.isa import UNITS

__all__ = ["IdleWatch"]

FAR = ("load", "weights", "array")   # at rest long before the last result is stored


class IdleWatch(Component):
    """Gathers the units' states into the sequencer's ``units_idle``, ``begun``, ``bad_format``.

    ``units_idle`` has a bit for each unit. Far units, and with side units the operand unit, are
    seen one cycle late; the others at once. A unit without a block is idle. ``begun`` has the
    units that take an instruction from their queue in this cycle. ``bad_format`` is ``error`` of
    the weight decoder, a cycle late.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "idle": In(Signature({unit: Out(1, init=1) for unit in UNITS})),
            "queues": In(Signature({unit: Out(transfer()) for unit in UNITS})),
            "error": In(1),
            "units_idle": Out(len(UNITS)),
            "begun": Out(len(UNITS)),
            "bad_format": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        idle = {unit: getattr(self.idle, unit) for unit in UNITS}
        was_idle = {unit: Signal(name=f"{unit}_was_idle") for unit in FAR}
        m.d.sync += [was.eq(idle[unit]) for unit, was in was_idle.items()]
        if self._config.runs_units:   # more hangs on it then: one flip-flop beside the sequencer
            far_were_idle = Signal()
            m.d.sync += far_were_idle.eq(Cat(was_idle.values()).all() & idle["operand"])
            was_idle = dict.fromkeys((*FAR, "operand"), far_were_idle)
        queues = [getattr(self.queues, unit) for unit in UNITS]
        m.d.comb += [
            self.units_idle.eq(Cat(was_idle.get(unit, idle[unit]) for unit in UNITS)),
            self.begun.eq(Cat(queue.valid & queue.ready for queue in queues)),
        ]
        m.d.sync += self.bad_format.eq(self.error)   # known late, from far
        return m
