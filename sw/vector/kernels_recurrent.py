"""The part of a recurrent step that follows its matrix products, for the vector unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ProgramError
from kaniwa.vector.builder import Builder, Register
from kaniwa.vector.fixedpoint import (
    LOGISTIC_16,
    TANH_16,
    Constants16,
    Spare,
    constants_16,
    logistic_16,
    rescale,
    sigmoid_16,
    tanh_16,
)
from kaniwa.vector.isa import Shift, Width
from kaniwa.vector.kernels import Rescaling, Scaling, row_pitch, table_words

__all__ = ["GATES", "LstmCell", "LstmPlaces", "gate_pitch", "gates_bytes", "lstm_program",
           "lstm_table", "why_no_lstm"]

# Of each gate, the function: those of input, forget, output and cell.
FUNCTIONS = (LOGISTIC_16, LOGISTIC_16, LOGISTIC_16, TANH_16)
GATES = len(FUNCTIONS)
INPUT, FORGET, OUTPUT, CELL = range(GATES)


@dataclass(frozen=True)
class LstmCell:
    """What the steps of an UNIDIRECTIONAL_SEQUENCE_LSTM of ``count`` cells share.

    ``inputs`` and ``recurrent`` take the sums of each gate's products to Q3.12, input gate
    first. The cell state has scale 2^``power``, -15 to -10; ``hidden`` takes o * tanh(c), Q0.30, to
    the hidden state. ``clip``: the largest |c|, 0 for none.
    """

    count: int
    inputs: Sequence[Scaling]
    recurrent: Sequence[Scaling]
    power: int
    hidden: Rescaling
    clip: int = 0


@dataclass(frozen=True)
class LstmPlaces:
    """Addresses; P is ``gate_pitch``, Q ``row_pitch``.

    ``sums``: int32 [steps, GATES, P] of the products with the input; with ``stepwise`` [GATES, P],
    new in each step. ``recurrent``: int32 [GATES, P], those with the hidden state, new in each
    step. ``table``: ``lstm_table``. ``gates``: room of ``gates_bytes``. ``before``: int16 [count],
    the first cell state. Each step writes the next row of ``rows``, int8 [steps, Q], what is done
    behind the last one ``cell``, int16 [count], and ``hidden``, int8 [count].
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


def gate_pitch(config: AcceleratorConfig, count: int) -> int:
    """Elements from one gate to the next: int32 [GATES, P] is of whole groups of lanes, and has
    each gate where a load can begin."""
    lanes = config.requant_lanes
    units = max(min(lanes, config.read_bytes // 4), lanes // GATES)
    return -(-count // units) * units


def gates_bytes(config: AcceleratorConfig, count: int) -> int:
    """Of int32 [GATES, P], with what a load of whole groups reads behind it; 0 where gates stay in
    registers."""
    if not _together(config, count):
        return 0
    return 4 * ((GATES - 1) * gate_pitch(config, count) + row_pitch(config, count))


def _together(config: AcceleratorConfig, count: int) -> bool:
    """Whether a register holds all gates of as many cells."""
    return GATES * gate_pitch(config, count) <= Builder(config).limit


def why_no_lstm(config: AcceleratorConfig, cell: LstmCell) -> str | None:
    """What the unit cannot do of a cell, or None."""
    most = Builder(config).limit
    if cell.count > most:
        return f"{cell.count} cells are more than the {most} elements of a register"
    if not -15 <= cell.power <= -10:
        return f"a cell state of scale 2^{cell.power}; 2^-15 to 2^-10 are supported"
    wrong = next((shift for _, shift in (*cell.inputs, *cell.recurrent, cell.hidden.scaling)
                  if not -31 <= shift <= 30), None)
    return None if wrong is None else f"a rescaling by 2^{wrong}; 2^-31 to 2^30 are supported"


def lstm_table(config: AcceleratorConfig, cell: LstmCell) -> bytes:
    """Words for each element of the gates: multipliers, left shifts and right shifts of the sums
    of the input, then those of the hidden state, then what ``sigmoid_16`` wants to know. None where
    gates come one by one: they are the same for a whole gate."""
    if not _together(config, cell.count):
        return b""
    pitch = gate_pitch(config, cell.count)
    columns = [column for scalings in (cell.inputs, cell.recurrent) for column in (
        [multiplier for multiplier, _ in scalings], [max(shift, 0) for _, shift in scalings],
        [max(-shift, 0) for _, shift in scalings])]
    columns += map(list, zip(*FUNCTIONS, strict=True))
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
    kind = _Together if _together(config, cell.count) else _OneByOne
    constants = constants_16(k)
    gates = kind(k, config, cell, places, value, result, spare, constants)
    before = k.pointer(places.before)
    k.length(cell.count)
    k.load(state, before, Width.INT16)
    k.release(before)
    hidden, to_cell, rows = (k.pointer(address) for address in (
        places.hidden, places.cell, places.rows))
    k.pause()
    again = k.place

    gates.compute()
    k.length(cell.count)
    # A load waits until all results are written: those behind each other wait once.
    new, admitted, forget, output = (gates.read(gate, into) for gate, into in (
        (CELL, result), (INPUT, spare[0]), (FORGET, spare[1]), (OUTPUT, value)))
    k.multiply(result, new, admitted)
    k.multiply(state, state, forget, Shift.AWAY_15)
    k.shift_right(state, result, 30 + cell.power, "away", plus=state)
    if cell.clip:      # within int16
        k.minimum(state, state, cell.clip)
        k.maximum(state, state, -cell.clip)
    else:
        _saturate(k, state)
    tanh_16(k, result, state, spare, constants, fraction_bits=-cell.power)
    k.multiply(result, result, output)
    cell.hidden.write(k, result)
    k.store(result, rows, Width.INT8, row_pitch(config, cell.count))
    k.pause()
    behind = k.place

    k.store(state, to_cell, Width.INT16)
    k.store(result, hidden, Width.INT8)
    return k.finish(), again, behind


class _Together:
    """All gates in one register, so that their functions are one: each element has its numbers.

    Here and in ``_OneByOne``: made before the first step; ``compute`` is part of each step,
    ``read`` gives a gate in Q0.15, in the register ``into`` or one of its own. ``value``,
    ``result`` and ``spare`` are overwritten.
    """

    def __init__(self, k: Builder, config: AcceleratorConfig, cell: LstmCell, places: LstmPlaces,
                 value: Register, result: Register, spare: Spare,
                 constants: Constants16) -> None:
        self._k, self._cell = k, cell
        self._value, self._result = value, result
        self._spare, self._constants = spare, constants
        self._pitch = gate_pitch(config, cell.count)
        self._scales = [(k.vector(), k.vector(), k.vector()) for _ in range(2)]
        self._kinds = k.vector(), k.vector(), k.vector(), k.vector()
        table = k.pointer(places.table)
        k.length(GATES * self._pitch)
        for register in (*self._scales[0], *self._scales[1], *self._kinds):
            k.load(register, table, Width.INT32, 4 * GATES * self._pitch)
        k.release(table)
        self._sums, self._recurrent = k.pointer(places.sums), k.pointer(places.recurrent)
        self._step = 0 if places.stepwise else 4 * GATES * self._pitch
        self._gates = [k.pointer(places.gates + 4 * number * self._pitch)
                       for number in range(GATES)]

    def compute(self) -> None:
        k, value, result = self._k, self._value, self._result
        k.length(GATES * self._pitch)
        k.load(value, self._sums, Width.INT32, self._step)
        k.load(result, self._recurrent, Width.INT32)
        _rescale(k, value, self._scales[0], self._cell.inputs)
        k.shift_left(value, value, 16)      # limited to the 16 bits that it is above
        _rescale(k, result, self._scales[1], self._cell.recurrent)
        k.shift_right(value, value, 16, plus=result)
        sigmoid_16(k, result, value, self._kinds, self._spare, self._constants)
        k.store(result, self._gates[0], Width.INT32)

    def read(self, gate: int, into: Register) -> Register:
        self._k.load(into, self._gates[gate], Width.INT32)
        return into


class _OneByOne:
    """A register for each gate, where one does not hold all."""

    def __init__(self, k: Builder, config: AcceleratorConfig, cell: LstmCell, places: LstmPlaces,
                 value: Register, result: Register, spare: Spare,
                 constants: Constants16) -> None:
        self._k, self._cell = k, cell
        self._value, self._result = value, result
        self._spare, self._constants = spare, constants
        self._pitch = gate_pitch(config, cell.count)
        self._gates = [k.vector() for _ in range(GATES)]
        self._sums, self._recurrent = k.pointer(places.sums), k.pointer(places.recurrent)
        self._stepwise = places.stepwise

    def compute(self) -> None:
        k, value, result = self._k, self._value, self._result
        step = 4 * self._pitch
        k.length(self._cell.count)
        for gate, kind in enumerate(FUNCTIONS):
            again = -gate * step if gate == GATES - 1 else step     # to the first gate
            k.load(value, self._sums, Width.INT32, again if self._stepwise else step)
            k.load(result, self._recurrent, Width.INT32, again)
            rescale(k, value, value, *self._cell.inputs[gate])
            _saturate(k, value)
            rescale(k, result, result, *self._cell.recurrent[gate], plus=value)
            function = tanh_16 if kind is TANH_16 else logistic_16
            function(k, self._gates[gate], result, self._spare, self._constants, limit=True)

    def read(self, gate: int, into: Register) -> Register:
        return self._gates[gate]


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
