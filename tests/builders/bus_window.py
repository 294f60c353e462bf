"""A window as the accelerator behind a bus shows it, with the emulator as its core."""

from __future__ import annotations

from collections.abc import Callable

from kaniwa.config import AcceleratorConfig
from kaniwa.emulator.core import Emulator
from kaniwa.isa import OUTSIDE, Command, ErrorCode, Register, Status
from kaniwa.isa.bus import (
    BUS_VERSION,
    CORE_REGISTERS,
    RESPONSE_SHIFT,
    BusError,
    BusRegister,
    BusResponse,
    Feature,
    Interrupt,
    memory_offset,
    window_bytes,
)
from kaniwa.isa.sensor import SensorRegister
from kaniwa.sim.board.link_model import EmulatedCore

__all__ = ["BusWindow"]

OUTSIDE_BASE = (BusRegister.OUTSIDE_BASE_LOW, BusRegister.OUTSIDE_BASE_HIGH)


class BusWindow(EmulatedCore):
    """Registers and on-chip memory by byte offset.

    ``ram`` is outside memory, whose bus address is ``ram_base``. A run shows RUNNING for ``looks``
    reads of STATUS. ``hangs``: it goes on until it is aborted, or the watchdog, where it is set,
    ends it after ``looks``. ``faults`` has accesses that the bus would refuse. ``interrupt`` is
    called when the line rises.
    """

    def __init__(self, config: AcceleratorConfig, ram: bytearray | memoryview | None = None,
                 ram_base: int = 0x9000_0000, looks: int = 3) -> None:
        super().__init__(config)
        self._emulator = Emulator(config, "ideal" if ram is not None else None)
        self.size = window_bytes(config.memory_bytes)
        self.ram, self.ram_base, self.looks = ram, ram_base, looks
        self.faults: list[str] = []
        self.interrupt: Callable[[], None] = lambda: None
        self.interrupts = 0
        self._offset = memory_offset(config.memory_bytes)
        self._left = 0
        self._bus: dict[int, int] = {register: 0 for register in BusRegister} | {
            BusRegister.BUS_VERSION: BUS_VERSION, BusRegister.MEMORY_OFFSET: self._offset,
            BusRegister.FEATURES: Feature.OUTSIDE if ram is not None else 0}

    @property
    def running(self) -> bool:
        """True while STATUS shows RUNNING."""
        return self.busy or self._left > 0

    def set(self, register: Register | BusRegister | SensorRegister, value: int) -> None:
        """Have ``register`` read as ``value``."""
        if isinstance(register, Register):
            self._registers[register] = value
        else:
            self._bus[register] = value

    def read32(self, offset: int) -> int:
        if self._offset and offset >= self._offset:
            return int.from_bytes(self._memory("read", offset, 4), "little")
        index = offset // 4
        if index >= CORE_REGISTERS:
            return self._bus.get(index, 0)
        if index == Register.STATUS and self.running:
            self._look()
            return Status.RUNNING
        return self.read_register(index)

    def write32(self, offset: int, value: int) -> None:
        if self._offset and offset >= self._offset:
            self._memory("write", offset, 4, value.to_bytes(4, "little"))
        elif offset // 4 < CORE_REGISTERS:
            self.write_register(offset // 4, value)
            if offset // 4 == Register.CONTROL:
                self._command(value)
        elif offset // 4 == BusRegister.IRQ_STATUS:
            self._bus[BusRegister.IRQ_STATUS] &= ~value
        elif offset // 4 in OUTSIDE_BASE and self.running:
            self.faults.append(f"write of register {offset // 4} in a run")
        elif offset // 4 == BusRegister.BUS_ERROR:
            self._bus[BusRegister.BUS_ERROR] = 0
        elif offset // 4 in self._bus:
            self._bus[offset // 4] = value
        else:
            self.faults.append(f"write of register {offset // 4}, which is none")

    def write8(self, offset: int, value: int) -> None:
        self._memory("write", offset, 1, bytes([value]))

    def read_bytes(self, offset: int, count: int) -> bytes:
        return self._memory("read", offset, count)

    def write_bytes(self, offset: int, data: bytes) -> None:
        self._memory("write", offset, len(data), data)

    def _memory(self, what: str, offset: int, count: int, data: bytes | None = None) -> bytes:
        address = offset - self._offset
        size = self._registers[Register.MEMORY_BYTES]
        if self.running or not 0 <= address <= size - count:
            self.faults.append(f"{what} of {count} bytes at {offset:#x}")
            return bytes(count)
        if data is not None:
            self._emulator.write(address, data)
            return b""
        return self._emulator.read(address, count)

    def _command(self, value: int) -> None:
        if value & Command.RUN:
            self._left = self.looks
        elif value & Command.ABORT:
            self._left = 0
            self._raise(Interrupt.RUN_ENDED)

    def _run(self) -> None:
        """A run, as ``write_register`` begins it; it shows its end ``looks`` reads later."""
        if self.ram is None:
            super()._run()
            return
        low, high = (self._bus[r] for r in (BusRegister.OUTSIDE_BASE_LOW,
                                            BusRegister.OUTSIDE_BASE_HIGH))
        if low | high << 32 != self.ram_base:
            self.busy = True     # its first access outside is refused, and never answered
            self._bus[BusRegister.BUS_ERROR] = (
                BusError.HELD | BusResponse.DECERR << RESPONSE_SHIFT)
            self._bus[BusRegister.BUS_ERROR_ADDRESS] = OUTSIDE
            self._raise(Interrupt.BUS_ERROR)
            return
        self._emulator.write(OUTSIDE, bytes(self.ram))
        super()._run()
        self.ram[:] = self._emulator.read(OUTSIDE, len(self.ram))

    def _look(self) -> None:
        self._left = max(0, self._left - 1)
        if self._left:
            return
        if not self.busy:
            self._raise(Interrupt.RUN_ENDED)
        elif self.hangs and self._registers[Register.WATCHDOG]:
            self.busy = False
            self._end(Status.ERROR, ErrorCode.WATCHDOG, 2)
            self._raise(Interrupt.RUN_ENDED)

    def _raise(self, interrupt: Interrupt) -> None:
        self._bus[BusRegister.IRQ_STATUS] |= interrupt
        if interrupt & self._bus[BusRegister.IRQ_ENABLE]:
            self.interrupts += 1
            self.interrupt()
