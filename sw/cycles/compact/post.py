"""Cycle model of the compact core's post unit: the requantizer, an ADD's operand, the store."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.compact.units import moved
from kaniwa.cycles.log import Log
from kaniwa.cycles.look import Look
from kaniwa.isa import OUTSIDE
from kaniwa.program.instruction import Values, channels
from kaniwa.timing import NEVER

__all__ = ["CompactPost"]

SUMS: Final = 5       # beside its products' cycles, from a block's last step to its first result
QUOTIENT: Final = 10  # bits of the product that a requantization waits for from its shift on
LOOK_UP: Final = 2    # from the end of the second stage until a table is read, or a byte written
REPLY: Final = 1      # from the response of memory until its word may be used
SOONEST: Final = 3    # from the cycle in which memory chooses a read until then, at least
AHEAD: Final = 2      # first values of an ADD that may be without their sum


class CompactPost:
    """Values on their way through the two stages of the requantizer.

    An ADD has two values for a result. Once the first one leaves, its entry of a table waits for
    the operand, and both go in as the sum. ``ask``: the cycle in which the read of an operand is
    there to be chosen, NEVER if there is none. ``writes``: of each byte the cycle in which it is
    there to be written, and the one in which it is. On chip these are one; when outside memory
    takes a byte, ``written`` tells: ``unwritten`` is the cycle in which it is there, NEVER if there
    is none. Until then nothing else leaves the second stage.
    ``taken``: for each block the cycle in which its last result goes in. ``arrival``: cycles from
    the last step of a block until its first result may go in.
    """

    def __init__(self, config: AcceleratorConfig, v: Values, log: Log | None) -> None:
        self.ask = self.unwritten = NEVER
        self.writes: deque[tuple[int, int]] = deque()
        self.read = self.stored = 0    # operands, and bytes in outside memory
        self.taken: list[int] = []
        self.ended = 0       # the cycle after the last byte's write
        self.arrival = SUMS + config.product_cycles
        self._cycles = config.requant_cycles
        self._digit = 32 // config.requant_cycles    # bits of the product in a cycle
        self._words = -(-(QUOTIENT + self._digit - 1) // self._digit)
        self._v = v
        self._adds = bool(v["add"])
        self._log = log
        self._outside = v["ofm_address"] >= OUTSIDE
        self._results: deque[tuple[int, int, bool]] = deque()    # arrival, shift, last of a block
        self._free = 0       # from when on the first stage takes a value; NEVER while not known
        self._upper = 0      # when the value in the second stage leaves
        self._store = 0      # from when on what leaves there has a place
        self._summed = 0     # from when on the place for an entry is free
        # In the stages: when it begins, and its shift, or when it leaves; True before its sum.
        self._first: tuple[int, int, bool] | None = None
        self._second: tuple[int, bool] | None = None
        self._unsummed = 0   # first values without a sum
        self._ahead: deque[int] = deque()    # those of them that left: when
        self._operand = NEVER                # from when on the first one's sum may begin

    def block(self, issued: int, shifts: Sequence[int]) -> None:
        """Results of a block whose last step is in the cycle ``issued``."""
        for index, shift in enumerate(shifts):
            self._results.append((issued + self.arrival, shift, index == len(shifts) - 1))

    def advance(self, until: int) -> None:
        """All values begin of which that is sure: no other block's results come before
        ``until``."""
        while self._free < NEVER and (self._results or self._ahead):
            if self._first_is_next():
                self._begin_first()
            elif self._operand < NEVER and (
                    self._results or self._unsummed == AHEAD or self._sum_cycle() < until):
                self._begin_sum()
            else:
                break

    def reply(self, cycle: int) -> None:
        """The word of the operand comes."""
        self.ask = NEVER
        self._operand = cycle + REPLY

    def operand(self) -> int:
        """Address of the next operand, which is read."""
        self.read += 1
        return _place(self._v, "operand", self.read - 1)

    def result(self) -> int:
        """Address of the byte that is there for outside memory, which is written."""
        self.stored += 1
        return _place(self._v, "ofm", self.stored - 1)

    def seen(self, cycle: int) -> int:
        """The cycle in which memory sees a read that is chosen in ``cycle``: later by the bytes
        that are written then."""
        writes, seen = self.writes, cycle + 1
        while writes and writes[0][0] <= seen:
            seen = max(seen, writes.popleft()[1] + 1)
        return seen

    def forget(self, cycle: int) -> None:
        """Bytes that no read chosen in ``cycle`` or later waits for."""
        writes = self.writes
        while writes and writes[0][1] <= cycle:
            writes.popleft()

    def state(self, look: Look, block: int) -> tuple[Any, ...]:
        """How it goes on; ``block``: the last one that was told."""
        now, first, second = look.now, self._first, self._second
        return (
            look.all((self.ask, self.unwritten, self.ended, self._free, self._upper, self._store,
                      self._summed, self._operand)),
            self._unsummed, first and (first[0] - now, *first[1:]),
            second and (second[0] - now, second[1]), look.all(self._ahead),
            [(arrival - now, *rest) for arrival, *rest in self._results],
            [(there - now, at - now) for there, at in self.writes], look.all(self.taken[block:]))

    def move(self, cycles: int, block: int) -> None:
        """Go on so many cycles later, behind the same ``block``."""
        self.ask, self.unwritten = moved(self.ask, cycles), moved(self.unwritten, cycles)
        self._free, self._operand = moved(self._free, cycles), moved(self._operand, cycles)
        self.ended += cycles
        self._upper += cycles
        self._store += cycles
        self._summed += cycles
        if self._first is not None:
            begins, shift, adds = self._first
            self._first = begins + cycles, shift, adds
        if self._second is not None:
            leaves, adds = self._second
            self._second = leaves + cycles, adds
        self._ahead = deque([cycle + cycles for cycle in self._ahead])
        self._results = deque([(arrival + cycles, shift, last)
                               for arrival, shift, last in self._results])
        self.writes = deque([(there + cycles, at + cycles) for there, at in self.writes])
        self.taken[block:] = [cycle + cycles for cycle in self.taken[block:]]

    def written(self, cycle: int) -> None:
        """Outside memory takes the byte that is there."""
        self._wrote(cycle)
        self._go_on()

    def _sum_cycle(self) -> int:
        """The first cycle in which a sum may be chosen, or one before it if that is not known."""
        earliest = self._operand
        if earliest == NEVER:    # without a read, what it is for waits for a write
            earliest = self.unwritten if self.ask == NEVER else self.ask + SOONEST
        return max(earliest, self._free)

    def _first_is_next(self) -> bool:
        """A result that waits goes before a sum, unless two results have gone before."""
        if not self._results or self._unsummed == AHEAD:
            return False
        return not self._unsummed or self._results[0][0] <= self._sum_cycle()

    def _begin_first(self) -> None:
        arrival, shift, is_last = self._results.popleft()
        begins = max(arrival, self._free)
        if is_last:
            self.taken.append(begins)
        self._unsummed += self._adds
        self._value(begins, shift, self._adds)

    def _leave_first(self) -> None:
        self._ahead.append(self._upper)
        if len(self._ahead) == 1:
            self._look_up()

    def _begin_sum(self) -> None:
        chosen = self._sum_cycle()
        self._ahead.popleft()
        self._unsummed -= 1
        self._operand = NEVER
        self._summed = chosen + 2
        if self._ahead:
            self._look_up()
        self._value(chosen + 1, self._v["add_shift"], False)

    def _look_up(self) -> None:
        """The entry of the first value that is ahead, once the entry before it is used."""
        cycle = max(self._ahead[0] + LOOK_UP, self._summed)
        self.ask = self._store = cycle + 1

    def _write(self) -> None:
        """The value that leaves the second stage, or its entry of a table, is a byte."""
        self.unwritten = self._upper + LOOK_UP + self._v["table"]
        if not self._outside:
            self._wrote(self.unwritten)

    def _wrote(self, cycle: int) -> None:
        self.writes.append((self.unwritten, cycle))
        self.unwritten = NEVER
        self.ended = self._store = cycle + 1

    def _value(self, begins: int, shift: int, adds: bool) -> None:
        """A value begins and goes through both stages; ``adds``: its sum is still to come."""
        self._free, self._first = NEVER, (begins, shift, adds)
        self._go_on()

    def _go_on(self) -> None:
        """Values go from one stage to the next, as far as is known when their places are free."""
        while True:
            if self._second is not None and self.unwritten == NEVER:
                leaves, adds = self._second
                self._second = None
                self._upper = max(leaves, self._store)
                if adds:
                    self._leave_first()
                else:
                    self._write()
            elif self._first is not None and self._second is None:
                begins, shift, adds = self._first
                self._first = None
                self._free = max(begins + self._cycles + 1, self._upper)
                self._second = self._free + 1 + max(
                    self._cycles, shift // self._digit + self._words - self._cycles), adds
                if self._log:
                    self._log.tracks["post"].work(begins, self._free, 0)
            else:
                return


def _place(v: Values, which: str, number: int) -> int:
    """Address of byte ``number`` of the operand or the output, in the order of results."""
    pixel, channel = divmod(number, channels(v))
    y, x = divmod(pixel, v["ofm_columns"])
    return (v[f"{which}_address"] + y * v[f"{which}_row_pitch"]
            + x * v[f"{which}_pixel_pitch"] + channel)
