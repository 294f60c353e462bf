"""The register by which a host has the FPGA start from another slot of its flash."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from kaniwa.errors import ConfigError
from kaniwa.standalone.format import (
    BOOT,
    BOOT_ABLE,
    BOOT_IN_TURN,
    BOOT_KEY,
    BOOT_KEY_BIT,
    MOST_SLOTS,
)

__all__ = ["QUIET_CYCLES", "Boot"]

# Without anything to send, until the FPGA leaves: between two bytes of a reply there are some 20.
QUIET_CYCLES = 64


class Boot(Component):
    """Tells ``own`` slot in the register BOOT, and takes the one to start from.

    ``in_turn``: the FPGA can start from the slot behind its own alone, which is told, too.
    ``csr_*`` are as those of the core's registers; ``csr_read_data`` is 0 of other addresses, and
    is a cycle behind ``csr_address``. Writes are taken while ``enabled``, the first one alone.
    ``leave`` is 1 from then on, once ``owing`` was 0 for QUIET_CYCLES. ``slot`` does not change any
    more by then. All outputs but ``csr_read_data`` are registers.
    """

    def __init__(self, own: int, in_turn: bool):
        if not 0 <= own < MOST_SLOTS:
            raise ConfigError(f"own must be 0..{MOST_SLOTS - 1}, not {own}: a flash has "
                              f"{MOST_SLOTS} slots at most")
        self._told = BOOT_ABLE | BOOT_IN_TURN * in_turn | own
        super().__init__({
            "csr_address": In(8),
            "csr_write": In(1),
            "csr_write_data": In(32),
            "csr_read_data": Out(32),
            "enabled": In(1),
            "owing": In(1),
            "leave": Out(1),
            "slot": Out(2),
        })

    def elaborate(self, platform):
        m = Module()
        named, told, taken = Signal(), Signal(), Signal()
        # Counts up to its highest bit, so that no number is compared.
        quiet = Signal(range(QUIET_CYCLES + 1))
        m.d.comb += [
            named.eq(self.csr_address == BOOT),
            self.csr_read_data.eq(Mux(told, self._told, 0)),
            self.leave.eq(quiet[-1]),
        ]
        m.d.sync += told.eq(named)
        with m.If(self.csr_write & named & self.enabled & ~taken
                  & (self.csr_write_data[BOOT_KEY_BIT:] == BOOT_KEY)):
            m.d.sync += [taken.eq(1), self.slot.eq(self.csr_write_data[:len(self.slot)])]
        with m.If(~quiet[-1]):
            m.d.sync += quiet.eq(Mux(taken & ~self.owing, quiet + 1, 0))
        return m
