"""Seeded damage to files: truncation, bit flips, huge or wrong numbers, noise, moved bytes."""

from __future__ import annotations

import numpy as np

__all__ = ["damage"]

WORDS = (
    0,
    1,
    4,
    0x7F,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFE,
    0xFFFFFFFF,
)


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """A damaged copy of ``content``: one to four faults of random kinds."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        kind, at = int(rng.integers(0, 7)), int(rng.integers(0, max(len(data), 1)))
        if kind == 0:
            del data[at:]
        elif kind == 1:
            for bit in rng.integers(0, len(data) * 8, int(rng.integers(1, 9))) if data else ():
                data[int(bit) // 8] ^= 1 << (int(bit) % 8)
        elif kind == 2:
            data[at : at + 4] = int(rng.choice(WORDS)).to_bytes(4, "little")
        elif kind == 3:
            # A plausible but wrong offset, length or index.
            data[at & ~3 : (at & ~3) + 4] = int(rng.integers(0, len(data) + 64)).to_bytes(
                4, "little"
            )
        elif kind == 4:
            size = int(rng.integers(1, 65))
            data[at : at + size] = rng.bytes(size)
        elif kind == 5:
            other, size = int(rng.integers(0, max(len(data), 1))), int(rng.integers(1, 33))
            data[at : at + size] = data[other : other + size]
        else:
            data[at : at + 1] = b""
    return bytes(data)
