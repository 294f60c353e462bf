"""What is at which place of an Ethernet frame with UDP over IPv4, or with ARP, and the frame's FCS.

Places are counted from the first byte of the destination's MAC. Sources: IEEE 802.3 (frame, FCS),
RFC 791 (IPv4), RFC 768 (UDP), RFC 826 (ARP).
"""

from __future__ import annotations

from amaranth import *
from amaranth.lib.wiring import Out, Signature

from kaniwa.hw.link.receiver import CRC_POLYNOMIAL, CRC_RESIDUE

__all__ = ["FCS_BYTES", "FCS_RESIDUE", "GAP_BYTES", "HEAD_BYTES", "IPV4_HEAD", "LEAST_BYTES",
           "PEER_BYTES", "PREAMBLE", "PREAMBLE_BYTES", "START", "UDP_HEAD", "Peer", "Source",
           "address_bytes", "arp_reply", "arp_request", "fcs_step", "gmii", "sum_of_given",
           "udp_reply", "udp_request"]

PREAMBLE, START = 0x55, 0xD5
PREAMBLE_BYTES = 8  # with the start
HEAD_BYTES = 42     # before what UDP carries; an ARP packet ends there too
LEAST_BYTES = 60    # of a frame before its FCS: it is padded to these
FCS_BYTES = 4
FCS_RESIDUE = CRC_RESIDUE   # inverse, of a frame with its FCS behind it
GAP_BYTES = 12      # at least, between two frames
IPV4_HEAD, UDP_HEAD = 20, 8
ALL = (1 << 32) - 1

IPV4, ARP = (0x08, 0x00), (0x08, 0x06)
UDP = 17
DONT_FRAGMENT, TIME_TO_LIVE = 0x40, 64
RESERVED_OR_DONT_FRAGMENT = 0xC0   # bits of byte 20 that are no part of an offset
ETHERNET_IPV4 = (0x00, 0x01, *IPV4, 6, 4)   # what ARP is asked of: kinds and sizes of addresses


class Peer:
    """Places of what is kept of a request, for its answer: MAC, address of IPv4, UDP port."""

    MAC, ADDRESS, PORT = 0, 6, 10


PEER_BYTES = 16   # a power of two


def gmii() -> Signature:
    """A byte a cycle from or to a PHY while ``valid``: preamble, frame and FCS."""
    return Signature({"data": Out(8), "valid": Out(1)})


def fcs_step(inverse: Value, byte: Value) -> Value:
    """The FCS, a CRC-32, after one more byte: as the inverse of its register, which begins as 0.

    Each bit is the exclusive or of some bits of both; which ones is what a single 1 among zeros
    changes.
    """
    zeros = _fcs_after(0, 0)
    changes = [(inverse[bit], _fcs_after(1 << bit, 0) ^ zeros) for bit in range(32)]
    changes += [(byte[bit], _fcs_after(0, 1 << bit) ^ zeros) for bit in range(8)]
    return Cat(Cat(C(zeros >> place & 1, 1), *(bit for bit, changed in changes
                                              if changed >> place & 1)).xor()
               for place in range(32))


def _fcs_after(inverse: int, byte: int) -> int:
    register = ~inverse & ALL ^ byte
    for _ in range(8):
        register = register >> 1 ^ (CRC_POLYNOMIAL if register & 1 else 0)
    return ~register & ALL


def address_bytes(value: int, count: int) -> tuple[int, ...]:
    """The bytes of an address or a number in the order in which they are sent."""
    return tuple(value.to_bytes(count, "big"))


def udp_request(mac: int, address: int, port: int) -> dict[int, tuple[int, int]]:
    """What a request must have: by place the byte, and which of its bits count."""
    return {
        **_at(0, *address_bytes(mac, 6)),
        **_at(12, *IPV4, 0x45),                             # a header of 20 bytes
        20: (0, 0xFF & ~RESERVED_OR_DONT_FRAGMENT), 21: (0, 0xFF),   # no fragment
        **_at(23, UDP),
        **_at(30, *address_bytes(address, 4)),
        **_at(36, *address_bytes(port, 2)),
    }


def arp_request(address: int) -> dict[int, tuple[int, int]]:
    """What a question for ``address`` must have."""
    return {
        **_at(12, *ARP, *ETHERNET_IPV4, 0, 1),
        **_at(38, *address_bytes(address, 4)),
    }


def _at(place: int, *values: int) -> dict[int, tuple[int, int]]:
    return {place + index: (value, 0xFF) for index, value in enumerate(values)}


class Source:
    """Where a byte of an answer comes from: it is given, of the peer, or of the next field."""

    GIVEN, PEER, FIELD = 1, 2, 3


def _given(*values: int) -> list[tuple[int, int]]:
    return [(Source.GIVEN, value) for value in values]


def _peer(first: int, count: int) -> list[tuple[int, int]]:
    return [(Source.PEER, first + index) for index in range(count)]


def _fields(count: int) -> list[tuple[int, int]]:
    return [(Source.FIELD, 0)] * count


def udp_reply(mac: int, address: int, port: int) -> list[tuple[int, int]]:
    """The bytes before the frames of a reply. Fields in their order: total length, checksum of the
    IPv4 header, length of UDP, the reply's number, that of the last request that was taken."""
    return [
        *_peer(Peer.MAC, 6), *_given(*address_bytes(mac, 6), *IPV4),
        *_given(0x45, 0), *_fields(2), *_given(0, 0, DONT_FRAGMENT, 0, TIME_TO_LIVE, UDP),
        *_fields(2), *_given(*address_bytes(address, 4)), *_peer(Peer.ADDRESS, 4),
        *_given(*address_bytes(port, 2)), *_peer(Peer.PORT, 2), *_fields(2),
        *_given(0, 0),   # no checksum: the link's frames have their own
        *_fields(8),
    ]


def arp_reply(mac: int, address: int) -> list[tuple[int, int]]:
    """The bytes of an answer to ``arp_request``."""
    own = _given(*address_bytes(mac, 6))
    return [
        *_peer(Peer.MAC, 6), *own, *_given(*ARP, *ETHERNET_IPV4, 0, 2),
        *own, *_given(*address_bytes(address, 4)), *_peer(Peer.MAC, 6), *_peer(Peer.ADDRESS, 4),
    ]


def sum_of_given(address: int) -> int:
    """Sum of the 16-bit words of a reply's IPv4 header, without its length and the peer's
    address."""
    words = [0x4500, DONT_FRAGMENT << 8, TIME_TO_LIVE << 8 | UDP, address >> 16, address & 0xFFFF]
    total = sum(words)
    return (total & 0xFFFF) + (total >> 16)
