"""The order of an inference: the tensor fills, the program runs, the result is offered."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from kaniwa.hw.bus.window import answer_layout
from kaniwa.isa.sensor import SensorState

__all__ = ["SensorSequence"]


class SensorSequence(Component):
    """Goes through the states of ``SensorState`` while ``enable`` is 1, and is OFF otherwise.

    It does what a processor does, by accesses of the window: with ``by_itself`` one that ``starts``
    the program, and behind each run a read of STATUS until that says how it ended. In state FULL
    without ``by_itself`` it waits for the host to start one. State FAILED goes on when
    ``failed_held`` is 0.
    ``fill``: samples may be written. ``offer``: the output is to be read, which begins when
    ``accepts`` is 1, and ends with ``offered``. ``full`` and ``failed`` are 1 for a cycle.
    ``takes_samples`` and ``has_results``: neither length is 0. ``may_run``: the host may start a
    run.
    """

    def __init__(self):
        super().__init__({
            "enable": In(1),
            "by_itself": In(1),
            "takes_samples": In(1),
            "has_results": In(1),
            "busy": In(1),
            "fill": Out(1),
            "filled": In(1),
            "offer": Out(1),
            "accepts": In(1),
            "offered": In(1),
            "failed_held": In(1),
            "full": Out(1),
            "failed": Out(1),
            "may_run": Out(1),
            "state": Out(SensorState),
            "access": Out(stream.Signature(data.StructLayout({"starts": 1}))),
            "answer": In(stream.Signature(answer_layout())),
        })

    def elaborate(self, platform):
        m = Module()
        state = self.state
        asked = Signal()     # the access, or the reader, was taken
        running, done = self.answer.payload.data[:2]
        m.d.comb += [
            self.fill.eq((state == SensorState.FILL) & self.takes_samples),
            self.may_run.eq((state == SensorState.FULL) & ~self.by_itself),
            self.access.payload.starts.eq(state == SensorState.FULL),
            self.answer.ready.eq(1),
        ]
        with m.If(self.access.valid & self.access.ready):
            m.d.sync += asked.eq(1)
        with m.Switch(state):
            with m.Case(SensorState.OFF):
                m.d.sync += state.eq(SensorState.FILL)
            with m.Case(SensorState.FILL):
                with m.If(self.filled | ~self.takes_samples):
                    m.d.comb += self.full.eq(1)
                    m.d.sync += state.eq(SensorState.FULL)
            with m.Case(SensorState.FULL):
                with m.If(self.by_itself):
                    m.d.comb += self.access.valid.eq(~asked)
                    with m.If(self.answer.valid):   # the core is busy by then
                        m.d.sync += [state.eq(SensorState.RUN), asked.eq(0)]
                with m.Elif(self.busy):
                    m.d.sync += state.eq(SensorState.RUN)
            with m.Case(SensorState.RUN):
                m.d.comb += self.access.valid.eq(~asked & ~self.busy)
                with m.If(self.answer.valid):
                    m.d.sync += asked.eq(0)
                    with m.If(done):
                        m.d.sync += state.eq(
                            Mux(self.has_results, SensorState.OFFER, SensorState.FILL))
                    with m.Elif(~running):
                        m.d.comb += self.failed.eq(1)
                        m.d.sync += state.eq(SensorState.FAILED)
            with m.Case(SensorState.OFFER):
                m.d.comb += self.offer.eq(~asked)
                with m.If(self.offer & self.accepts):
                    m.d.sync += asked.eq(1)
                with m.If(asked & self.offered):
                    m.d.sync += [state.eq(SensorState.FILL), asked.eq(0)]
            with m.Case(SensorState.FAILED):
                with m.If(~self.failed_held):
                    m.d.sync += state.eq(SensorState.FILL)
        with m.If(~self.enable):
            m.d.sync += [state.eq(SensorState.OFF), asked.eq(0)]
        return m
