"""Keyword spotting fed by samples alone, on the Verilated accelerator with ports for sensors."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from builders.c_driver import CDriver, Result, build, write_model

import kaniwa
from kaniwa.config import PRESETS
from kaniwa.driver.mapped_device import MappedDevice
from kaniwa.errors import DeviceError
from kaniwa.export.sensor import sensor_setup
from kaniwa.isa import Register
from kaniwa.isa.bus import memory_offset
from kaniwa.isa.sensor import SensorControl, SensorRegister, SensorState
from kaniwa.sim.device.sensor_window import SensorWindow

pytestmark = [pytest.mark.rtl, pytest.mark.long]

CONFIG = dataclasses.replace(PRESETS["small"], vector_unit=True, name="small_vector")
INFERENCES = 6
FRAME_BYTES = 490
WATCHDOG = 1_000_000
# Cycles between two runs, where the next samples are there: those of the buffer's words to
# memory, of the result from it, and of the accesses that start a run and look how it ended.
BETWEEN = 140
TABLE = bytes((sample - 128) & 255 for sample in range(256))


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


@pytest.fixture
def window() -> SensorWindow:
    return SensorWindow(CONFIG, FRAME_BYTES)


def samples(recordings: np.ndarray) -> list[bytes]:
    """The recordings' values plus 128, as a converter would give them."""
    return [(value.astype(np.int16) + 128).astype(np.uint8).tobytes() for value in recordings]


@pytest.mark.parametrize("pace", [1.0, 0.02])
def test_answers_to_samples_are_golden_without_an_access_in_between(
        program: kaniwa.Program, recordings: np.ndarray, golden: list[bytes],
        window: SensorWindow, pace: float) -> None:
    """Samples of the next frame come during a run; a frame that is cut short changes nothing."""
    for address, data in program.images:
        window.write_bytes(memory_offset(CONFIG.memory_bytes) + address, data)
    window.write32(4 * Register.WATCHDOG, WATCHDOG)
    for register, value in sensor_setup(program).writes(SensorControl.RUN, TABLE):
        window.write32(4 * register, value)
    frames = samples(recordings)
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


def test_c_driver_starts_and_stops_the_ports(
        program: kaniwa.Program, recordings: np.ndarray, golden: list[bytes],
        window: SensorWindow, tmp_path: Path) -> None:
    """Inferences by the processor before, between and behind those by samples."""
    driver = CDriver(build(tmp_path, [write_model(tmp_path, program)], ["-DKANIWA_SENSOR"]), window)

    def infer(number: int) -> None:
        answer = np.zeros((1, 12), np.int8)
        value = np.ascontiguousarray(recordings[number][None])
        assert driver.call("model_run", value, answer) == Result.OK
        assert answer.tobytes() == golden[number]

    assert driver.call("kaniwa_open") == driver.call("model_load") == Result.OK
    infer(0)
    for table, frames in ((np.frombuffer(TABLE, np.uint8), samples(recordings)),
                          (None, [value.tobytes() for value in recordings])):
        assert driver.call("model_sensor", table, SensorControl.RUN) == Result.OK
        found, _ = window.stream(frames[:2], 2, 12, cycles=700_000)
        assert found == golden[:2]
        assert driver.call("kaniwa_sensor_stop") == Result.OK
        infer(2)
    assert driver.call("model_sensor", None, SensorControl.RUN) == Result.OK
    assert driver.call("kaniwa_open") == Result.OK     # as the firmware does when it begins again
    assert window.read32(4 * SensorRegister.SENSOR_STATE) == SensorState.OFF
    assert driver.call("model_load") == Result.OK
    infer(1)
    assert driver.call("model_sensor", None, SensorControl.RUN) == Result.OK
    with MappedDevice("uio:simulated", CONFIG, window=window,
                      pause=lambda seconds: None) as device:
        session = kaniwa.Session(program, device)
        (answer,) = session.run([recordings[3][None]]).values()
        assert answer.tobytes() == golden[3]
