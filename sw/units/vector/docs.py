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

VECTOR loads `parameter_bytes` of them from `parameter_address` on, both multiples of `read_bytes`,
to place `block_words` of the store (with 0 bytes it loads none) and runs from there to END; jumps
lead to places of the store. What lies behind END to fill a word is stored, and not run. `tag` names
its counters; its other fields do not matter. A VECTOR waits until every instruction before it has
retired and all units are idle; the next one is not read before it has retired itself. So nothing
needs to wait for it or in it, but it must not write to the program, its parameters or weights. Its
cycles count as fill. A fault in a vector program ends the run as VECTOR, a program that does not
fit the store as ILLEGAL_FIELD; without `vector_unit` the opcode is illegal. The watchdog sees the
unit's accesses to memory as progress, not its computations. Registers, tables and the store keep
what they hold from one VECTOR of a run to the next; in the first one they hold anything.

A vector register, v0 to v{isa.SCALAR - 1}, has up to {isa.BLOCK_WORDS} groups of R elements,
element e in lane e mod R of group e / R. LENGTH says how many groups there are, and how many lanes
of the last one count. A scalar, s0 to s{31 - isa.SCALAR} (numbers {isa.SCALAR} to 31), has one
group, which is the same for every group of another operand. An instruction goes through the groups
of d, or once if d is a scalar; with GROUPS always through all. Control registers c0 to
c{isa.CONTROL_REGISTERS - 1} hold addresses and counts.

"""

_COMPUTE = """\
COMPUTE, for each group and lane: A is register a, F the factor, P = A * F exactly, 64 bits.
T = P shifted right, down, and limited to 32 bits; r is what rounding adds to it (0 or 1; 0 where T
was limited). X = T + r for ADD, T for other functions, which do not round; Y is the addend. ADD
limits its sum to 32 bits, once. With `negate` ADD gives Y - X, others take X with all bits
inverted. SELECT writes where X is not 0, and leaves other lanes as they are.

A table is 256 or 512 words in each lane, in registers that follow each other; the word that A
selects is B, so Y with the addend B. d is not part of the table.

LOAD and STORE: elements lie one behind the other from the address in c on, taken down to a multiple
of R elements or of `read_bytes` (`write_bytes`), whichever is less. To all lanes (LANES): one
element a group, from a multiple of 4. STORE limits elements to its width, and writes only those of
the last group that count. c then grows by the immediate.

An instruction with a field out of its range, or not 0 where it means nothing, ends the program with
an error, as does a LENGTH of no group, no lane, or more of them than there are.

A group takes two cycles, and a COMPUTE at least 14 until the next one. After GROUPS, LANES or a
table, and before a table, LOAD, STORE and END, all results are written first: 14 cycles from the
last group on, 16 with a table. `sw/units/vector/timing.py` counts them.

"""


def vector_part(table: Callable[[Sequence[str], Iterable[Sequence[object]]], str],
                members: Callable[[type], str]) -> str:
    """Markdown; ``table`` and ``members`` make tables of rows and of an enum's members."""
    parts = [_INTRODUCTION, table(*isa.INSTRUCTION.described()), "\n", _COMPUTE]
    for kind in KINDS:
        parts.append(f"### {kind.__name__}\n\n{(kind.__doc__ or '').splitlines()[0]}\n\n"
                     f"{members(kind)}\n")
    return "".join(parts)
