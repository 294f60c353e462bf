"""The part of a recurrent step that follows its matrix products, for the vector unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ProgramError
from kaniwa.units.vector.builder import Builder, Register
from kaniwa.units.vector.isa import Shift, Width
from kaniwa.units.vector.kernels.elementary import Rescaling, Scaling, row_pitch, table_words
from kaniwa.units.vector.kernels.fixedpoint import (
    LOGISTIC_16,
    ONE_16,
    TANH_16,
    Constants16,
    Spare,
    constants_16,
    logistic_16,
    rescale,
    sigmoid_16,
    tanh_16,
)

__all__ = ["LstmCell", "LstmPlaces", "gate_pitch", "gates_bytes", "lstm_program", "lstm_table",
           "why_no_lstm"]

GATES = ("input", "forget", "output", "cell")      # the order of their sums
Registers = tuple[Register, Register, Register]


@dataclass(frozen=True)
class LstmCell:
    """Properties that the steps of an UNIDIRECTIONAL_SEQUENCE_LSTM of ``count`` cells share.

    ``inputs`` and ``recurrent`` take the sums of each gate's products to Q3.12, those of GATES, or
    without the input gate, which then is 1 - the forget gate. The cell state has scale 2^``power``,
    -15 to -9; ``hidden`` takes o * tanh(c), Q0.30, to the hidden state, or to what is
    ``projected`` to a hidden state of so many elements. ``clip``: the largest |c|, 0 for none.
    ``peepholes``: for each gate but the cell one int16 [count], and what takes its products with
    the cell state to Q3.12.
    """

    count: int
    inputs: Sequence[Scaling]
    recurrent: Sequence[Scaling]
    power: int
    hidden: Rescaling
    clip: int = 0
    projected: int = 0
    peepholes: Sequence[tuple[Sequence[int], Scaling]] = ()

    @property
    def gates(self) -> tuple[str, ...]:
        """Their names, in the order of sums."""
        return GATES[-len(self.inputs):]


@dataclass(frozen=True)
class LstmPlaces:
    """Addresses; G gates, P is ``gate_pitch``, Q ``row_pitch``.

    ``sums``: int32 [steps, G, P] of the products with the input; with ``stepwise`` [G, P], new in
    each step. ``recurrent``: int32 [G, P], those with the hidden state, new in each step.
    ``table``: ``lstm_table``. ``gates``: room of ``gates_bytes``. ``before``: int16 [count], the
    first cell state. Each step writes the next row of ``rows``, int8 [steps, Q], what is done
    behind the last one ``cell``, int16 [count], and ``hidden``, int8 [count]. What is projected is
    written to ``rows``, int8 [Q], in each step, and ``last`` is the last hidden state.
    """

    sums: int
    recurrent: int
    table: int
    gates: int
    before: int
    cell: int
    hidden: int
    rows: int
    stepwise: bool = False
    last: int = 0


def gate_pitch(config: AcceleratorConfig, count: int, gates: int) -> int:
    """Elements from one gate to the next: int32 [``gates``, P] is of whole groups of lanes, and has
    each gate where a load can begin."""
    lanes = config.requant_lanes
    units = math.lcm(min(lanes, config.read_bytes // 4), lanes // math.gcd(lanes, gates))
    return -(-count // units) * units


def gates_bytes(config: AcceleratorConfig, cell: LstmCell) -> int:
    """Of int32 [G, P], with what a load of whole groups reads behind it; 0 where gates stay in
    registers."""
    if not _together(config, cell):
        return 0
    gates = len(cell.gates)
    return 4 * ((gates - 1) * gate_pitch(config, cell.count, gates)
                + row_pitch(config, cell.count))


def _together(config: AcceleratorConfig, cell: LstmCell) -> bool:
    """True where all gates are one pass: a register holds them, none waits for the cell state."""
    gates = len(cell.gates)
    return (not cell.peepholes
            and gates * gate_pitch(config, cell.count, gates) <= Builder(config).limit)


def why_no_lstm(config: AcceleratorConfig, cell: LstmCell) -> str | None:
    """Reason why the unit cannot do a cell, or None."""
    most = Builder(config).limit
    for count, what in ((cell.count, "cells"), (cell.projected, "elements of the hidden state")):
        if count > most:
            return f"{count} {what} are more than the {most} elements of a register"
    if not -15 <= cell.power <= -9:
        return f"a cell state of scale 2^{cell.power}; 2^-15 to 2^-9 are supported"
    scalings = (*cell.inputs, *cell.recurrent, cell.hidden.scaling,
                *(scaling for _, scaling in cell.peepholes))
    wrong = next((shift for _, shift in scalings if not -31 <= shift <= 30), None)
    return None if wrong is None else f"a rescaling by 2^{wrong}; 2^-31 to 2^30 are supported"


def lstm_table(config: AcceleratorConfig, cell: LstmCell) -> bytes:
    """Words for each element of the gates: multipliers, left shifts and right shifts of the sums
    of the input, then those of the hidden state, then what ``sigmoid_16`` wants to know. Where
    gates come one by one, these are the same for a whole gate; then it is the peepholes."""
    if not _together(config, cell):
        pad = row_pitch(config, cell.count) - cell.count
        return b"".join(table_words([*values, *[0] * pad]) for values, _ in cell.peepholes)
    pitch = gate_pitch(config, cell.count, len(cell.gates))
    columns = [column for scalings in (cell.inputs, cell.recurrent) for column in (
        [multiplier for multiplier, _ in scalings], [max(shift, 0) for _, shift in scalings],
        [max(-shift, 0) for _, shift in scalings])]
    columns += map(list, zip(*(TANH_16 if gate == "cell" else LOGISTIC_16
                               for gate in cell.gates), strict=True))
    return table_words([value for column in columns for value in column for _ in range(pitch)])


def lstm_program(config: AcceleratorConfig, cell: LstmCell,
                 places: LstmPlaces) -> tuple[bytes, int, int]:
    """c = f * c + i * g and h = o * tanh(c): a program that loads what all steps want, and the
    places in it from where a run does a step, and from where it stores the states.

    The cell state and the addresses stay in registers from one run to the next. Raises ProgramError
    where ``why_no_lstm`` has a reason.
    """
    problem = why_no_lstm(config, cell)
    if problem is not None:
        raise ProgramError(problem)
    k = Builder(config)
    state, value, result = k.vector(), k.vector(), k.vector()
    spare = (k.vector(), k.vector(), k.vector(), k.vector())
    kind = _Together if _together(config, cell) else _OneByOne
    constants = constants_16(k)
    gates = kind(k, config, cell, places, (state, value, result), spare, constants)
    before = k.pointer(places.before)
    k.length(cell.count)
    k.load(state, before, Width.INT16)
    k.release(before)
    hidden, to_cell, rows = (k.pointer(address) for address in (
        places.hidden, places.cell, places.rows))
    k.pause()
    again = k.place

    new, admitted, forget = gates.admitting()
    if admitted is None:
        k.subtract(spare[0], ONE_16, forget)
        admitted = spare[0]
    k.multiply(result, new, admitted)
    k.multiply(state, state, forget, Shift.AWAY_15)
    k.shift_right(state, result, 30 + cell.power, "away", plus=state)
    if cell.clip:      # within int16
        k.minimum(state, state, cell.clip)
        k.maximum(state, state, -cell.clip)
    else:
        _saturate(k, state)
    output = gates.output()
    tanh_16(k, result, state, spare, constants, fraction_bits=-cell.power)
    k.multiply(result, result, output)
    cell.hidden.write(k, result)
    k.store(result, rows, Width.INT8, 0 if cell.projected else row_pitch(config, cell.count))
    k.pause()
    behind = k.place

    k.store(state, to_cell, Width.INT16)
    if cell.projected:
        k.length(cell.projected)
        k.point(rows, places.last)
        k.load(result, rows, Width.INT8)
    k.store(result, hidden, Width.INT8)
    return k.finish(), again, behind


class _Together:
    """All gates in one register, so that their functions are one: each element has its numbers.

    Here and in ``_OneByOne``: made before the first step. In each step ``admitting`` gives the cell
    gate, the input gate, if there is one, and the forget gate, then ``output`` that of the new cell
    state, all in Q0.15; the length then is that of the cell state. ``registers``, the cell state, a
    value and a result, and ``spare``: all but the cell state are overwritten by each.
    """

    def __init__(self, k: Builder, config: AcceleratorConfig, cell: LstmCell, places: LstmPlaces,
                 registers: Registers, spare: Spare, constants: Constants16) -> None:
        self._k, self._cell = k, cell
        _, self._value, self._result = registers
        self._spare, self._constants = spare, constants
        self._pitch = gate_pitch(config, cell.count, len(cell.gates))
        self._elements = len(cell.gates) * self._pitch
        self._scales = [(k.vector(), k.vector(), k.vector()) for _ in range(2)]
        self._kinds = k.vector(), k.vector(), k.vector(), k.vector()
        table = k.pointer(places.table)
        k.length(self._elements)
        for register in (*self._scales[0], *self._scales[1], *self._kinds):
            k.load(register, table, Width.INT32, 4 * self._elements)
        k.release(table)
        self._sums, self._recurrent = k.pointer(places.sums), k.pointer(places.recurrent)
        self._step = 0 if places.stepwise else 4 * self._elements
        self._gates = {gate: k.pointer(places.gates + 4 * number * self._pitch)
                       for number, gate in enumerate(cell.gates)}

    def admitting(self) -> tuple[Register, Register | None, Register]:
        k, value, result = self._k, self._value, self._result
        k.length(self._elements)
        k.load(value, self._sums, Width.INT32, self._step)
        k.load(result, self._recurrent, Width.INT32)
        _rescale(k, value, self._scales[0], self._cell.inputs)
        k.shift_left(value, value, 16)      # limited to the 16 bits that it is above
        _rescale(k, result, self._scales[1], self._cell.recurrent)
        k.shift_right(value, value, 16, plus=result)
        sigmoid_16(k, result, value, self._kinds, self._spare, self._constants)
        k.store(result, self._gates[self._cell.gates[0]], Width.INT32)
        k.length(self._cell.count)
        # A load waits until all results are written: those behind each other wait once.
        places = {"cell": result, "input": self._spare[0], "forget": self._spare[1],
                  "output": value}
        for gate, register in places.items():
            if gate in self._gates:
                k.load(register, self._gates[gate], Width.INT32)
        return result, places["input"] if "input" in self._gates else None, places["forget"]

    def output(self) -> Register:
        return self._value


class _OneByOne:
    """A register for each gate, where one does not hold all, or some want the cell state."""

    ORDER = ("cell", "input", "forget", "output")

    def __init__(self, k: Builder, config: AcceleratorConfig, cell: LstmCell, places: LstmPlaces,
                 registers: Registers, spare: Spare, constants: Constants16) -> None:
        self._k, self._cell = k, cell
        self._state, self._value, self._result = registers
        self._spare, self._constants = spare, constants
        self._gates = {gate: k.vector() for gate in self.ORDER if gate in cell.gates}
        step = 4 * gate_pitch(config, cell.count, len(cell.gates))
        at = [cell.gates.index(gate) * step for gate in self._gates]
        self._steps = dict(zip(self._gates, np.diff([*at, at[0]]).tolist(), strict=True))
        self._sums, self._recurrent = (k.pointer(address + at[0]) for address in (
            places.sums, places.recurrent))
        self._row = 0 if places.stepwise else len(cell.gates) * step
        self._peepholes = {gate: (k.vector(), scaling) for gate, (_, scaling) in zip(
            cell.gates, cell.peepholes, strict=False)}
        if self._peepholes:
            table = k.pointer(places.table)
            k.length(cell.count)
            for register, _ in self._peepholes.values():
                k.load(register, table, Width.INT32, 4 * row_pitch(config, cell.count))
            k.release(table)

    def admitting(self) -> tuple[Register, Register | None, Register]:
        self._k.length(self._cell.count)
        for gate in self._gates:
            if gate != "output":
                self._compute(gate)
        return self._gates["cell"], self._gates.get("input"), self._gates["forget"]

    def output(self) -> Register:
        self._compute("output")
        return self._gates["output"]

    def _compute(self, gate: str) -> None:
        k, value, result, cell = self._k, self._value, self._result, self._cell
        number, step = cell.gates.index(gate), self._steps[gate]
        k.load(value, self._sums, Width.INT32, step + (self._row if gate == "output" else 0))
        k.load(result, self._recurrent, Width.INT32, step)
        rescale(k, value, value, *cell.inputs[number])
        _saturate(k, value)
        rescale(k, result, result, *cell.recurrent[number], plus=value)
        if gate in self._peepholes:
            _saturate(k, result)
            weights, scaling = self._peepholes[gate]
            k.multiply(value, weights, self._state)
            rescale(k, value, value, *scaling, plus=result)
            value, result = result, value
        function = tanh_16 if gate == "cell" else logistic_16
        function(k, self._gates[gate], result, self._spare, self._constants, limit=True)


def _rescale(k: Builder, d: Register, scales: Sequence[Register],
             scalings: Sequence[Scaling]) -> None:
    """MultiplyByQuantizedMultiplier by each element's own numbers."""
    multiplier, left, right = scales
    if any(shift > 0 for _, shift in scalings):
        k.shift_left(d, d, left)
    k.multiply(d, d, multiplier, Shift.UP_31)
    k.shift_right(d, d, right, "away")


def _saturate(k: Builder, d: Register) -> None:
    k.minimum(d, d, 32767)
    k.maximum(d, d, -32768)
