"""The vector program of ONNX's cells: all bits of the hidden state equal golden's, step by step."""

from __future__ import annotations

import numpy as np
import pytest
from builders.graphs.cell_case import cell_graph, inputs_of

from kaniwa.config import PRESETS
from kaniwa.errors import ProgramError
from kaniwa.golden.onnx import recurrent_fixed as fixed
from kaniwa.golden.registry import Call
from kaniwa.units.vector.emulator import VectorEmulator
from kaniwa.units.vector.kernels.elementary import row_pitch
from kaniwa.units.vector.kernels.onnx_cells import (
    Cell,
    CellPlaces,
    FirstState,
    Result,
    cell_program,
    cell_table,
)
from kaniwa.units.vector.kernels.recurrent import gate_pitch

STEPS = 12
SUMS, RECURRENT, TABLE, SCRATCH, DIGITS, ROWS, HIDDEN, STATE = (n << 17 for n in range(8))


class Unit:
    """An emulated unit, and where it has what."""

    def __init__(self, target: str) -> None:
        self.config = PRESETS[target]
        self.memory = np.full(1 << 20, 0xA5, np.uint8)
        self.emulator = VectorEmulator(self.config, self.memory)

    def put(self, address: int, values: np.ndarray | bytes) -> None:
        data = values if isinstance(values, bytes) else values.tobytes()
        self.memory[address:address + len(data)] = np.frombuffer(data, np.uint8)

    def bytes_at(self, address: int, count: int) -> np.ndarray:
        return self.memory[address:address + count].view(np.int8)

    def put_sums(self, address: int, sums: np.ndarray, pitch: int) -> None:
        """int32 [..., gates, pitch] of [..., gates, count]; what is between gates is anything."""
        padded = np.full((*sums.shape[:-1], pitch), 123456, np.int32)
        padded[..., :sums.shape[-1]] = sums
        self.put(address, padded)


@pytest.mark.parametrize("target", ["base", "small"])
@pytest.mark.parametrize("count", [1, 7, 16, 20, 61])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("states", ["constant", "computed", "mixed"])
@pytest.mark.parametrize("spread", [0.1, 3.0])
def test_steps(target: str, count: int, kind: str, states: str, spread: float) -> None:
    rng, unit = np.random.default_rng(count), Unit(target)
    result = "Y_c" if kind == "LSTM" and count % 2 else "Y"
    graph = cell_graph(kind, (STEPS, 1, 9), count, rng, states=states, spread=spread,
                       result=result, step=0.011, zero_point=3, bounds=(-70, 60))
    (op,), given = graph.ops, inputs_of(graph, count)[0]
    values = [graph.tensors[i].data if i not in graph.inputs else given[graph.tensors[i].name]
              for i in op.inputs]
    call = Call(graph, op, values)
    numbers = fixed.cell_numbers(call)
    assert numbers is not None
    golden, gates = fixed.CellSteps(call, 0, numbers), {"LSTM": 4, "GRU": 3}[kind]
    halves = (numbers.hidden, numbers.cell)
    first = [None if half is None else FirstState(call.quantization(i).zero_point, half)
             for i, half in zip((4, 5), halves, strict=True)]
    cell = Cell(count, gates, numbers.fraction, numbers.inputs, numbers.high, numbers.low,
                numbers.cell_bits, Result(result == "Y_c", *numbers.result, 3, -70, 60),
                result == "Y", (), *first)
    pitch, digit_pitch = gate_pitch(unit.config, count, gates), row_pitch(unit.config, count) + 16
    constants = [s[0] for s in fixed.first_states(call, 0, numbers)]
    constants = [0 * c + 99 if half else c for c, half in zip(constants, first, strict=True)]
    unit.put(TABLE, cell_table(unit.config, cell, fixed.tangent_table(), numbers.biases,
                               numbers.late, *constants))
    for address, name in ((HIDDEN, "h"), (STATE, "c")):
        if name in given:
            unit.put(address, given[name])
    x = given["x"].astype(np.int64)[:, 0] - call.quantization(0).zero_point
    sums = x @ fixed.centered(call, 1, 0).T
    unit.put_sums(SUMS, sums.reshape(STEPS, gates, count), pitch)
    program, again, _ = cell_program(unit.config, cell, CellPlaces(
        SUMS, RECURRENT, TABLE, SCRATCH, DIGITS, digit_pitch, ROWS, False, HIDDEN, STATE))
    unit.emulator.run(program, 0)
    row = row_pitch(unit.config, count)
    for step in range(STEPS + 1):
        digits = np.stack(fixed.digits(golden.hidden[0]))
        for number, expected in enumerate(digits):
            found = unit.bytes_at(DIGITS + number * digit_pitch, count)
            np.testing.assert_array_equal(found, expected, f"step {step}, digit {number}")
        if step == STEPS:
            break
        products = digits @ fixed.centered(call, 2, 0).T
        unit.put_sums(RECURRENT, products.reshape(3, gates, count), pitch)
        unit.emulator.run((), again)
        golden.step(step)
        state = golden.state if result == "Y_c" else golden.hidden
        multiplier, right = numbers.result
        scaled = fixed.multiply(state[0], multiplier)
        expected = np.clip(((scaled + (1 << right - 1)) >> right) + 3, -70, 60)
        place = ROWS + (step * row if result == "Y" else 0)
        np.testing.assert_array_equal(unit.bytes_at(place, count), expected, f"step {step}")


def test_more_cells_than_a_register_has_elements() -> None:
    cell = Cell(65, 3, 24, (1, 0), (1, 0), (1, 0), 25, Result(False, 1, 8, 0, -128, 127))
    with pytest.raises(ProgramError, match="65 cells are more than the 64 elements of a register"):
        cell_program(PRESETS["small"], cell, CellPlaces(*(0,) * 7))
