"""Cycle model: device memory, and the order of time in which its readers and its writer go on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any

from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.events import Events, Reader
from kaniwa.cycles.litedram_port import LiteDramPort
from kaniwa.cycles.look import Look
from kaniwa.cycles.sdram import Sdram
from kaniwa.isa import OUTSIDE
from kaniwa.timing import NEVER, READS_IN_FLIGHT, Timing

__all__ = ["Follower", "MemoryTimeline", "ReadPath"]


class ReadPath:
    """Path of reads: ``address`` is that of the request that its ``reader`` yielded last."""

    reader: Reader
    address: int      # of a byte of the word

    def heard(self) -> int:
        """A count that grows with what a reader that waits for others knows."""
        raise NotImplementedError

    def respond(self, cycle: int) -> None:
        """The word of its oldest request without one comes."""
        raise NotImplementedError


class Follower:
    """What goes ahead of memory, as far as it knows how."""

    def poke(self) -> None:
        """Go on as far as is known by now."""
        raise NotImplementedError


class _Client:
    """A read path, when its next request may be granted, and the side of the last one."""

    def __init__(self, path: ReadPath, takes_turns: bool, events: Events) -> None:
        self.path, self.takes_turns, self._events = path, takes_turns, events
        self.ready = next(path.reader)
        self.heard = -1     # what the path knew when it was last asked
        self.outside = False
        self.unanswered = 0
        self._last_response = -1

    def request(self) -> int:
        """Cycle from which the request may be granted; it waits for responses of another side."""
        assert self.ready is not None
        outside = self.path.address >= OUTSIDE
        if outside != self.outside:
            if self.unanswered:
                return NEVER
            self.outside = outside
            self.ready = max(self.ready, self._last_response + 1)
        return self.ready

    def state(self, look: Look) -> tuple[Any, ...]:
        """What its next grant hangs on."""
        return (look.at(self.ready), self.path.address >= OUTSIDE, self.outside, self.unanswered,
                look.at(self._last_response))

    def respond(self, cycle: int) -> None:
        self.unanswered -= 1
        self._last_response = cycle
        self.path.respond(cycle)
        if self.ready is None:
            self._events.news = True


class _Side:
    """A memory side: an arbiter that grants reads, and the memory that takes them and the writes.

    ``free``: first cycle of the next grant, NEVER while the memory has not taken the last one.
    ``simple``: reads and writes do not meet, so the memory takes each as it comes.
    """

    def __init__(self, config: AcceleratorConfig, timing: Timing, shared: bool,
                 events: Events) -> None:
        self.free = 0
        self.weights_first = False
        self.simple = not timing.bus_bytes and not shared
        self._write_cycles = timing.bus_cycles(config.write_bytes)
        self._read_cycles = timing.bus_cycles(config.read_bytes)
        self._latency, self._shared = timing.latency, shared
        self._sizes = config.read_bytes, config.write_bytes
        self._chip = Sdram(timing.chip) if timing.chip else None
        self._events = events
        self._bus_free = 0
        self._client: _Client | None = None
        self._read_at = self._write_at = NEVER
        self._read_address = self._write_address = 0
        self._fetched = 0       # bytes that a write is merged with
        self._merges = timing.chip is not None and not timing.chip.masked
        self._on_write: Callable[[int], None]
        self._responses: deque[int] = deque(maxlen=READS_IN_FLIGHT)

    def state(self, look: Look, clients: Sequence[_Client]) -> tuple[Any, ...]:
        """What the side does next hangs on.

        What a chip does hangs on addresses and on its refresh, so no two accesses of it are alike.
        It changes by accesses only, so where there is none between two moments it is the same.
        """
        before = None if self._read_at >= NEVER or self._client is None else clients.index(
            self._client)
        return (look.all((self.free, self._bus_free, self._read_at, self._write_at)), before,
                self.weights_first, len(self._responses), look.all(self._responses),
                self._chip and self._chip.accesses)

    def grant(self, cycle: int, client: _Client) -> None:
        """Take a request, which reaches the memory in the next cycle."""
        client.unanswered += 1
        if self.simple:
            self._respond(client, cycle + 2 + self._latency, cycle + 1)
        else:
            self._client, self._read_at, self.free = client, cycle + 1, NEVER
            self._read_address = client.path.address

    def _respond(self, client: _Client, response: int, free: int) -> None:
        responses = self._responses
        responses.append(response)
        if len(responses) == READS_IN_FLIGHT and responses[0] > free:
            free = responses[0]
        self.free = free
        client.respond(response)

    def write(self, address: int, cycle: int, whole: bool, taken: Callable[[int], None]) -> None:
        """A write reaches the memory in ``cycle``; ``taken`` hears when it is taken."""
        self._write_address, self._write_at, self._on_write = address, cycle, taken
        self._fetched = self._sizes[0] if self._merges and not whole else 0

    def due(self) -> int:
        """When the memory takes what is before it, a read and a write at once if both are."""
        return max(min(self._read_at, self._write_at), self._bus_free)

    def take(self, cycle: int) -> None:
        """Take what is before the memory in ``cycle``; on a shared channel the write goes first."""
        if self._chip is not None:
            self._take_by_chip(cycle, self._chip)
            return
        busy, wrote = 0, self._write_at <= cycle
        if wrote:
            busy = self._write_cycles
            self._write_at = NEVER
            self._on_write(cycle)
        if self._read_at <= cycle:
            if wrote and self._shared:
                self._read_at = cycle + 1
            else:
                assert self._client is not None
                busy += self._read_cycles
                self._read_at = NEVER
                self._respond(self._client, cycle + max(busy, 1) + self._latency, cycle)
        self._bus_free = cycle + busy

    def _take_by_chip(self, cycle: int, chip: Sdram) -> None:
        """The same with a chip, whose time is that of the run."""
        skipped, (read_bytes, write_bytes) = self._events.skipped, self._sizes
        if self._write_at <= cycle:
            self._write_at = NEVER
            free, _ = chip.access(cycle + skipped, self._write_address % OUTSIDE, write_bytes, True,
                                  self._fetched)
            self._bus_free = free - skipped
            self._on_write(cycle)
        if self._read_at <= cycle:
            assert self._client is not None
            self._read_at = NEVER
            free, there = chip.access(cycle + skipped, self._read_address % OUTSIDE, read_bytes,
                                      False)
            self._bus_free = free - skipped
            self._respond(self._client, there - skipped, cycle)


class _LiteDramSide(_Side):
    """LiteDRAM behind the bus master: requests wait in it, so more than one may be on its way."""

    def __init__(self, config: AcceleratorConfig, timing: Timing, port: LiteDramPort,
                 events: Events) -> None:
        super().__init__(config, timing, False, events)
        self._port = port
        self._asking: deque[_Client] = deque()

    def state(self, look: Look, clients: Sequence[_Client]) -> tuple[Any, ...]:
        """As with a chip, no two accesses are alike."""
        return (look.at(self.free), look.at(self._write_at), self._port.accesses,
                look.at(self._port.due() - self._events.skipped), len(self._asking))

    def grant(self, cycle: int, client: _Client) -> None:
        client.unanswered += 1
        self._asking.append(client)
        self._port.ask(cycle + 1 + self._events.skipped, client.path.address % OUTSIDE)
        self.free = NEVER
        self._give_credit(cycle + 1)

    def _give_credit(self, cycle: int) -> None:
        """Grant from ``cycle`` on, or when there is room for another answer."""
        if len(self._asking) < READS_IN_FLIGHT:
            # The answer that makes room for the next request, counted from the last one.
            oldest = len(self._asking) - READS_IN_FLIGHT
            there = self._responses[oldest] + 1 if -oldest <= len(self._responses) else 0
            self.free = max(cycle, there)

    def write(self, address: int, cycle: int, whole: bool, taken: Callable[[int], None]) -> None:
        self._write_address, self._write_at, self._on_write = address, cycle, taken

    def _accepts(self) -> int:
        """When the master accepts the write that is before it."""
        if self._write_at >= NEVER:
            return NEVER
        room = self._port.room()
        return NEVER if room >= NEVER else max(self._write_at, room - self._events.skipped)

    def due(self) -> int:
        due = self._port.due()
        return min(due if due >= NEVER else due - self._events.skipped, self._accepts())

    def take(self, cycle: int) -> None:
        skipped = self._events.skipped
        if self._accepts() <= cycle:
            self._write_at = NEVER
            self._port.write(cycle + skipped, self._write_address % OUTSIDE)
            self._on_write(cycle)
            return
        for answer in self._port.go_on():
            self._responses.append(answer - skipped)
            self._asking.popleft().respond(answer - skipped)
        if self.free >= NEVER:
            self._give_credit(cycle)


def _outside(config: AcceleratorConfig, timing: Timing, events: Events) -> _Side:
    """The side of outside memory."""
    if timing.litedram is None:
        return _Side(config, timing, False, events)
    return _LiteDramSide(config, timing, LiteDramPort(config, timing.litedram), events)


class MemoryTimeline:
    """Grants the requests of the readers, and takes them and the writes, in the order of time.

    Nothing that a unit does depends on what comes later, so as long as those that go ahead of
    memory (``follow``) know all that has come, what they ask for
    next is known. ``now``: all that comes before this cycle has come. ``undecided``: what
    hangs on something that has not come.
    """

    def __init__(self, config: AcceleratorConfig, outside: Timing, events: Events,
                 paths: Sequence[ReadPath]) -> None:
        """``paths`` in the order of hw/memory/system.py's READERS."""
        self.now = 0
        self.follow: list[Follower] = []
        self.undecided: Collection[int] = ()
        self._sides = (_Side(config, Timing.of(config), config.shared_channel, events),
                       _outside(config, outside, events))
        self._contended = [side for side in self._sides if not side.simple]
        self._clients = [_Client(path, number >= 2, events) for number, path in enumerate(paths)]
        self._activations = self._clients[2]
        self._events = events

    def state(self, look: Look) -> tuple[Any, ...]:
        """What comes next hangs on, but for what the units do."""
        return (look.at(self.now), [client.state(look) for client in self._clients],
                [side.state(look, self._clients) for side in self._sides])

    def settle(self, before: int) -> None:
        """Grant, read and write all that comes ``before`` a cycle."""
        self._poll()
        while self._next()[0] < before:
            self._step(before)
            self._poll()

    @property
    def direct(self) -> tuple[bool, bool]:
        """True where memory takes each write as it comes: in the device's own, and outside."""
        own, outside = self._sides
        return own.simple, outside.simple

    def write(self, address: int, cycle: int, whole: bool, taken: Callable[[int], None]) -> None:
        """A write to the word at ``address`` reaches memory in ``cycle``, which is not ``direct``;
        ``whole``: it leaves out no byte. ``taken`` hears when it is taken."""
        self._sides[address >= OUTSIDE].write(address, cycle, whole, taken)

    def until(self, ready: list[int], index: int) -> int:
        """``ready[index]``, which others append. What can never come is there at once."""
        if len(ready) <= index:
            events = self._events
            for follow in self.follow:
                follow.poke()
            while len(ready) <= index:
                if events.news:
                    self._poll()
                    if len(ready) > index:
                        break
                if not self._step(NEVER) and len(ready) <= index:
                    ready.append(ready[-1] if ready else 0)
        return ready[index]

    def there(self, ready: list[int], index: int, cycle: int) -> bool:
        """True where ``ready[index]`` is not after ``cycle``, which nothing so far is after."""
        while len(ready) <= index:
            self._poll()
            if len(ready) <= index and not self._step(cycle):
                return False
        return ready[index] <= cycle

    def finish(self) -> None:
        """Read and write what remains."""
        self._poll()
        while self._step(NEVER):
            self._poll()

    def _poll(self) -> None:
        """All that go on without memory do so, as far as they know how."""
        events = self._events
        while events.news:
            events.news = False
            for client in self._clients:
                if client.ready is None and client.heard != (heard := client.path.heard()):
                    client.heard, client.ready = heard, next(client.path.reader)
                    if client.ready is not None:
                        events.news = True
            for follow in self.follow:
                follow.poke()

    def _step(self, before: int) -> bool:
        """The earliest grant, or what memory takes before that; False if none is ``before``."""
        while True:
            cycle, side, client = self._next()
            if cycle >= before:
                if cycle < NEVER or not self.undecided:
                    return False
                now, self.now = self.now, NEVER
                self._events.news = True
                self._poll()
                self.now = now
                if self._next()[0] == NEVER:
                    return False
                continue
            if cycle > self.now:
                self.now = cycle
                if self.undecided:
                    self._events.news = True
                    self._poll()
                    continue
            break
        if client is None:
            side.take(cycle)
            return True
        if client.takes_turns:
            side.weights_first = client is self._activations
        side.grant(cycle, client)
        client.ready = client.path.reader.send(cycle)
        if client.ready is None:
            self._events.news = True
        return True

    def _next(self) -> tuple[int, _Side, _Client | None]:
        """The earliest grant, or what memory takes in that cycle or before it."""
        sides = self._sides
        first, at, chosen = NEVER, sides[0], None
        for side in self._contended:
            cycle = side.due()
            if cycle < first:
                first, at = cycle, side
        taken = first
        for client in self._clients:
            if client.ready is None or client.ready >= taken or client.ready > first:
                continue
            cycle = client.request()
            side = sides[client.outside]
            if side.free > cycle:
                cycle = side.free
            # Activations and weights take turns where both are there.
            if cycle < taken and (cycle < first or (
                    cycle == first and chosen is not None and chosen.takes_turns
                    and chosen.outside == client.outside and side.weights_first)):
                first, at, chosen = cycle, side, client
        return first, at, chosen
