"""SDRAM modules as LiteDRAM knows them: its figures, and the cycles that it makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from kaniwa.sdram_parts import BANKS, REFRESH_NS, whole_clocks

__all__ = ["CLOCKS", "MODULES", "PHYS", "WIDTHS", "LiteDramTiming", "Module", "Phy",
           "module_bytes", "port_bytes"]

CLOCKS = range(10, 134)    # MHz, with a CAS latency of 2 up to CL2_MHZ, and else of 3
CL2_MHZ = 100
# Clocks of a read and of a write of DDR3, up to a clock of the chips in MHz.
DDR3_LATENCIES = ((400, (6, 5)), (533, (7, 6)))
WIDTHS = (4, 8, 16)        # bytes of a port
DDR3_BURST = 8             # words of the chips in a beat of a port


class Least(NamedTuple):
    """Least clocks of the chips: LiteDRAM's tCCD, tRRD and tWTR; and ns of the last one."""

    ccd: int
    rrd: int
    wtr: int
    wtr_ns: float


OF_SDR, OF_DDR3 = Least(1, 0, 2, 0), Least(4, 4, 4, 7.5)


class Phy(NamedTuple):
    """A PHY of LiteDRAM: ``phases`` clocks of the chips are one of the controller.

    ``read`` and ``write``: cycles of the controller beside the latency of the chips.
    """

    phases: int
    read: int
    write: int


SDR = Phy(1, 2, 0)         # any of LiteDRAM's
PHYS = {"ecp5": Phy(2, 10, 0), "s7": Phy(4, 6, -1)}    # ECP5DDRPHY, and those of the 7 series


class Module(NamedTuple):
    """``rows`` and ``columns`` of each bank, and times in ns; 0 is none at all.

    ``rfc_clocks``: the time of a refresh in clocks, where LiteDRAM has it so.
    """

    rows: int
    columns: int
    refreshes: int     # in REFRESH_NS
    t_rp: float
    t_rcd: float
    t_wr: float
    t_rfc: int
    t_rrd: float = 0
    t_ras: float = 0
    rfc_clocks: int = 0
    ddr3: bool = False

    @property
    def banks(self) -> int:
        """How many there are."""
        return 2 * BANKS if self.ddr3 else BANKS


def _ddr3(rows: int, t_rp: float, t_wr: float, rfc_clocks: int, t_rrd: float, t_ras: float = 35,
          t_rfc: int = 0) -> Module:
    """A module of DDR3 in its default speed grade, in which tRCD is tRP."""
    return Module(rows, 1024, 8192, t_rp, t_rp, t_wr, t_rfc, t_rrd, t_ras, rfc_clocks, True)


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
    "AS4C128M16": _ddr3(16384, 13.75, 13.75, 160, 6),
    "AS4C256M16D3A": _ddr3(32768, 13.75, 15, 0, 7.5, t_rfc=260),
    "H5TC4G63CFR": _ddr3(16384, 15, 15, 260, 7.5, 37.5),
    "IS43TR16128B": _ddr3(16384, 13.75, 15, 0, 6, t_rfc=160),
    "IS43TR16256A": _ddr3(32768, 13.75, 15, 0, 6, t_rfc=260),
    "IS43TR16512B": _ddr3(65536, 13.75, 15, 0, 10, t_rfc=350),
    "K4B1G0446F": _ddr3(16384, 13.75, 15, 240, 10),
    "K4B2G1646F": _ddr3(16384, 13.75, 15, 208, 10),
    "MT41K64M16": _ddr3(8192, 13.75, 13.75, 128, 10),
    "MT41K128M16": _ddr3(16384, 13.75, 13.75, 128, 10),
    "MT41K256M16": _ddr3(32768, 13.75, 13.75, 208, 10),
    "MT41K256M8": _ddr3(32768, 13.75, 15, 128, 6),
    "MT41K512M16": _ddr3(65536, 13.75, 13.75, 280, 10, 39),
}


def module_bytes(module: Module, width: int) -> int:
    """Bytes of ``module``, of chips beside each other that are ``width`` bytes wide in all."""
    return module.banks * module.rows * module.columns * width


def port_bytes(module: Module, width: int) -> int:
    """Bytes of a beat of a port, with chips that are ``width`` bytes wide in all."""
    return width * DDR3_BURST if module.ddr3 else width


def _latencies(module: Module, mhz: int, phases: int) -> tuple[int, int]:
    """Clocks of the chips from a read to its first word, and from a write: LiteDRAM's defaults."""
    if not module.ddr3:
        cas = 2 if mhz <= CL2_MHZ else 3
        return cas, cas
    return next(latencies for highest, latencies in DDR3_LATENCIES if phases * mhz <= highest)


@dataclass(frozen=True)
class LiteDramTiming:
    """A module behind LiteDRAM's controller, whose clock is the core's.

    The times are cycles of the controller. ``row_bytes``: of a row of a bank, after which comes the
    next bank; ``width``: bytes of a beat. ``ccd``: from a column's command to the next one's.
    ``wtp``, ``wtr``: from the command of a write to that which closes its row, and to a read.
    ``apart``: the PHY has a phase for commands of rows, and another one for those of columns.
    """

    width: int
    row_bytes: int
    banks: int
    read_latency: int
    write_latency: int
    rcd: int
    rp: int
    ras: int
    rc: int
    rfc: int
    rrd: int
    ccd: int
    wtp: int
    wtr: int
    refi: int
    apart: bool

    @classmethod
    def of(cls, module: Module, mhz: int, width: int, phy: str = "") -> LiteDramTiming:
        """That of ``module`` with a clock of CLOCKS, and chips of ``width`` bytes side by side.

        ``phy``: one of PHYS for DDR3.
        """
        phases, read, write = PHYS[phy] if module.ddr3 else SDR
        cas, write_cas = (-(-clocks // phases) for clocks in _latencies(module, mhz, phases))

        def cycles(ns: float, clocks: int = 0) -> int:
            """LiteDRAM adds what a command may be late within a cycle."""
            late = 1000 * (phases - 1) / (phases * mhz)
            return max(-(-clocks // phases), whole_clocks(ns + late, mhz))

        least = OF_DDR3 if module.ddr3 else OF_SDR
        ccd, wtr = cycles(0, least.ccd), cycles(least.wtr_ns, least.wtr)
        rc = cycles(module.t_ras + module.t_rp) if module.t_ras else 0
        return cls(
            port_bytes(module, width), module.columns * width, module.banks, cas + read,
            write_cas + write if module.ddr3 else 0,
            cycles(module.t_rcd), cycles(module.t_rp), cycles(module.t_ras), rc,
            cycles(module.t_rfc, module.rfc_clocks), cycles(module.t_rrd, least.rrd), ccd,
            write_cas + cycles(module.t_wr) + ccd, wtr + write_cas + ccd,
            whole_clocks(REFRESH_NS / module.refreshes, mhz), phases > 1)
