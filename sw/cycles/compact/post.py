"""Cycle model of the compact core's post unit: the requantizer, an ADD's operand, the store."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.log import Log
from kaniwa.program.instruction import Values
from kaniwa.timing import NEVER

__all__ = ["CompactPost"]

SUMS = 5             # beside its products' cycles, from a block's last step to its first result
QUOTIENT = 10        # bits of the product that a requantization waits for from its shift on
LOOK_UP = 2          # from the end of the second stage until a table is read, or a byte written
REPLY = 3            # from the cycle in which memory chooses a read until its word may be used
AHEAD = 2            # first values of an ADD that may be without their sum


class CompactPost:
    """Values on their way through the two stages of the requantizer.

    An ADD has two values for a result. Once the first one leaves, its entry of a table waits for
    the operand, and both go in as the sum. ``ask``: the cycle in which the read of an operand is
    there to be chosen, NEVER if there is none. ``writes``: cycles in which a byte is written.
    ``taken``: for each block the cycle in which its last result goes in. ``arrival``: cycles from
    the last step of a block until its first result may go in.
    """

    def __init__(self, config: AcceleratorConfig, v: Values, log: Log | None) -> None:
        self.ask = NEVER
        self.writes: deque[int] = deque()
        self.taken: list[int] = []
        self.ended = 0       # the cycle after the last byte's write
        self.arrival = SUMS + config.product_cycles
        self._cycles = config.requant_cycles
        self._digit = 32 // config.requant_cycles    # bits of the product in a cycle
        self._words = -(-(QUOTIENT + self._digit - 1) // self._digit)
        self._v = v
        self._log = log
        self._results: deque[tuple[int, int, bool]] = deque()    # arrival, shift, last of a block
        self._free = 0       # from when on the first stage takes a value
        self._upper = 0      # when the value in the second stage leaves
        self._store = 0      # from when on what leaves there has a place
        self._summed = 0     # from when on the place for an entry is free
        self._ahead: deque[int] = deque()    # first values without a sum: when they leave
        self._operand = NEVER                # from when on the first one's sum may begin

    def block(self, issued: int, shifts: Sequence[int]) -> None:
        """Results of a block whose last step is in the cycle ``issued``."""
        for index, shift in enumerate(shifts):
            self._results.append((issued + self.arrival, shift, index == len(shifts) - 1))

    def advance(self, until: int) -> None:
        """All values begin of which that is sure: no other block's results come before
        ``until``."""
        while self._results or self._ahead:
            if self._first_is_next():
                self._begin_first()
            elif self._operand < NEVER and (
                    self._results or len(self._ahead) == AHEAD or self._sum_cycle() < until):
                self._begin_sum()
            else:
                break

    def reply(self, cycle: int) -> None:
        """Memory sees the read of the operand in the cycle behind this one."""
        self.ask = NEVER
        self._operand = cycle + REPLY

    def _sum_cycle(self) -> int:
        """The first cycle in which a sum may be chosen, or one before it if that is not known."""
        earliest = self.ask + REPLY if self._operand == NEVER else self._operand
        return max(earliest, self._free)

    def _first_is_next(self) -> bool:
        """A result that waits goes before a sum, unless two results have gone before."""
        if not self._results or len(self._ahead) == AHEAD:
            return False
        return not self._ahead or self._results[0][0] <= self._sum_cycle()

    def _begin_first(self) -> None:
        arrival, shift, is_last = self._results.popleft()
        begins = max(arrival, self._free)
        if is_last:
            self.taken.append(begins)
        self._value(begins, shift)
        if self._v["add"]:
            self._ahead.append(self._upper)
            if len(self._ahead) == 1:
                self._look_up()
        else:
            self._write()

    def _begin_sum(self) -> None:
        chosen = self._sum_cycle()
        self._ahead.popleft()
        self._operand = NEVER
        self._summed = chosen + 2
        if self._ahead:
            self._look_up()
        self._value(chosen + 1, self._v["add_shift"])
        self._write()

    def _look_up(self) -> None:
        """The entry of the first value that is ahead, once the entry before it is used."""
        cycle = max(self._ahead[0] + LOOK_UP, self._summed)
        self.ask = self._store = cycle + 1

    def _write(self) -> None:
        """The value that leaves the second stage, or its entry of a table, is a byte."""
        cycle = self._upper + LOOK_UP + self._v["table"]
        self.writes.append(cycle)
        self.ended = self._store = cycle + 1

    def _value(self, begins: int, shift: int) -> None:
        """A value begins and goes through both stages."""
        self._free = max(begins + self._cycles + 1, self._upper)
        leaves = self._free + 1 + max(
            self._cycles, shift // self._digit + self._words - self._cycles)
        self._upper = max(leaves, self._store)
        if self._log:
            self._log.tracks["post"].work(begins, self._free, 0)
