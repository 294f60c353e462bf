"""The simulated accelerator behind its byte streams, as a transport for the host's link."""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import DeviceError
from kaniwa.sim.device.verilate import SHIM, Progress, build_library

__all__ = ["StreamTransport", "PACE"]

SOURCE = SHIM[0].with_name("stream_shim.cpp")
CLOCK_HZ = 25_000_000
SPACING = 50                       # cycles a byte of the host's: a UART's fastest
PACE = CLOCK_HZ // SPACING
ROOM = 4096
COUNTER_TAGS = 64


class StreamTransport:
    """Time is the accelerator's: reading runs it until a byte comes or the time is over.

    The first one of a config builds it, which takes minutes; ``progress`` hears of it. ``options``
    go to the Accelerator; with several ``cores`` it is these behind one link. ``spacing``: cycles
    from a byte of the host's to the next one at least.
    """

    def __init__(self, config: AcceleratorConfig, progress: Progress | None = None, *,
                 cores: int = 1, spacing: int = SPACING, **options: Any) -> None:
        from kaniwa.hw.accelerator import Accelerator
        from kaniwa.hw.cores import Cores
        from kaniwa.hw.verilog import to_verilog

        options |= {"pace": PACE, "clock_hz": CLOCK_HZ, "counter_tags": COUNTER_TAGS}
        accelerator = (Accelerator(config, **options) if cores == 1
                       else Cores(config, cores, **options))
        path = build_library(to_verilog(accelerator, "core"), config, progress=progress,
                             sources=[SOURCE])
        self.name = f"simulated {config.name}"
        self.pace: float | None = float(PACE)
        self._spacing = spacing
        self._library = _load(str(path))
        self._handle = self._library.kaniwa_stream_open()
        self._close = weakref.finalize(self, self._library.kaniwa_stream_close, self._handle)
        self._pending = b""
        self._out = ctypes.create_string_buffer(ROOM)
        self._cycles = 0

    def write(self, data: bytes) -> None:
        self._pending += data

    def read(self, seconds: float) -> bytes:
        taken, given = ctypes.c_uint64(), ctypes.c_uint64()
        self._cycles += self._library.kaniwa_stream_run(
            self._handle, self._pending, len(self._pending), self._spacing,
            max(1, round(seconds * CLOCK_HZ)), self._out, ROOM, ctypes.byref(taken),
            ctypes.byref(given))
        if self._library.kaniwa_stream_failed(self._handle):
            raise DeviceError(f"{self.name}: an assertion failed (see above)")
        self._pending = self._pending[taken.value:]
        return self._out.raw[:given.value]

    def now(self) -> float:
        return self._cycles / CLOCK_HZ

    def reset(self) -> None:
        """As the board's reset button; memory keeps its contents."""
        self._library.kaniwa_stream_reset(self._handle)

    def close(self) -> None:
        """The accelerator goes on being there, as a board does."""
        self._pending = b""


def _load(path: str) -> ctypes.CDLL:
    library = ctypes.CDLL(path)
    handle, u64 = ctypes.c_void_p, ctypes.c_uint64
    count = ctypes.POINTER(u64)
    library.kaniwa_stream_open.restype = handle
    library.kaniwa_stream_close.argtypes = library.kaniwa_stream_reset.argtypes = [handle]
    library.kaniwa_stream_failed.argtypes = [handle]
    library.kaniwa_stream_failed.restype = ctypes.c_bool
    library.kaniwa_stream_run.restype = u64
    library.kaniwa_stream_run.argtypes = [handle, ctypes.c_char_p, u64, ctypes.c_uint32, u64,
                                          ctypes.c_char_p, u64, count, count]
    return library
