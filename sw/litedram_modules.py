"""SDRAM modules as LiteDRAM knows them: its figures, and the cycles that it makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from kaniwa.sdram_parts import BANKS, REFRESH_NS, whole_clocks

__all__ = ["CLOCKS", "MODULES", "WIDTHS", "LiteDramTiming", "Module",
           "module_bytes"]

CLOCKS = range(10, 134)    # MHz, with a CAS latency of 2 up to CL2_MHZ, and else of 3
CL2_MHZ = 100
WIDTHS = (4, 8, 16)        # bytes of the chips beside each other, and of the port
PHY = 2                    # cycles of a read in LiteDRAM's PHYs beside the CAS latency
WRITE_TO_READ = 2          # cycles: LiteDRAM's tWTR of all of them
BURST = 1                  # cycles from a column to the next: its tCCD


class Module(NamedTuple):
    """``rows`` and ``columns`` of each of four banks, and times in ns; 0 is none at all."""

    rows: int
    columns: int
    refreshes: int     # in REFRESH_NS
    t_rp: int
    t_rcd: int
    t_wr: int
    t_rfc: int
    t_rrd: int = 0
    t_ras: int = 0


# litedram/modules.py of LiteDRAM 2024.12, under the names there. Data sheets may say otherwise.
MODULES = {
    "IS42S16160": Module(8192, 512, 8192, 20, 20, 20, 70),
    "MT48LC4M16": Module(4096, 256, 8192, 15, 15, 14, 66),
    "MT48LC16M16": Module(8192, 512, 8192, 20, 20, 15, 66, 15, 44),
    "AS4C4M16": Module(4096, 256, 4096, 22, 21, 20, 63, 14, 42),
    "AS4C16M16": Module(8192, 512, 8192, 18, 18, 12, 60),
    "AS4C32M16": Module(8192, 1024, 8192, 18, 18, 12, 60),
    "M12L64322A": Module(2048, 256, 4096, 15, 15, 15, 55, 10, 40),
    "W9825G6KH6": Module(8192, 512, 8192, 15, 15, 15, 60, 10, 42),
}


def module_bytes(module: Module, width: int) -> int:
    """Bytes of ``module``, of chips beside each other that are ``width`` bytes wide in all."""
    return BANKS * module.rows * module.columns * width


@dataclass(frozen=True)
class LiteDramTiming:
    """A module behind LiteDRAM's controller, whose clock is the chip's and the core's.

    The times are cycles. ``row_bytes``: of a row of a bank, after which comes the next bank;
    ``width``: bytes of a beat. ``wtp``, ``wtr``: from the command of a write to that which closes
    its row, and to a read.
    """

    width: int
    row_bytes: int
    banks: int
    read_latency: int
    rcd: int
    rp: int
    ras: int
    rc: int
    rfc: int
    rrd: int
    wtp: int
    wtr: int
    refi: int

    @classmethod
    def of(cls, module: Module, mhz: int, width: int) -> LiteDramTiming:
        """That of ``module`` with a clock of CLOCKS, and ``width`` bytes beside each other."""

        def cycles(ns: float) -> int:
            return whole_clocks(ns, mhz)

        cas = 2 if mhz <= CL2_MHZ else 3
        return cls(
            width, module.columns * width, BANKS, cas + PHY, cycles(module.t_rcd),
            cycles(module.t_rp), cycles(module.t_ras),
            cycles(module.t_ras + module.t_rp) if module.t_ras else 0,
            cycles(module.t_rfc), cycles(module.t_rrd),
            cas + cycles(module.t_wr) + BURST, WRITE_TO_READ + cas + BURST,
            cycles(REFRESH_NS / module.refreshes))
