"""The simulated accelerator with ports for sensors: its window, and its streams."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Any

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import DeviceError
from kaniwa.sim.device.bus_window import SOURCE, SimulatedWindow
from kaniwa.sim.device.verilate import Progress

__all__ = ["SensorWindow"]

SENSOR_SOURCE = SOURCE.with_name("sensor_shim.cpp")
LAST = 0x100     # in a byte of a stream: tlast


class SensorWindow(SimulatedWindow):
    """A ``SimulatedWindow`` whose accelerator has a buffer of ``buffer`` bytes for samples."""

    def __init__(self, config: AcceleratorConfig, buffer: int = 0,
                 progress: Progress | None = None) -> None:
        super().__init__(config, progress, (SENSOR_SOURCE, SOURCE), sensor=buffer)
        self._stream: Any = self._library.kaniwa_sensor_stream
        size, values = ctypes.c_uint64, ctypes.POINTER(ctypes.c_uint16)
        self._stream.restype = size
        self._stream.argtypes = [ctypes.c_void_p, values, size, values, size, size,
                                 ctypes.c_uint32, ctypes.c_uint32, ctypes.POINTER(size),
                                 ctypes.POINTER(size)]

    def stream(self, frames: Iterable[bytes], results: int, size: int, *, cycles: int,
               pace: float = 1.0, seed: int = 1) -> tuple[list[bytes], int]:
        """Send frames, take ``results`` of ``size`` bytes; gives them, and the cycles until then.

        ``pace`` is the chance that a sample comes, and that a byte is taken, in a cycle. No access
        of the window is made. Raises DeviceError where that is not done within ``cycles``, or a
        result has not ``size`` bytes.
        """
        sent = np.array([value | LAST * (place == len(frame) - 1) for frame in frames
                         for place, value in enumerate(frame)], np.uint16)
        came = np.zeros(results * size, np.uint16)
        taken, given = ctypes.c_uint64(), ctypes.c_uint64()
        pointer = ctypes.POINTER(ctypes.c_uint16)
        took = self._stream(self._handle, sent.ctypes.data_as(pointer), len(sent),
                            came.ctypes.data_as(pointer), len(came), cycles,
                            round(256 * pace), seed, ctypes.byref(taken), ctypes.byref(given))
        if taken.value < len(sent) or given.value < len(came):
            raise DeviceError(f"{taken.value} of {len(sent)} samples were taken and {given.value} "
                              f"of {len(came)} bytes have come within {took} cycles")
        packets = came.reshape(results, size)
        if not np.array_equal(packets >> 8, [[0] * (size - 1) + [1]] * results):
            raise DeviceError(f"a result has not {size} bytes")
        return [row.astype(np.uint8).tobytes() for row in packets & 0xFF], int(took)
