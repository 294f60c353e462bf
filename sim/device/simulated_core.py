"""The simulated core as a device: in this process, with its memories in C++."""

from __future__ import annotations

import ctypes
import functools
import time
import weakref
from collections.abc import Iterable
from pathlib import Path

from kaniwa.compiler.pipeline import parse_outside
from kaniwa.compiler.plan.plan import Outside
from kaniwa.config import AcceleratorConfig, load_target
from kaniwa.cycles.events import Timing
from kaniwa.errors import ConfigError, DeviceError
from kaniwa.isa import (
    COUNTERS,
    INSTRUCTION_BYTES,
    OUTSIDE,
    Command,
    ErrorCode,
    Register,
    Status,
    decode,
    illegal_field,
)
from kaniwa.isa.counters import RunStatistics
from kaniwa.sim.device.verilate import Progress, core_library

__all__ = ["SimDevice"]

NO_MEMORY = Outside("none")
SLICE_CYCLES = 200_000               # between two looks for Ctrl-C
ABORT_CYCLES = 10_000                # the core's own limit for outstanding responses, and some


class SimDevice:
    """A simulated accelerator; ``target`` may also be loaded later by ``load_target``.

    outside: memory at addresses with bit 31 set, as for ``compile``; by default ideal where the
    config has no on-chip memory, else none. stalls: chance that a memory request or
    response waits in a cycle, drawn from ``seed``. trace: file that gets a VCD waveform.
    watchdog: cycles without progress before a run is ended. cycle_limit: of a run.
    Building the core takes up to minutes the first time; ``progress`` hears of it.
    """

    name = "sim"

    def __init__(self, target: str | Path | AcceleratorConfig | None = None, *,
                 outside: str | None = None, stalls: float = 0.0, seed: int = 0,
                 trace: str | Path | None = None, watchdog: int = 100_000,
                 cycle_limit: int | None = None, progress: Progress | None = None) -> None:
        if not 0.0 <= stalls < 1.0:
            raise ConfigError(f"stalls must be at least 0 and less than 1, not {stalls}")
        self.config: AcceleratorConfig | None = None
        self._outside = None if outside is None else parse_outside(outside) or NO_MEMORY
        self._stalls, self._seed, self._trace = stalls, seed, trace
        self._watchdog, self._cycle_limit, self._progress = watchdog, cycle_limit, progress
        self._close: weakref.finalize | None = None
        if target is not None:
            self.load_target(load_target(target))

    def load_target(self, config: AcceleratorConfig) -> None:
        """Make this a device of ``config``, with empty memory; nothing if it is one already."""
        if self.config == config:
            return
        self.close()
        if self._trace is not None:
            try:
                Path(self._trace).write_bytes(b"")
            except OSError as error:
                raise DeviceError(f"{self._trace}: cannot be written "
                                  f"({error.strerror})") from None
        library = _load(core_library(config, trace=self._trace is not None,
                                     progress=self._progress))
        outside = self._outside or (NO_MEMORY if config.memory_bytes else Outside("ideal"))
        timing = Timing.of(config, str(outside))
        handle = library.kaniwa_open(
            config.memory_bytes, config.memory_latency, 0 if outside == NO_MEMORY else OUTSIDE,
            timing.bus_bytes, timing.latency, self._stalls, self._seed)
        if not handle:
            raise DeviceError("the simulated core's memory could not be allocated")
        self._library, self._handle = library, handle
        self._close = weakref.finalize(self, library.kaniwa_close, handle)
        self.config = config
        if self._trace is not None:
            library.kaniwa_trace(handle, str(self._trace).encode())
        if self._get(Register.CONFIG_HASH_LOW) != int(config.hash, 16) & 0xFFFF_FFFF:
            raise DeviceError(f"the simulated core is not one of {config.name}: "
                              "empty the cache folder")

    def close(self) -> None:
        """Give the simulated core up; a second call does nothing."""
        self.config = None
        if self._close is not None:
            self._close()

    def __enter__(self) -> SimDevice:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, address: int, data: bytes) -> None:
        """Copy ``data`` into device memory."""
        self._require()
        if not self._library.kaniwa_write(self._handle, address, bytes(data), len(data)):
            raise self._no_memory("write", address, len(data))

    def read(self, address: int, count: int) -> bytes:
        """``count`` bytes of device memory."""
        self._require()
        buffer = ctypes.create_string_buffer(count)
        if not self._library.kaniwa_read(self._handle, address, buffer, count):
            raise self._no_memory("read", address, count)
        return buffer.raw

    def run(self, program_address: int, tags: Iterable[int] = ()) -> RunStatistics:
        """Run the program to its END; counters of ``tags``. Raises DeviceError if it fails."""
        config = self._require()
        if program_address % config.read_bytes:
            raise DeviceError(f"a program must start at a multiple of {config.read_bytes} bytes, "
                              f"not at {program_address:#x}")
        began = time.monotonic()
        self._set(Register.PROGRAM_ADDRESS, program_address)
        self._set(Register.WATCHDOG, self._watchdog)
        self._set(Register.CONTROL, Command.RUN)
        try:
            self._wait_for_end()
        except BaseException:
            self.abort()
            raise
        if self._get(Register.STATUS) & Status.ERROR:
            raise self._error(program_address)
        return RunStatistics(
            cycles=self._get(Register.CYCLES), retired=self._get(Register.RETIRED),
            snapshots={tag: self._counters(tag) for tag in tags} if config.counters else {},
            seconds=time.monotonic() - began)

    def abort(self) -> None:
        """End a run; memory keeps what was written."""
        self._require()
        self._set(Register.CONTROL, Command.ABORT)
        self._run_for(ABORT_CYCLES)

    def reset(self) -> None:
        """Reset the core; memory keeps its contents."""
        self._require()
        self._library.kaniwa_reset(self._handle)

    def _wait_for_end(self) -> None:
        cycles = 0
        while True:
            cycles += self._run_for(SLICE_CYCLES)
            if self._library.kaniwa_failed(self._handle):
                raise DeviceError("an assertion of the simulated core failed (see above)")
            if not self._get(Register.STATUS) & Status.RUNNING:
                return
            if self._cycle_limit is not None and cycles >= self._cycle_limit:
                raise DeviceError(f"the run did not end within {self._cycle_limit} cycles")

    def _run_for(self, cycles: int) -> int:
        return self._library.kaniwa_run(self._handle, Register.STATUS, Status.RUNNING, cycles)

    def _error(self, program_address: int) -> DeviceError:
        code = ErrorCode(self._get(Register.ERROR_CODE))
        index = self._get(Register.ERROR_INSTRUCTION)
        what = f"the device ended the run: {code.name} at instruction {index}"
        if code == ErrorCode.ILLEGAL_FIELD:
            values = decode(self.read(program_address + index * INSTRUCTION_BYTES,
                                      INSTRUCTION_BYTES))
            what += f", field {illegal_field(values) or 'that this config lacks'}"
        return DeviceError(what)

    def _counters(self, tag: int) -> dict[str, int]:
        self._set(Register.COUNTER_TAG, tag)
        return {name: self._get(Register.COUNTER_0 + i) for i, name in enumerate(COUNTERS)}

    def _get(self, register: int) -> int:
        return self._library.kaniwa_csr_read(self._handle, register)

    def _set(self, register: int, value: int) -> None:
        self._library.kaniwa_csr_write(self._handle, register, value)

    def _require(self) -> AcceleratorConfig:
        if self.config is None:
            raise DeviceError("the simulated device is closed or has no target yet")
        return self.config

    def _no_memory(self, what: str, address: int, count: int) -> DeviceError:
        return DeviceError(f"{what} of {count} bytes at {address:#x} is outside device memory")


@functools.cache
def _load(path: Path) -> ctypes.CDLL:
    """The shared object with the types of its functions."""
    library = ctypes.CDLL(str(path))
    handle, u8, u32, u64 = ctypes.c_void_p, ctypes.c_uint8, ctypes.c_uint32, ctypes.c_uint64
    double, text, truth = ctypes.c_double, ctypes.c_char_p, ctypes.c_bool
    for name, result, arguments in (
            ("open", handle, [u64, u32, u64, u32, u32, double, u64]),
            ("close", None, [handle]),
            ("reset", None, [handle]),
            ("csr_write", None, [handle, u8, u32]),
            ("csr_read", u32, [handle, u8]),
            ("run", u64, [handle, u8, u32, u64]),
            ("failed", truth, [handle]),
            ("trace", truth, [handle, text]),
            ("write", truth, [handle, u32, text, u64]),
            ("read", truth, [handle, u32, text, u64])):
        function = getattr(library, f"kaniwa_{name}")
        function.restype, function.argtypes = result, arguments
    return library
