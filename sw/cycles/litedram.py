"""When LiteDRAM's controller takes beats of one port, and when it answers them.

A port may have commands in one bank alone, so its beats reach the chip in the order in which they
were taken, and the controller's state is that of one bank at a time. The states are those of
LiteDRAM 2024.12: ``core/bankmachine.py``, ``core/multiplexer.py``, ``core/refresher.py`` and
``core/crossbar.py``. Times are cycles of the core, whose clock is the chip's.
docs/decisions/0077-litedram.md has the rules.
"""

from __future__ import annotations

from typing import Final

from kaniwa.litedram_modules import LiteDramTiming

__all__ = ["LiteDram"]

CLOSED: Final = -1
QUEUE: Final = 8           # commands that wait in front of a bank's own
READ_BUFFER: Final = 3     # from the PHY's word to the AXI port: the crossbar, and a FIFO of two
WRITTEN: Final = 2         # from the command of a write to its answer


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
        self._chosen = 0                        # bank whose commands the multiplexer looks at
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
        if write:
            self._written = self._issued + timing.wtp
            self._precharge[bank] = max(self._precharge[bank], self._written)
            self._read_after_write = self._issued + timing.wtr
            self.answered = self._issued + WRITTEN
        else:
            self.answered = self._issued + timing.read_latency + READ_BUFFER
        return taken

    def _issue(self, ready: int, row: int, bank: int, write: bool, closing: bool) -> int:
        """The cycle of the command of a beat that its bank has from ``ready`` on."""
        if closing:
            ready = self._open(self._issued, row, bank)
        while True:
            if self._refresh <= ready:
                ready = self._do_refresh(ready, self._steady)
            if self._rows[bank] != row:
                ready = self._open(ready, row, bank)
                continue
            steady = ready
            if write != self._writing:
                steady = (max(ready + 1, self._read_after_write) + 1 if self._writing
                          else ready + self._timing.read_latency)
            issued = steady + (self._chosen != bank)
            if self._refresh > issued:
                break
            if self._refresh > steady:
                self._chosen = bank
            ready = self._do_refresh(ready, steady)
        self._writing, self._steady, self._chosen = write, steady, bank
        return issued

    def _open(self, ready: int, row: int, bank: int) -> int:
        """Close the bank's row, if it has one, from ``ready`` on, and open ``row``; when it is."""
        timing = self._timing
        active = ready + 1
        if self._rows[bank] != CLOSED:
            closes = max(active, self._precharge[bank])
            if self._chosen != bank:
                closes += 1
                self._chosen = bank
            active = closes + timing.rp
        active = max(active, self._activate[bank], self._any) + (self._chosen != bank)
        self._chosen = bank
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
