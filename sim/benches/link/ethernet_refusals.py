"""Frames that an Ethernet link must not take, nor answer: one wrong thing in each."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from typing import Any

from kaniwa.sim.benches.link.ethernet_world import MAC, Peer, World, datagram, packet

__all__ = ["REFUSED"]

HEAD = 42    # bytes before the datagram
START = b"\x55" * 7 + b"\xd5"


def _closed(frame: bytes) -> bytes:
    """With its FCS."""
    return frame + zlib.crc32(frame).to_bytes(4, "little")


def _changed(change: Callable[[random.Random, Any], None]) -> Callable[..., None]:
    """Sends a packet of scapy after ``change``."""
    def send(world: World, peer: Peer, payload: bytes) -> None:
        wrong = packet(peer, payload)
        change(world.rng, wrong)
        world.send(bytes(wrong))
    return send


def _mac(rng: random.Random, wrong: Any) -> None:
    value = int(MAC.replace(":", ""), 16) ^ 1 << rng.randrange(48)
    wrong.dst = value.to_bytes(6, "big").hex(":")


def _broadcast(rng: random.Random, wrong: Any) -> None:
    wrong.dst = "ff:ff:ff:ff:ff:ff"


def _type(rng: random.Random, wrong: Any) -> None:
    wrong.type = 0x0800 ^ 1 << rng.randrange(16)


def _version(rng: random.Random, wrong: Any) -> None:
    wrong["IP"].version = 4 ^ 1 << rng.randrange(4)


def _options(rng: random.Random, wrong: Any) -> None:
    from scapy.layers.inet import IPOption_NOP

    wrong["IP"].options = [IPOption_NOP()] * (4 * rng.randrange(1, 11))


def _first_fragment(rng: random.Random, wrong: Any) -> None:
    wrong["IP"].flags = "MF"


def _later_fragment(rng: random.Random, wrong: Any) -> None:
    wrong["IP"].frag = 1 << rng.randrange(13)


def _protocol(rng: random.Random, wrong: Any) -> None:
    wrong["IP"].proto = 17 ^ 1 << rng.randrange(8)


def _address(rng: random.Random, wrong: Any) -> None:
    value = 0xC0A80132 ^ 1 << rng.randrange(32)
    wrong["IP"].dst = ".".join(map(str, value.to_bytes(4, "big")))


def _port(rng: random.Random, wrong: Any) -> None:
    wrong["UDP"].dport ^= 1 << rng.randrange(16)


def _short_length(rng: random.Random, wrong: Any) -> None:
    wrong["UDP"].len = rng.randrange(12)   # less than its own head's, or than a number's


def _long_length(world: World, peer: Peer, payload: bytes) -> None:
    """The datagram is longer than the frame, by each power of two."""
    for bit in range(7, 16):
        wrong = packet(peer, payload)
        wrong["UDP"].len = len(payload) + 8 + (1 << bit)
        world.send(bytes(wrong))


def _no_number(world: World, peer: Peer, payload: bytes) -> None:
    world.send(datagram(peer, payload[:world.rng.randrange(4)]))


def _fcs(world: World, peer: Peer, payload: bytes) -> None:
    world.send(datagram(peer, payload), damage=1 << world.rng.randrange(32))


def _byte(world: World, peer: Peer, payload: bytes) -> None:
    """A bit of the datagram is wrong."""
    frame = bytearray(_closed(datagram(peer, payload)))
    frame[world.rng.randrange(HEAD, len(frame) - 4)] ^= 1 << world.rng.randrange(8)
    world.send_raw(START + frame)


def _cut_line(world: World, peer: Peer, payload: bytes) -> None:
    """The line ends anywhere within the frame."""
    frame = datagram(peer, payload)
    whole = START + _closed(frame)
    world.send_raw(whole[:world.rng.randrange(1, len(whole))])


def _cut_frame(world: World, peer: Peer, payload: bytes) -> None:
    """The frame ends within the datagram, and its FCS is right for that."""
    whole = len(datagram(peer, payload))
    frame = datagram(peer, payload)[:world.rng.randrange(whole - len(payload) - 8, whole - 4)]
    world.send_raw(START + _closed(frame))


def _runt(world: World, peer: Peer, payload: bytes) -> None:
    """A frame without an end of its head, and its FCS is right for that."""
    frame = datagram(peer, payload)[:world.rng.randrange(HEAD)]
    world.send_raw(START + _closed(frame))


def _no_start(world: World, peer: Peer, payload: bytes) -> None:
    world.send_raw(b"\x55" * 8 + _closed(datagram(peer, payload)))


def _noise(world: World, peer: Peer, payload: bytes) -> None:
    """What begins as no frame does, by a bit, has one within."""
    for bit in range(7):
        world.send_raw(bytes([0x55 ^ 1 << bit]) + START + _closed(datagram(peer, payload)))


# Each sends a wrong frame that is made of a datagram of at least 60 bytes.
REFUSED: dict[str, Callable[[World, Peer, bytes], None]] = {
    "mac": _changed(_mac), "broadcast": _changed(_broadcast), "type": _changed(_type),
    "version": _changed(_version), "options": _changed(_options),
    "first_fragment": _changed(_first_fragment), "later_fragment": _changed(_later_fragment),
    "protocol": _changed(_protocol), "address": _changed(_address), "port": _changed(_port),
    "short_length": _changed(_short_length), "long_length": _long_length, "no_number": _no_number,
    "fcs": _fcs, "byte": _byte, "cut_line": _cut_line, "cut_frame": _cut_frame, "runt": _runt,
    "no_start": _no_start, "noise": _noise,
}
