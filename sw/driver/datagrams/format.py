"""Datagrams of the link over UDP: what they begin with, and how much they may hold.

``docs/link.md`` has the rules; the gateware takes the constants from here. A datagram holds whole
frames, each with its closing zero. Numbers have 32 bits, low byte first, and go round.
"""

from __future__ import annotations

import ipaddress

__all__ = ["PORT", "MOST_BYTES", "REQUEST_HEAD", "REPLY_HEAD", "NUMBERS", "is_ahead",
           "is_of_one_device",
           "pack_request", "unpack_reply"]

PORT = 7413
MOST_BYTES = 1472         # 1,500 of an Ethernet frame, less heads of IPv4 (20) and UDP (8)
NUMBER_BYTES = 4
REQUEST_HEAD = NUMBER_BYTES        # its own number
REPLY_HEAD = 2 * NUMBER_BYTES      # its own number, and that of the last request taken
NUMBERS = 1 << 8 * NUMBER_BYTES


def is_ahead(number: int, of: int) -> bool:
    """True if ``number`` follows ``of`` by 1 to 2**31 - 1, modulo 2**32."""
    return 0 < (number - of) % NUMBERS < NUMBERS // 2


def is_of_one_device(address: int) -> bool:
    """True if an address of IPv4 may be a device's: no group's, nor one for this machine alone."""
    value = ipaddress.IPv4Address(address)
    return not (value.is_multicast or value.is_loopback or value.is_reserved or not address >> 24)


def pack_request(number: int, frames: bytes = b"") -> bytes:
    """A datagram to the device."""
    assert len(frames) <= MOST_BYTES - REQUEST_HEAD
    return number.to_bytes(NUMBER_BYTES, "little") + frames


def unpack_reply(datagram: bytes) -> tuple[int, int, bytes] | None:
    """A reply's number, that of the last request taken, and its frames.

    None for one that is shorter than its head, longer than it may be, or does not end with a frame.
    """
    frames = datagram[REPLY_HEAD:]
    if not REPLY_HEAD <= len(datagram) <= MOST_BYTES or frames[-1:] not in (b"", b"\0"):
        return None
    return (int.from_bytes(datagram[:NUMBER_BYTES], "little"),
            int.from_bytes(datagram[NUMBER_BYTES:REPLY_HEAD], "little"), frames)
