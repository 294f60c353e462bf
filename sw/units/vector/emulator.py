"""Runs vector programs in NumPy, and counts the unit's cycles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ProgramError
from kaniwa.isa import OUTSIDE
from kaniwa.units.vector import isa
from kaniwa.units.vector.isa import Addend, Control, Factor, Function, Opcode, Reduce, Shift, Width
from kaniwa.units.vector.timing import MemorySide, VectorClock

__all__ = ["VectorEmulator", "Length", "product"]

LOW, HIGH = -(1 << 31), (1 << 31) - 1
DTYPES = {Width.INT8: np.int8, Width.INT16: np.int16, Width.INT32: np.int32}
Values = dict[str, int]


@dataclass
class Length:
    """Number of groups that vector registers have now, and of the last one's lanes that count."""

    groups: int = 1
    last: int = 1


def product(values: Values, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The product shifted down and limited to 32 bits, and what ADD rounds it up by."""
    product = a * _factor(values, b)   # |product| <= 2^31 * 2^31
    tap, kind = isa.TAPS[values["shift"]], values["shift"]
    floor = product >> tap
    whole = _limited(floor)
    if kind in (Shift.LOW, Shift.FLOOR_15, Shift.FLOOR_31):
        return whole, np.zeros_like(whole)
    rest, half = product - (floor << tap), 1 << tap - 1
    if kind in (Shift.AWAY_15, Shift.AWAY_31):
        up = np.where(product < 0, rest > half, rest >= half)
    else:
        up = rest >= half
    return whole, (up & (whole == floor)).astype(np.int64)


def _limited(x: np.ndarray) -> np.ndarray:
    return np.minimum(np.maximum(x, LOW), HIGH)


def _factor(values: Values, b: np.ndarray) -> np.ndarray | int:
    kind = values["factor"]
    if kind == Factor.B or (_is_table(values) and values["addend"] != Addend.B):
        return b
    if kind == Factor.LEFT:
        return np.int64(1) << (b & 31)
    if kind == Factor.RIGHT:
        return np.int64(1) << (31 - (b & 31))
    return {Factor.ONE: 1, Factor.IMMEDIATE: values["immediate"]}.get(Factor(kind), 0)


def _is_table(values: Values) -> bool:
    return values["factor"] in (Factor.TABLE_256, Factor.TABLE_512)


def _combine(values: Values, whole: np.ndarray, up: np.ndarray, y: np.ndarray) -> np.ndarray:
    function, negate = values["function"], values["negate"]
    if function == Function.ADD:
        x = whole + up
        return _limited(y - x if negate else y + x)
    x = ~whole if negate else whole
    if function == Function.MINIMUM:
        return np.minimum(x, y)
    if function == Function.MAXIMUM:
        return np.maximum(x, y)
    if function == Function.LESS:
        return -(x < y).astype(np.int64)
    if function == Function.AND:
        return x & y
    if function == Function.OR:
        return x | y
    if function == Function.SELECT:
        return y.copy()
    unsigned = x & 0xFFFF_FFFF
    return 32 - np.frexp(unsigned.astype(np.float64))[1].astype(np.int64)


class VectorEmulator:
    """A vector unit with its registers, tables and program store, before a device memory.

    ``memory``: uint8 array, changed in place, of the bytes from address ``base`` on. ``words``: the
    lanes' memories, int64 [WORDS, lanes] within 32 bits; ``store``: instructions by their place.
    What was never written reads as 0 here; a program must not depend on it.

    ``sides``: memory's timing, as in ``VectorClock``.
    """

    def __init__(self, config: AcceleratorConfig, memory: np.ndarray,
                 limit: int = 10_000_000, base: int = 0,
                 sides: tuple[MemorySide, MemorySide] | None = None) -> None:
        self.config, self.memory, self.limit, self.base = config, memory, limit, base
        self.sides, self.lanes = sides, config.requant_lanes
        self.words = np.zeros((isa.WORDS, self.lanes), np.int64)
        self.control = [0] * isa.CONTROL_REGISTERS
        self.length = Length()
        self.held = np.zeros(self.lanes, np.int64)      # H
        self.offset = np.zeros(self.lanes, np.int64)
        self.pitch = self.back = 0
        self.store: dict[int, Values] = {}
        self._legal: set[int] = set()     # places in it that have been looked at
        self.clock = VectorClock(config)

    def run(self, program: bytes | Sequence[Values] = (), entry: int = 0,
            odd: bool = False, outside: bool = False) -> int:
        """Load a program (or none) to ``entry`` of the store and run from there to END; the cycles.

        ``odd`` as in ``VectorClock``; ``outside``: where the program comes from.

        Raises ProgramError for an illegal instruction, an address outside memory, a way to where no
        instruction was stored, or more than ``limit`` instructions.
        """
        if isinstance(program, bytes):
            pieces = range(0, len(program), isa.VECTOR_BYTES)
            program = [isa.decode(program[i:i + isa.VECTOR_BYTES]) for i in pieces]
        self.store.update((entry + number, dict.fromkeys(isa.FIELDS, 0) | dict(values))
                          for number, values in enumerate(program))
        self._legal.difference_update(range(entry, entry + len(program)))
        self.clock = VectorClock(self.config, odd, self.sides)
        self.clock.begin(len(program), outside)
        at, executed = entry, 0
        while True:
            if at not in self.store or executed >= self.limit:
                raise ProgramError(f"vector program: more than {self.limit} instructions"
                                   if at in self.store else
                                   f"vector program: no END before instruction {at}")
            values = self.store[at]
            if at not in self._legal:
                problem = isa.illegal(values)
                if problem:
                    raise ProgramError(f"vector instruction {at}: {problem}")
                self._legal.add(at)
            executed += 1
            groups = self.groups(values)
            pointer = values["d" if values["opcode"] == Opcode.STORE else "b"]
            away = self.control[pointer % isa.CONTROL_REGISTERS] >= OUTSIDE
            try:
                target = self._execute(values)
                self.clock.step(values, groups, self.length.last, target is not None, away)
            except ProgramError as error:
                raise ProgramError(f"vector instruction {at}: {error}") from None
            if (values["opcode"], values["function"]) == (Opcode.CONTROL, Control.END):
                return self.clock.now
            at = at + 1 if target is None else target

    def _execute(self, values: Values) -> int | None:
        """Do one instruction; the number of the one that it jumps to, if it does."""
        opcode = Opcode(values["opcode"])
        if opcode == Opcode.CONTROL:
            return self._control(values)
        if opcode == Opcode.COMPUTE:
            self._compute(values)
        elif opcode == Opcode.LOAD:
            self._load(values)
        else:
            self._store(values)
        return None

    def _control(self, values: Values) -> int | None:
        kind, c, immediate = Control(values["function"]), values["b"], values["immediate"]
        if kind == Control.SET:
            self.control[c] = immediate & 0xFFFF_FFFF
        elif kind == Control.ADD:
            self.control[c] = self.control[c] + immediate & 0xFFFF_FFFF
        elif kind == Control.LENGTH:
            self.length = Length(immediate & 63, immediate >> 8 & 255)
            if not (1 <= self.length.groups <= isa.BLOCK_WORDS
                    and 1 <= self.length.last <= self.lanes):
                raise ProgramError(f"a length of {self.length.groups} groups of which the last has "
                                   f"{self.length.last} lanes")
        elif kind in (Control.PITCH, Control.BACK):
            step = immediate & -isa.piece_of(self.lanes)
            if kind == Control.PITCH:
                self.pitch = step
            else:
                self.back = step
        elif kind == Control.NEXT:
            self.control[c] = self.control[c] - 1 & 0xFFFF_FFFF
            return immediate if self.control[c] else None
        return None

    def _written(self, values: Values, last: bool) -> np.ndarray:
        """The lanes that are written in a group."""
        counted = self.length.last if values["tail"] and last else self.lanes
        return np.arange(self.lanes) < counted

    def groups(self, values: Values) -> int:
        """Groups that an instruction goes through."""
        opcode, reduce = values["opcode"], values["reduce"]
        if opcode == Opcode.COMPUTE and reduce in (Reduce.LANES, Reduce.HOLD):
            return self.lanes if reduce == Reduce.LANES else 1
        register = values["a"] if opcode == Opcode.STORE else values["d"]
        whole = opcode == Opcode.COMPUTE and reduce == Reduce.GROUPS
        count = 1 if register >= isa.SCALAR and not whole else self.length.groups
        if opcode != Opcode.COMPUTE and reduce == Reduce.GROUPS:
            piece = isa.piece_of(self.lanes)
            count = -(-count // piece) * piece
        return count

    def _compute(self, values: Values) -> None:
        count = self.groups(values)
        if values["reduce"] == Reduce.HOLD:
            word = values["immediate"] & isa.BLOCK_WORDS - 1
            self.held = self.words[isa.word_of(values["a"], word)].copy()
            self.offset = self.words[isa.word_of(values["b"], word)] & 255
            return
        if values["reduce"] != Reduce.NONE:
            self._fold(values, count)
            return
        a = self._register(values["a"], count)
        b = self._second(values, a, count)
        whole, up = product(values, self._first(values, a), b)
        self._write(values, _combine(values, whole, up, self._addend(values, b)), whole)

    def _fold(self, values: Values, count: int) -> None:
        """Group by group: each has the result of the one before as Y."""
        across = values["reduce"] == Reduce.LANES
        reads = [1] * count if across else [count]
        a = np.concatenate([self._register(values["a"], n) for n in reads])
        b = np.concatenate([self._second(values, part, n) for part, n in
                            zip(np.split(a, len(reads)), reads, strict=True)])
        whole, up = product(values, self._first(values, a), b)
        result = self._addend(values, b)[0]
        for group in range(count):
            y = np.roll(result, -1) if across and group else result
            result = _combine(values, whole[group], up[group], y)
        word = 0 if isa.is_constant(values) else values["immediate"] & isa.BLOCK_WORDS - 1
        self._write(values, result[None], whole[-1:], word)

    def _first(self, values: Values, a: np.ndarray) -> np.ndarray:
        """A of the product: what was read, of which the last is held then, or H."""
        if _is_table(values) and values["addend"] != Addend.B:
            return np.broadcast_to(self.held, a.shape)
        self.held = a[-1].copy()
        return a

    def _write(self, values: Values, result: np.ndarray, whole: np.ndarray, word: int = 0) -> None:
        first = isa.word_of(values["d"], word)
        written = np.ones(result.shape, bool)
        if values["function"] == Function.SELECT:
            written = (~whole if values["negate"] else whole) != 0
        if values["tail"]:
            written[-1] &= self._written(values, last=True)
        np.copyto(self.words[first:first + len(result)], result, where=written)

    def _register(self, register: int, count: int) -> np.ndarray:
        """The groups of a register; of a scalar, the same one each time."""
        first = isa.word_of(register, 0)
        if register < isa.SCALAR:
            return self.words[first:first + count]
        return self.words[first:first + 1].repeat(count, axis=0)

    def _addend(self, values: Values, b: np.ndarray) -> np.ndarray:
        if values["addend"] == Addend.B:
            return b
        return np.full_like(b, values["immediate"] if values["addend"] == Addend.IMMEDIATE else 0)

    def _second(self, values: Values, a: np.ndarray, count: int) -> np.ndarray:
        """B: a register, or for each lane a word of its table."""
        factor, b = values["factor"], values["b"]
        if not _is_table(values):
            return self._register(b, count)
        size = 256 if factor == Factor.TABLE_256 else 512
        place = a & size - 1
        if values["addend"] != Addend.B:
            place = (a & size - 256) | (a - self.offset & 255)
        return self.words[b * isa.BLOCK_WORDS + place, np.arange(self.lanes)]

    def _element(self, values: Values) -> tuple[int, np.dtype]:
        """The address that a LOAD or STORE begins at, taken down to its alignment; the type."""
        dtype = np.dtype(DTYPES[Width(values["function"])])
        stores = values["opcode"] == Opcode.STORE
        if stores or values["reduce"] == Reduce.GROUPS:
            unit = isa.piece_of(self.lanes)
        elif values["reduce"] == Reduce.LANES:
            unit = dtype.itemsize
        else:
            unit = min(self.lanes * dtype.itemsize, self.config.read_bytes)
        c = values["d" if stores else "b"]
        address = self.control[c] // unit * unit
        step = 0 if stores and isa.is_constant(values) else values["immediate"]
        self.control[c] = self.control[c] + step & 0xFFFF_FFFF
        return address, dtype

    def _view(self, address: int, size: int, write: bool = False) -> np.ndarray:
        """Bytes of memory, to read or to ``write``."""
        first = address - self.base
        if not 0 <= first <= len(self.memory) - size:
            raise ProgramError(f"bytes {address:#x} to {address + size:#x} lie outside memory of "
                               f"{len(self.memory):#x}")
        return self.memory[first:first + size]

    def _load(self, values: Values) -> None:
        address, dtype = self._element(values)
        if values["reduce"] == Reduce.GROUPS:
            self._load_rows(values, address)
            return
        lanes = 1 if values["reduce"] == Reduce.LANES else self.lanes
        count, first = self.groups(values), isa.word_of(values["d"], 0)
        found = self._view(address, count * lanes * dtype.itemsize).tobytes()
        elements = np.frombuffer(found, dtype).reshape(count, lanes)
        self.words[first:first + count - 1] = elements[:-1]     # into all lanes where it is one
        written = self._written(values, last=True)
        np.copyto(self.words[first + count - 1], elements[-1], where=written)

    def _pieces(self, count: int, address: int) -> Iterator[tuple[int, int, int]]:
        """Of rows of ``count`` columns: the first column, row and address of each piece."""
        piece, at = isa.piece_of(self.lanes), address
        for first in range(0, count, piece):
            for row in range(self.length.last):
                yield first, row, at + row * self.pitch & 0xFFFF_FFFF
            at += (self.length.last - 1) * self.pitch + self.back

    def _load_rows(self, values: Values, address: int) -> None:
        """A row in each lane; lanes behind the last row have it too."""
        piece, first = isa.piece_of(self.lanes), isa.word_of(values["d"], 0)
        for column, row, at in self._pieces(self.groups(values), address):
            elements = np.frombuffer(self._view(at, piece).tobytes(), np.int8).astype(np.int64)
            lanes = slice(row, None if row == self.length.last - 1 else row + 1)
            self.words[first + column:first + column + piece, lanes] = elements[:, None]

    def _store(self, values: Values) -> None:
        address, dtype = self._element(values)
        limits, count = np.iinfo(dtype), self.groups(values)
        a, b = (self._register(values[name], count) for name in ("a", "b"))
        if values["tail"]:
            a = np.broadcast_to(self.held, a.shape)
        self.held = a[-1].copy()
        whole, up = product(values, a, b)
        total = whole + up
        addend = self._addend(values, b)
        sums = _limited(addend - total if values["negate"] else addend + total)
        elements = np.clip(sums, limits.min, limits.max).astype(dtype)
        if values["reduce"] == Reduce.GROUPS:
            piece = isa.piece_of(self.lanes)
            for column, row, at in self._pieces(count, address):
                self._view(at, piece, write=True)[:] = (
                    elements[column:column + piece, row].copy().view(np.uint8))
            return
        stored = elements.reshape(-1)[:(count - 1) * self.lanes + self.length.last]
        self._view(address, stored.nbytes, write=True)[:] = stored.view(np.uint8)
