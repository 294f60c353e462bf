"""SDRAM parts that outside memory may be: figures of their data sheets, and the same in clocks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from kaniwa.errors import ConfigError

__all__ = [
    "BANKS", "LOWEST_MHZ", "PARTS", "RATIOS", "REFRESH_NS", "ChipTiming", "Part", "bursts",
    "whole_clocks"]

LOWEST_MHZ = 10           # of the chip
RATIOS = (1, 2, 4)        # cycles of the chip in one of the core
REFRESH_NS = 64_000_000   # in which each row of a part is refreshed once
BANKS = 4
BURSTS = (1, 2, 4, 8)     # lengths of a part


class Part(NamedTuple):
    """A part: ``rows`` and ``columns`` of each of four banks, ``width`` bytes of a column.

    ``cl2_mhz`` and ``cl3_mhz``: the highest clocks with a CAS latency of 2 and of 3. The times are
    minima in ns, of ``t_wr`` in whole clocks at least ``wr_clocks``. ``refreshes`` in REFRESH_NS.
    ``source`` is the data sheet that the figures are of.
    """

    width: int
    rows: int
    columns: int
    cl2_mhz: int
    cl3_mhz: int
    t_rcd: float
    t_rp: float
    t_ras: float
    t_rc: float
    t_rfc: float
    t_rrd: float
    t_wr: float
    wr_clocks: int
    refreshes: int
    source: str

    @property
    def size(self) -> int:
        """Bytes."""
        return BANKS * self.rows * self.columns * self.width


#                        B  rows  cols CL2  CL3  RCD RP  RAS RC  RFC RRD WR clocks refreshes
PARTS = {
    "IS42S16160G": Part(2, 8192, 512, 100, 143, 15, 15, 37, 60, 60, 14, 14, 2, 8192,
                        "ISSI IS42S16160G, AC electrical characteristics, -7"),
    "MT48LC16M16A2": Part(2, 8192, 512, 100, 133, 20, 20, 44, 66, 66, 15, 15, 2, 8192,
                          "Micron 256Mb SDR SDRAM, AC operating conditions, -75"),
    "AS4C16M16SA": Part(2, 8192, 512, 100, 166, 18, 18, 42, 60, 60, 12, 12, 2, 8192,
                        "Alliance AS4C16M16SA-C&I rev. 3.0, table 16, -6"),
    "AS4C32M16SB": Part(2, 8192, 1024, 100, 143, 21, 21, 42, 63, 63, 14, 14, 2, 8192,
                        "Alliance AS4C32M16SB rev. 1.0, table 16, -7"),
    "W9825G6KH": Part(2, 8192, 512, 133, 166, 15, 15, 42, 60, 60, 0, 0, 2, 8192,
                      "Winbond W9825G6KH, AC characteristics, -6; tRRD and tWR are 2 clocks"),
    "EM638325": Part(4, 2048, 256, 100, 166, 18, 18, 42, 63, 63, 14, 12, 2, 4096,
                     "Etron EM638325 rev. 3.2, -6; tRC, tRFC and tRRD are the longer ones of -7"),
    "M12L64322A": Part(4, 2048, 256, 100, 200, 15, 15, 40, 55, 55, 10, 10, 2, 4096,
                       "ESMT M12L64322A, operating AC parameters, -5"),
}


def whole_clocks(ns: float, mhz: int) -> int:
    """Clocks of ``mhz`` that take ``ns`` or more."""
    return -int(-ns * mhz // 1000)


@dataclass(frozen=True)
class ChipTiming:
    """A part at a clock, for a core that has one cycle in ``ratio`` of the chip's.

    The times are clocks of the chip. ``row_bytes``: of a row of a bank, after which comes the next
    bank; ``width``: bytes of a clock. ``masked``: its pins for the data mask are wired, so a write
    may leave bytes out.
    """

    ratio: int
    width: int
    row_bytes: int
    banks: int
    cas: int
    rcd: int
    rp: int
    ras: int
    rc: int
    rfc: int
    rrd: int
    wr: int
    refi: int
    masked: bool = True

    @classmethod
    def of(cls, part: Part, mhz: float, ratio: int, masked: bool = True) -> ChipTiming:
        """The timing of ``part`` with a clock of ``mhz`` that it takes, by whole MHz above it."""
        mhz = math.ceil(mhz)

        def clocks(ns: float, least: int = 1) -> int:
            return max(least, whole_clocks(ns, mhz))

        return cls(
            ratio, part.width, part.columns * part.width, BANKS, 2 if mhz <= part.cl2_mhz else 3,
            clocks(part.t_rcd), clocks(part.t_rp), clocks(part.t_ras), clocks(part.t_rc),
            clocks(part.t_rfc), clocks(part.t_rrd, 2), clocks(part.t_wr, part.wr_clocks),
            REFRESH_NS * mhz // (1000 * part.refreshes), masked)


def bursts(part: Part, read_bytes: int, write_bytes: int, masked: bool) -> tuple[int, int]:
    """Columns of a core's reads and writes, each of which is one burst of ``part``.

    ``masked``: its pins for the data mask are wired. Raises ConfigError where one is no burst.
    """
    read, write = (_burst(part, size, name) for size, name in (
        (read_bytes, "read_bytes"), (write_bytes, "write_bytes")))
    if write > read:
        raise ConfigError(f"write_bytes of {write_bytes} are more than read_bytes, {read_bytes}: "
                          "the SDRAM's bursts are of read_bytes")
    if not masked and write not in (1, read):
        raise ConfigError(f"write_bytes of {write_bytes} are a part of the bursts of {read_bytes} "
                          "bytes, of which an SDRAM without a data mask writes all: they must be "
                          f"{part.width} or {read_bytes}")
    return read, write


def _burst(part: Part, size: int, name: str) -> int:
    words, rest = divmod(size, part.width)
    if rest or words not in BURSTS:
        raise ConfigError(f"{name} of {size} is no burst of an SDRAM of {part.width} bytes a "
                          "column: it must be 1, 2, 4 or 8 of these")
    return words
