"""An accelerator at a sensor: simulated, and fed by samples alone once it is set up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

import kaniwa
from kaniwa.config import PRESETS
from kaniwa.data.labels import dequantize
from kaniwa.export.sensor import sensor_setup
from kaniwa.isa import Register
from kaniwa.isa.bus import memory_offset
from kaniwa.isa.sensor import SensorControl
from kaniwa.sim.device.sensor_window import SensorWindow

WATCHDOG = 10_000_000     # cycles without progress that end a run
LEVELS = 256


def from_uint8() -> bytes:
    """The table for samples of 0 to 255 and a model's input of -128 to 127."""
    return bytes((sample - LEVELS // 2) % LEVELS for sample in range(LEVELS))


class Sensing:
    """``model`` on the Verilated accelerator of ``base`` with a vector unit, which has the softmax,
    and ports for sensors."""

    def __init__(self, model: str, buffer: int = 0) -> None:
        config = replace(PRESETS["base"], vector_unit=True, name="base_sensor")
        self.program = kaniwa.compile(model, target=config)
        self._scores, = self.program.outputs
        self._window = SensorWindow(config, buffer)
        for address, data in self.program.images:
            self._window.write_bytes(memory_offset(config.memory_bytes) + address, data)
        self._window.write32(4 * Register.WATCHDOG, WATCHDOG)

    def start(self, table: bytes | None) -> None:
        """From here on samples alone start the program."""
        for register, value in sensor_setup(self.program).writes(SensorControl.RUN, table):
            self._window.write32(4 * register, value)

    def answers(self, frames: Sequence[bytes], most_cycles: int) -> tuple[np.ndarray, int]:
        """Probabilities [frames, classes] for frames of samples, and the cycles until the last."""
        found, cycles = self._window.stream(frames, len(frames), self._scores.bytes,
                                            cycles=most_cycles * len(frames))
        values = np.stack([self._scores.from_device(data)[0] for data in found])
        return dequantize(values, self._scores), cycles
