"""Writes vector programs in Python: a method an instruction, registers by name.

    k = Builder(config)
    x = k.vector()
    source = k.pointer(0x100)
    k.length(64)
    with k.loop(10):
        k.load(x, source, Width.INT8, step=64)
        k.add(x, x, 5)
    program = k.finish()
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ProgramError
from kaniwa.units.vector import isa
from kaniwa.units.vector.isa import Addend, Control, Factor, Function, Opcode, Reduce, Shift, Width

__all__ = ["Builder", "Operand", "Register", "Pointer"]

Values = dict[str, int]
ROUNDED = {"floor": Shift.FLOOR_31, "up": Shift.UP_31, "away": Shift.AWAY_31}


@dataclass(frozen=True)
class Register:
    """A vector register, or a scalar: one group, whatever the length."""

    number: int


@dataclass(frozen=True)
class Pointer:
    """A control register that holds an address or a count."""

    number: int


Operand = Register | int   # an int is a constant for all lanes


class Builder:
    """A program as it grows; ``lanes`` of the config that it is for.

    Where a method takes two operands besides A, at most one of them can be a register other than
    the other one, and at most one a constant: an instruction has one of each.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self.lanes = config.requant_lanes
        self.limit = self.lanes * isa.BLOCK_WORDS   # elements of a register
        self._items: list[Values] = []
        self._vectors = list(range(isa.SCALAR))
        self._scalars = list(range(isa.SCALAR, 32))
        self._pointers = list(range(isa.CONTROL_REGISTERS))
        self._set: dict[Control, int] = {}      # what is known of the length and the pitch

    # Registers

    def vector(self) -> Register:
        """A vector register of its own; the highest one left, for tables lie in low ones."""
        return Register(_take(self._vectors, -1, "vector registers"))

    def scalar(self) -> Register:
        """A scalar of its own."""
        return Register(_take(self._scalars, 0, "scalars"))

    def table(self, size: int) -> Register:
        """The first register of a table of 256 or 512 words."""
        count = size // isa.BLOCK_WORDS
        for first in range(0, isa.SCALAR, count):
            if all(n in self._vectors for n in range(first, first + count)):
                self._vectors = [n for n in self._vectors if not first <= n < first + count]
                return Register(first)
        raise ProgramError(f"no {count} vector registers are left for a table of {size} words")

    def free(self, *registers: Register) -> None:
        """Give registers back."""
        for register in registers:
            kind = self._scalars if register.number >= isa.SCALAR else self._vectors
            kind.append(register.number)
            kind.sort()

    def pointer(self, address: int) -> Pointer:
        """A control register with this value."""
        pointer = Pointer(_take(self._pointers, 0, "control registers"))
        self.point(pointer, address)
        return pointer

    def release(self, *pointers: Pointer) -> None:
        """Give control registers back."""
        self._pointers = sorted([*self._pointers, *(p.number for p in pointers)])

    # Control

    @property
    def place(self) -> int:
        """Place of the next instruction in the program."""
        return len(self._items)

    def point(self, pointer: Pointer, address: int) -> None:
        """Set a control register."""
        self._control(Control.SET, pointer.number, address)

    def advance(self, pointer: Pointer, step: int) -> None:
        """Add to a control register."""
        self._control(Control.ADD, pointer.number, step)

    def length(self, elements: int) -> None:
        """Elements that vector registers have from now on: 1 to ``limit``."""
        if not 1 <= elements <= self.limit:
            raise ProgramError(f"a vector register holds 1..{self.limit} elements, not {elements}")
        groups = -(-elements // self.lanes)
        self.rows(groups, elements - (groups - 1) * self.lanes)

    def rows(self, columns: int, count: int) -> None:
        """``columns`` groups from now on, of which LOAD and STORE of rows are for ``count``
        lanes."""
        self._state(Control.LENGTH, columns | count << 8)

    def pitch(self, bytes_of_row: int, count: int) -> None:
        """Bytes from one row to the next from now on, where there are ``count`` rows at once."""
        self._state(Control.PITCH, bytes_of_row)
        self._state(Control.BACK, isa.piece_of(self.lanes) - (count - 1) * bytes_of_row)

    def _state(self, kind: Control, value: int) -> None:
        if self._set.get(kind) != value:
            self._control(kind, 0, value)
            self._set[kind] = value

    @contextmanager
    def loop(self, count: int) -> Iterator[None]:
        """Loop that does what is written within ``count`` times."""
        if count < 1:
            raise ProgramError(f"a loop of {count}")
        if count == 1:
            yield
            return
        counter = self.pointer(count)
        begin = len(self._items)
        self._set = {}      # it may be another one when the loop begins again
        yield
        self._control(Control.NEXT, counter.number, begin)
        self.release(counter)

    def pause(self) -> None:
        """END; another run goes on behind it, at ``place``."""
        self._control(Control.END)
        self._set = {}

    def finish(self) -> bytes:
        """The program, with END."""
        self._control(Control.END)
        if len(self._items) > isa.STORE_INSTRUCTIONS:
            raise ProgramError(f"a program has at most {isa.STORE_INSTRUCTIONS} instructions, "
                               f"not {len(self._items)}")
        return b"".join(map(isa.encode, self._items))

    # Memory

    def load(self, d: Register, source: Pointer, width: Width, step: int = 0, *,
             tail: bool = False, everywhere: bool = False, rows: bool = False) -> None:
        """Elements to ``d``; then the pointer goes on by ``step`` bytes. ``everywhere``: an int32
        for all lanes in each group. ``tail``: lanes past the length keep what they hold.
        ``rows``: a row to each lane, as ``pitch`` says."""
        self._items.append({"opcode": Opcode.LOAD, "function": width, "d": d.number,
                            "b": source.number, "immediate": step, "tail": tail,
                            "reduce": Reduce.LANES if everywhere else
                            Reduce.GROUPS if rows else Reduce.NONE})

    def load_table(self, table: Register, source: Pointer, size: int) -> None:
        """``size`` (256 or 512) int32 words to a table. The length is 32 groups afterwards."""
        self.length(self.limit)
        for block in range(size // isa.BLOCK_WORDS):
            self.load(Register(table.number + block), source, Width.INT32, 4 * isa.BLOCK_WORDS,
                      everywhere=True)

    def store(self, a: Register, to: Pointer, width: Width, step: int = 0, *,
              rows: bool = False) -> None:
        """``a``, limited to the width, to memory; then the pointer goes on by ``step`` bytes.
        ``rows``: what each lane has, as ``pitch`` says."""
        self._items.append({"opcode": Opcode.STORE, "function": width, "a": a.number,
                            "d": to.number, "immediate": step,
                            "reduce": Reduce.GROUPS if rows else Reduce.NONE})

    def store_product(self, to: Pointer, width: Width, factor: Operand, shift: Shift,
                      plus: int = 0, step: int = 0, *, a: Register | None = None,
                      rows: bool = False) -> None:
        """(A * factor >> shift) + plus as ``store`` does; A is ``a``, or what is held. Of factor
        and ``plus`` only one is a number."""
        values: Values = {"factor": Factor.B, "b": factor.number} if isinstance(
            factor, Register) else {"factor": Factor.IMMEDIATE}
        constant = plus if isinstance(factor, Register) else factor
        self._items.append({
            "opcode": Opcode.STORE, "function": width, "d": to.number, "shift": shift, **values,
            "a": a.number if a else values["b"], "tail": a is None,
            "addend": Addend.IMMEDIATE if plus else Addend.ZERO, "immediate": constant or step,
            "reduce": Reduce.GROUPS if rows else Reduce.NONE})
        if constant and step:
            self.advance(to, step)

    # Arithmetic

    def compute(self, function: Function, d: Register, a: Register, *, factor: Operand = 1,
                power: Factor | None = None, shift: Shift = Shift.LOW, addend: Operand = 0,
                negate: bool = False, tail: bool = False, reduce: Reduce = Reduce.NONE) -> None:
        """One COMPUTE. ``power``: the factor is 2^n or 2^(31-n), LEFT or RIGHT, of register
        ``factor``."""
        values: Values = {"opcode": Opcode.COMPUTE, "function": function, "d": d.number,
                          "a": a.number, "shift": shift, "negate": negate, "tail": tail,
                          "reduce": reduce}
        if isinstance(factor, Register):
            values |= {"factor": Factor.B if power is None else power, "b": factor.number}
        elif factor in (0, 1):
            values["factor"] = Factor.ONE if factor else Factor.ZERO
        else:
            values |= {"factor": Factor.IMMEDIATE, "immediate": factor}
        if isinstance(addend, Register):
            if values.get("b", addend.number) != addend.number:
                raise ProgramError("an instruction has no room for a third register")
            values |= {"addend": Addend.B, "b": addend.number}
        elif addend:
            if values.get("immediate", addend) != addend:
                raise ProgramError("an instruction has no room for a second constant")
            values |= {"addend": Addend.IMMEDIATE, "immediate": addend}
        self._items.append(values)

    def constant(self, d: Register, value: int) -> None:
        """d = value."""
        self.compute(Function.ADD, d, d, factor=0, addend=value)

    def move(self, d: Register, a: Register, *, tail: bool = False) -> None:
        """d = a."""
        self.compute(Function.ADD, d, a, tail=tail)

    def add(self, d: Register, a: Register, b: Operand) -> None:
        """d = a + b."""
        self.compute(Function.ADD, d, a, addend=b)

    def subtract(self, d: Register, a: Operand, b: Register | int) -> None:
        """d = a - b."""
        if isinstance(b, int):
            if isinstance(a, int):
                raise ProgramError("a difference of two constants")
            self.add(d, a, -b)
        else:
            self.compute(Function.ADD, d, b, addend=a, negate=True)

    def multiply(self, d: Register, a: Register, b: Operand, shift: Shift = Shift.LOW,
                 plus: Operand = 0) -> None:
        """d = (a * b >> shift) + plus."""
        self.compute(Function.ADD, d, a, factor=b, shift=shift, addend=plus)

    def shift_left(self, d: Register, a: Register, n: Operand, plus: Operand = 0) -> None:
        """d = a * 2^n + plus; 0 <= n <= 30, in a register up to 31."""
        if isinstance(n, Register):
            self.compute(Function.ADD, d, a, factor=n, power=Factor.LEFT, addend=plus)
        else:
            self.multiply(d, a, 1 << n, plus=plus)

    def shift_right(self, d: Register, a: Register, n: Operand, rounding: str = "floor",
                    plus: Operand = 0) -> None:
        """d = a / 2^n + plus, rounded "floor", half "up" or half "away"; 0 <= n <= 31."""
        if isinstance(n, Register):
            self.compute(Function.ADD, d, a, factor=n, power=Factor.RIGHT,
                         shift=ROUNDED[rounding], addend=plus)
        elif n == 0:
            self.add(d, a, plus)
        else:
            self.multiply(d, a, 1 << 31 - n, ROUNDED[rounding], plus)

    def minimum(self, d: Register, a: Register, b: Operand) -> None:
        """d = the smaller of a and b."""
        self.compute(Function.MINIMUM, d, a, addend=b)

    def maximum(self, d: Register, a: Register, b: Operand) -> None:
        """d = the larger of a and b."""
        self.compute(Function.MAXIMUM, d, a, addend=b)

    def limit_byte(self, d: Register, low: int, high: int) -> None:
        """d limited to ``low`` and ``high``, but for int8's own ends, to which a store limits."""
        if low > -128:
            self.maximum(d, d, low)
        if high < 127:
            self.minimum(d, d, high)

    def less(self, d: Register, a: Register, b: Operand) -> None:
        """d = -1 where a < b, else 0."""
        self.compute(Function.LESS, d, a, addend=b)

    def at_least(self, d: Register, a: Register, b: int) -> None:
        """d = -1 where a >= b, else 0: -a - 1 < -b."""
        self.compute(Function.LESS, d, a, addend=-b, negate=True)

    def bits(self, d: Register, a: Register, b: Operand) -> None:
        """d = the bits that a and b have in common."""
        self.compute(Function.AND, d, a, addend=b)

    def select(self, d: Register, where: Register, b: Operand) -> None:
        """d = b where ``where`` is not 0; elsewhere d stays."""
        self.compute(Function.SELECT, d, where, addend=b)

    def select_negative(self, d: Register, where: Register, b: Operand) -> None:
        """d = b where ``where`` is less than 0; elsewhere d stays."""
        self.compute(Function.SELECT, d, where, shift=Shift.FLOOR_31, addend=b)

    def leading_zeros(self, d: Register, a: Register) -> None:
        """d = the zeros above the highest 1 of a."""
        self.compute(Function.LEADING_ZEROS, d, a)

    def look_up(self, d: Register, a: Register, table: Register, size: int = 256, *,
                tail: bool = False) -> None:
        """d = the word of the table that the low 8 or 9 bits of a select."""
        self._items.append({
            "opcode": Opcode.COMPUTE, "function": Function.ADD, "d": d.number, "a": a.number,
            "b": table.number, "factor": Factor.TABLE_256 if size == 256 else Factor.TABLE_512,
            "addend": Addend.B, "tail": tail})

    def hold(self, a: Register, b: Register, word: int = 0) -> None:
        """Hold A, and B's low 8 bits as the offset, of this word of vector registers."""
        self._items.append({"opcode": Opcode.COMPUTE, "reduce": Reduce.HOLD, "a": a.number,
                            "b": b.number, "immediate": word})

    def multiply_looked_up(self, d: Register, a: Register, table: Register, shift: Shift, *,
                           fold: bool = False, word: int = 0) -> None:
        """d = held * word >> shift, with the word of a table of 256 that the low 8 bits of
        a - offset select; ``fold``: their sum, to this word of d."""
        self._items.append({
            "opcode": Opcode.COMPUTE, "function": Function.ADD, "d": d.number, "a": a.number,
            "b": table.number, "factor": Factor.TABLE_256, "addend": Addend.ZERO, "shift": shift,
            "immediate": word, "reduce": Reduce.GROUPS if fold else Reduce.NONE})

    def looked_up_bits(self, d: Register, a: Register, table: Register, mask: int) -> None:
        """d = the bits of ``mask`` in held * word, looked up as above."""
        self._items.append({
            "opcode": Opcode.COMPUTE, "function": Function.AND, "d": d.number, "a": a.number,
            "b": table.number, "factor": Factor.TABLE_256, "addend": Addend.IMMEDIATE,
            "immediate": mask})

    def fold_to(self, d: Register, word: int, a: Register, function: Function,
                start: Register | None = None, factor: Register | None = None) -> None:
        """All groups of ``a`` (times ``factor``), and one of ``start``, to a word of ``d``, for
        each lane; only one of the two is given."""
        b = start or factor
        self._items.append({
            "opcode": Opcode.COMPUTE, "function": function, "d": d.number, "a": a.number,
            "b": b.number if b else 0, "immediate": word, "reduce": Reduce.GROUPS,
            "factor": Factor.B if factor else Factor.ONE,
            "addend": Addend.B if start else Addend.ZERO})

    def fold(self, d: Register, a: Register, function: Function, start: int = 0) -> None:
        """Sum (or smallest, or largest) of all groups and lanes of ``a``, in every lane of the
        scalar ``d``; ``start`` takes part."""
        self.compute(function, d, a, addend=start, reduce=Reduce.GROUPS)
        self.compute(function, d, d, addend=start, reduce=Reduce.LANES)

    def _control(self, kind: Control, c: int = 0, immediate: int = 0) -> None:
        wrapped = int(np.array(immediate & 0xFFFF_FFFF, np.uint32).view(np.int32))
        self._items.append({"opcode": Opcode.CONTROL, "function": kind, "b": c,
                            "immediate": wrapped})


def _take(free: list[int], place: int, what: str) -> int:
    if not free:
        raise ProgramError(f"no {what} are left")
    return free.pop(place)
