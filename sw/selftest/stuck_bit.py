"""A memory with a planted fault: shows what the memory test says of a bit that is stuck."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kaniwa.errors import InputError
from kaniwa.selftest.march import Memory

__all__ = ["StuckBit", "parse_stuck_bit"]


@dataclass(frozen=True)
class StuckBit:
    """``memory``, but for the ``bit`` of the byte at ``address`` that always reads ``value``."""

    memory: Memory
    address: int
    bit: int
    value: int

    def write(self, address: int, data: bytes) -> None:
        """Copy ``data`` into memory."""
        self.memory.write(address, data)

    def read(self, address: int, count: int) -> bytes:
        """``count`` bytes of memory."""
        data = bytearray(self.memory.read(address, count))
        at = self.address - address
        if 0 <= at < count:
            data[at] = data[at] & ~(1 << self.bit) | self.value << self.bit
        return bytes(data)


def parse_stuck_bit(text: str) -> tuple[int, int, int]:
    """Address, bit and value of ``ADDRESS:BIT=VALUE``; raises InputError for any other form."""
    found = re.fullmatch(r"(0x[0-9a-fA-F]{1,8}|[0-9]{1,10}):([0-7])=([01])", text)
    if found is None:
        raise InputError(f"stuck bit '{text}': expected ADDRESS:BIT=VALUE, for example 0x1234:5=1")
    return int(found[1], 0), int(found[2]), int(found[3])
