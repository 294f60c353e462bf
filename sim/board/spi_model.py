"""A device on SPI in Python: a byte out for each byte in, with faults on the way."""

from __future__ import annotations

from collections import Counter

from kaniwa.sim.board.line_faults import Faults, FaultyStream
from kaniwa.sim.board.link_model import LinkModel

__all__ = ["SpiModel"]


class SpiModel:
    """``link`` behind SPI; where it has nothing to say, it sends zeros.

    ``faults``: of the bytes to the device, and of those of replies. Their bit errors change zeros
    between replies, too. A reply begins with the byte behind the request's last one. ``bytes``
    counts those in each direction; ``waiting`` are those of replies that have yet to go.
    """

    def __init__(self, link: LinkModel, faults: Faults | None = None, seed: int = 0) -> None:
        faults = faults or Faults()
        self.link = link
        self.bytes = 0
        self._there = FaultyStream(faults, 3 * seed)
        self._replies = FaultyStream(Faults(drop=faults.drop, duplicate=faults.duplicate,
                                            insertion=faults.insertion, swap=faults.swap),
                                     3 * seed + 1)
        self._line = FaultyStream(Faults(bit_error=faults.bit_error), 3 * seed + 2)
        self.waiting = bytearray()

    @property
    def counts(self) -> Counter[str]:
        """Faults so far, by kind."""
        return self._there.counts + self._replies.counts + self._line.counts

    def exchange(self, data: bytes) -> bytes:
        """What comes for ``data``, as many bytes."""
        self.bytes += len(data)
        out = bytearray()
        for byte in data:
            out.append(self.waiting.pop(0) if self.waiting else 0)
            self.waiting += self._replies.pass_on(
                self.link.receive(self._there.pass_on(bytes([byte]))))
        return self._line.pass_on(bytes(out))
