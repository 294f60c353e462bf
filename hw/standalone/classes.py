"""Reads the scores behind each run and tells the class: the number of the first largest one."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from kaniwa.driver.frames import REGISTERS, Operation
from kaniwa.hw.link.transmitter import body_layout
from kaniwa.isa import Register, Status

__all__ = ["Classes"]

REQUEST_BYTES = 6   # operation, address (4), count
REQUEST_ROWS = 8    # of memory, for each of the two requests
FIELDS = REQUEST_BYTES - 1   # of the header that a request has: address and count
STATUS_BITS = Status.RUNNING | Status.DONE | Status.ERROR


class Classes(Component):
    """Argmax of what a READ of the link gives, after each run that ends well while ``enabled``.

    An abort without a run has an end, too, so STATUS is read first.
    ``field``, in cycles that ``field_valid`` is 1: eight bytes, address of the scores (4), their
    number, and three more. Scores are int8; of 0 scores there is no class.
    ``valid``: the scores of the last run were read, and ``number`` is their class; 0 from the
    begin of a run on. An error, an abort, and a READ that is ``refused``, as the next run began,
    leave it at 0.
    ``request``, ``more`` and ``reply`` are as in ``kaniwa.hw.link.local``. Throughput: a byte of a
    request in 2 cycles, a score a cycle.
    """

    def __init__(self):
        super().__init__({
            "field": In(8),
            "field_valid": In(1),
            "enabled": In(1),
            "busy": In(1),
            "request": Out(stream.Signature(8)),
            "more": Out(1),
            "reply": In(stream.Signature(body_layout())),
            "refused": In(1),
            "number": Out(8),
            "valid": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        # Both requests in memory, which a small device has to spare before flip-flops.
        read, status = Operation.READ << 6, (REGISTERS + 4 * Register.STATUS).to_bytes(4, "little")
        m.submodules.requests = requests = Memory(
            shape=8, depth=2 * REQUEST_ROWS, init=[read, *status, 1, 0, 0, read])
        write, fetch = requests.write_port(), requests.read_port()
        some = Signal()        # scores
        step = Signal(range(REQUEST_ROWS))   # byte of the header's fields, or of the request
        fetched = Signal()
        of_scores = Signal()   # the request; before, that of STATUS
        wanted, was_busy = Signal(), Signal()
        index = Signal(8)
        best = Signal(8, reset_less=True)
        # In order as unsigned numbers once the sign is the other way round.
        byte, score, better = self.reply.payload.byte, Signal(8), Signal()
        m.d.comb += [
            write.addr.eq(Cat((step + 1)[:3], 1)),
            write.data.eq(self.field),
            fetch.addr.eq(Cat(step, of_scores)),
            score.eq(Cat(byte[:7], ~byte[7])),
            better.eq((index == 0) | (score > best)),
            self.reply.ready.eq(1),
            self.request.payload.eq(fetch.data),
        ]
        m.d.sync += [was_busy.eq(self.busy), fetched.eq(0)]
        with m.If(was_busy & ~self.busy):
            m.d.sync += wanted.eq(1)

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [index.eq(0), of_scores.eq(0)]
                m.d.comb += write.en.eq(self.field_valid & (step < FIELDS))
                with m.If(self.field_valid):
                    m.d.sync += step.eq(step + 1)
                    with m.If(step == FIELDS - 1):
                        m.d.sync += some.eq(self.field != 0)
                with m.Elif(wanted & self.enabled & some):
                    m.d.sync += wanted.eq(0)
                    m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += [self.request.valid.eq(fetched), self.more.eq(1)]
                m.d.sync += fetched.eq(~(fetched & self.request.ready))
                with m.If(fetched & self.request.ready):
                    m.d.sync += step.eq(step + 1)
                    with m.If(step == REQUEST_BYTES - 1):
                        m.d.sync += step.eq(0)
                        m.next = "REPLY"
            with m.State("REPLY"):
                with m.If(self.refused):
                    m.next = "IDLE"
                with m.If(self.reply.valid & of_scores):
                    m.d.sync += index.eq(index + 1)
                    with m.If(better):
                        m.d.sync += [best.eq(score), self.number.eq(index)]
                    with m.If(self.reply.payload.last):
                        m.d.sync += self.valid.eq(1)
                        m.next = "IDLE"
                with m.Elif(self.reply.valid):
                    m.d.sync += of_scores.eq(1)
                    m.next = "IDLE"
                    with m.If((byte & STATUS_BITS) == Status.DONE):
                        m.next = "REQUEST"
        with m.If(self.busy):
            m.d.sync += [self.valid.eq(0), wanted.eq(0)]
        return m
