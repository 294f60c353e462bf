"""Registers of the bus itself: interrupts, the error held, the base of outside memory."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out, Signature
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.isa.bus import (
    BASE_ALIGNMENT,
    BUS_VERSION,
    RESPONSE_SHIFT,
    BusRegister,
    Feature,
    Interrupt,
    memory_offset,
)

__all__ = ["BusRegisters", "fault", "is_one_of"]


def fault() -> Signature:
    """An error response of outside memory: ``valid`` for a cycle; ``address`` is the device's."""
    return Signature({"valid": Out(1), "write": Out(1), "code": Out(2), "address": Out(32)})


def is_one_of(index, values):
    """True where ``index`` is one of ``values``."""
    return Cat(index == value for value in values).any()


class BusRegisters(Component):
    """The registers ``BusRegister``, and what happens to them when a run ends.

    ``word`` is what the register ``index`` reads as, a cycle later; 0 where there is none.
    ``writable`` says whether a ``write`` would change it. ``irq`` is 2 cycles behind its cause.

    With ``outside``: a ``fault`` during a run makes ``abort`` 1 until it is ``aborted``. After
    every run ``look`` asks for ``looked``, with the core's own word ``done`` on how it ended. One
    that is done has ended only when nothing is ``writing``; for another one nobody waits, for a
    bus that does not answer may be why it ended. ``held``: an error is.
    """

    def __init__(self, config: AcceleratorConfig, *, outside: bool, address_bits: int):
        self._config = config
        self._outside = outside
        super().__init__({
            "index": In(10),
            "write": In(1),
            "write_data": In(32),
            "word": Out(32),
            "writable": Out(1),
            "busy": In(1),
            "irq": Out(1),
            **({"base": Out(address_bits), "writing": In(1), "quiet": In(1), "fault": In(fault()),
                "abort": Out(1), "aborted": In(1), "look": Out(1), "looked": In(1), "done": In(1),
                "held": Out(1)} if outside else {}),
        })

    def elaborate(self, platform):
        m = Module()
        status, enable = Signal(len(Interrupt)), Signal(len(Interrupt))
        happens, clear = Signal.like(status), Signal.like(status)
        m.d.comb += happens.eq(Cat(self._run_over(m), self.fault.valid if self._outside else 0))
        with m.If(self._writes(BusRegister.IRQ_STATUS)):
            m.d.comb += clear.eq(self.write_data)
        with m.If(self._writes(BusRegister.IRQ_ENABLE)):
            m.d.sync += enable.eq(self.write_data)
        m.d.sync += [status.eq(status & ~clear | happens), self.irq.eq((status & enable).any())]

        words = {
            BusRegister.BUS_VERSION: BUS_VERSION,
            BusRegister.IRQ_STATUS: status,
            BusRegister.IRQ_ENABLE: enable,
            BusRegister.MEMORY_OFFSET: memory_offset(self._config.memory_bytes),
            BusRegister.FEATURES: Feature.OUTSIDE if self._outside else 0,
        }
        always = [BusRegister.IRQ_STATUS, BusRegister.IRQ_ENABLE, BusRegister.BUS_ERROR]
        writable = is_one_of(self.index, always)
        if self._outside:
            words |= self._hold_error(m) | self._keep_base(m)
            # An access that waits would go elsewhere.
            bases = [BusRegister.OUTSIDE_BASE_LOW, BusRegister.OUTSIDE_BASE_HIGH]
            writable |= is_one_of(self.index, bases) & ~self.busy & self.quiet
        m.d.comb += self.writable.eq(writable)
        m.d.sync += self.word.eq(0)
        with m.Switch(self.index):
            for register, word in words.items():
                with m.Case(register):
                    m.d.sync += self.word.eq(word)
        return m

    def _writes(self, register):
        return self.write & (self.index == register)

    def _run_over(self, m):
        """A cycle of 1 when a run has ended."""
        was_busy, over = Signal(), Signal()
        m.d.sync += was_busy.eq(self.busy)
        falls = was_busy & ~self.busy
        if not self._outside:
            m.d.comb += over.eq(falls)
            return over
        finishing = Signal()   # the core is done
        last_write = finishing & (~self.writing | self.busy)
        m.d.comb += over.eq(last_write | (self.looked & ~self.done))
        with m.If(self.looked):
            m.d.sync += [self.look.eq(0), finishing.eq(self.done)]
        with m.Elif(last_write):
            m.d.sync += finishing.eq(0)
        with m.If(falls):
            m.d.sync += self.look.eq(1)
        with m.If(self.fault.valid & self.busy):
            m.d.sync += self.abort.eq(1)
        with m.Elif(self.aborted | ~self.busy):
            m.d.sync += self.abort.eq(0)
        return over

    def _hold_error(self, m):
        """BUS_ERROR keeps the first error until it is written; what the two registers read as."""
        is_write, code, address = Signal(), Signal(2), Signal(32)
        with m.If(self._writes(BusRegister.BUS_ERROR)):
            m.d.sync += [self.held.eq(0), is_write.eq(0), code.eq(0), address.eq(0)]
        with m.Elif(self.fault.valid & ~self.held):
            m.d.sync += [self.held.eq(1), is_write.eq(self.fault.write),
                         code.eq(self.fault.code), address.eq(self.fault.address)]
        error = Cat(self.held, is_write)
        assert len(error) == RESPONSE_SHIFT
        return {BusRegister.BUS_ERROR: Cat(error, code), BusRegister.BUS_ERROR_ADDRESS: address}

    def _keep_base(self, m):
        """Both words of OUTSIDE_BASE; its low bits, and those beyond the bus's, are 0."""
        fixed = exact_log2(BASE_ALIGNMENT)
        with m.If(self._writes(BusRegister.OUTSIDE_BASE_LOW)):
            m.d.sync += self.base[fixed:32].eq(self.write_data[fixed:])
        with m.If(self._writes(BusRegister.OUTSIDE_BASE_HIGH)):
            m.d.sync += self.base[32:].eq(self.write_data)
        return {BusRegister.OUTSIDE_BASE_LOW: self.base[:32],
                BusRegister.OUTSIDE_BASE_HIGH: self.base[32:]}
