"""The device's end of the link in Python: what ``hw/link/link.py`` does, frame by frame.

For tests of the host without simulating gateware, and as the reference of the gateware's bench.
"""

from __future__ import annotations

import re
from typing import Protocol

from kaniwa.config import AcceleratorConfig
from kaniwa.driver.frames import (
    CORE_BIT,
    INDEX_CORE_BIT,
    LINK_REGISTERS,
    PAYLOAD_BYTES,
    REGISTERS,
    SEQUENCES,
    Flag,
    Operation,
    Reply,
    Request,
    Splitter,
    decode_request,
    encode_reply,
    link_registers,
)
from kaniwa.emulator.core import Emulator
from kaniwa.errors import DeviceError
from kaniwa.isa import COUNTERS, ISA_VERSION, MAGIC, Command, ErrorCode, Register, Status
from kaniwa.standalone.format import FlashState

__all__ = ["Core", "MemoryCore", "EmulatedCore", "LinkModel"]

BUFFER_BYTES = 512


class Core(Protocol):
    """Interface that a link needs of a core. While ``busy``, device memory belongs to a run."""

    busy: bool

    def read(self, address: int) -> int:
        """A byte of device memory."""

    def write(self, address: int, value: int) -> None:
        """Write a byte of device memory."""

    def read_register(self, index: int) -> int:
        """A word of 32 bits."""

    def write_register(self, index: int, value: int) -> None:
        """Write a word of 32 bits."""


class MemoryCore:
    """Memory and registers that keep what is written; ``log`` has the registers' writes."""

    def __init__(self, memory_bytes: int = 1 << 16) -> None:
        self.busy = False
        self.memory = bytearray(memory_bytes)
        self.registers = [0] * 128
        self.log: list[tuple[int, int]] = []

    def read(self, address: int) -> int:
        return self.memory[address % len(self.memory)]

    def write(self, address: int, value: int) -> None:
        self.memory[address % len(self.memory)] = value

    def read_register(self, index: int) -> int:
        return self.registers[index % 128]

    def write_register(self, index: int, value: int) -> None:
        self.log.append((index, value))
        self.registers[index % 128] = value


class EmulatedCore:
    """The emulator behind the registers of a core; a run ends as soon as it has begun.

    ``runs`` counts them. ``hangs``: the next run goes on until it is aborted. ``outside``: kind of
    outside memory, if any.
    """

    def __init__(self, config: AcceleratorConfig, outside: str | None = None) -> None:
        self.busy = False
        self.runs = 0
        self.hangs = False
        self._emulator = Emulator(config, outside)
        self._snapshots: dict[int, list[int]] = {}
        number = int(config.hash, 16)
        self._registers = {
            Register.MAGIC: MAGIC, Register.VERSION: ISA_VERSION,
            Register.CONFIG_HASH_LOW: number & 0xFFFF_FFFF,
            Register.CONFIG_HASH_HIGH: number >> 32, Register.CLOCK_HZ: 25_000_000,
            Register.MEMORY_BYTES: config.memory_bytes}

    def read(self, address: int) -> int:
        return self._emulator.read(address, 1)[0]

    def write(self, address: int, value: int) -> None:
        self._emulator.write(address, bytes([value]))

    def read_register(self, index: int) -> int:
        counter = index - Register.COUNTER_0
        if 0 <= counter < len(COUNTERS):
            tag = self._registers.get(Register.COUNTER_TAG, 0)
            return self._snapshots.get(tag, [0] * len(COUNTERS))[counter]
        if index == Register.STATUS and self.busy:
            return 1
        return self._registers.get(Register(index), 0) if index < Register.COUNTER_0 else 0

    def write_register(self, index: int, value: int) -> None:
        if index != Register.CONTROL:
            self._registers[Register(index)] = value
        elif value & Command.ABORT:
            self.busy = False
            self._end(0, ErrorCode.NONE, 0)
        elif value & Command.RUN and not self.busy:
            self._run()

    def _run(self) -> None:
        self.runs += 1
        if self.hangs:
            self.busy = True
            return
        try:
            statistics = self._emulator.run(self._registers[Register.PROGRAM_ADDRESS])
        except DeviceError as error:
            found = re.search(r"([A-Z_]+) at instruction (\d+)", str(error))
            assert found is not None
            self._end(Status.ERROR, ErrorCode[found[1]], int(found[2]))
            return
        self._end(Status.DONE, ErrorCode.NONE, 0)
        self._registers[Register.CYCLES] = statistics.cycles
        self._registers[Register.RETIRED] = statistics.retired
        self._snapshots = {tag: [counts[name] for name in COUNTERS]
                           for tag, counts in statistics.snapshots.items()}

    def _end(self, status: int, code: ErrorCode, index: int) -> None:
        self._registers[Register.STATUS] = status
        self._registers[Register.ERROR_CODE] = code
        self._registers[Register.ERROR_INSTRUCTION] = index


class LinkModel:
    """Takes the line's bytes and gives those that it answers, after each frame at once.

    ``further``: the cores from number 1 on, behind the same link. ``serves``: memory may be used
    during a run. ``flash`` may be set to how far the device came with the image in its flash.
    """

    def __init__(self, core: Core, *further: Core, pace: int = 300_000,
                 payload_bytes: int = PAYLOAD_BYTES, outside: bool = False,
                 serves: bool = False) -> None:
        self.cores = [core, *further]
        self.session = 0
        self.expected = 0
        self._splitter = Splitter()
        self.flash = FlashState.ABSENT
        self._serves = serves
        self._constants = (payload_bytes, BUFFER_BYTES, pace, outside, len(self.cores))

    @property
    def core(self) -> Core:
        """The only core, or the first one."""
        return self.cores[0]

    @core.setter
    def core(self, core: Core) -> None:
        self.cores[0] = core

    def reset(self) -> None:
        """As after power-up or a reset of the device."""
        self.session = self.expected = 0
        self._splitter = Splitter()

    def receive(self, data: bytes) -> bytes:
        """Answers to all frames that end in ``data``."""
        out = b""
        for frame in self._splitter.feed(data):
            decoded = decode_request(frame)
            out += encode_reply(self._reply(Flag.GARBLED) if decoded is None
                                else self._do(*decoded))
        return out

    def _reply(self, flags: Flag, address: int | None = None, data: bytes = b"") -> Reply:
        return Reply(flags, self.expected, self.session, address, data)

    def _do(self, request: Request, sequence: int) -> Reply:
        if request.operation == Operation.OPEN:
            self.session, self.expected = request.count, 0
            return self._reply(Flag(0))
        ahead = (sequence - self.expected) % SEQUENCES
        if ahead or not self.session:
            return self._reply(Flag.GAP if 0 < ahead < SEQUENCES // 2 else Flag(0))
        registers = request.word >> 30 == 1
        number, word, index = self._addressed(request)
        if number >= len(self.cores):
            return self._reply(Flag.BUSY)
        core = self.cores[number]
        if core.busy and self._is_kept(request, registers):
            return self._reply(Flag.BUSY)
        if request.operation == Operation.READ:
            data = bytes(self._read_register(core, word + i) if registers else core.read(word + i)
                         for i in range(request.count))
            return self._reply(Flag.DATA, request.word, data)
        self.expected = (self.expected + 1) % SEQUENCES
        if request.operation == Operation.REGISTER:
            core.write_register(index, request.word)
        for i, value in enumerate(request.data):
            core.write(word + i, value)
        return self._reply(Flag(0))

    def _addressed(self, request: Request) -> tuple[int, int, int]:
        """Number of the core, address without it, and index of a register without it."""
        if len(self.cores) == 1:
            return 0, request.word, request.count
        if request.operation == Operation.REGISTER:
            return (request.count >> INDEX_CORE_BIT, request.word,
                    request.count % (1 << INDEX_CORE_BIT))
        number = request.word >> CORE_BIT & 15
        return number, request.word - (number << CORE_BIT), request.count

    def _is_kept(self, request: Request, registers: bool) -> bool:
        """True for what would disturb a run."""
        if not self._serves:
            return request.operation == Operation.WRITE or (
                request.operation == Operation.READ and not registers)
        index = request.count
        if len(self.cores) > 1:
            index %= 1 << INDEX_CORE_BIT
        begins = index == Register.CONTROL and bool(request.word & Command.RUN)
        return request.operation == Operation.REGISTER and (
            begins or index in (Register.PROGRAM_ADDRESS, Register.WATCHDOG))

    def _read_register(self, core: Core, address: int) -> int:
        if address >= LINK_REGISTERS:
            return link_registers(*self._constants, self.flash, self._serves)[address % 8]
        word = core.read_register((address - REGISTERS) // 4)
        return word >> 8 * (address % 4) & 255
