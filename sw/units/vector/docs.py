"""The part of ``docs/isa.md`` that is about vector programs, from their instruction table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from kaniwa.units.vector import isa

__all__ = ["vector_part"]

KINDS = (isa.Opcode, isa.Function, isa.Factor, isa.Shift, isa.Addend, isa.Reduce, isa.Width,
         isa.Control)

_INTRODUCTION = f"""## Vector programs

The vector unit (a config with `vector_unit`) has R = `requant_lanes` lanes of {isa.WORDS} words of
32 bits each. Its programs are instructions of {isa.VECTOR_BYTES} bytes, of which its store holds
{isa.STORE_INSTRUCTIONS}.

VECTOR loads a program and runs it from its first place to END:

| field of VECTOR | meaning |
|---|---|
| `parameter_address` | where the program lies in device memory, a multiple of `read_bytes` |
| `parameter_bytes` | its length, a multiple of `read_bytes`; with 0 nothing is loaded |
| `block_words` | its first place in the store, where the run begins |
| `tag` | names the counters |
| others | do not matter |

Jumps lead to places of the store. What lies behind END to fill a word is stored, and not run. A
VECTOR waits until every instruction before it has retired and all units are idle. The next
instruction is not read before the VECTOR has retired itself. So nothing needs to wait for it or in
it, but it must not write to the program, its parameters or weights. Its cycles count as fill.

| fault | the run ends as |
|---|---|
| in a vector program | VECTOR |
| a program that does not fit the store | ILLEGAL_FIELD |
| VECTOR without `vector_unit` | ILLEGAL_OPCODE |

The watchdog sees the unit's accesses to memory as progress, not its computations. Registers, tables
and the store keep what they hold from one VECTOR of a run to the next. In the first VECTOR they
hold anything.

| registers | hold |
|---|---|
| vector, v0 to v{isa.SCALAR - 1} | up to {isa.BLOCK_WORDS} groups of R elements |
| scalar, s0 to s{31 - isa.SCALAR} (numbers {isa.SCALAR} to 31) | one group |
| control, c0 to c{isa.CONTROL_REGISTERS - 1} | addresses and counts |

Element e of a vector register is in lane e mod R of group e / R. A scalar's group is the same for
every group of another operand.
LENGTH says how many groups there are, and how many lanes of the last one count. An instruction goes
through the groups of d, or once if d is a scalar; with GROUPS always through all.

"""

_COMPUTE = """\
COMPUTE, for each group and lane: A is register a, F the factor, P = A * F exactly, 64 bits.
T = P shifted right, down, and limited to 32 bits; r is what rounding adds to it (0 or 1; 0 where T
was limited). X = T + r for ADD, T for other functions, which do not round; Y is the addend. ADD
limits its sum to 32 bits, once. With `negate` ADD gives Y - X, others take X with all bits
inverted. SELECT writes where X is not 0, and leaves other lanes as they are.

A table is 256 or 512 words in each lane, in registers that follow each other. With the addend B the
word that A selects is Y, and X is 0. With another addend the word is F, A is H in the product, and
the word is the one that A - offset selects (the low 8 bits of these; a ninth is A's). d is not part
of the table.

HOLD goes through one group: it takes H and the offset from the word of a and b that the low 5 bits
of the immediate say. H is that until another COMPUTE or STORE takes an A of its own: then it is the
last A of that one. What is folded goes to the word of d that the low 5 bits of the immediate say,
or to word 0 where the immediate is the factor or the addend.

STORE makes Y + X or Y - X as ADD does, with A = H if `tail` is 1, limits it to its width, and
writes what counts of the last group.

LOAD and STORE: elements lie one behind the other from the address in c on. That is taken down to a
multiple of R elements or of `read_bytes`, whichever is less; of STORE, to one of a piece. A piece
is min(R, 8) bytes. To all lanes (LANES): one element a group, from a multiple of 4. c then grows
by the immediate, but not where that is the factor or the addend of a STORE.

LOAD and STORE of rows (GROUPS, INT8): each lane has a row, group n its byte n, up to a whole number
of pieces. As many rows are moved as lanes of the last group count; other lanes load the last row.
PITCH is the way from a row's piece to the next row's, BACK the one from the last row's piece to the
first row's next piece. All addresses are taken down to multiples of a piece.

An instruction with a field out of its range, or not 0 where it means nothing, ends the program with
an error. So does a LENGTH of no group, no lane, or more of them than there are.

A group takes two cycles, and a COMPUTE at least 14 until the next one that is no HOLD, 16 with a
table. All results are written before LOAD, END, PITCH and BACK. So they are before an instruction
that reads what the last one folds, a HOLD that reads its d, and a table that has its d. That takes
14 cycles from the last group on, 16 with a table. LOAD, END, PITCH, BACK and another STORE wait
until what STORE wrote is in memory. `sw/units/vector/timing.py` counts them.

"""


def vector_part(table: Callable[[Sequence[str], Iterable[Sequence[object]]], str],
                members: Callable[[type], str]) -> str:
    """Markdown; ``table`` and ``members`` make tables of rows and of an enum's members."""
    parts = [_INTRODUCTION, table(*isa.INSTRUCTION.described()), "\n", _COMPUTE]
    for kind in KINDS:
        parts.append(f"### {kind.__name__}\n\n{(kind.__doc__ or '').splitlines()[0]}\n\n"
                     f"{members(kind)}\n")
    return "".join(parts)
