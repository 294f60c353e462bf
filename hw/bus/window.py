"""The window of registers and memory through which a bus sees the core."""

from amaranth import *
from amaranth.lib import data, enum, stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.bus.registers import BusRegisters, fault, is_one_of
from kaniwa.hw.interfaces import read_port, write_port
from kaniwa.isa import Command, Register
from kaniwa.isa.bus import CORE_REGISTERS, window_bytes

__all__ = ["BusWindow", "access_layout", "answer_layout"]

# Those of the core's registers that keep what is written to them, or do something then.
WRITABLE = (Register.CONTROL, Register.PROGRAM_ADDRESS, Register.WATCHDOG, Register.COUNTER_TAG)
# From csr_address, a flip-flop, to csr_read_data; also from a RUN to ``busy``.
REGISTER_CYCLES = 3


def access_layout(config: AcceleratorConfig) -> data.StructLayout:
    """An access of 32 bits to a ``word`` of the window; ``strobe``: the bytes that are written."""
    words = window_bytes(config.memory_bytes) // 4
    return data.StructLayout({"word": range(words), "write": 1, "data": 32, "strobe": 4})


def answer_layout() -> data.StructLayout:
    """What a read gives, and whether an access was refused."""
    return data.StructLayout({"data": 32, "error": 1})


class Job(enum.Enum, shape=2):
    """What the registers of the core are used for."""

    ACCESS = 0   # of the bus
    ABORT = 1    # a run met an error of outside memory
    LOOK = 2     # how a run ended


class BusWindow(Component):
    """Does accesses to registers and on-chip memory one at a time, and raises ``irq``.

    ``kaniwa.isa.bus`` has the window. An access is refused, and changes nothing, where it is to
    memory during a run or beyond ``memory_bytes``, or where it writes what is no writable register,
    or less than four bytes of one.
    Cycles from the access to the cycle of its answer: 5 for a register; for a word of memory its
    latency and 3 to read, 3 to write (4 where write_bytes is 2); 2 where it is refused. An access
    waits up to 4 cycles more after a run's end and before an abort.
    ``base``, ``writing``, ``quiet``, ``fault``: as ``BusRegisters`` has them.
    """

    def __init__(self, config: AcceleratorConfig, *, outside: bool, address_bits: int = 32):
        self._config = config
        self._outside = outside
        self._address_bits = address_bits
        super().__init__({
            "access": In(stream.Signature(access_layout(config))),
            "answer": Out(stream.Signature(answer_layout())),
            "csr_address": Out(8),
            "csr_write": Out(1),
            "csr_write_data": Out(32),
            "csr_read_data": In(32),
            "busy": In(1),
            "irq": Out(1),
            **({"read": Out(read_port(config)), "write": Out(write_port(config))}
               if config.memory_bytes else {}),
            **({"base": Out(address_bits), "writing": In(1), "quiet": In(1),
                "fault": In(fault())} if outside else {}),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.registers = own = BusRegisters(
            self._config, outside=self._outside, address_bits=self._address_bits)
        access = Signal(access_layout(self._config), reset_less=True)
        answer = self.answer.payload
        m.d.comb += [
            own.index.eq(access.word),
            own.write_data.eq(access.data),
            own.busy.eq(self.busy),
            self.irq.eq(own.irq),
        ]
        job = Signal(Job)
        waited = Signal(range(REGISTER_CYCLES))
        last_wait = waited == REGISTER_CYCLES - 1
        is_core = (access.word >> exact_log2(CORE_REGISTERS)) == 0
        in_registers = (access.word >> len(own.index)) == 0
        word = Mux(is_core, self.csr_read_data, Mux(in_registers, own.word, 0))
        if self._outside:
            word = self._see_outside(m, own, access, word, (job == Job.LOOK) & last_wait)

        m.d.sync += [self.csr_write.eq(0), waited.eq(0)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [job.eq(Job.ACCESS), answer.error.eq(0)]
                self._begin(m, own, access, job)
            with m.State("DECODE"):
                m.d.sync += [self.csr_address.eq(access.word),
                             self.csr_write_data.eq(access.data)]
                m.next = "WAIT"
                writes = access.strobe.all() & Mux(
                    is_core, is_one_of(access.word, WRITABLE), in_registers & own.writable)
                in_memory = C(0)
                if self._config.memory_bytes:
                    in_memory = access.word[-1]
                    self._decode_memory(m, access)
                with m.If(access.write & ~in_memory):
                    m.d.sync += self.csr_write.eq(writes & is_core)
                    m.d.comb += own.write.eq(writes & ~is_core)
                    with m.If(~writes):
                        m.d.sync += answer.error.eq(1)
                        m.next = "ANSWER"
            if self._config.memory_bytes:
                self._use_memory(m, access)
            with m.State("WAIT"):
                m.d.sync += [waited.eq(waited + 1), answer.data.eq(word)]
                with m.If(last_wait):
                    m.next = "IDLE"
                    with m.If(job == Job.ACCESS):
                        m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += self.answer.valid.eq(1)
                with m.If(self.answer.ready):
                    m.next = "IDLE"
        return m

    def _begin(self, m, own, access, job):
        """State IDLE: what this block does by itself comes before the next access."""
        busy_itself = C(0)
        if self._outside:
            busy_itself = own.abort | own.look
            with m.If(busy_itself):
                m.d.sync += [job.eq(Mux(own.abort, Job.ABORT, Job.LOOK)),
                             self.csr_address.eq(
                                 Mux(own.abort, Register.CONTROL, Register.STATUS)),
                             self.csr_write_data.eq(Command.ABORT),
                             self.csr_write.eq(own.abort)]
                m.d.comb += own.aborted.eq(own.abort)
                m.next = "WAIT"
        m.d.comb += self.access.ready.eq(~busy_itself)
        with m.If(~busy_itself):
            m.d.sync += access.eq(self.access.payload)
            with m.If(self.access.valid):
                m.next = "DECODE"

    def _see_outside(self, m, own, access, word, looked):
        """Connect the registers with outside memory; returns what ``word`` reads as.

        STATUS has what the core does not know: writes that are still on their way after its
        last instruction, and that one of them failed.
        """
        m.d.comb += [
            self.base.eq(own.base),
            own.writing.eq(self.writing),
            own.quiet.eq(self.quiet),
            own.looked.eq(looked),
            own.done.eq(self.csr_read_data[1]),
        ]
        for name in self.fault.signature.members:
            m.d.comb += getattr(own.fault, name).eq(getattr(self.fault, name))
        running, done, error = word[:3]
        failed = own.held | self.fault.valid
        status = Cat(running | (done & self.writing & ~failed),
                     done & ~self.writing & ~failed,
                     error | (failed & ~running))
        return Mux(access.word == Register.STATUS, status, word)

    def _decode_memory(self, m, access):
        beyond = access.word[:-1] >= self._config.memory_bytes // 4
        with m.If(access.word[-1]):
            with m.If(self.busy | beyond):
                m.d.sync += self.answer.payload.error.eq(1)
                m.next = "ANSWER"
            with m.Elif(access.write):
                m.next = "WRITE"
            with m.Else():
                m.next = "READ"

    def _use_memory(self, m, access):
        """The states of an access to memory, of a part of one of its words or of two words."""
        address = Cat(C(0, 2), access.word[:-1])
        low = exact_log2(self._config.read_bytes)
        m.d.comb += self.read.request.payload.eq(Cat(C(0, low), address[low:]))
        with m.State("READ"):
            m.d.comb += self.read.request.valid.eq(1)
            with m.If(self.read.request.ready):
                m.next = "RESPONSE"
        with m.State("RESPONSE"):
            m.d.sync += self.answer.payload.data.eq(
                self.read.response.payload.word_select(address[2:low], 32))
            with m.If(self.read.response.valid):
                m.next = "ANSWER"

        write, write_bytes = self.write.request, self._config.write_bytes
        low = exact_log2(write_bytes)
        half = Signal()   # the high one of two writes of 16 bits
        if write_bytes < 4:
            m.d.comb += [
                write.payload.address.eq(Cat(C(0, 1), half, address[2:])),
                write.payload.data.eq(access.data.word_select(half, 16)),
                write.payload.mask.eq(access.strobe.word_select(half, 2)),
            ]
        else:
            m.d.comb += [
                write.payload.address.eq(Cat(C(0, low), address[low:])),
                write.payload.data.eq(access.data.replicate(write_bytes // 4)),
                write.payload.mask.eq(access.strobe << address[:low]),
            ]
        with m.State("WRITE"):
            m.d.comb += write.valid.eq(1)
            with m.If(write.ready):
                if write_bytes < 4:
                    m.d.sync += half.eq(~half)
                    with m.If(half):
                        m.next = "ANSWER"
                else:
                    m.next = "ANSWER"
