"""Numbers of the host's datagrams: which one the next request has, and which replies are taken.

A network may lose a datagram, double it, or bring it minutes later. So each direction has numbers
that only go on, and what is not ahead of all that was taken before is dropped.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from kaniwa.driver.datagrams.format import NUMBERS, is_ahead, pack_request, unpack_reply

__all__ = ["HostRow", "number_of_the_time"]

TICKS = 62_500       # numbers a second, more than a host sends; they go round in 19 hours
LATE = 1 << 26       # numbers of 18 minutes: more than a datagram may be late
# More than another host may have on its way to the device. No multiple of it comes near a power of
# two: so a row differs from the one that it ends by more than a damaged bit.
LEAP = 3 << 15


def number_of_the_time() -> int:
    """The number that a row begins with now, as TCP takes its first ones (RFC 9293, 3.4.1).

    It is ahead of all that were sent in the hours before, also to a device that has lost its power
    since. The last numbers of the round are left out: all others are ahead of the 0 of a new
    device, or of a probe that it took.
    """
    return int(time.time() * TICKS) % (NUMBERS - LATE)


class HostRow:
    """A row of numbers, which ``begin`` or ``begin_again`` starts; ``clock`` gives where.

    First comes ``probe``, whose answer ``begin`` takes. ``heard``: a reply was dropped since the
    last one that was taken.
    """

    def __init__(self, clock: Callable[[], int] = number_of_the_time) -> None:
        self._clock = clock
        self._next = 0                      # of the next request
        self._taken = 0                     # request that the next reply tells of, or a later one
        self._reply: int | None = None      # last reply taken; None: the next one may have any
        self._told: int | None = None       # most that replies which were not taken told of
        self.heard = False

    def probe(self) -> bytes:
        """A request without frames, whose number is behind that of a device in use.

        It is one of nine hours ago. So the device drops it, and tells of the last one it took,
        also when it comes late or twice, and the host that has the device is not disturbed.
        """
        return pack_request((self._clock() - (NUMBERS // 2 - LATE)) % NUMBERS)

    def begin(self, datagram: bytes) -> bool:
        """True if ``datagram`` answers the probe: the row begins ahead of what it tells of."""
        reply = unpack_reply(datagram)
        if reply is None or reply[2]:
            return False
        self._reply, told, _ = reply
        self._go_on(told)
        return True

    def begin_again(self) -> None:
        """Go on ahead of all numbers used so far; only replies to those after are taken.

        For a row that is out of step with the device, which may have lost its power or taken a
        damaged number.
        """
        last = (self._next - 1) % NUMBERS
        self._reply = None
        self._go_on(self._told if self._told is not None and is_ahead(self._told, last) else last)

    @property
    def overtaken(self) -> bool:
        """True if a reply that was not taken told of a request ahead of this row: another host's.

        One of this row's own whose number came with a damaged bit is none, nor is 0: that is of a
        device that was reset.
        """
        if not self._told or not is_ahead(self._told, (self._next - 1) % NUMBERS):
            return False
        sent = range(self._taken, self._taken + (self._next - self._taken) % NUMBERS)
        return all((self._told ^ number % NUMBERS).bit_count() > 1 for number in sent)

    def request(self, frames: bytes) -> bytes:
        """The next datagram to the device."""
        number, self._next = self._next, (self._next + 1) % NUMBERS
        return pack_request(number, frames)

    def take(self, datagram: bytes) -> bytes | None:
        """The frames of the next reply; None for a datagram that is to be dropped.

        It is taken if its number is ahead of the last one's, and if it tells of a request of this
        row: not of one before those that earlier replies told of, nor of one to come.
        """
        reply = unpack_reply(datagram)
        if reply is None:
            return None
        number, told, frames = reply
        in_row = (told - self._taken) % NUMBERS < (self._next - self._taken) % NUMBERS
        if not in_row or (self._reply is not None and not is_ahead(number, self._reply)):
            self.heard = True
            if self._told is None or is_ahead(told, self._told):
                self._told = told
            return None
        self._reply, self._taken = number, told
        self._told, self.heard = None, False
        return frames

    def _go_on(self, last: int) -> None:
        """The next number is the clock's, if that is far enough ahead of ``last``."""
        first, by_clock = (last + LEAP) % NUMBERS, self._clock()
        if is_ahead(by_clock, first) and is_ahead(by_clock, last):
            first = by_clock
        self._next = self._taken = first
        self._told, self.heard = None, False
