"""The multiplier block of ECP5."""

from amaranth import *
from amaranth.lib.wiring import Component

from kaniwa.hw.multiplier.plain import wide_ports

__all__ = ["Mult18x18"]


class Mult18x18(Component):
    """``p = a * b``, signed, in a MULT18X18D with registers at its inputs and its output.

    Latency: 2 cycles, with ``pipeline`` one more in the middle of the block, for higher clocks.
    Throughput: one product a cycle. All registers stand still while ``enable`` is 0. The product
    of two numbers of 18 bits has 35 at most, -2^17 * -2^17 being the only one that needs the 36th.
    """

    def __init__(self, *, pipeline: bool = False):
        self._pipeline = pipeline
        super().__init__(wide_ports())

    def elaborate(self, platform):
        m = Module()
        registers = ["INPUTA", "INPUTB", "OUTPUT", *(["PIPELINE"] if self._pipeline else [])]
        m.submodules.block = Instance(
            "MULT18X18D",
            **{f"p_REG_{name}_CLK": "CLK0" for name in registers},
            p_GSR="DISABLED",   # nothing to reset: what comes before the first operands is not used
            i_CLK0=ClockSignal(), i_CE0=self.enable, i_RST0=Const(0, 1),
            i_SIGNEDA=Const(1, 1), i_SIGNEDB=Const(1, 1),
            i_SOURCEA=Const(0, 1), i_SOURCEB=Const(0, 1),
            **{f"i_{port}{bit}": value[bit]
               for port, value in (("A", self.a), ("B", self.b)) for bit in range(18)},
            **{f"i_C{bit}": Const(0, 1) for bit in range(18)},
            **{f"o_P{bit}": self.p[bit] for bit in range(36)},
        )
        return m
