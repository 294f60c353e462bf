"""Reads the scores behind each run and tells the class: the number of the first largest one."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from kaniwa.driver.frames import REGISTERS, Operation
from kaniwa.isa import Register, Status

__all__ = ["Classes"]

WHERE_BYTES = 5     # address and count, as a READ has them
STATUS_BITS = Status.RUNNING | Status.DONE | Status.ERROR


class Classes(Component):
    """Argmax of what a READ of the link gives, after each run that ends well while ``enabled``.

    An abort without a run has an end, too, so STATUS is read first.

    ``field``, in cycles that ``field_valid`` is 1: eight bytes, address of the scores (4), their
    number, and three more. Scores are int8; of 0 scores there is no class.
    ``valid``: the scores of the last run were read, and ``number`` is their class; 0 from the
    begin of a run on. An error, an abort, and a READ that is ``refused``, as the next run began,
    leave it at 0.
    ``request`` and ``more`` are as in ``kaniwa.hw.link.local``. Throughput: a score a cycle.
    """

    def __init__(self):
        super().__init__({
            "field": In(8),
            "field_valid": In(1),
            "enabled": In(1),
            "busy": In(1),
            "request": Out(stream.Signature(8)),
            "more": Out(1),
            "reply": In(stream.Signature(8)),
            "refused": In(1),
            "number": Out(8),
            "valid": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        where = Signal(8 * WHERE_BYTES, reset_less=True)   # goes round once as it is sent
        step = Signal(3)       # byte of the header's fields, or of the request
        wanted, was_busy = Signal(), Signal()
        index = Signal(8)
        best = Signal(8, reset_less=True)
        # In order as unsigned numbers once the sign is the other way round.
        score, better = Signal(8), Signal()
        of_scores = Signal()   # the request; before, that of STATUS
        status = (REGISTERS + 4 * Register.STATUS).to_bytes(4, "little") + bytes([1])
        m.d.comb += [
            score.eq(Cat(self.reply.payload[:7], ~self.reply.payload[7])),
            better.eq((index == 0) | (score > best)),
            self.reply.ready.eq(1),
            self.request.payload.eq(Mux(of_scores & (step != 0), where[:8], Array(
                Const(byte, 8) for byte in (Operation.READ << 6, *status))[step])),
        ]
        turn = Signal()
        with m.If(turn):
            m.d.sync += where.eq(Cat(where, Mux(self.field_valid, self.field, where[:8]))[8:])
        m.d.sync += was_busy.eq(self.busy)
        with m.If(was_busy & ~self.busy):
            m.d.sync += wanted.eq(1)

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [index.eq(0), of_scores.eq(0)]
                m.d.comb += turn.eq(self.field_valid & (step < WHERE_BYTES))
                with m.If(self.field_valid):
                    m.d.sync += step.eq(step + 1)
                with m.Elif(wanted & self.enabled & (where[32:] != 0)):
                    m.d.sync += wanted.eq(0)
                    m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += [self.request.valid.eq(1), self.more.eq(1)]
                with m.If(self.request.ready):
                    m.d.comb += turn.eq(of_scores & (step != 0))
                    m.d.sync += step.eq(step + 1)
                    with m.If(step == WHERE_BYTES):
                        m.d.sync += step.eq(0)
                        m.next = "STATUS"
                        with m.If(of_scores):
                            m.next = "SCORES"
            with m.State("STATUS"):
                with m.If(self.reply.valid):
                    m.d.sync += of_scores.eq(1)
                    m.next = "IDLE"
                    with m.If((self.reply.payload & STATUS_BITS) == Status.DONE):
                        m.next = "REQUEST"
            with m.State("SCORES"):
                with m.If(self.refused):
                    m.next = "IDLE"
                with m.If(self.reply.valid):
                    m.d.sync += index.eq(index + 1)
                    with m.If(better):
                        m.d.sync += [best.eq(score), self.number.eq(index)]
                    with m.If(index + 1 == where[32:]):
                        m.d.sync += self.valid.eq(1)
                        m.next = "IDLE"
        with m.If(self.busy):
            m.d.sync += [self.valid.eq(0), wanted.eq(0)]
        return m
