"""A core on this machine's bus as a device: registers and memory in a window that is mapped."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

from kaniwa.config import AcceleratorConfig, load_target
from kaniwa.driver.board_device import LONGEST_POLL, WATCHDOG_CYCLES
from kaniwa.driver.identity import CAPABILITIES, capabilities, identify, wrong_config
from kaniwa.driver.mapping import (
    WORD,
    Buffer,
    DmaBuffer,
    Window,
    open_window,
    parse_mapping,
)
from kaniwa.driver.run_error import check_start, run_error
from kaniwa.errors import DeviceError
from kaniwa.isa import COUNTERS, OUTSIDE, Command, ErrorCode, Register, Status
from kaniwa.isa.bus import (
    BASE_ALIGNMENT,
    BUS_VERSION,
    RESPONSE_SHIFT,
    BusError,
    BusRegister,
    BusResponse,
    Feature,
)
from kaniwa.isa.counters import RunStatistics
from kaniwa.isa.sensor import SensorRegister

__all__ = ["MappedDevice"]

STILL_LOOKS = 40        # looks at cycles that stand still, after which a run is given up
NONE = 0xFFFF_FFFF      # of most buses, where nobody answers

logger = logging.getLogger(__name__)


class MappedDevice:
    """The core that ``name`` (``uio:...`` or ``mem:...``) leads to.

    config: the core's own. target: the config that it must have; also names one that is neither a
    preset nor a board's. watchdog: cycles without progress before the core ends a run. window and
    outside: in place of those that ``name`` leads to. pause: sleeps for seconds. ``progress`` may
    be set to what is to hear of long runs. Raises DeviceError, one line that says what is wrong.
    """

    def __init__(self, name: str, target: str | Path | AcceleratorConfig | None = None, *,
                 watchdog: int = WATCHDOG_CYCLES, window: Window | None = None,
                 outside: Buffer | None = None,
                 pause: Callable[[float], None] = time.sleep) -> None:
        self.name = name
        self._watchdog, self._pause = watchdog, pause
        self.progress: Callable[[str], None] = lambda text: None
        self._window: Window | None = None
        self._outside: Buffer | None = None
        wanted = None if target is None else load_target(target)
        mapping = parse_mapping(name) if window is None else None
        try:
            self._window = window if mapping is None else open_window(mapping)
            self._outside = outside
            if mapping is not None and mapping.outside is not None:
                self._outside = DmaBuffer(mapping.outside)
            self.config: AcceleratorConfig | None = self._identify(wanted)
            self._prepare()
        except BaseException:
            self.close()
            raise
        logger.info("%s: opened, a core of config %s (%s)", name, self.config.name,
                    self.config.hash)

    @property
    def outside(self) -> bool:
        """True for a device with outside memory."""
        return self._outside is not None

    def load_target(self, config: AcceleratorConfig) -> None:
        """Nothing if the core is of ``config``; else DeviceError, for it cannot change."""
        self._require()
        if self.config is not None and self.config != config:
            raise wrong_config(self.name, config, self.config.hash, self.config.name)

    def close(self) -> None:
        """Give window and outside memory up; a second call does nothing."""
        for mapped in (self._window, self._outside):
            if mapped is not None:
                mapped.close()
        self._window = self._outside = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, address: int, data: bytes) -> None:
        """Copy ``data`` into device memory."""
        window = self._require()
        self._check_span("write", address, len(data))
        if address >= OUTSIDE:
            assert self._outside is not None
            self._outside.write(address - OUTSIDE, bytes(data))
        else:
            window.write_bytes(self._offset + address, bytes(data))

    def read(self, address: int, count: int) -> bytes:
        """``count`` bytes of device memory."""
        window = self._require()
        self._check_span("read", address, count)
        if address >= OUTSIDE:
            assert self._outside is not None
            return self._outside.read(address - OUTSIDE, count)
        return window.read_bytes(self._offset + address, count)

    def run(self, program_address: int, tags: Iterable[int] = ()) -> RunStatistics:
        """Run the program to its END; counters of ``tags``. Raises DeviceError if it fails."""
        self._require()
        assert self.config is not None
        check_start(program_address, self.config)
        began = time.monotonic()
        self._set(BusRegister.BUS_ERROR, 0)
        self._set(Register.PROGRAM_ADDRESS, program_address)
        self._set(Register.WATCHDOG, self._watchdog)
        self._set(Register.CONTROL, Command.RUN)
        try:
            status = self._wait_for_end(began)
            self._check_bus()
        except BaseException:
            with contextlib.suppress(DeviceError):
                self._stop()
            raise
        if not status & Status.DONE:
            code, index = self._get(Register.ERROR_CODE), self._get(Register.ERROR_INSTRUCTION)
            raise DeviceError(f"{self.name}: " + run_error(
                ErrorCode(code), index, program_address, self.config, self.read))
        cycles, retired = self._get(Register.CYCLES), self._get(Register.RETIRED)
        snapshots = {tag: self._counters(tag) for tag in tags} if self.config.counters else {}
        return RunStatistics(cycles, retired, snapshots, seconds=time.monotonic() - began)

    def _wait_for_end(self, began: float) -> int:
        """STATUS at the end; gives up where the cycles stand still."""
        pause, still, cycles = 0.0, 0, -1
        while (status := self._get(Register.STATUS)) & Status.RUNNING:
            self._check_bus()
            now = self._get(Register.CYCLES)
            still, cycles = still + 1 if now == cycles else 0, now
            if status == NONE or still == STILL_LOOKS:
                raise DeviceError(f"{self.name}: the run does not end: its cycles stand still at "
                                  f"{cycles:,}: is the core's clock on?")
            self._pause(pause)
            pause = min(2 * pause + 0.0005, LONGEST_POLL)
            self.progress(f"running, {time.monotonic() - began:.0f} s")
        return status

    def _check_bus(self) -> None:
        """Raise DeviceError where the bus refused an access of the core."""
        held = self._get(BusRegister.BUS_ERROR)
        if not held & BusError.HELD:
            return
        address = self._get(BusRegister.BUS_ERROR_ADDRESS)
        access = "write" if held & BusError.WRITE else "read"
        response = BusResponse(held >> RESPONSE_SHIFT & 3).name
        where = ""
        if self._outside is not None:
            where = f", {self._outside.bus_address + address - OUTSIDE:#x} on the bus"
        self._set(BusRegister.BUS_ERROR, 0)
        raise DeviceError(f"{self.name}: the bus refused a {access} of the core at {address:#x}"
                          f"{where} ({response}): is there memory for its master?")

    def _counters(self, tag: int) -> dict[str, int]:
        self._set(Register.COUNTER_TAG, tag)
        return {name: self._get(Register.COUNTER_0 + number)
                for number, name in enumerate(COUNTERS)}

    def _identify(self, target: AcceleratorConfig | None) -> AcceleratorConfig:
        """The core's config; the window is checked on the way."""
        window = self._require()
        if window.size < WORD * (max(BusRegister) + 1):
            raise DeviceError(f"{self.name}: the window of {window.size:#x} bytes is too small: "
                              f"registers take {WORD * (max(BusRegister) + 1):#x}")
        words = [self._get(register) for register in CAPABILITIES]
        config = identify(self.name, words, target)
        version = self._get(BusRegister.BUS_VERSION)
        if version != BUS_VERSION:
            raise DeviceError(f"{self.name}: the bitstream has version {version} of the window, "
                              f"this kaniwa has {BUS_VERSION}: build and program it again")
        self.capabilities = capabilities(words)
        self._offset = self._get(BusRegister.MEMORY_OFFSET)
        self._memory_bytes = self.capabilities["memory_bytes"] if self._offset else 0
        end = self._offset + self._memory_bytes
        if end > window.size:
            raise DeviceError(f"{self.name}: the window of {window.size:#x} bytes is too small: "
                              f"the core's memory ends at {end:#x}")
        return config

    def _prepare(self) -> None:
        """End what may still be running, and tell the core its outside memory."""
        self._set(BusRegister.IRQ_ENABLE, 0)
        registers = self._require().size // WORD
        if registers > max(SensorRegister) and self._get(SensorRegister.SENSOR_VERSION):
            self._set(SensorRegister.SENSOR_CONTROL, 0)     # else they may start runs
        self._stop()     # in a run the base of outside memory cannot be written
        if self._outside is not None:
            base = self._outside.bus_address
            if not self._get(BusRegister.FEATURES) & Feature.OUTSIDE:
                raise DeviceError(f"{self.name}: the bitstream has no port to outside memory: "
                                  "leave out outside=")
            if base % BASE_ALIGNMENT:
                raise DeviceError(f"{self.name}: outside memory must be at a multiple of "
                                  f"{BASE_ALIGNMENT} bytes, not at {base:#x}")
            self._set(BusRegister.OUTSIDE_BASE_LOW, base & 0xFFFF_FFFF)
            self._set(BusRegister.OUTSIDE_BASE_HIGH, base >> 32)

    def _stop(self) -> None:
        """End a run; memory keeps what was written."""
        self._set(Register.CONTROL, Command.ABORT)
        for _ in range(STILL_LOOKS):
            if not self._get(Register.STATUS) & Status.RUNNING:
                return
            self._pause(LONGEST_POLL)
        raise DeviceError(f"{self.name}: the core does not stop: is its clock on?")

    def _check_span(self, what: str, address: int, count: int) -> None:
        size = self._outside.size if self._outside is not None else 0
        outside = OUTSIDE <= address <= OUTSIDE + size - count
        if not outside and not 0 <= address <= self._memory_bytes - count:
            raise DeviceError(f"{self.name}: {what} of {count} bytes at {address:#x} is outside "
                              f"device memory of {self._memory_bytes} bytes, and {size} outside")

    def _get(self, register: int) -> int:
        return self._require().read32(WORD * register)

    def _set(self, register: int, value: int) -> None:
        self._require().write32(WORD * register, value)

    def _require(self) -> Window:
        if self._window is None:
            raise DeviceError(f"{self.name}: the device is closed")
        return self._window
