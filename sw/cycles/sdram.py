"""When accesses of an SDRAM chip are taken and answered: banks, rows, the controller before it.

The controller takes a request a clock after it has given the command of the one before to the
chip: so a row of another bank is opened while words of the last one are still on the bus. Rows
stay open until another row of the bank is wanted, or a refresh. Times within are clocks of the
chip since the beginning of the run. docs/decisions/0034-sdram-parts.md has the rules.
"""

from __future__ import annotations

from typing import Final

from kaniwa.sdram_parts import ChipTiming

__all__ = ["Sdram"]

CLOSED: Final = -1
START: Final = 1      # cycles of the core from a request to the chip's first clock
AFTER: Final = 1      # clocks from the command until the next request is taken
END: Final = 2        # from the clock behind the last word to the cycle that its word is used in
TURNAROUND: Final = 1     # clocks in which nobody drives the bus, between a read and a write
MERGE: Final = 2      # from the clock behind a word to that of the write that it is merged into


class Sdram:
    """``accesses``: how many there were. What changes its state is an access alone: a refresh is
    done when the next one comes, at the times at which it was due."""

    def __init__(self, chip: ChipTiming) -> None:
        self._chip = chip
        self._rows = [CLOSED] * chip.banks
        self._activate = [0] * chip.banks      # from when on a bank may be activated
        self._precharge = [0] * chip.banks     # or its row be closed
        self._any = 0                          # from when on any bank may be activated
        self._read = self._write = 0           # from when on a column may be read, or written
        self._command = -1                     # the last one
        self._refresh = chip.refi
        self.accesses = 0

    def access(self, cycle: int, address: int, size: int, write: bool,
               fetched: int = 0) -> tuple[int, int]:
        """Take an access of ``size`` bytes at ``address`` in a ``cycle`` of the core.

        ``fetched``: bytes that are read there first, for a write that leaves some out to be merged
        with, where the chip has no mask.
        Returns the first cycle in which the next one may be taken, and the one in which a word that
        is read can be used.
        """
        chip, ratio = self._chip, self._chip.ratio
        self.accesses += 1
        start = max((cycle + START) * ratio, self._command + 1)
        while self._refresh <= start:
            self._do_refresh()
        row, bank = divmod(address // chip.row_bytes, chip.banks)
        beats = -(-size // chip.width)
        command = start
        if self._rows[bank] != row:
            active = start
            if self._rows[bank] != CLOSED:
                active = max(start, self._precharge[bank]) + chip.rp
            active = max(active, self._activate[bank], self._any)
            self._rows[bank] = row
            self._activate[bank] = active + chip.rc
            self._precharge[bank] = active + chip.ras
            self._any = active + chip.rrd
            command = active + chip.rcd
        if fetched:
            command = max(command, self._read)
            end = command - (-fetched // chip.width) + chip.cas
            self._precharge[bank] = max(self._precharge[bank], end - chip.cas)
            command = end + MERGE
        if write:
            command = max(command, self._write)
            self._read = self._write = end = command + beats
            closes = end - 1 + chip.wr
        else:
            command = max(command, self._read)
            self._read = command + beats
            end = self._read + chip.cas
            self._write = end + TURNAROUND
            closes = self._read
        self._precharge[bank] = max(self._precharge[bank], closes)
        self._command = command
        return -(-(command + AFTER) // ratio), -(-end // ratio) + END

    def _do_refresh(self) -> None:
        """Close all rows, and refresh the next ones."""
        chip = self._chip
        begins = max(self._refresh, self._command + 1)
        opened = [bank for bank, row in enumerate(self._rows) if row != CLOSED]
        if opened:
            begins = max(begins, *[self._precharge[bank] for bank in opened]) + chip.rp
        begins = max(begins, *self._activate)
        self._rows = [CLOSED] * chip.banks
        self._activate = [begins + chip.rfc] * chip.banks
        self._refresh += chip.refi
