"""Keyword spotting fed by samples alone, on the Verilated accelerator with ports for sensors."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import kaniwa
from kaniwa.config import PRESETS
from kaniwa.errors import DeviceError
from kaniwa.generate.sensor import sensor_setup
from kaniwa.isa import Register
from kaniwa.isa.bus import memory_offset
from kaniwa.isa.sensor import SensorControl, SensorRegister

pytestmark = [pytest.mark.rtl, pytest.mark.long]

CONFIG = dataclasses.replace(PRESETS["small"], vector_unit=True, name="small_vector")
INFERENCES = 6
FRAME_BYTES = 490
WATCHDOG = 1_000_000
# Cycles between two runs, where the next samples are there: those of the buffer's words to
# memory, of the result from it, and of the accesses that start a run and look how it ended.
BETWEEN = 140


@pytest.fixture(scope="module")
def recordings(models: Path) -> np.ndarray:
    return np.load(models / "inputs" / "kws01_1000.npz")["x"][:INFERENCES]


@pytest.fixture(scope="module")
def program(models: Path) -> kaniwa.Program:
    return kaniwa.compile(models / "mlperf_kws_dscnn.tflite", target=CONFIG)


@pytest.fixture(scope="module")
def golden(program: kaniwa.Program, recordings: np.ndarray) -> list[bytes]:
    session = kaniwa.Session(program, kaniwa.open("golden"))
    return [next(iter(session.run([value[None]]).values())).tobytes() for value in recordings]


@pytest.mark.parametrize("pace", [1.0, 0.02])
def test_answers_to_samples_are_golden_without_an_access_in_between(
        program: kaniwa.Program, recordings: np.ndarray, golden: list[bytes], pace: float) -> None:
    """The samples of the next frame come during a run; a frame that is cut short changes nothing.

    Samples of the recordings' values plus 128, as a converter would give them, go through a table.
    """
    from kaniwa.sim.device.sensor_window import SensorWindow

    window = SensorWindow(CONFIG, FRAME_BYTES)
    for address, data in program.images:
        window.write_bytes(memory_offset(CONFIG.memory_bytes) + address, data)
    window.write32(4 * Register.WATCHDOG, WATCHDOG)
    table = bytes((value - 128) & 255 for value in range(256))
    for register, value in sensor_setup(program).writes(SensorControl.RUN, table):
        window.write32(4 * register, value)
    frames = [(value.astype(np.int16) + 128).astype(np.uint8).tobytes() for value in recordings]
    sent = [*frames[:2], frames[2][:100], *frames[2:]]
    found, cycles = window.stream(sent, INFERENCES, len(golden[0]), pace=pace,
                                  cycles=INFERENCES * 300_000)
    assert found == golden
    counts = [window.read32(4 * register) for register in (
        SensorRegister.SENSOR_FRAMES, SensorRegister.SENSOR_EARLY, SensorRegister.SENSOR_DROPPED)]
    assert counts == [INFERENCES, 1, 100]
    run = kaniwa.estimate(program).cycles
    assert window.read32(4 * Register.CYCLES) == run     # as without the samples that come in it
    if pace == 1.0:     # nothing is waited for but the first frame and the last result
        rest = cycles - INFERENCES * run - FRAME_BYTES
        assert 0 < rest < INFERENCES * BETWEEN
    with pytest.raises(DeviceError, match="490 of 490 samples were taken and 0 of 12 bytes"):
        window.stream(frames[:1], 1, 12, cycles=60_000)
