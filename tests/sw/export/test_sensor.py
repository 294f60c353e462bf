"""What the sensor ports are set to for a program, and the programs that they cannot feed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder

from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.errors import InputError, UnsupportedError
from kaniwa.export.sensor import SensorSetup, sensor_setup
from kaniwa.isa import Register
from kaniwa.isa.sensor import TABLE_INDEX_SHIFT, SensorControl, SensorRegister
from kaniwa.program.program import Program

BASE = PRESETS["base"]
SIZES = (SensorRegister.SENSOR_INPUT_ADDRESS, SensorRegister.SENSOR_INPUT_LENGTH,
         SensorRegister.SENSOR_OUTPUT_ADDRESS, SensorRegister.SENSOR_OUTPUT_LENGTH)


@pytest.fixture(scope="module")
def program() -> Program:
    b = GraphBuilder(3)
    x = b.tensor((1, 6, 5, 3))
    return compile(b.graph((x,), (b.conv(x, 7, (3, 3)),)), BASE)


def test_registers_are_those_of_the_program_and_enable_comes_last(program: Program) -> None:
    writes = list(sensor_setup(program).writes())
    values = dict(writes)
    given, made = program.inputs[0], program.outputs[0]
    assert [values[register] for register in SIZES] == [
        given.address, 6 * 5 * 3, made.address, made.bytes]
    assert values[Register.PROGRAM_ADDRESS] == program.address_of(program.runs[0])
    assert writes[-1] == (SensorRegister.SENSOR_CONTROL,
                          SensorControl.ENABLE | SensorControl.RUN)
    assert len(writes) == 6


def entries(setup: SensorSetup, table: bytes | None) -> tuple[list[int], int]:
    """The table as it is written, and SENSOR_CONTROL."""
    writes = list(setup.writes(SensorControl.COUNT, table))
    found = [value for register, value in writes if register == SensorRegister.SENSOR_TABLE]
    assert [value >> TABLE_INDEX_SHIFT for value in found] == list(range(len(found)))
    return [value & 255 for value in found], writes[-1][1]


def test_a_table_is_written_whole_and_switched_on(program: Program) -> None:
    setup = sensor_setup(program)
    table = np.random.default_rng(1).bytes(256)
    control = SensorControl.ENABLE | SensorControl.COUNT
    assert entries(setup, table) == ([*table], control | SensorControl.TABLE)
    assert entries(setup, None) == ([], control)
    with pytest.raises(InputError, match="has 255 bytes: give 256"):
        list(setup.writes(table=table[1:]))


def test_the_table_of_uint8_has_the_values_of_the_device(program: Program) -> None:
    given = program.inputs[0]
    tensor = dataclasses.replace(given, dtype="uint8")
    setup = SensorSetup(0, tensor, program.outputs[0])
    for table in (None, bytes(range(255, -1, -1))):
        found, control = entries(setup, table)
        device = [*tensor.to_device(np.frombuffer(table or bytes(range(256)), np.uint8))]
        assert found == device and control & SensorControl.TABLE


def two_inputs() -> Program:
    b = GraphBuilder(3)
    x, y = b.tensor((1, 4, 4, 8)), b.tensor((1, 4, 4, 8))
    return compile(b.graph((x, y), (b.conv(x, 4, (1, 1)), b.conv(y, 4, (1, 1)))), BASE)


def wholly_outside() -> Program:
    b = GraphBuilder(3)
    x = b.tensor((1, 4, 4, 8))
    config = PRESETS["xl"]
    return compile(b.graph((x,), (b.conv(x, 4, (1, 1)),)), config, outside="ideal")


def with_gaps() -> Program:
    b = GraphBuilder(3)
    x = b.tensor((1, 4, 4, 8))
    made = compile(b.graph((x,), (b.conv(x, 4, (1, 1)),)), BASE)
    (given,) = made.inputs
    spaced = dataclasses.replace(given, axes=((4, 64), (4, 16), (8, 1)))
    return dataclasses.replace(made, tensors=tuple(
        spaced if tensor is given else tensor for tensor in made.tensors))


@pytest.mark.parametrize(("made", "why"), [
    (two_inputs, "it has 2 inputs, not one"),
    (with_gaps, "its input has gaps between its elements"),
    (wholly_outside, "its input is outside; compile it for memory on chip")])
def test_what_the_ports_cannot_feed_is_told(made: Callable[[], Program], why: str) -> None:
    with pytest.raises(UnsupportedError, match=f"the sensor ports cannot feed this model: {why}"):
        sensor_setup(made())


def test_a_model_that_the_host_computes_in_part_is_told(models: object) -> None:
    import kaniwa

    program = kaniwa.compile(f"{models}/mlperf_kws_dscnn.tflite", target="base")
    with pytest.raises(UnsupportedError, match="the host would run SOFTMAX"):
        sensor_setup(program)
