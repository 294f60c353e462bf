"""When LiteDRAM's controller takes beats of one port, and when it answers them.

A port may have commands in one bank alone, so its beats reach the chip in the order in which they
were taken, and the controller's state is that of one bank at a time. The states are those of
LiteDRAM 2024.12: ``core/bankmachine.py``, ``core/multiplexer.py``, ``core/refresher.py`` and
``core/crossbar.py``. Times are cycles of the core, whose clock is the controller's. With DDR3 a
cycle has several clocks of the chips, and a phase each for commands of rows and of columns.
docs/decisions/0077-litedram.md has the rules.
"""

from __future__ import annotations

from typing import Final

from kaniwa.litedram_modules import LiteDramTiming

__all__ = ["LiteDram"]

CLOSED: Final = -1
QUEUE: Final = 8           # commands that wait in front of a bank's own
READ_BUFFER: Final = 3     # from the PHY's word to the AXI port: the crossbar, and a FIFO of two
WRITTEN: Final = 2         # from the command of a write to its answer, beside the PHY's latency


class LiteDram:
    """``answered``: the cycle in which the last beat's word is at the port, or its response."""

    def __init__(self, timing: LiteDramTiming) -> None:
        self._timing = timing
        self._rows = [CLOSED] * timing.banks
        self._activate = [0] * timing.banks     # from when on a bank may be activated
        self._precharge = [0] * timing.banks    # or its row be closed
        self._granted = [False] * timing.banks  # the crossbar has given the bank to the port
        self._written = 0                       # from when on a refresh may be behind all writes
        self._read_after_write = 0
        self._any = 0                           # from when on any bank may be activated
        self._bank = 0                          # of the last beat
        # Banks whose commands the multiplexer looks at: of columns, and of rows at the index in
        # _of_rows, which is the same one where they share a phase.
        self._chosen = [0, 0]
        self._of_rows = 1 if timing.apart else 0
        self._column = 0                        # from when on a column may have a command
        self._taken = -1                        # the last beat
        self._issued = -1                       # its command
        self._writing = False                   # state of the multiplexer
        self._steady = 0                        # from when on it is in that state
        self._regular = 0                       # from when on the last bank is at no row
        self._moved = [-1] * QUEUE              # when commands left the queue of the bank
        self._refresh = timing.refi + 1
        self.answered = 0

    def beat(self, at: int, address: int, write: bool) -> int:
        """Take a beat that is at the port from cycle ``at`` on; returns the cycle of that."""
        timing = self._timing
        row, bank = divmod(address // timing.row_bytes, timing.banks)
        behind = bank == self._bank     # the bank has the beat before
        # The bank's queue has room, or the bank before has none of the port's commands any more.
        free = self._moved[0] if behind else self._issued
        taken = max(at, self._taken + 1, free + 1) + (not self._granted[bank])
        self._granted[bank] = True
        moved = max(taken + 1, self._issued) if behind else taken + 1
        self._moved = [*self._moved[1:], moved] if behind else [-1] * (QUEUE - 1) + [moved]
        ready = max(moved + 1, self._issued + 1)
        # A beat of another row that waits behind the last one makes that close its own.
        closing = behind and self._rows[bank] not in (row, CLOSED) and taken < self._issued
        self._bank, self._taken = bank, taken
        self._issued = self._issue(ready, row, bank, write, closing)
        self._regular = self._issued + 1
        self._column = self._issued + timing.ccd
        if write:
            self._written = self._issued + timing.wtp
            self._precharge[bank] = max(self._precharge[bank], self._written)
            self._read_after_write = self._issued + timing.wtr
            self.answered = self._issued + timing.write_latency + WRITTEN
        else:
            self.answered = self._issued + timing.read_latency + READ_BUFFER
        return taken

    def _issue(self, ready: int, row: int, bank: int, write: bool, closing: bool) -> int:
        """The cycle of the command of a beat that its bank has from ``ready`` on."""
        if closing:
            closes = max(self._issued + 1, self._precharge[bank])
            ready = self._activated(closes + self._timing.rp, row, bank)
        while True:
            while self._refresh <= ready:      # several were, while nothing was asked for
                ready = self._do_refresh(ready, self._steady)
            if self._rows[bank] != row:
                ready = self._open(ready, row, bank)
                continue
            steady = ready
            if write != self._writing:
                steady = (max(ready + 1, self._read_after_write) + 1 if self._writing
                          else ready + self._timing.read_latency)
            issued = max(steady + (self._chosen[0] != bank), self._column)
            if self._refresh > issued:
                break
            if self._refresh > steady:
                self._chosen[0] = bank
            ready = self._do_refresh(ready, steady)
        self._writing, self._steady = write, steady
        self._chosen[0] = bank
        return issued

    def _open(self, ready: int, row: int, bank: int) -> int:
        """Close the bank's row, if it has one, from ``ready`` on, and open ``row``; when it is."""
        active = ready + 1
        if self._rows[bank] != CLOSED:
            closes = max(active, self._precharge[bank])
            if self._chosen[self._of_rows] != bank:
                closes += 1
                self._chosen[self._of_rows] = bank
            active = closes + self._timing.rp
        return self._activated(active, row, bank)

    def _activated(self, active: int, row: int, bank: int) -> int:
        """Open ``row`` of a bank that has none from ``active`` on; when it is."""
        timing = self._timing
        active = max(active, self._activate[bank])
        turn = self._chosen[self._of_rows] != bank
        # With a phase of their own rows are chosen before another bank's time is over.
        active = max(active + turn, self._any) if timing.apart else max(active, self._any) + turn
        self._chosen[self._of_rows] = bank
        self._rows[bank] = row
        self._activate[bank] = active + timing.rc
        self._precharge[bank] = max(self._precharge[bank], active + timing.ras)
        self._any = active + timing.rrd
        self._regular = active + timing.rcd
        return self._regular

    def _do_refresh(self, ready: int, steady: int) -> int:
        """Refresh, with a bank that waits for commands from ``ready`` on; when it does so again.

        ``steady``: when the multiplexer is in one of the states in which it turns to a refresh.
        """
        timing = self._timing
        begins = max(max(self._refresh, self._regular) + 1, self._written, steady) + 1
        self._rows = [CLOSED] * timing.banks
        self._writing = False
        self._refresh += timing.refi
        ends = begins + timing.rp + timing.rfc + 2
        self._steady = self._regular = ends
        return max(ready, ends)
