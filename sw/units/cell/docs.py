"""The part of ``docs/isa.md`` that is about the cell unit, from the descriptor's table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from kaniwa.units.cell import isa

__all__ = ["cell_part"]

_GATES = ", ".join(isa.GATES)
_SIZE, _WORD, _P = isa.DESCRIPTOR_BYTES, isa.WORD_BYTES, isa.PRODUCTS

_INTRODUCTION = f"""## Sequences of the cell unit

The cell unit (a config with `cell_unit`) runs all steps of an integer LSTM for one CELL. CELL is in
its order like VECTOR: it waits until every instruction before it has retired and all units are
idle. The next instruction is not read before CELL has retired itself. Its cycles count as fill.

`parameter_address`, a multiple of `read_bytes`, leads to a descriptor of `parameter_bytes` =
{_SIZE} bytes. `tag` names the counters; other fields do not matter.

| fault | the run ends as |
|---|---|
| another length, or an address that is no multiple of `read_bytes` | ILLEGAL_FIELD |
| a field of the descriptor out of its range | VECTOR |
| an address in the descriptor that is no multiple of what it must be | VECTOR |
| CELL without `cell_unit` | ILLEGAL_OPCODE |

A run that ends as VECTOR ends before the unit has done anything. Bits of the descriptor that belong
to no field mean nothing. Addresses of rows are modulo 2^32, so a
pitch may go backwards.

"""

_TEXT = f"""\
With N `cells`, x of 4 * `input_words` elements, h and c before the first step from `first_hidden`
and `first_cell`, a step is, for each cell:

| | |
|---|---|
| s, of each gate | bias + SUM (x - `input_zero`) * weights of the input |
| r, of each gate | SUM (h - `hidden_zero`) * weights of the hidden state |
| argument of each gate | sat16(sat16(R(s)) + R(r)), with the numbers `input_...`, `hidden_...` |
| f, i, o | logistic of the argument in Q3.12, in Q0.15 |
| g | tanh of it, in Q0.15 |
| c | sat16(D(f * c, 15) + D(i * g, `admit_shift`)), of a magnitude of `clip` at most; 32768: any |
| h | R(o * tanh(c)) + `output_zero`, limited to int8; c has `admit_shift` - 15 integer bits |

R is the product with the multiplier, in Q0.31, half up, then D by the shift. A shift below 0 is one
to the left, before the product. D(v, n) is v / 2^n, half away from zero; sat16 limits to 16 bits.
logistic and tanh are gemmlowp's of 16 bits (`sw/golden/numbers/fixedpoint16.py`). Sums, and what
they are shifted to the left, are modulo 2^32.

h of a step goes to a row of N bytes of the output; only these are written. Behind the last step h
goes to `last_hidden`, c to `last_cell`, which may be where they came from. Rows of the input, first
states and weights are read in whole words of {_WORD} bytes; where the model's input has fewer
elements, weights are 0. Weights are read again in each step, and the next step's input while this
one is computed. So a row of the output must lie on no weight, and on no input of a later step.

Where `input_words` is 0, a row of the input is s, as the array has made it: a word for each cell,
int32 of each gate, without the lowest four bits of its address. Then the weights are those of the
hidden state alone.

Weights are words of {_WORD} bytes. Each cell has a word of biases, int32, then `input_words` words.
Behind all these each cell has ceil(N / {_P}) words of the hidden state. Byte {_P} * gate + p of
word k is the gate's weight of element {_P} * k + p. Gates, and biases, are in the order
{_GATES}.
"""


def cell_part(table: Callable[[Sequence[str], Iterable[Sequence[object]]], str]) -> str:
    """Markdown; ``table`` makes a table of rows."""
    return _INTRODUCTION + table(*isa.DESCRIPTOR.described()) + "\n" + _TEXT
