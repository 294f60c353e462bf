"""A virtual board at the pins of its Ethernet PHY: datagrams of UDP, and ARP, in whole frames.

The host here is a machine of its own beside the board, with one UDP port.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import ipaddress
import struct
import weakref
import zlib
from collections import deque

from kaniwa.boards.board import PHY_HZ
from kaniwa.driver.datagrams.format import PORT
from kaniwa.errors import DeviceError
from kaniwa.sim.board.board_design import BoardDesign
from kaniwa.sim.device.verilate import Progress

__all__ = ["EthernetPins"]

SLICE_CYCLES = 20_000    # between two looks for Ctrl-C
ROOM = 4096              # bytes of a frame that are kept
HOST_MAC = bytes.fromhex("02004b414e49")
HOST_PORT = 49152
EVERYONE = b"\xff" * 6
LEAST_BYTES, FCS_BYTES = 60, 4
IPV4, ARP = 0x0800, 0x0806
UDP, TIME_TO_LIVE = 17, 64
ETHER_HEAD = struct.Struct("!6s6sH")
ARP_PACKET = struct.Struct("!HHBBH6s4s6s4s")     # RFC 826
IP_HEAD = struct.Struct("!BBHHHBBH4s4s")         # RFC 791
UDP_HEAD = struct.Struct("!HHHH")                # RFC 768
ARP_OF_ETHERNET = (1, IPV4, 6, 4)
ASKED, TOLD = 1, 2


class EthernetPins:
    """Datagrams to a simulated board and back, as ``kaniwa.driver.datagrams`` takes them.

    Time is the board's: receiving runs it until a datagram comes or the time is over. A second is
    as many cycles as the bytes of the pace that the board tells take on its link. ``line_cycles``,
    ``bytes_taken`` and ``bytes_given`` count cycles, and the bytes of frames to and from the board.
    The first one of a design builds it, which takes minutes; ``progress`` hears of it. Raises
    DeviceError where that fails, and for what the board must not send.
    """

    def __init__(self, design: BoardDesign, progress: Progress | None = None) -> None:
        assert design.board.ethernet is not None
        self.name = f"sim:{design.board.name}"
        self.pace = float(design.pace)
        self.line_cycles = self.bytes_taken = self.bytes_given = 0
        self._address = ipaddress.IPv4Address(design.board.ethernet.address)
        self._library = _load(str(design.library(progress)))
        self._ratio = PHY_HZ / (design.mhz * 1e6)
        self._hz = design.pace * design.byte_cycles
        self._out = ctypes.create_string_buffer(ROOM)
        self._arrived: deque[bytes] = deque()
        self._mac: bytes | None = None
        self._held: list[bytes] = []       # packets that wait for the board's MAC
        self._close: weakref.finalize | None = None
        self.power_cycle()

    @property
    def waiting(self) -> int:
        """Bytes for the board that are not on the line yet: 1 where there are some."""
        return int(not self._library.kaniwa_rgmii_idle(self._handle))

    def power_cycle(self) -> None:
        """Take the board's power away and give it back: its memory is lost."""
        if self._close is not None:
            self._close()
        self._arrived.clear()
        self._handle = self._library.kaniwa_rgmii_open(self._ratio)
        self._close = weakref.finalize(self, self._library.kaniwa_rgmii_close, self._handle)

    def send(self, datagram: bytes) -> None:
        """Queue a datagram for the line, behind a question for the MAC if it is not known."""
        host = self._address + 1
        udp = UDP_HEAD.pack(HOST_PORT, PORT, UDP_HEAD.size + len(datagram), 0) + datagram
        head = [0x45, 0, IP_HEAD.size + len(udp), 0, 0, TIME_TO_LIVE, UDP, 0, host.packed,
                self._address.packed]
        head[7] = _checksum(IP_HEAD.pack(*head))
        packet = IP_HEAD.pack(*head) + udp
        if self._mac is not None:
            self._queue(self._mac, IPV4, packet)
            return
        self._held.append(packet)
        self._queue(EVERYONE, ARP, ARP_PACKET.pack(
            *ARP_OF_ETHERNET, ASKED, HOST_MAC, host.packed, bytes(6), self._address.packed))

    def receive(self, seconds: float) -> bytes | None:
        left = max(1, round(seconds * self._hz))
        while not self._arrived and left > 0:
            left -= self._run(min(left, SLICE_CYCLES))
        return self._arrived.popleft() if self._arrived else None

    def now(self) -> float:
        return self.line_cycles / self._hz

    def fileno(self) -> int:
        raise OSError(errno.EBADF, "a simulated line is no file")

    def close(self) -> None:
        """The board goes on being there, and what is on its way to it goes on."""

    def transmit(self, frame: bytes) -> None:
        """Queue a frame with its FCS for the line."""
        self.bytes_taken += len(frame)
        self._library.kaniwa_rgmii_queue(self._handle, frame, len(frame))

    def take(self, frame: bytes) -> None:
        """Take a frame with its FCS from the line; one for somebody else is dropped."""
        if not self.is_right(frame):
            raise DeviceError(f"{self.name}: a frame of the board is wrong: {frame.hex()}")
        target, _, kind = ETHER_HEAD.unpack_from(frame)
        packet = frame[ETHER_HEAD.size:-FCS_BYTES]
        if target == HOST_MAC and kind == ARP:
            self._take_arp(packet)
        elif target == HOST_MAC and kind == IPV4:
            self._take_datagram(packet)

    @staticmethod
    def is_right(frame: bytes) -> bool:
        """True if a frame's FCS is right, and the frame is long enough."""
        return (len(frame) >= LEAST_BYTES + FCS_BYTES
                and _fcs(frame[:-FCS_BYTES]) == frame[-FCS_BYTES:])

    def _run(self, cycles: int) -> int:
        given = ctypes.c_uint64()
        run: int = self._library.kaniwa_rgmii_run(self._handle, cycles, self._out, ROOM,
                                                  ctypes.byref(given))
        self.line_cycles += run
        if self._library.kaniwa_rgmii_failed(self._handle):
            broken = self._library.kaniwa_rgmii_broken_rule(self._handle).decode()
            raise DeviceError(f"{self.name}: the board sent {broken}" if broken else
                              f"{self.name}: an assertion failed (see above)")
        if given.value:
            self.bytes_given += given.value
            self.take(self._out.raw[:given.value])
        return run

    def _queue(self, target: bytes, kind: int, packet: bytes) -> None:
        frame = ETHER_HEAD.pack(target, HOST_MAC, kind) + packet
        frame = frame.ljust(LEAST_BYTES, b"\0")
        self.transmit(frame + _fcs(frame))

    def _take_arp(self, packet: bytes) -> None:
        *kinds, operation, mac, address, _, asker = ARP_PACKET.unpack_from(packet)
        if (*kinds, operation, address, asker) != (
                *ARP_OF_ETHERNET, TOLD, self._address.packed, (self._address + 1).packed):
            raise DeviceError(f"{self.name}: an answer of ARP is wrong: {packet.hex()}")
        self._mac = mac
        for held in self._held:
            self._queue(mac, IPV4, held)
        self._held.clear()

    def _take_datagram(self, packet: bytes) -> None:
        head, udp = packet[:IP_HEAD.size], packet[IP_HEAD.size:]
        first, _, total, _, part, _, protocol, _, source, target = IP_HEAD.unpack(head)
        sender, receiver, length, _ = UDP_HEAD.unpack_from(udp)
        if (target, receiver) != ((self._address + 1).packed, HOST_PORT):
            return
        right = (first == 0x45 and protocol == UDP and not part & 0x3FFF and not _checksum(head)
                 and (source, sender) == (self._address.packed, PORT)
                 and UDP_HEAD.size <= length == total - IP_HEAD.size <= len(udp))
        if not right:
            raise DeviceError(f"{self.name}: a datagram of the board is wrong: {packet.hex()}")
        self._arrived.append(udp[UDP_HEAD.size:length])


def _fcs(frame: bytes) -> bytes:
    return zlib.crc32(frame).to_bytes(FCS_BYTES, "little")


def _checksum(head: bytes) -> int:
    """The checksum of a header of IPv4 (RFC 1071): 0 for one that has its own in it."""
    total = sum(word for (word,) in struct.iter_unpack("!H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@functools.cache
def _load(path: str) -> ctypes.CDLL:
    library = ctypes.CDLL(path)
    handle, u64 = ctypes.c_void_p, ctypes.c_uint64
    for name, result, arguments in (
            ("open", handle, [ctypes.c_double]), ("close", None, [handle]),
            ("broken_rule", ctypes.c_char_p, [handle]), ("failed", ctypes.c_bool, [handle]),
            ("queue", None, [handle, ctypes.c_char_p, u64]), ("idle", ctypes.c_bool, [handle]),
            ("run", u64, [handle, u64, ctypes.c_char_p, u64, ctypes.POINTER(u64)])):
        function = getattr(library, f"kaniwa_rgmii_{name}")
        function.restype, function.argtypes = result, arguments
    return library
