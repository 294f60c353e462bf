"""The simulated core as a device: in this process, with its memories in C++."""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import logging
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from kaniwa.config import AcceleratorConfig, load_target
from kaniwa.driver.run_error import check_start, run_error
from kaniwa.errors import ConfigError, DeviceError
from kaniwa.isa import (
    COUNTERS,
    OUTSIDE,
    Command,
    ErrorCode,
    Register,
    Status,
)
from kaniwa.isa.counters import RunStatistics
from kaniwa.outside import Outside, parse_outside
from kaniwa.program.run_names import InstructionName
from kaniwa.report.states import LAYERS, UNITS_OBSERVED, state_words
from kaniwa.sim.device.verilate import Progress, core_library
from kaniwa.sim.device.waveform_views import view_paths, write_views
from kaniwa.stage import Stage
from kaniwa.timing import Timing
from kaniwa.units.register import units_of

__all__ = ["LEVEL", "SPAN", "Observer", "SimDevice"]

NO_MEMORY = Outside("none")
SLICE_CYCLES = 200_000               # between two looks for Ctrl-C
ABORT_CYCLES = 10_000                # the core's own limit for outstanding responses, and some
# A unit (by its place in UNITS_OBSERVED) in one state for ``cycles``, and the line buffer's bytes.
SPAN = np.dtype([("first", "u8"), ("cycles", "u4"), ("instruction", "u2"), ("unit", "u1"),
                 ("state", "u1")])
LEVEL = np.dtype([("cycle", "u8"), ("bytes", "u8")])
TEXT_TABLES = ("unit", "state", "layer", "operator", "mode", "of_layers", "counts_layers")


class Observer(Protocol):
    """Hears what the units of a simulated core do."""

    def take(self, spans: np.ndarray, levels: np.ndarray) -> None:
        """Spans (SPAN) that have ended, by unit in the order of time, and levels (LEVEL).

        The first cycle of each run is 0.
        """

logger = logging.getLogger(__name__)


class SimDevice:
    """A simulated accelerator; ``target`` may also be loaded later by ``load_target``.

    outside: memory at addresses with bit 31 set, as for ``compile``; by default ideal where the
    config has no on-chip memory, else none until a program needs some. stalls: chance that a
    memory request or response waits in a cycle, drawn from ``seed``. trace: file that gets a VCD
    waveform, with save files of GTKWave and Surfer beside it. observer: hears what the units do in
    the cycles of each run. watchdog: cycles without progress before a run is ended. cycle_limit: of
    a run.
    Building the core takes up to minutes the first time; ``progress`` hears of it. The attribute
    of that name may be set to what is to hear of long runs.
    """

    name = "sim"

    def __init__(self, target: str | Path | AcceleratorConfig | None = None, *,
                 outside: str | None = None, stalls: float = 0.0, seed: int = 0,
                 trace: str | Path | None = None, observer: Observer | None = None,
                 watchdog: int = 100_000, cycle_limit: int | None = None,
                 progress: Progress | None = None) -> None:
        if not 0.0 <= stalls < 1.0:
            raise ConfigError(f"stalls must be at least 0 and less than 1, not {stalls}")
        self.config: AcceleratorConfig | None = None
        self._outside = None if outside is None else _simulated(outside) or NO_MEMORY
        self._stalls, self._seed, self._trace = stalls, seed, trace
        self._observer = observer
        self._discard_trace = False
        self._watchdog, self._cycle_limit, self._building = watchdog, cycle_limit, progress
        self.progress: Callable[[str], None] = lambda text: None
        self._added: Outside | None = None
        self._close: weakref.finalize | None = None
        if target is not None:
            self.load_target(load_target(target))

    def load_target(self, config: AcceleratorConfig) -> None:
        """Make this a device of ``config``, with empty memory; nothing if it is one already."""
        if self.config == config:
            return
        self.close()
        if self._trace is not None:
            for path in (Path(self._trace), *view_paths(Path(self._trace))):
                _check_writable(path)
        library = _load(core_library(config, trace=self._trace is not None,
                                     observed=self._observer is not None,
                                     progress=self._building))
        outside = self._outside or self._added or (
            NO_MEMORY if config.memory_bytes else Outside("ideal"))
        timing = Timing.of(config, str(outside))
        handle = library.kaniwa_open(
            config.memory_bytes, config.memory_latency, 0 if outside == NO_MEMORY else OUTSIDE,
            timing.bus_bytes, timing.latency, _figures(timing), self._stalls, self._seed)
        if not handle:
            raise DeviceError("the simulated core's memory could not be allocated")
        self._library, self._handle = library, handle
        self._close = weakref.finalize(self, library.kaniwa_close, handle)
        self.config = config
        if self._trace is not None:
            self._show("unit", _unit_names(config))
            self._show("state", state_words())
            self._show("counts_layers", [
                str(int(counted == LAYERS)) for counted in UNITS_OBSERVED.values()])
            library.kaniwa_trace(handle, str(self._trace).encode())
        if self._get(Register.CONFIG_HASH_LOW) != int(config.hash, 16) & 0xFFFF_FFFF:
            raise DeviceError(f"the simulated core is not one of {config.name}: "
                              "empty the cache folder")
        logger.info("the simulated core of %s is open, outside memory %s", config.name, outside)

    def add_outside(self, kind: str) -> None:
        """Get outside memory of ``kind``, unless it was said what there is; memory is then empty.
        """
        if self._outside is not None:
            return
        added = _simulated(kind)
        if self._added != added and self.config is not None:
            config, self._added = self.config, added
            self.close()
            self.load_target(config)

    def close(self) -> None:
        """Give the simulated core up; a second call does nothing."""
        self.config = None
        if self._close is not None and self._close.alive:
            self._close()
            if self._trace is not None:
                self._finish_trace(Path(self._trace))

    def _finish_trace(self, path: Path) -> None:
        """Write the save files beside a waveform; nothing stays of a run that never began."""
        if self._discard_trace or not path.exists() or not path.stat().st_size:
            path.unlink(missing_ok=True)
        else:
            write_views(path)

    def __enter__(self) -> SimDevice:
        return self

    def __exit__(self, *raised: object) -> None:
        # What the device found wrong is to be seen in the waveform; another end leaves half of one.
        self._discard_trace = bool(raised) and not isinstance(raised[1], DeviceError | None)
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

    def name_instructions(self, named: Callable[[], Sequence[InstructionName]]) -> None:
        """Give a waveform, if there is one, the names of the next run's instructions."""
        self._require()
        if self._trace is None:
            return
        names = named()
        self._show("layer", [name.layer for name in names])
        self._show("operator", [name.operator for name in names])
        self._show("mode", [name.mode for name in names])
        self._show("of_layers", [name.layer for name in names if name.mode])

    def _show(self, table: str, texts: Sequence[str]) -> None:
        """Set a table of a waveform's texts, which have no spaces there."""
        lines = ["".join(c if "!" <= c <= "~" else "_" for c in text) for text in texts]
        self._library.kaniwa_texts(self._handle, TEXT_TABLES.index(table),
                                   "".join(f"{line}\n" for line in lines).encode())

    def run(self, program_address: int, tags: Iterable[int] = ()) -> RunStatistics:
        """Run the program to its END; counters of ``tags``. Raises DeviceError if it fails."""
        config = self._require()
        check_start(program_address, config)
        began = time.monotonic()
        if self._observer is not None:
            self._library.kaniwa_observe(self._handle)
        self._set(Register.PROGRAM_ADDRESS, program_address)
        self._set(Register.WATCHDOG, self._watchdog)
        self._library.kaniwa_start(self._handle)
        self._set(Register.CONTROL, Command.RUN)
        try:
            self._wait_for_end()
        except BaseException:
            self.abort()
            raise
        finally:
            self._end_observation()
        if self._get(Register.STATUS) & Status.ERROR:
            raise self._error(program_address)
        cycles, seconds = self._get(Register.CYCLES), time.monotonic() - began
        logger.debug("a run of %d cycles took %.3f s", cycles, seconds)
        return RunStatistics(
            cycles=cycles, retired=self._get(Register.RETIRED),
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
            self._report_observed()
            self.progress(Stage(f"{cycles:,} cycles", cycles, unit="cycles"))
            if self._library.kaniwa_failed(self._handle):
                raise DeviceError("an assertion of the simulated core failed (see above)")
            if not self._get(Register.STATUS) & Status.RUNNING:
                return
            if self._cycle_limit is not None and cycles >= self._cycle_limit:
                raise DeviceError(f"the run did not end within {self._cycle_limit} cycles")

    def _end_observation(self) -> None:
        if self._observer is not None:
            self._library.kaniwa_observe_end(self._handle)
            self._report_observed()

    def _report_observed(self) -> None:
        """Give the observer what has ended since the last time."""
        if self._observer is None:
            return
        counts = (ctypes.c_uint64 * 2)()
        self._library.kaniwa_observed(self._handle, None, None, counts)
        spans, levels = np.zeros(counts[0], SPAN), np.zeros(counts[1], LEVEL)
        self._library.kaniwa_observed(
            self._handle, spans.ctypes.data, levels.ctypes.data, counts)
        self._observer.take(spans, levels)

    def _run_for(self, cycles: int) -> int:
        return self._library.kaniwa_run(self._handle, Register.STATUS, Status.RUNNING, cycles)

    def _error(self, program_address: int) -> DeviceError:
        code = ErrorCode(self._get(Register.ERROR_CODE))
        return DeviceError(run_error(code, self._get(Register.ERROR_INSTRUCTION), program_address,
                                     self._require(), self.read))

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


def _unit_names(config: AcceleratorConfig) -> list[str]:
    """Names in the order of UNITS_OBSERVED, "" for a unit that the config does not have."""
    names = dict.fromkeys(UNITS_OBSERVED, "")
    shown = {"store": not config.compact, "operand": not config.compact and config.elementwise,
             "units": False}
    names |= {unit: unit for unit in UNITS_OBSERVED if shown.get(unit, True)}
    if config.runs_units:
        names["units"] = "_".join(unit.command.name.lower() for unit in units_of(config))
    return list(names.values())


def _simulated(outside: str) -> Outside | None:
    """The outside memory of that name; raises ConfigError for one that is not simulated."""
    memory = parse_outside(outside)
    if memory is not None and memory.module:
        raise ConfigError(
            f"outside memory '{outside}': the simulated core has no LiteDRAM, which is simulated "
            "in a SoC by LiteX (examples/litex_soc); give the device sdram,part=NAME, or ideal")
    return memory


def _figures(timing: Timing) -> ctypes.Array[ctypes.c_uint32] | None:
    """An SDRAM chip's figures as the simulated core takes them."""
    if timing.chip is None:
        return None
    numbers = dataclasses.astuple(timing.chip)
    return (ctypes.c_uint32 * len(numbers))(*numbers)


def _check_writable(path: Path) -> None:
    """Raise DeviceError where ``path`` cannot be written; no file is left where there was none."""
    known = path.exists()
    try:
        with path.open("ab"):
            pass
        if not known:
            path.unlink()
    except OSError as error:
        raise DeviceError(f"{path}: cannot be written ({error.strerror})") from None


@functools.cache
def _load(path: Path) -> ctypes.CDLL:
    """The shared object with the types of its functions."""
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise DeviceError(f"the simulated core cannot be loaded: {error}; empty the cache folder "
                          "(kaniwa cache --clear)") from None
    handle, u8, u32, u64 = ctypes.c_void_p, ctypes.c_uint8, ctypes.c_uint32, ctypes.c_uint64
    double, text, truth = ctypes.c_double, ctypes.c_char_p, ctypes.c_bool
    observation: list[tuple[str, Any, list[Any]]] = [   # of an observed core, and of one with trace
        ("observe", None, [handle]),
        ("observe_end", None, [handle]),
        ("observed", None, [handle, handle, handle, ctypes.POINTER(u64)]),
        ("texts", None, [handle, u32, text])]
    for name, result, arguments in (
            *(entry for entry in observation if hasattr(library, f"kaniwa_{entry[0]}")),
            ("open", handle, [u64, u32, u64, u32, u32, ctypes.POINTER(u32), double, u64]),
            ("start", None, [handle]),
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
