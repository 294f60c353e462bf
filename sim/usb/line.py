"""What is on the line of USB at full speed: packets, their CRCs, bit stuffing and NRZI.

Numbers in brackets are sections of the USB 2.0 specification.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence

__all__ = ["BIT_HZ", "GAP_BITS", "SE0", "TIMEOUT_BITS", "J", "K", "LineError", "Pid",
           "data_packet", "decode", "encode", "handshake", "payload_of", "pid_of", "token"]

BIT_HZ = 12_000_000
GAP_BITS = 3             # between packets of the host
TIMEOUT_BITS = 18        # behind which a host gives an answer up [7.1.19.1]
# States of the line: D+ in bit 0, D- in bit 1 [7.1.7.1].
SE0, J, K = 0, 1, 2
SYNC = (K, J, K, J, K, J, K, K)      # [7.1.10]
MOST_ONES = 6                        # before a stuffed zero [7.1.9]
RAGGED = 0.15                        # of a bit, that an edge of the device may be off its place


class LineError(AssertionError):
    """What a device must not put on the line."""


class Pid(enum.IntEnum):
    """Packet identifiers [8.3.1]."""

    OUT = 0b0001
    IN = 0b1001
    SOF = 0b0101
    SETUP = 0b1101
    DATA0 = 0b0011
    DATA1 = 0b1011
    ACK = 0b0010
    NAK = 0b1010
    STALL = 0b1110


def handshake(pid: Pid) -> bytes:
    """A packet of a PID alone: four bits and their complement."""
    return bytes([pid | (~pid & 0xF) << 4])


def token(pid: Pid, address: int, endpoint: int) -> bytes:
    """A token [8.4.1]; for SOF ``address`` and ``endpoint`` are the frame's number."""
    field = address | endpoint << 7
    word = field | _crc(_bits(field, 11), 5, 0b00101) << 11
    return handshake(pid) + word.to_bytes(2, "little")


def data_packet(pid: Pid, payload: bytes) -> bytes:
    """A data packet [8.4.4]."""
    bits = (bit for byte in payload for bit in _bits(byte, 8))
    return handshake(pid) + payload + _crc(bits, 16, 0x8005).to_bytes(2, "little")


def pid_of(packet: bytes) -> Pid:
    """The PID of a packet of the device; LineError for one that is damaged or unknown."""
    if not packet or packet[0] & 0xF != ~packet[0] >> 4 & 0xF:
        raise LineError(f"a PID that is damaged: {packet.hex()}")
    try:
        return Pid(packet[0] & 0xF)
    except ValueError:
        raise LineError(f"an unknown PID: {packet.hex()}") from None


def payload_of(packet: bytes) -> bytes:
    """What a data packet of the device carries; LineError where its CRC is wrong."""
    if len(packet) < 3 or data_packet(pid_of(packet), packet[1:-2]) != packet:
        raise LineError(f"a data packet with a wrong CRC: {packet.hex()}")
    return packet[1:-2]


def encode(packet: bytes) -> list[int]:
    """The line's state in each bit of a packet, from SYNC to the J behind its end."""
    states = list(SYNC)
    ones = 1                             # the last bit of SYNC
    for bit in (bit for byte in packet for bit in _bits(byte, 8)):
        states.append(states[-1] if bit else J + K - states[-1])
        ones = ones + 1 if bit else 0
        if ones == MOST_ONES:
            states.append(J + K - states[-1])
            ones = 0
    return [*states, SE0, SE0, J]


def decode(runs: Iterable[tuple[int, float]]) -> bytes:
    """The packet in ``runs``: states from the first K to the end, and how many bits each takes.

    LineError for all that a device must not send.
    """
    states: list[int] = []
    for state, length in runs:
        if abs(length - round(length)) > RAGGED or not round(length):
            raise LineError(f"a state of {length:.2f} bits")
        states += [state] * round(length)
    if tuple(states[:8]) != SYNC:
        raise LineError(f"a packet without SYNC: {states[:8]}")
    if states[-3:] != [SE0, SE0, J] or SE0 in states[:-3]:
        raise LineError(f"an end other than two SE0 and J: {states[-4:]}")
    bits = list(_unstuffed(states[7:-3]))
    if len(bits) % 8 or not bits:
        raise LineError(f"{len(bits)} bits in a packet")
    return bytes(sum(bit << i for i, bit in enumerate(bits[at:at + 8]))
                 for at in range(0, len(bits), 8))


def _unstuffed(states: Sequence[int]) -> Iterator[int]:
    """Bits behind the first state, which is the last one of SYNC."""
    ones = 1
    for before, state in zip(states, states[1:], strict=False):
        bit = int(before == state)
        if ones == MOST_ONES:
            if bit:
                raise LineError("seven ones in a row")
            ones = 0
            continue
        ones = ones + 1 if bit else 0
        yield bit
    if ones == MOST_ONES:
        raise LineError("six ones at the end, and no zero behind")


def _bits(value: int, count: int) -> Iterator[int]:
    """Low bit first, as they are sent [8.1]."""
    return (value >> i & 1 for i in range(count))


def _crc(bits: Iterable[int], width: int, polynomial: int) -> int:
    """The CRC of bits in the order that they are sent [8.3.5]; its low bit goes first, so it is the
    highest coefficient."""
    register = (1 << width) - 1
    for bit in bits:
        top = register >> width - 1
        register = register << 1 & (1 << width) - 1
        if top ^ bit:
            register ^= polynomial
    inverted = ~register & (1 << width) - 1
    return sum((inverted >> i & 1) << width - 1 - i for i in range(width))
