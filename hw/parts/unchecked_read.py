"""A read port whose user does not mind what it reads of a word that is being written."""

from typing import NamedTuple

from amaranth import *
from amaranth.lib.memory import Memory

__all__ = ["UncheckedRead", "UNDEFINED", "unchecked_memory"]

# Attribute of registers whose value at power-up is never used. Synthesis drops their initial value,
# which block RAMs do not have: yosys would keep it up with a gate behind every bit of the port.
UNDEFINED = "kaniwa_undefined"


class UncheckedRead(NamedTuple):
    """The ports of a synchronous read port: ``data`` comes a cycle after ``en``, and stays.

    Made by ``of``, for a memory with the attribute ``no_rw_check``. Amaranth's own synchronous port
    promises the old word in a collision, which yosys keeps up with a comparator and a bypass: with
    this one, a register of our own behind an unclocked port, it heeds the attribute.
    """

    addr: Signal
    en: Signal
    data: Value

    @classmethod
    def of(cls, m: Module, memory: Memory) -> "UncheckedRead":
        """A new read port of ``memory``; its register has no reset."""
        port = memory.read_port(domain="comb")
        data = Signal(port.data.shape(), name="read_data", reset_less=True,
                      attrs={UNDEFINED: 1})
        read = cls(Signal.like(port.addr, name="read_addr"), Signal(name="read_en"), data)
        m.d.comb += port.addr.eq(read.addr)
        with m.If(read.en):
            m.d.sync += data.eq(port.data)
        return read


def unchecked_memory(m: Module, name: str, shape, depth: int) -> tuple:
    """A memory as submodule ``name``: its write port, and an ``UncheckedRead`` of it."""
    m.submodules[name] = memory = Memory(shape=shape, depth=depth, init=[],
                                         attrs={"no_rw_check": 1})
    return memory.write_port(), UncheckedRead.of(m, memory)
