"""The host's end of the link: a window of requests in flight, acknowledged, repeated when lost."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kaniwa.driver.frames import (
    FLASH_STATE,
    FLASH_STATES,
    FURTHER_CORES,
    HAS_OUTSIDE,
    LINK_REGISTERS,
    LINK_VERSION,
    MOST_CORES,
    OUTSIDE_WAITS,
    PAYLOAD_BYTES,
    SEQUENCES,
    SERVES_RUNS,
    SESSIONS,
    Flag,
    Operation,
    Reply,
    Request,
    Splitter,
    decode_reply,
    encode_request,
)
from kaniwa.driver.transports import Bounded, Transport
from kaniwa.errors import DeviceError
from kaniwa.standalone.format import FlashState

__all__ = ["Link", "LinkStatistics", "reads", "writes"]

WINDOW = SEQUENCES // 2      # numbered requests in flight: more than any adapter's delay holds
LEAST_WINDOW = 2             # on a bad line, where all that is in flight behind a loss goes again
REGROWTH = 4                 # requests done for each one more in flight, once they come through
SMALLEST_BUFFER = 512        # of a device that has not told its size yet
FIRST_PACE = 2000.0          # bytes a second of a device that has not told its pace yet
CALIBRATION_SECONDS = 30     # by far, on a simulated board's slow clock too
LOOK_AGAIN = 0.002           # seconds
LATENCY = 0.05               # seconds that host and adapter may add to an answer
OPEN_TRIES = 10
OPEN_DOUBLINGS = 3       # of the wait between them: what comes while a device loads is lost
TRIES = 8                    # timeouts in a row, each twice as long, until the device is given up
LONGEST_WAIT = 2.0           # of all those without counting the time on the line, seconds


@dataclass
class LinkStatistics:
    """Traffic on the line since it was opened; frames are those of both directions.

    ``repeated``: requests sent again. ``damaged``: replies that did not pass their check.
    ``refused``: notices of the device that a request was damaged or missing. ``timeouts``: waits
    that no reply ended.
    """

    requests: int = 0
    replies: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    repeated: int = 0
    damaged: int = 0
    refused: int = 0
    timeouts: int = 0


@dataclass
class _Item:
    """A request of a batch: ``number`` of numbered requests came before it in this session."""

    request: Request
    number: int
    sent: bool = False
    done: bool = False
    data: bytes | None = None


class Link:
    """Requests to a device over ``transport``; ``open`` first.

    ``pace``: bytes a second of the device, instead of what it tells. Every wait is as long as the
    bytes in flight take at the device's pace, twice, and some. Methods raise DeviceError when the
    line is gone or the device does not answer, was reset, or belongs to another host; then only
    ``close`` is of use.
    """

    def __init__(self, transport: Transport, pace: float | None = None) -> None:
        self._transport = transport
        self._given_pace = pace
        self._pace = pace or transport.pace or FIRST_PACE
        self._latency = LATENCY
        self._buffer_bytes = SMALLEST_BUFFER
        self._splitter = Splitter()
        self._session = 0
        self._executed = 0   # numbered requests that the device has done in this session
        self._window = float(WINDOW)
        self._room = transport.room if isinstance(transport, Bounded) else math.inf
        self.payload_bytes = PAYLOAD_BYTES
        self.outside = False   # whether the device has outside memory
        self.outside_failed = False   # whether it did not work at power-up
        self.serves = False    # whether memory may be used during a run
        self.cores = 1
        self.flash = FlashState.ABSENT   # how far it came with its flash at power-up
        self.statistics = LinkStatistics()

    @property
    def pace(self) -> float:
        """Bytes a second that the line is taken to carry."""
        return self._pace

    def now(self) -> float:
        """Seconds of the line's clock."""
        return self._transport.now()

    def open(self) -> None:
        """Begin a session and learn the device's frame size, buffer and pace.

        Two sessions are begun: replies to an earlier host may still be on their way and may by
        chance bear the first one's number, but they are all through when the second one's arrive.
        """
        first = random.randrange(1, SESSIONS)
        self._begin(first)
        began = self._transport.now()
        self._begin(first % (SESSIONS - 1) + 1)
        self._latency = max(LATENCY, 4 * (self._transport.now() - began))
        (data,) = self.exchange([Request(Operation.READ, LINK_REGISTERS, 8)])
        assert data is not None   # nothing numbered follows the only READ
        if data[0] != LINK_VERSION:
            raise DeviceError(f"{self._transport.name}: the device speaks link version {data[0]}, "
                              f"this host {LINK_VERSION}: build the bitstream again with this "
                              "version of kaniwa")
        self.payload_bytes = min(PAYLOAD_BYTES, data[1])
        self._buffer_bytes = int.from_bytes(data[2:4], "little") & ~SERVES_RUNS
        self.serves = bool(data[2] & SERVES_RUNS)
        self._pace = self._given_pace or float(int.from_bytes(data[4:7], "little"))
        features = self._calibrated(data[7])
        self.outside_failed = features & 1 << OUTSIDE_WAITS != 0
        self.outside = self.outside_failed or bool(features & HAS_OUTSIDE)
        self.cores = (data[7] >> FURTHER_CORES & MOST_CORES - 1) + 1
        state = data[7] >> FLASH_STATE & FLASH_STATES - 1
        if state > max(FlashState):
            raise DeviceError(f"{self._transport.name}: the device tells state {state} of its "
                              "flash, which this kaniwa does not know: build the bitstream again "
                              "with this version")
        self.flash = FlashState(state)
        if not self.payload_bytes or not self._pace:
            raise DeviceError(f"{self._transport.name}: the device tells a frame size or pace of 0")

    def _calibrated(self, features: int) -> int:
        """The features once outside memory was calibrated, which takes some ms from power-up."""
        last = self._transport.now() + CALIBRATION_SECONDS
        while features & 1 << OUTSIDE_WAITS and features & HAS_OUTSIDE:
            if self._transport.now() > last:
                raise DeviceError(f"{self._transport.name}: the device's outside memory is still "
                                  f"being calibrated after {CALIBRATION_SECONDS} s: switch the "
                                  "board off and on")
            self.pause(LOOK_AGAIN)
            (data,) = self.exchange([Request(Operation.READ, LINK_REGISTERS, 8)])
            assert data is not None
            features = data[7]
        return features

    def close(self) -> None:
        """Give the line up."""
        self._transport.close()

    def pause(self, seconds: float) -> None:
        """Let time pass on the line; replies that come now belong to no request."""
        end = self._transport.now() + seconds
        while (left := end - self._transport.now()) > 0:
            self._replies(self._transport.read(left))

    def exchange(self, requests: Sequence[Request],
                 report: Callable[[int], None] | None = None) -> list[bytes | None]:
        """Have all ``requests`` done, in order, as many in flight as the device can hold.

        Gives the data of each READ, b"" for others. A READ that is followed by numbered requests
        may be missed, for these are not held back: it gives None. ``report`` is told now and then
        how many requests are done.
        """
        items = []
        number = self._executed
        for request in requests:
            items.append(_Item(request, number))
            number += request.numbered
        _Exchange(self, items, report).run()
        return [item.data if item.request.operation == Operation.READ else b"" for item in items]

    def _begin(self, session: int) -> None:
        """Have the device take ``session``, which also resets the sequence numbers."""
        frame = encode_request(Request(Operation.OPEN, 0, session), 0)
        heard = valid = 0
        for attempt in range(OPEN_TRIES):
            self._send(b"\0" + frame)
            wait = self._latency * 2 ** min(attempt, OPEN_DOUBLINGS) + 4 * len(frame) / self._pace
            end = self._transport.now() + wait
            while (left := end - self._transport.now()) > 0:
                chunk = self._transport.read(left)
                heard += len(chunk)
                for reply in self._replies(chunk):
                    valid += 1
                    if reply.session == session:
                        self._session, self._executed = session, 0
                        return
            self.statistics.timeouts += 1
        name = self._transport.name
        if valid:
            raise DeviceError(f"{name}: the device answers but keeps to another session: does "
                              "another program talk to it?")
        if heard:
            raise DeviceError(f"{name}: {heard} bytes came and no frame among them: wrong baud "
                              "rate, or not a kaniwa device")
        raise DeviceError(f"{name}: no answer: is the device powered and programmed with a "
                          "kaniwa bitstream, and the baud rate right?")

    def _send(self, data: bytes) -> None:
        self._transport.write(data)
        self.statistics.bytes_sent += len(data)

    def _replies(self, chunk: bytes) -> list[Reply]:
        """The undamaged replies that end in ``chunk``."""
        self.statistics.bytes_received += len(chunk)
        replies = []
        for frame in self._splitter.feed(chunk):
            reply = decode_reply(frame)
            if reply is None:
                self.statistics.damaged += 1
            else:
                self.statistics.replies += 1
                replies.append(reply)
        return replies


class _Exchange:
    """One batch of requests on a link, until all are done.

    The device answers in order. So an answer tells that earlier READs whose answer has not come
    are lost; and the device's expected number, which comes with every answer, acknowledges all
    numbered requests before it.
    """

    def __init__(self, link: Link, items: list[_Item],
                 report: Callable[[int], None] | None) -> None:
        self._link = link
        self._report = report
        self._count = len(items)
        self._first = link._executed
        self._numbered = [item for item in items if item.request.numbered]
        self._numbered_sent = 0
        self._queue = deque(items)          # to be sent, in order
        self._flight: deque[_Item] = deque()
        self._gone_back_at = -1             # number at which everything was last sent again
        self._fresh_line = True             # a zero goes before the next frame

    def run(self) -> None:
        link, transport = self._link, self._link._transport
        tries = 0
        since = transport.now()
        while True:
            self._fill_window()
            if not self._flight:
                return
            wait = (min(link._latency * 2 ** tries, LONGEST_WAIT)
                    + 2 * 2 ** min(tries, 2) * self._bytes_in_flight() / link._pace)
            deadline = since + wait
            left = deadline - transport.now()
            chunk = transport.read(left) if left > 0 else b""
            before = link._executed, len(self._flight)
            for reply in link._replies(chunk):
                self._take(reply)
            if (link._executed, len(self._flight)) != before:
                tries, since = 0, transport.now()
                if self._report is not None:
                    self._report(self._count - len(self._queue) - len(self._flight))
            elif transport.now() >= deadline:
                link.statistics.timeouts += 1
                tries += 1
                if tries == TRIES:
                    raise DeviceError(f"{transport.name}: the device stopped answering: check "
                                      "cable and power, then run again")
                self._send_again()
                since = transport.now()

    def _bytes_in_flight(self) -> int:
        return sum(item.request.stored_bytes + item.request.reply_bytes for item in self._flight)

    def _fill_window(self) -> None:
        """Send what may be in flight at once, in one go."""
        out = bytearray()
        while self._queue and self._room_for(self._queue[0]):
            item = self._queue.popleft()
            if item.number < self._link._executed:   # a lost READ whose turn is over
                item.done = True
                continue
            if self._fresh_line:
                out += b"\0"
                self._fresh_line = False
            out += encode_request(item.request, item.number)
            self._link.statistics.requests += 1
            self._link.statistics.repeated += item.sent
            self._numbered_sent += item.request.numbered and not item.sent
            item.sent = True
            self._flight.append(item)
        if out:
            self._link._send(bytes(out))

    def _room_for(self, item: _Item) -> bool:
        """READs wait in the device's buffer for their turn to answer; all else is done at once."""
        if len(self._flight) >= int(self._link._window):
            return False
        reading = not item.request.numbered or any(
            not other.request.numbered for other in self._flight)
        stored = sum(other.request.stored_bytes for other in self._flight)
        stored += item.request.stored_bytes
        return stored <= self._link._room and (not reading or stored < self._link._buffer_bytes)

    def _take(self, reply: Reply) -> None:
        name = self._link._transport.name
        if reply.session != self._link._session:
            raise DeviceError(
                f"{name}: the device was reset: run again" if reply.session == 0 else
                f"{name}: another program has opened the device: end that one, then run again")
        if Flag.BUSY in reply.flags:
            raise DeviceError(f"{name}: the device is still running a program: run again")
        self._acknowledge(reply.expected)
        if Flag.DATA in reply.flags:
            self._take_data(reply)
        if reply.flags & (Flag.GAP | Flag.GARBLED):
            self._link.statistics.refused += 1
            # Once for each number: what was in flight is refused frame by frame.
            if (any(item.request.numbered for item in self._flight)
                    and self._gone_back_at != self._link._executed):
                self._gone_back_at = self._link._executed
                self._send_again()

    def _acknowledge(self, expected: int) -> None:
        executed = self._link._executed
        advance = (expected - executed) % SEQUENCES
        if advance > self._first + self._numbered_sent - executed:
            raise DeviceError(f"{self._link._transport.name}: the device acknowledges what it was "
                              "not sent: run again")
        self._link._executed = executed + advance
        for item in self._numbered[executed - self._first:executed - self._first + advance]:
            item.done = True
        while self._flight and (self._flight[0].done
                                or self._flight[0].number < self._link._executed):
            self._flight.popleft().done = True
            self._widen()

    def _widen(self) -> None:
        """After a request has come through."""
        self._link._window = min(WINDOW, self._link._window + 1 / REGROWTH)

    def _take_data(self, reply: Reply) -> None:
        """Give the data to the READ it answers; those sent before it are lost and go again."""
        for position, item in enumerate(self._flight):
            request = item.request
            if (request.operation == Operation.READ and request.word == reply.address
                    and request.count == len(reply.data)
                    and item.number % SEQUENCES == reply.expected):
                item.data, item.done = reply.data, True
                lost = [self._flight.popleft() for _ in range(position + 1)][:-1]
                self._queue.extendleft(reversed(lost))
                self._widen()
                return

    def _send_again(self) -> None:
        """Everything in flight goes again, in order."""
        self._queue.extendleft(reversed(self._flight))
        self._flight.clear()
        self._fresh_line = True
        self._link._window = max(LEAST_WINDOW, self._link._window / 2)


def writes(link: Link, address: int, data: bytes) -> list[Request]:
    """The requests that write ``data`` at ``address``."""
    size = link.payload_bytes
    return [Request(Operation.WRITE, address + at, len(part), part)
            for at in range(0, len(data), size) if (part := data[at:at + size])]


def reads(link: Link, address: int, count: int) -> list[Request]:
    """The requests that read ``count`` bytes at ``address``."""
    size = link.payload_bytes
    return [Request(Operation.READ, address + at, min(size, count - at))
            for at in range(0, count, size)]
