"""The simulated accelerator behind its Wishbone slave, as a window for the drivers."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import DeviceError
from kaniwa.isa.bus import window_bytes
from kaniwa.sim.device.verilate import SHIM, Progress, build_library

__all__ = ["SimulatedWindow"]

SOURCE = SHIM[0].with_name("bus_shim.cpp")
WORD = 4
ALL_BYTES = 15


class SimulatedWindow:
    """Each access is one of the bus; the core's clock runs during accesses alone.

    The first one of a config builds it, which takes minutes; ``progress`` hears of it. ``options``
    go to the BusAccelerator. Raises DeviceError where the slave refuses an access or does not
    answer.
    """

    def __init__(self, config: AcceleratorConfig, progress: Progress | None = None,
                 sources: Sequence[Path] = (SOURCE,), **options: Any) -> None:
        from kaniwa.hw.bus.bus_accelerator import BusAccelerator
        from kaniwa.hw.verilog import to_verilog

        path = build_library(to_verilog(BusAccelerator(config, "wishbone", **options), "core"),
                             config, progress=progress, sources=sources)
        self.size = window_bytes(config.memory_bytes)
        self._library = _load(str(path))
        self._handle = self._library.kaniwa_bus_open()
        self._close = weakref.finalize(self, self._library.kaniwa_bus_close, self._handle)

    @property
    def interrupt(self) -> bool:
        """The interrupt line."""
        return bool(self._library.kaniwa_bus_interrupt(self._handle))

    def read32(self, offset: int) -> int:
        """The word at ``offset``."""
        return self._access(offset, False, ALL_BYTES, 0)

    def write32(self, offset: int, value: int) -> None:
        """Write the word at ``offset``."""
        self._access(offset, True, ALL_BYTES, value)

    def write8(self, offset: int, value: int) -> None:
        """Write the byte at ``offset``."""
        lane = offset % WORD
        self._access(offset, True, 1 << lane, value << 8 * lane)

    def read_bytes(self, offset: int, count: int) -> bytes:
        """``count`` bytes from any ``offset`` on."""
        start = offset - offset % WORD
        data = b"".join(self.read32(at).to_bytes(WORD, "little")
                        for at in range(start, offset + count, WORD))
        return data[offset - start:][:count]

    def write_bytes(self, offset: int, data: bytes) -> None:
        """Write ``data`` from any ``offset`` on."""
        at, end = offset, offset + len(data)
        while at < end:
            rest = data[at - offset:]
            if at % WORD or len(rest) < WORD:
                self.write8(at, rest[0])
                at += 1
            else:
                self.write32(at, int.from_bytes(rest[:WORD], "little"))
                at += WORD

    def close(self) -> None:
        """The accelerator goes on being there, as a core on a bus does."""

    def _access(self, offset: int, write: bool, select: int, value: int) -> int:
        data = ctypes.c_uint32(value)
        result = self._library.kaniwa_bus_access(self._handle, offset // WORD, write, select,
                                                 ctypes.byref(data))
        if result:
            what = f"{'write' if write else 'read'} at {offset:#x} of the window"
            raise DeviceError(f"the bus refused a {what}" if result == 1
                              else f"no answer to a {what}")
        return data.value


def _load(path: str) -> ctypes.CDLL:
    library = ctypes.CDLL(path)
    handle, word = ctypes.c_void_p, ctypes.c_uint32
    library.kaniwa_bus_open.restype = handle
    library.kaniwa_bus_close.argtypes = library.kaniwa_bus_interrupt.argtypes = [handle]
    library.kaniwa_bus_access.argtypes = [handle, word, ctypes.c_int, word, ctypes.POINTER(word)]
    return library
