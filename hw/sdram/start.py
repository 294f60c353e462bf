"""What an SDRAM chip needs between power-up and its first row."""

from amaranth import *
from amaranth.lib.wiring import Component, Out

from kaniwa.hw.sdram.signatures import ALL_BANKS, ROW_PINS, Command
from kaniwa.sdram_parts import ChipTiming

__all__ = ["ChipStart", "mode_register"]

REFRESHES = 8          # before the mode is loaded; the most that a data sheet of the parts asks for
MODE_CLOCKS = 2        # from the mode register to the next command
SINGLE_WRITES = 1 << 9


def mode_register(cas: int, read_words: int, write_words: int) -> int:
    """The mode: sequential bursts of ``read_words``, which are 1, 2, 4 or 8; writes are single
    words, or bursts of the same length.

    Source: data sheet of IS42S16160G, mode register definition.
    """
    single = SINGLE_WRITES if write_words == 1 else 0
    return single | cas << 4 | (read_words.bit_length() - 1)


class ChipStart(Component):
    """Waits ``power_up`` clocks, closes all rows, refreshes 8 times, and loads ``mode``.

    ``command`` and ``address`` are for the chip until ``done`` (a flip-flop).
    """

    def __init__(self, timing: ChipTiming, *, power_up: int, mode: int):
        self._timing, self._power_up, self._mode = timing, power_up, mode
        super().__init__({"command": Out(Command), "address": Out(ROW_PINS), "done": Out(1)})

    def elaborate(self, platform):
        m = Module()
        timing = self._timing
        wait = Signal(range(max(self._power_up, timing.rfc, timing.rp, MODE_CLOCKS) + 1),
                      init=self._power_up)
        refreshes = Signal(range(REFRESHES + 1), init=REFRESHES)
        with m.FSM():
            with m.State("CLOSE"):
                self._step(m, wait, Command.PRECHARGE, timing.rp, 1 << ALL_BANKS)
                with m.If(wait == 0):
                    m.next = "REFRESH"
            with m.State("REFRESH"):
                self._step(m, wait, Command.REFRESH, timing.rfc)
                with m.If(wait == 0):
                    m.d.sync += refreshes.eq(refreshes - 1)
                    with m.If(refreshes == 1):
                        m.next = "MODE"
            with m.State("MODE"):
                self._step(m, wait, Command.LOAD_MODE, MODE_CLOCKS, self._mode)
                with m.If(wait == 0):
                    m.next = "DONE"
            with m.State("DONE"):
                with m.If(wait == 0):
                    m.d.sync += self.done.eq(1)
                with m.Else():
                    m.d.sync += wait.eq(wait - 1)
        return m

    def _step(self, m, wait, command, clocks, address=0):
        """Give a command when the wait is over, behind which ``clocks`` are waited."""
        with m.If(wait == 0):
            m.d.comb += [self.command.eq(command), self.address.eq(address)]
            m.d.sync += wait.eq(clocks - 1)
        with m.Else():
            m.d.sync += wait.eq(wait - 1)
