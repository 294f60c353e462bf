"""LSTM and GRU of quantised ONNX models on the vector unit: rule ``qdq_fixed_point``.

The array has the sums of products; see ``kaniwa.golden.onnx.recurrent_fixed`` for the formulas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ProgramError
from kaniwa.units.vector.builder import Builder, Pointer, Register
from kaniwa.units.vector.isa import Function, Shift, Width
from kaniwa.units.vector.kernels.elementary import Scaling, row_pitch, table_words
from kaniwa.units.vector.kernels.fixedpoint import rescale
from kaniwa.units.vector.kernels.recurrent import gate_pitch

__all__ = ["Cell", "CellPlaces", "FirstState", "Result", "cell_program", "cell_table",
           "scratch_bytes", "why_no_cell"]

INT32_BYTES = 4
CUBIC = 22362015        # tanh d = d - CUBIC / 2^26 · d³
STATE_BITS = 30


@dataclass(frozen=True)
class FirstState:
    """int8 less ``zero_point``; ``half`` takes it to half of what the state is in its registers."""

    zero_point: int
    half: Scaling


@dataclass(frozen=True)
class Result:
    """Result made of the hidden state of 30 bits, or ``of_cell`` of the cell state: a product with
    ``multiplier`` in Q31, shifted ``right``. A zero point and limits follow."""

    of_cell: bool
    multiplier: int
    right: int
    zero_point: int
    low: int
    high: int


@dataclass(frozen=True)
class Cell:
    """Properties that all steps of ``count`` cells share.

    ``gates``: 4 of an LSTM (input, output, forget, cell), 3 of a GRU (update, reset, hidden).
    ``inputs``, ``high`` and ``low`` take sums to ``fraction`` bits behind the point: those of the
    inputs, of the hidden state's first digit, and of the other two. The cell state has
    ``cell_bits``. There is a ``result`` of ``every`` step, or of the last one, and ``more`` of the
    last one. ``hidden`` and ``cell``: the first states, where these are no constants.
    """

    count: int
    gates: int
    fraction: int
    inputs: Scaling
    high: Scaling
    low: Scaling
    cell_bits: int
    result: Result
    every: bool = True
    more: tuple[Result, ...] = ()
    hidden: FirstState | None = None
    cell: FirstState | None = None

    @property
    def logistic(self) -> int:
        """Number of gates, the first ones, with a logistic function; the last one is a tanh."""
        return self.gates - 1


@dataclass(frozen=True)
class CellPlaces:
    """Addresses; G gates, P is ``gate_pitch``, Q ``row_pitch``.

    ``sums``: int32 [steps, G, P] of the products with the input; with ``stepwise`` [G, P], new in
    each step. ``recurrent``: int32 [3, G, P], those of the hidden state's digits, new in each step.
    ``table``: ``cell_table``. ``scratch``: room of ``scratch_bytes``. The beginning and each step
    write ``digits``, int8 [3, ``digit_pitch``], the highest first; each step the next row of
    ``rows``, int8 [steps, Q], or the only one; what is done behind the last one ``more``, int8
    [count] each. ``hidden`` and ``cell``: first states that are no constants, int8 [count].
    """

    sums: int
    recurrent: int
    table: int
    scratch: int
    digits: int
    digit_pitch: int
    rows: int
    stepwise: bool = False
    hidden: int = 0
    cell: int = 0
    more: tuple[int, ...] = ()


def why_no_cell(config: AcceleratorConfig, count: int) -> str | None:
    """Reason why the unit cannot do so many cells, or None."""
    most = Builder(config).limit
    if config.out_lanes < INT32_BYTES:
        return (f"a sum of a cell takes {INT32_BYTES} channels of a block, of which target "
                f"'{config.name}' has {config.out_lanes}: take out_lanes of {INT32_BYTES} or more")
    return None if count <= most else (
        f"{count} cells are more than the {most} elements of a register")


def scratch_bytes(config: AcceleratorConfig, cell: Cell) -> int:
    """Of int32 [logistic, P], with what a load of whole groups reads behind it."""
    pitch = gate_pitch(config, cell.count, cell.gates)
    return INT32_BYTES * ((cell.logistic - 1) * pitch + row_pitch(config, cell.count))


def cell_table(config: AcceleratorConfig, cell: Cell, tangent: np.ndarray, biases: np.ndarray,
               late: np.ndarray, hidden: np.ndarray, state: np.ndarray) -> bytes:
    """Words: the table of tanh [256], biases [gates * count], a GRU's behind the reset gate
    [count], the first hidden state [count], an LSTM's first cell state [count]."""
    pitch = gate_pitch(config, cell.count, cell.gates)
    gates = np.zeros((cell.gates, pitch), np.int64)
    gates[:, :cell.count] = biases.reshape(cell.gates, cell.count)
    pad = row_pitch(config, cell.count) - cell.count
    parts = (late, hidden) if cell.gates == 3 else (hidden, state)
    rest = [np.pad(part, (0, pad)) for part in parts]
    return table_words(np.concatenate([tangent, gates.ravel(), *rest]))


def cell_program(config: AcceleratorConfig, cell: Cell,
                 places: CellPlaces) -> tuple[bytes, int, int]:
    """A program that loads what all steps want, with the digits of the first hidden state, and the
    places in it from where a run does a step, and from where it stores what is of the last one.

    State and addresses stay in registers from one run to the next. Raises ProgramError where
    ``why_no_cell`` has a reason.
    """
    problem = why_no_cell(config, cell.count)
    if problem is not None:
        raise ProgramError(problem)
    k = Builder(config)
    step = (_Gru if cell.gates == 3 else _Lstm)(k, config, cell, places)
    step.begin()
    k.pause()
    again = k.place
    step.write()
    behind = k.place + 1      # the END of a step
    if cell.more:
        k.pause()
        step.write_more()
    return k.finish(), again, behind


class _Step:
    """A step: gates in chunks, of which a register holds each; then the state.

    Made before the first step: loads tables.
    """

    def __init__(self, k: Builder, config: AcceleratorConfig, cell: Cell,
                 places: CellPlaces) -> None:
        self._k, self._cell = k, cell
        self._table = k.table(256)
        self._pitch = gate_pitch(config, cell.count, cell.gates)
        whole = cell.logistic * self._pitch <= k.limit
        self._chunks = [(0, cell.logistic)] if whole else [(g, 1) for g in range(cell.logistic)]
        self._chunks.append((cell.logistic, 1))
        self._one, self._center, self._half, self._zero_point = (k.scalar() for _ in range(4))
        for scalar, value in ((self._one, 1 << 30), (self._center, -(1 << 28)), (self._half, 128),
                              (self._zero_point, cell.result.zero_point)):
            k.constant(scalar, value)
        self._step = 0 if places.stepwise else INT32_BYTES * cell.gates * self._pitch
        self._sums, self._recurrent = k.pointer(places.sums), k.pointer(places.recurrent)
        self._gates = [k.pointer(places.scratch + INT32_BYTES * number * self._pitch)
                       for number in range(cell.logistic)]
        self._digits = [k.pointer(places.digits + number * places.digit_pitch)
                        for number in range(3)]
        self._rows, self._row = k.pointer(places.rows), row_pitch(config, cell.count)
        self._first = k.pointer(places.table)
        self._load_constants(self._first)
        self._places, self._state = places, k.vector()
        self._work = [k.vector() for _ in range(4)]

    def _load_constants(self, table: Pointer) -> None:
        k, pitch = self._k, self._pitch
        k.load_table(self._table, table, 256)
        self._biases = [k.vector() for _ in self._chunks]
        for (_, gates), register in zip(self._chunks, self._biases, strict=True):
            k.length(gates * pitch)
            k.load(register, table, Width.INT32, INT32_BYTES * gates * pitch)
        k.length(self._cell.count)
        self._late = k.vector() if self._cell.gates == 3 else None
        if self._late is not None:
            k.load(self._late, table, Width.INT32, INT32_BYTES * self._row)

    def begin(self) -> None:
        """The first states, and the digits of the hidden one."""
        raise NotImplementedError

    def _load_state(self, d: Register, state: FirstState | None, address: int) -> None:
        """The next first state of the table, or at ``address`` one that is no constant."""
        k = self._k
        if state is None:
            k.load(d, self._first, Width.INT32, INT32_BYTES * self._row)
            return
        k.advance(self._first, INT32_BYTES * self._row)
        computed = k.pointer(address)
        k.load(d, computed, Width.INT8)
        k.release(computed)
        k.add(d, d, -state.zero_point)
        rescale(k, d, d, *state.half)
        k.shift_left(d, d, 1)

    def write(self) -> None:
        """The instructions of a step."""
        raise NotImplementedError

    def write_more(self) -> None:
        """Results of the last step."""
        for result, address in zip(self._cell.more, self._places.more, strict=True):
            self._k.constant(self._zero_point, result.zero_point)
            self._k.point(self._rows, address)
            self._write_result(result, self._work[-1], 0)

    def _logistic_gates(self) -> None:
        """All gates but the last one, to memory; of that one the sums, and its inputs' part."""
        k = self._k
        for chunk, (first, gates) in enumerate(self._chunks[:-1]):
            k.length(gates * self._pitch)
            v = self._work[0]
            self._load_sums(chunk)
            self._inputs(v, chunk)
            self._hidden(v, v)
            self._tangent(v, v, self._cell.fraction + 1)
            k.add(v, v, 1 << 30)
            k.store(v, self._gates[first], Width.INT32)
        k.length(self._cell.count)
        self._load_sums(len(self._chunks) - 1)
        self._inputs(self._work[0], -1)

    def _load_sums(self, chunk: int) -> None:
        """The sums of a chunk: the input's, then those of all digits."""
        k, plane = self._k, INT32_BYTES * self._cell.gates * self._pitch
        here, there = (INT32_BYTES * self._pitch * self._chunks[at % len(self._chunks)][0]
                       for at in (chunk, chunk + 1))
        v, high, middle, low = self._work
        k.load(v, self._sums, Width.INT32, there - here + (self._step if there <= here else 0))
        k.load(high, self._recurrent, Width.INT32, plane)
        k.load(middle, self._recurrent, Width.INT32, plane)
        k.load(low, self._recurrent, Width.INT32, there - here - 2 * plane)

    def _inputs(self, v: Register, chunk: int) -> None:
        rescale(self._k, v, v, *self._cell.inputs, self._biases[chunk])

    def _hidden(self, d: Register, plus: Register) -> None:
        """d = products of the hidden state plus a register; d is not that of the high sums."""
        k = self._k
        _, high, middle, low = self._work
        k.shift_left(middle, middle, 8, plus=low)
        rescale(k, high, high, *self._cell.high, plus)
        rescale(k, d, middle, *self._cell.low, high)

    def _tangent(self, d: Register, v: Register, bits: int) -> None:
        """d = tanh of ``v`` with ``bits`` behind the point, in Q1.30. ``work`` is overwritten."""
        k = self._k
        z, t, point, w = self._work
        k.shift_left(z, v, 28 - bits)                  # limited to -8 to 8
        k.shift_right(t, z, 24)
        k.look_up(point, t, self._table)
        k.compute(Function.ADD, t, t, factor=-(1 << 24), addend=z)
        k.shift_left(t, t, 5, plus=self._center)       # from the middle of the table's step, Q33
        k.multiply(w, t, t, Shift.UP_31)
        k.compute(Function.ADD, w, w, factor=CUBIC, shift=Shift.UP_31, addend=self._one,
                  negate=True)
        k.multiply(t, t, w, Shift.UP_31)
        u = z
        k.multiply(u, t, point, Shift.UP_31)
        k.compute(Function.ADD, w, point, factor=point, shift=Shift.UP_31, addend=1 << 29,
                  negate=True)
        k.multiply(t, t, w, Shift.UP_31)
        k.compute(Function.ADD, w, u, factor=1 << 30, shift=Shift.UP_31, addend=1 << 30,
                  negate=True)
        for _ in range(3):
            k.compute(Function.ADD, w, u, factor=w, shift=Shift.UP_31, addend=1 << 30, negate=True)
        k.multiply(t, t, w, Shift.UP_31)
        k.compute(Function.ADD, d, t, factor=2, addend=point)

    @property
    def _hidden_state(self) -> Register:
        """The register that has it behind a step."""
        raise NotImplementedError

    def _write_digits(self, hidden: Register, spare: Sequence[Register]) -> None:
        k = self._k
        rest, digit = spare
        k.shift_right(rest, hidden, 8, "up", plus=self._half)
        for number in (2, 1):
            k.bits(digit, rest, 255)
            k.add(digit, digit, -128)
            k.store(digit, self._digits[number], Width.INT8)
            k.shift_right(rest, rest, 8, plus=self._half if number == 2 else 0)
        k.store(rest, self._digits[0], Width.INT8)

    def _write_step(self) -> None:
        self._write_result(self._cell.result, self._work[-1],
                           self._row if self._cell.every else 0)

    def _write_result(self, result: Result, spare: Register, pitch: int) -> None:
        k, state = self._k, self._state if result.of_cell else self._hidden_state
        k.multiply(spare, state, result.multiplier, Shift.UP_31)
        k.shift_right(spare, spare, result.right, "up", plus=self._zero_point)
        k.limit_byte(spare, result.low, result.high)
        k.store(spare, self._rows, Width.INT8, pitch)


class _Lstm(_Step):
    @property
    def _hidden_state(self) -> Register:
        return self._work[0]

    def begin(self) -> None:
        hidden, *spare = self._work
        self._load_state(hidden, self._cell.hidden, self._places.hidden)
        self._write_digits(hidden, spare[:2])
        self._load_state(self._state, self._cell.cell, self._places.cell)

    def write(self) -> None:
        k, cell = self._k, self._cell
        self._logistic_gates()
        v, admit, forget, output = self._work
        self._hidden(v, v)
        self._tangent(v, v, cell.fraction)
        k.load(admit, self._gates[0], Width.INT32)
        k.load(forget, self._gates[2], Width.INT32)
        k.multiply(v, v, admit, Shift.UP_31)
        k.multiply(self._state, self._state, forget, Shift.UP_31)
        k.shift_right(self._state, v, STATE_BITS - cell.cell_bits, "up", plus=self._state)
        self._tangent(v, self._state, cell.cell_bits)
        k.load(output, self._gates[1], Width.INT32)
        k.multiply(v, v, output, Shift.UP_31)
        self._write_digits(v, (admit, forget))
        self._write_step()


class _Gru(_Step):
    @property
    def _hidden_state(self) -> Register:
        return self._state

    def begin(self) -> None:
        self._load_state(self._state, self._cell.hidden, self._places.hidden)
        self._write_digits(self._state, self._work[:2])

    def write(self) -> None:
        k, cell = self._k, self._cell
        self._logistic_gates()
        v, update, hidden, spare = self._work
        assert self._late is not None
        self._hidden(hidden, self._late)
        k.load(update, self._gates[1], Width.INT32)
        k.multiply(hidden, hidden, update, Shift.UP_31)
        k.add(v, v, hidden)
        self._tangent(v, v, cell.fraction)
        k.load(update, self._gates[0], Width.INT32)
        k.multiply(spare, v, update, Shift.UP_31)
        k.subtract(v, v, spare)
        k.multiply(self._state, self._state, update, Shift.UP_31)
        k.add(self._state, self._state, v)
        self._write_digits(self._state, (hidden, spare))
        self._write_step()
