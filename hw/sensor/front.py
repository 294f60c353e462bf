"""Accesses between a bus's slave and the window: of the sensor's registers, and by its ports."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.bus.window import access_layout, answer_layout
from kaniwa.isa import Command, Register
from kaniwa.isa.sensor import SENSOR_REGISTERS, SensorRegister

__all__ = ["AccessFront"]


class AccessFront(Component):
    """Does accesses of the sensor's registers, and passes all others on to the window.

    ``host`` and ``sequence`` are who makes accesses, one at a time; they take turns where both
    wait. The sequence starts the program, or reads STATUS. Refused is a RUN of the host's without
    ``may_run``, and a write of a register of the sensor's that is not ``writable`` or has not all
    bytes. Answers are taken at once. Latency: none
    for what is passed on; 3 cycles from a read of a register to the cycle of its answer, 2 from a
    write and where an access is refused.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        access = stream.Signature(access_layout(config))
        super().__init__({
            "host_access": In(access),
            "host_answer": Out(stream.Signature(answer_layout())),
            "sequence_access": In(stream.Signature(data.StructLayout({"starts": 1}))),
            "sequence_answer": Out(stream.Signature(answer_layout())),
            "access": Out(access),
            "answer": In(stream.Signature(answer_layout())),
            "may_run": In(1),
            "index": Out(4),
            "write": Out(1),
            "write_data": Out(32),
            "word": In(32),
            "writable": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        host, sequence, window = self.host_access, self.sequence_access, self.access
        asked = host.payload
        registers = range(min(SensorRegister), max(SensorRegister) + 1)
        assert len(registers) == 1 << len(self.index) and registers[0] == SENSOR_REGISTERS
        own = (asked.word >> len(self.index)) == SENSOR_REGISTERS >> len(self.index)
        runs = asked.write & (asked.word == Register.CONTROL) & asked.data[0]
        refused = runs & ~self.may_run
        kept = Signal(access_layout(self._config), reset_less=True)
        answer = Signal(answer_layout(), reset_less=True)
        turn = Signal()      # the host's, if it waits
        m.d.comb += [
            self.index.eq(kept.word),
            self.write_data.eq(kept.data),
            self.answer.ready.eq(1),
            window.payload.eq(host.payload),
            self.host_answer.payload.eq(self.answer.payload),
            self.sequence_answer.payload.eq(self.answer.payload),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [kept.eq(asked), answer.error.eq(refused), answer.data.eq(0)]
                with m.If(sequence.valid & ~(host.valid & turn)):
                    starts, asks = sequence.payload.starts, window.payload
                    m.d.comb += [
                        window.valid.eq(1),
                        asks.word.eq(Mux(starts, Register.CONTROL, Register.STATUS)),
                        asks.write.eq(starts),
                        asks.data.eq(Command.RUN),
                        asks.strobe.eq(-1),
                        sequence.ready.eq(window.ready),
                    ]
                    with m.If(window.ready):
                        m.d.sync += turn.eq(1)
                        m.next = "SEQUENCE"
                with m.Elif(host.valid):
                    m.d.sync += turn.eq(0)
                    with m.If(own | refused):
                        m.d.comb += host.ready.eq(1)
                        m.next = "DECODE"
                    with m.Else():
                        m.d.comb += [window.valid.eq(1), host.ready.eq(window.ready)]
                        with m.If(window.ready):
                            m.next = "HOST"
            for name, port in (("SEQUENCE", self.sequence_answer), ("HOST", self.host_answer)):
                with m.State(name):
                    m.d.comb += port.valid.eq(self.answer.valid)
                    with m.If(self.answer.valid):
                        m.next = "IDLE"
            with m.State("DECODE"):
                m.next = "ANSWER"
                with m.If(~answer.error & kept.write):
                    writes = self.writable & kept.strobe.all()
                    m.d.comb += self.write.eq(writes)
                    m.d.sync += answer.error.eq(~writes)
                with m.Elif(~answer.error):
                    m.next = "READ"
            with m.State("READ"):
                m.d.sync += answer.data.eq(self.word)
                m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += [self.host_answer.valid.eq(1), self.host_answer.payload.eq(answer)]
                m.next = "IDLE"
        return m
