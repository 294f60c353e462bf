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
    and ports for sensors. From here on samples alone start the program.

    ``table``: values of the model's input for samples, which are such values without it.
    ``meanwhile``: samples of the next frame are taken during a run, into a buffer.
    """

    def __init__(self, model: str, table: bytes | None = None, meanwhile: bool = False) -> None:
        config = replace(PRESETS["base"], vector_unit=True, name="base_sensor")
        self.program = kaniwa.compile(model, target=config)
        setup = sensor_setup(self.program)
        self._scores = setup.output
        self._window = SensorWindow(config, setup.input.bytes if meanwhile else 0)
        for address, data in self.program.images:
            self._window.write_bytes(memory_offset(config.memory_bytes) + address, data)
        self._window.write32(4 * Register.WATCHDOG, WATCHDOG)
        for register, value in setup.writes(SensorControl.RUN, table):
            self._window.write32(4 * register, value)

    def answers(self, frames: Sequence[bytes], most_cycles: int) -> tuple[np.ndarray, int]:
        """Probabilities [frames, classes] for frames of samples, and the cycles until the last."""
        found, cycles = self._window.stream(frames, len(frames), self._scores.bytes,
                                            cycles=most_cycles * len(frames))
        values = np.stack([self._scores.from_device(data)[0] for data in found])
        return dequantize(values, self._scores), cycles
