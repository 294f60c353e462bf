"""Faults on a line: a transport that damages what goes through it, drawn from a seed."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass, fields

from kaniwa.driver.transports import Transport
from kaniwa.errors import DeviceError

__all__ = ["Faults", "FaultyStream", "FaultyTransport"]


@dataclass(frozen=True)
class Faults:
    """Chances of each fault a byte, in both directions.

    ``bit_error`` is a chance a bit. A ``stall`` keeps what follows for ``stall_seconds``; after a
    ``disconnect`` the line is gone.
    """

    bit_error: float = 0.0
    drop: float = 0.0
    duplicate: float = 0.0
    insertion: float = 0.0
    swap: float = 0.0        # with the byte after
    stall: float = 0.0
    disconnect: float = 0.0
    stall_seconds: float = 0.2

    def chances(self) -> dict[str, float]:
        """Chance a byte of each kind."""
        kinds = {f.name: float(getattr(self, f.name)) for f in fields(self)
                 if f.name not in ("bit_error", "stall_seconds")}
        return {"bit_error": 1 - (1 - self.bit_error) ** 8, **kinds}


class FaultyStream:
    """One direction. ``counts`` has the faults so far, by kind."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self._rng = random.Random(seed)
        self._chances = faults.chances()
        self._total = sum(self._chances.values())
        self.counts: Counter[str] = Counter()
        self._left = self._gap()   # bytes until the next fault

    def pass_on(self, data: bytes) -> bytes:
        """``data`` with its faults; ``counts`` tells of stalls and disconnects among them."""
        out = bytearray()
        at = 0
        while self._left < len(data) - at:
            out += data[at:at + self._left]
            at += self._left
            at += self._damage(data[at:at + 2], out)
            self._left = self._gap()
        self._left -= len(data) - at
        return bytes(out + data[at:])

    def _gap(self) -> int:
        if not self._total:
            return 1 << 60
        return int(math.log(1.0 - self._rng.random()) / math.log(1.0 - min(self._total, 0.999999)))

    def _damage(self, data: bytes, out: bytearray) -> int:
        """Append what becomes of the first byte; how many bytes of ``data`` that took."""
        rng = self._rng
        kind = rng.choices(list(self._chances), list(self._chances.values()))[0]
        self.counts[kind] += 1
        byte = data[0]
        if kind == "swap" and len(data) == 2:
            out += data[::-1]
            return 2
        if kind == "bit_error":
            out.append(byte ^ 1 << rng.randrange(8))
        elif kind == "duplicate":
            out += bytes([byte, byte])
        elif kind == "insertion":
            out += bytes([byte, rng.randrange(256)])
        elif kind != "drop":
            out.append(byte)
        return 1


class FaultyTransport:
    """``inner`` with faults in both directions."""

    def __init__(self, inner: Transport, faults: Faults, seed: int) -> None:
        self.name, self.pace = inner.name, inner.pace
        self._inner = inner
        self._faults = faults
        self._there = FaultyStream(faults, 2 * seed)
        self._back = FaultyStream(faults, 2 * seed + 1)
        self._held = b""
        self._held_until = 0.0

    @property
    def counts(self) -> Counter[str]:
        """Faults of both directions so far, by kind."""
        return self._there.counts + self._back.counts

    def write(self, data: bytes) -> None:
        self._inner.write(self._check(self._there, data))

    def read(self, seconds: float) -> bytes:
        end = self.now() + seconds
        if self._held_until > self.now():
            self._held += self._inner.read(min(end, self._held_until) - self.now())
            if self._held_until > self.now():
                return b""
        data, self._held = self._held, b""
        if not data:
            data = self._check(self._back, self._inner.read(max(0.0, end - self.now())))
            if self._held_until > self.now():
                self._held, data = data, b""
        return data

    def now(self) -> float:
        return self._inner.now()

    def close(self) -> None:
        self._held, self._held_until = b"", 0.0
        self._inner.close()

    def _check(self, stream: FaultyStream, data: bytes) -> bytes:
        """Pass ``data`` on, and see to what concerns the whole line."""
        stalls, ends = stream.counts["stall"], stream.counts["disconnect"]
        data = stream.pass_on(data)
        if stream.counts["disconnect"] > ends:
            raise DeviceError(f"{self.name}: connection lost: check cable and power, "
                              "then run again")
        if stream.counts["stall"] > stalls:
            self._held_until = self.now() + self._faults.stall_seconds
        return data
