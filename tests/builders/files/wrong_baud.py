"""What a UART makes of bytes that were sent at another baud rate."""

from __future__ import annotations

__all__ = ["resample"]


def resample(data: bytes, sent_baud: int, read_baud: int) -> bytes:
    """``data``, sent back to back at one rate and received at another; 8 data bits, one stop bit.

    A byte whose stop bit reads 0 is dropped, and the next falling edge begins another.
    """
    bits = []
    for byte in data:
        bits += [0, *(byte >> i & 1 for i in range(8)), 1]

    def level(time: float) -> int:
        return bits[int(time)] if time < len(bits) else 1

    step = sent_baud / read_baud
    out = bytearray()
    time = 0.0
    while time < len(bits):
        at = int(time)
        edge = next((i for i in range(at, len(bits)) if not bits[i] and (i == 0 or bits[i - 1])),
                    None)
        if edge is None:
            break
        if level(edge + 9.5 * step):
            out.append(sum(level(edge + (1.5 + i) * step) << i for i in range(8)))
        time = edge + 9.5 * step
        time = float(max(int(time), edge + 1))
    return bytes(out)
