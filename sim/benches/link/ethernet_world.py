"""The network around an Ethernet link: scapy's packets on cocotbext-eth's GMII.

What the device should do with a datagram is ``Contract``, after ``docs/link.md``.
"""

from __future__ import annotations

import logging
import random
import zlib
from dataclasses import dataclass
from typing import Any

from kaniwa.sim.harness.bench import Bench, Driver, Env, Monitor, check, start

__all__ = ["ADDRESS", "MAC", "PORT", "PEERS", "Contract", "Peer", "Reply", "Sent", "World",
           "arp_request", "begin", "datagram", "draw_frame", "pack", "packet"]

MAC, ADDRESS, PORT = "02:6b:61:6e:69:77", "192.168.1.50", 7413
MOST_FRAMES = 1464        # bytes of frames in a reply
GAP = 12                  # cycles between two frames
RESET_NS = 300            # longer than any synchronizer
QUIET_CYCLES = 400        # of the line, after which nothing comes any more
MOST_CYCLES = 100_000     # until then


@dataclass(frozen=True)
class Peer:
    """Where a datagram comes from and a reply goes to."""

    mac: str
    address: str
    port: int


# Each bit of the second one is other than that of the first, but that which makes a MAC a group's.
PEERS = (Peer("00:1b:21:0a:0b:0c", "192.168.1.1", 40000),
         Peer("fe:e4:de:f5:f4:f3", "63.87.254.254", 25535))


def packet(peer: Peer, payload: bytes) -> Any:
    """A datagram to the device, as scapy's packet, whose fields may be changed."""
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether
    from scapy.packet import Raw

    return (Ether(src=peer.mac, dst=MAC) / IP(src=peer.address, dst=ADDRESS)
            / UDP(sport=peer.port, dport=PORT) / Raw(payload))


def datagram(peer: Peer, payload: bytes) -> bytes:
    """The frame of a datagram to the device, without padding and FCS."""
    return bytes(packet(peer, payload))


def arp_request(peer: Peer, **changes: Any) -> bytes:
    """The frame that asks who has the device's address; ``changes``: other fields of ARP."""
    from scapy.layers.l2 import ARP, Ether

    fields: dict[str, Any] = {
        "op": 1, "hwsrc": peer.mac, "psrc": peer.address, "hwdst": "00:00:00:00:00:00",
        "pdst": ADDRESS} | changes
    return bytes(Ether(src=peer.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(**fields))


def pack(number: int, frames: bytes = b"") -> bytes:
    """Payload of a request."""
    return (number % (1 << 32)).to_bytes(4, "little") + frames


def draw_frame(rng: random.Random, size: int) -> bytes:
    """``size`` bytes of a frame: no zero but the last."""
    return bytes(rng.randrange(1, 256) for _ in range(size - 1)) + b"\0"


class Contract:
    """What becomes of one datagram after the other, where there is room for all of them.

    ``data``: bytes for the core. ``taken``: numbers of those that were taken, from 0 on.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.taken = [0]
        self.peer = PEERS[0]

    @property
    def last(self) -> int:
        """Number of the last one taken."""
        return self.taken[-1]

    def give(self, peer: Peer, payload: bytes) -> bool:
        """Whether this one must be answered."""
        if len(payload) < 4:
            return False
        number = int.from_bytes(payload[:4], "little")
        self.peer = peer
        if not 1 <= (number - self.last) % 2**32 < 2**31:
            return True
        self.taken.append(number)
        self.data += payload[4:]
        return len(payload) == 4


@dataclass
class Sent:
    """A frame on its way to the device. ``ended``: the cycle of its last byte, once it is over."""

    ended: int | None = None
    answered: bool = False     # must be

    def end(self, cycle: int) -> None:
        """The last byte is on the line."""
        self.ended = cycle


@dataclass(frozen=True)
class Reply:
    """A reply as it was on the line, from cycle ``began`` to ``ended`` (its FCS is over)."""

    number: int
    last: int
    frames: bytes
    to: Peer
    began: int
    ended: int


class NoisyValid:
    """What cocotbext-eth drives as ``valid``; ``data`` is noise while it is 0, as RGMII allows."""

    def __init__(self, valid: Any, data: Any, rng: random.Random) -> None:
        self._valid, self._data, self._rng = valid, data, rng

    def __len__(self) -> int:
        return len(self._valid)

    def setimmediatevalue(self, value: int) -> None:
        """Set it at once."""
        self._valid.setimmediatevalue(value)

    @property
    def value(self) -> Any:
        """The level of the pin."""
        return self._valid.value

    @value.setter
    def value(self, level: int) -> None:
        self._valid.value = level
        if not level:
            self._data.value = self._rng.choice([0x55, 0xD5, 0xDD, self._rng.randrange(256)])


class World:
    """The device's line, its core and what is expected of it. A cycle is one of the line.

    ``ring``: bytes of requests that wait, one of which is never used. ``room``: of the frames in a
    reply.
    """

    def __init__(self, env: Env, period_ps: int, ring: int, bank: int) -> None:
        from cocotbext.eth import GmiiSink, GmiiSource

        self.env, self.rng, self._period = env, env.rng, period_ps
        self.ring, self.room = ring, min(bank, MOST_FRAMES)
        dut = env.dut
        for port in ("received__data", "sent__data"):
            logging.getLogger(f"cocotb.dut.{port}").setLevel(logging.WARNING)
        valid = NoisyValid(dut.received__valid, dut.received__data, self.rng)
        self.source = GmiiSource(dut.received__data, None, valid, dut.ethernet_clk)
        self.sink = GmiiSink(dut.sent__data, None, dut.sent__valid, dut.ethernet_clk)
        self.monitor = Monitor(env, "o", 8)
        self.driver = Driver(env, "i", 8)
        self.contract = Contract()
        self.arps: list[Any] = []
        self.numbered = 0          # the last reply's number
        self._ended = -100         # the last frame's end on the line

    @property
    def cycle(self) -> int:
        """Cycles of the line until now."""
        from cocotb.utils import get_sim_time

        return round(get_sim_time("ps") / self._period)

    async def cycles(self, count: int) -> None:
        """Wait for so many cycles of the line."""
        from cocotb.triggers import Timer

        await Timer(count * self._period, "ps")

    def send(self, frame: bytes, damage: int = 0, preamble: int = 7) -> Sent:
        """Queue a frame for the line, 12 cycles behind the one before.

        It is padded to 60 bytes with noise. ``damage``: bits that are wrong in its FCS.
        ``preamble``: bytes before its start.
        """
        padded = frame + self.rng.randbytes(max(0, 60 - len(frame)))
        fcs = (zlib.crc32(padded) ^ damage).to_bytes(4, "little")
        return self.send_raw(b"\x55" * preamble + b"\xd5" + padded + fcs)

    def send_raw(self, data: bytes) -> Sent:
        """Queue bytes as they are on the line."""
        from cocotbext.eth import GmiiFrame

        sent = Sent()
        self.source.send_nowait(GmiiFrame(data, tx_complete=lambda _: sent.end(self.cycle)))
        return sent

    def give(self, peer: Peer, payload: bytes) -> Sent:
        """Queue a datagram as it should be; ``contract`` hears of it."""
        sent = self.send(datagram(peer, payload))
        sent.answered = self.contract.give(peer, payload)
        return sent

    async def sent(self) -> None:
        """Wait until the line to the device is idle."""
        while not self.source.idle():
            await self.cycles(8)

    async def make_room(self, count: int) -> None:
        """Wait until the core has taken so much that the ring has room for ``count`` bytes."""
        until = self.cycle + MOST_CYCLES
        while len(self.contract.data) - len(self.monitor.items) > self.ring - 1 - count:
            assert self.cycle < until, "requests stay in the ring"
            await self.cycles(20)

    async def quiet(self) -> None:
        """Wait until nothing comes from the device any more, and check what came at ``o``."""
        await self.sent()
        await self.driver.drain()
        still, before, until = 0, 0, self.cycle + MOST_CYCLES
        while still < QUIET_CYCLES:
            assert self.cycle < until, "the device does not come to an end"
            await self.cycles(4)
            now = len(self.monitor.items)
            still = 0 if now > before or self.env.get("sent__valid") else still + 4
            before = now
        check(self.monitor.items, self.contract.data, "bytes for the core")

    def replies(self) -> list[Reply]:
        """Replies that have come since the last call; ``arps`` has the answers of ARP."""
        found = []
        while not self.sink.empty():
            reply = self._read(self.sink.recv_nowait())
            if reply is not None:
                self.numbered += 1
                check(reply.number, self.numbered, "number of a reply")
                found.append(reply)
        return found

    def _read(self, frame: Any) -> Reply | None:
        """Check a frame from the line. Gives its reply; None for ARP."""
        from scapy.layers.inet import IP, UDP
        from scapy.layers.l2 import ARP, Ether

        began, ended, first = (round(at / self._period) for at in (
            frame.sim_time_start, frame.sim_time_end, frame.sim_time_sfd))
        assert began - self._ended >= GAP, f"{began - self._ended} cycles between two frames"
        self._ended = ended
        # The sink of cocotbext-eth 0.1.28 keeps the time of a frame's first byte, not the byte.
        check((frame.get_preamble(), first - began), (b"\x55" * 6 + b"\xd5", 8), "preamble")
        assert frame.check_fcs(), f"FCS of {bytes(frame.data).hex()}"
        data = bytes(frame.get_payload())
        assert 60 <= len(data) <= 1514, f"{len(data)} bytes in a frame"
        ether = Ether(data)
        check(ether.src, MAC, "source")
        if ARP in ether:
            _check_padding(data, 42)
            self.arps.append(ether)
            return None
        _check_padding(data, 14 + ether[IP].len)
        ip, udp = ether[IP], ether[UDP]
        check((ip.version, ip.ihl, ip.frag, ip.flags.MF, ip.src), (4, 5, 0, False, ADDRESS), "IP")
        check((udp.sport, udp.chksum, udp.len), (PORT, 0, ip.len - 20), "UDP")
        assert ip.ttl > 0
        told = ip.chksum
        del ip.chksum
        check(told, IP(bytes(ip)).chksum, "checksum of IP")
        payload = data[42:14 + ip.len]
        number, last = (int.from_bytes(payload[at:at + 4], "little") for at in (0, 4))
        frames = payload[8:]
        assert len(payload) >= 8 and frames[-1:] in (b"", b"\0"), "a reply holds whole frames"
        assert len(frames) <= self.room, f"{len(frames)} bytes in a reply"
        return Reply(number, last, frames, Peer(ether.dst, ip.dst, udp.dport), began, ended)


def _check_padding(data: bytes, used: int) -> None:
    """A frame is as long as its packet, or padded to 60 bytes by zeros."""
    assert used == len(data) or len(data) == 60 > used, (used, len(data))
    check(data[used:], bytes(len(data) - used), "padding")


async def begin(dut: Any, bench: Bench, period_ps: int, sizes: dict[str, int]) -> World:
    """Start both clocks and reset both domains; a period of the core's is 10 ns.

    ``sizes``: ``ring_bytes`` and ``bank_bytes`` of the device.
    """
    from cocotb.clock import Clock
    from cocotb.triggers import Timer

    env = await start(dut, bench)
    Clock(dut.ethernet_clk, period_ps, unit="ps").start()
    for reset in (1, 0):
        dut.rst.value = dut.ethernet_rst.value = reset
        await Timer(RESET_NS, "ns")
    world = World(env, period_ps, sizes["ring_bytes"], sizes["bank_bytes"])
    await env.cycles(2)
    return world
