"""The cell unit: its arithmetic, which cells it has, and what of its instructions is refused."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.graphs.inferences import assert_equal_golden
from builders.graphs.lstm_case import lstm_graph

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.compiler.recurrent.cell_unit import sums_come_first
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.data.inputs import load_inputs, recorded_inputs
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.emulator.core import Emulator
from kaniwa.emulator.memory import EmulatedMemory, UnitMemory
from kaniwa.errors import CompileError, ConfigError, DeviceError, ProgramError
from kaniwa.golden.numbers.fixedpoint16 import logistic, tanh
from kaniwa.graph import Graph
from kaniwa.importers import load_model
from kaniwa.isa import Opcode, encode
from kaniwa.program.program import Program
from kaniwa.program.summary import summary
from kaniwa.sim.benches.units.cell.cell_sequences import random_sequence
from kaniwa.units.cell import emulator, isa
from kaniwa.units.cell.device import run_sequence

BASE = PRESETS["base_recurrent"]


def is_one_instruction(program: Program, sequences: int = 1) -> bool:
    """Whether each LSTM is a CELL, and a copy of its input at most."""
    kinds = [program.instructions[i]["opcode"] for layer in program.layers
             if layer.op == "UNIDIRECTIONAL_SEQUENCE_LSTM" for i in layer.instructions]
    return kinds.count(Opcode.CELL) == sequences and Opcode.VECTOR not in kinds


def goes_on_as_golden(graph: Graph, inputs: np.ndarray, **changes: Any) -> Program:
    """One inference after the other on the emulated device; the program."""
    config = replace(BASE, **changes)
    session = Session(compile(graph, config, require_accelerator=True),
                      devices.open("emulator", config))
    assert_equal_golden(graph, session, inputs)
    return session.program


def test_functions_of_all_arguments_are_goldens() -> None:
    a = np.arange(-32768, 32768)
    np.testing.assert_array_equal(emulator._logistic(a), logistic(a))
    for bits in range(7):
        np.testing.assert_array_equal(emulator._tanh(a, bits), tanh(a, bits))


def test_random_sequences_are_goldens() -> None:
    rng = random.Random(3)
    for _ in range(100):
        sequence, memory = random_sequence(rng, 0, BASE.memory_bytes), EmulatedMemory(BASE, False)
        image, v = bytearray(BASE.memory_bytes), sequence.values
        sequence.write(image, 0)
        image[:isa.DESCRIPTOR_BYTES] = isa.encode(v)
        memory.view(0, len(image))[:] = np.frombuffer(image, np.uint8)
        run_sequence(UnitMemory(memory, ()), {"parameter_address": 0,
                                              "parameter_bytes": isa.DESCRIPTOR_BYTES})
        rows, cell = sequence.results()
        parts = [(v["output_address"] + t * v["output_pitch"], row.astype("<i1"))
                 for t, row in enumerate(rows)]
        for at, data in (*parts, (v["last_hidden"], rows[-1].astype("<i1")),
                         (v["last_cell"], cell.astype("<i2"))):
            image[at:at + data.nbytes] = data.tobytes()
        assert memory.view(0, len(image)).tobytes() == image, v


@pytest.mark.parametrize("steps, depth, count, power, clip, time_major", [
    (5, 28, 20, -11, 10.0, False), (1, 3, 1, -12, 0.0, False), (7, 40, 64, -10, 0.0, True),
    (3, 130, 24, -12, 1.5, False), (4, 9, 16, -9, 0.0, True), (2, 700, 3, -11, 0.0, False),
    (2, 5, 256, -9, 3.0, True), (30, 1, 33, -11, 0.0, False), (6, 12, 20, -13, 0.0, False),
    (5, 9, 24, -15, 0.5, True), (1, 3, 1024, -14, 0.0, False)])
def test_an_lstm_is_one_instruction_and_carries_its_state(
        steps: int, depth: int, count: int, power: int, clip: float, time_major: bool) -> None:
    rng = np.random.default_rng(steps * depth)
    graph = lstm_graph(rng, steps, depth, count, time_major=time_major, power=power, clip=clip)
    shape = graph.tensors[0].shape
    program = goes_on_as_golden(graph, np.stack([
        rng.integers(-128, 128, shape), np.full(shape, -128), np.full(shape, 127),
        rng.integers(-20, 20, shape)]), memory_bytes=1 << 19 if count < 1024 else 1 << 23)
    assert is_one_instruction(program) and program.resident
    assert program.macs == steps * 4 * count * (depth + count)
    assert steps in {row["steps"] for row in summary(program)["layers"]}


@pytest.mark.parametrize("count", [1, 3, 4, 20, 64])
@pytest.mark.parametrize("power", [-15, -12, -11, -9])
def test_extreme_weights_and_inputs(count: int, power: int) -> None:
    """All of them the largest of either sign; scales such that arguments saturate, and not."""
    rng = np.random.default_rng(count - power)
    graph = lstm_graph(rng, 6, 13, count, time_major=False, power=power, weight_scale=rng.choice(
        [0.02, 0.002]), zero=int(rng.choice([-128, 127])))
    tensors = tuple(
        replace(t, data=rng.choice([-128, 127], t.shape).astype(np.int8))
        if t.data is not None and t.dtype == "int8" else t for t in graph.tensors)
    program = goes_on_as_golden(replace(graph, tensors=tensors), np.stack([
        rng.choice([-128, 127], (1, 6, 13)), np.full((1, 6, 13), -128), np.full((1, 6, 13), 127)]))
    assert is_one_instruction(program)


@pytest.mark.parametrize("steps, depth", [(5, 2), (5, 37), (2, 130), (1, 499)])
def test_rows_that_are_not_whole_words_are_copied(steps: int, depth: int) -> None:
    """What lies between them, of other tensors, meets weights of 0."""
    rng = np.random.default_rng(depth)
    graph = lstm_graph(rng, steps, depth, 6, time_major=False)
    program = goes_on_as_golden(graph, rng.integers(-128, 128, (3, 1, steps, depth)))
    assert is_one_instruction(program)
    whole = lstm_graph(rng, steps, -(-depth // 4) * 4, 6, time_major=False)
    assert len(program.instructions) == 1 + len(compile(whole, BASE).instructions)


@pytest.mark.parametrize("steps, depth, cells", [(20, 500, 6), (9, 96, 33), (40, 64, 64)])
def test_sums_with_long_inputs_are_the_arrays(steps: int, depth: int, cells: int) -> None:
    """A layer before the sequence, which then takes as long as its recurrent weights; where there
    is no memory for the sums the unit reads the input's weights in each step."""
    rng = np.random.default_rng(depth)
    graph = lstm_graph(rng, steps, depth, cells, time_major=False)
    inputs = rng.integers(-128, 128, (3, 1, steps, depth))
    program = goes_on_as_golden(graph, inputs)
    assert is_one_instruction(program) and len(program.layers) == 2
    short = goes_on_as_golden(graph, inputs, memory_bytes=program.local_bytes - BASE.read_bytes)
    assert is_one_instruction(short) and len(short.layers) == 1
    assert estimate(program).cycles < estimate(short).cycles


def test_sums_that_may_leave_32_bits_with_a_bytes_rounding_are_not_the_arrays() -> None:
    graph = lstm_graph(np.random.default_rng(0), 9, 97, 33, time_major=False)
    op = graph.ops[0]
    bias = next(i for i in op.inputs if i != -1 and graph.tensors[i].dtype == "int32")
    assert sums_come_first(graph, op, BASE)
    tensors = list(graph.tensors)
    tensors[bias] = replace(tensors[bias], data=np.full(33, 97 * 255 * 128 - (1 << 31), "i4"))
    assert not sums_come_first(replace(graph, tensors=tuple(tensors)), op, BASE)


@pytest.mark.parametrize("kib", [0, 2, 4, 8])
def test_parts_in_outside_memory(kib: int) -> None:
    rng = np.random.default_rng(kib)
    graph = lstm_graph(rng, 5, 30, 40, time_major=False)
    config = replace(BASE, memory_bytes=1024 * kib)
    program = compile(graph, config, outside="ideal", require_accelerator=True)
    assert is_one_instruction(program) and program.outside_bytes
    with devices.open("emulator", config, outside="ideal") as device:
        assert_equal_golden(graph, Session(program, device),
                            rng.integers(-128, 128, (3, 1, 5, 30)))


@pytest.mark.parametrize("zero", [-128, 0, 127])
def test_any_zero_point_of_the_hidden_state(zero: int) -> None:
    rng = np.random.default_rng(7)
    graph = lstm_graph(rng, 3, 5, 15, time_major=False, zero=zero)
    assert is_one_instruction(goes_on_as_golden(graph, rng.integers(-128, 128, (2, 1, 3, 5))))


def test_sequences_of_a_batch_are_an_instruction_each() -> None:
    rng = np.random.default_rng(6)
    graph = lstm_graph(rng, 3, 9, 13, time_major=False, batch=3)
    program = goes_on_as_golden(graph, rng.integers(-128, 128, (3, *graph.tensors[0].shape)))
    assert is_one_instruction(program, 3)


def test_every_tensor_of_a_materialized_lstm_is_there() -> None:
    graph = lstm_graph(np.random.default_rng(3), 4, 10, 12, time_major=False)
    session = Session(compile(graph, BASE, materialize=True), devices.open("emulator", BASE))
    x = np.random.default_rng(4).integers(-128, 128, (1, 4, 10)).astype(np.int8)
    session.run({"x": x})
    values = golden.run(graph, [x], keep=graph.ops[0].outputs)
    for i in graph.ops[0].outputs:
        np.testing.assert_array_equal(session.tensor(graph.tensors[i].name), values[i])


@pytest.mark.parametrize("form", [
    {"coupled": True}, {"peepholes": True}, {"projected": 7}])
def test_other_cells_are_the_vector_units(form: dict[str, Any]) -> None:
    rng = np.random.default_rng(2)
    graph = lstm_graph(rng, 4, 9, 19, time_major=False, **form)
    program = goes_on_as_golden(graph, rng.integers(-128, 128, (3, 1, 4, 9)))
    assert not is_one_instruction(program)
    assert all(v["opcode"] != Opcode.CELL for v in program.instructions)


@pytest.mark.parametrize("weight_scale", [0.2, 2.0, 20.0])
def test_sums_are_shifted_far_to_the_left(weight_scale: float) -> None:
    """By as much as LiteRT's int32 has room for."""
    rng = np.random.default_rng(2)
    graph = lstm_graph(rng, 4, 9, 19, time_major=False, weight_scale=weight_scale)
    program = goes_on_as_golden(graph, rng.integers(-128, 128, (3, 1, 4, 9)))
    assert is_one_instruction(program)


def test_more_cells_than_there_are_are_named() -> None:
    graph = lstm_graph(np.random.default_rng(1), 1, 4, 1025, time_major=False)
    with pytest.raises(CompileError, match="1025 cells are more than the 256 elements of a "
                                           "register; the cell unit has none with more than 1024"):
        compile(graph, replace(BASE, memory_bytes=1 << 24), require_accelerator=True)


def test_a_cell_that_does_not_fit_is_the_hosts() -> None:
    graph = lstm_graph(np.random.default_rng(1), 3, 28, 256, time_major=False)
    program = compile(graph, BASE)
    assert [op.kind for op in program.host_ops] == ["UNIDIRECTIONAL_SEQUENCE_LSTM"]


def test_the_digits_lstm_streams_its_weights(models: Path) -> None:
    """All of it on the device, within half as much again as its weights take at 16 bytes a cycle;
    digits go on with the state of those before."""
    path = models / "tflm_mnist_lstm.tflite"
    program, graph = compile(path, BASE, require_accelerator=True), load_model(path)
    weights = 28 * 4 * 20 * (28 + 20) // BASE.read_bytes
    assert is_one_instruction(program) and not program.host_ops and program.macs == 113120
    assert estimate(program).cycles <= 1.4 * weights
    session = Session(program, devices.open("emulator", BASE))
    digits = load_inputs(models / "inputs" / "mnist_1000.npz", program.inputs, True, 20)
    state: dict[int, np.ndarray] = {}
    for sample in (*recorded_inputs(path, program.inputs), *digits):
        values, outputs = golden.run(graph, sample, state=state), session.run(sample)
        for i in graph.outputs:
            np.testing.assert_array_equal(outputs[graph.tensors[i].name], values[i])


def legal() -> dict[str, int]:
    """A descriptor's values, of one cell and one step, in the first KiB."""
    values = {name: max(0, field.low) for name, field in isa.FIELDS.items()}
    return values | {"input_words": 1, "weight_address": 512, "input_address": 640,
                     "output_address": 656, "first_hidden": 672, "first_cell": 688,
                     "last_hidden": 672, "last_cell": 688}


def refusal(values: dict[str, int], **fields: int) -> str:
    """What the emulator says of a CELL with this descriptor, and these fields."""
    device = Emulator(replace(BASE, memory_bytes=1024))
    device.write(0, encode({"opcode": Opcode.CELL, "parameter_address": 256,
                            "parameter_bytes": isa.DESCRIPTOR_BYTES} | fields)
                 + encode({"opcode": Opcode.END}))
    code = bytearray(isa.DESCRIPTOR_BYTES)
    for field in isa.FIELDS.values():
        value = (values[field.name] & (1 << field.width) - 1) << field.lsb
        for byte in range(4):
            code[4 * field.word + byte] |= value >> 8 * byte & 255
    device.write(256, bytes(code))
    with pytest.raises(DeviceError) as caught:
        device.run(0)
    return str(caught.value)


@pytest.mark.parametrize("change, message", [
    ({"cells": 0}, "VECTOR at instruction 0: cells of a CELL must be 1..1024, not 0"),
    ({"cells": 1025}, "cells of a CELL must be 1..1024, not 1025"),
    ({"steps": 0}, "steps of a CELL must be 1..65535, not 0"),
    ({"input_words": 1025}, "input_words of a CELL must be 0..1024, not 1025"),
    ({"admit_shift": 22}, "admit_shift of a CELL must be 15..21, not 22"),
    ({"clip": 0}, "clip of a CELL must be 1..32768, not 0"),
    ({"weight_address": 520}, "weight_address of a CELL must be a multiple of 16, not 520"),
    ({"input_pitch": 2}, "input_pitch of a CELL must be a multiple of 4, not 2"),
    ({"last_cell": 689}, "last_cell of a CELL must be a multiple of 2, not 689"),
    ({"weight_address": 1008}, "ADDRESS at instruction 0: bytes 0x3f0..0x41f leave the on-chip"),
    ({"output_address": 1024}, "ADDRESS at instruction 0: bytes 0x400..0x400 leave the on-chip"),
    ({"output_address": 520}, "ILLEGAL_FIELD at instruction 0: the output of a CELL overlaps "
                              "weights"),
    ({"output_address": 644, "steps": 2, "input_pitch": 4, "output_pitch": 16},
     "ILLEGAL_FIELD at instruction 0: the output of a CELL overlaps the input of step 1"),
    ({"output_address": 260}, "ILLEGAL_FIELD at instruction 0: byte 0x104 is written by a unit "
                              "and belongs to the program"),
])
def test_illegal_descriptors_are_refused(change: dict[str, int], message: str) -> None:
    assert message in refusal(legal() | change)


@pytest.mark.parametrize("fields, message", [
    ({"parameter_address": 264}, "parameter_address of CELL must be a multiple of 16, not 264"),
    ({"parameter_bytes": 112}, "parameter_bytes of CELL must be 128, not 112")])
def test_illegal_instructions_are_refused(fields: dict[str, int], message: str) -> None:
    assert message in refusal(legal(), **fields)


def test_without_the_unit_there_is_no_such_instruction() -> None:
    device = Emulator(PRESETS["base_vector"])
    device.write(0, encode({"opcode": Opcode.CELL}))
    with pytest.raises(DeviceError, match="ILLEGAL_OPCODE at instruction 0: opcode 3"):
        device.run(0)


def test_descriptors_are_checked_when_they_are_made() -> None:
    assert isa.decode(isa.encode(legal())) == legal()
    with pytest.raises(ProgramError, match="cells of a CELL must be 1..1024, not 1300"):
        isa.encode(legal() | {"cells": 1300})


@pytest.mark.parametrize("changes", [
    {"vector_unit": False}, {"read_bytes": 32}, {"requant_lanes": 4}, {"cell_unit": 1}])
def test_configs_that_cannot_have_the_unit(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="cell_unit"):
        replace(BASE, **changes)
