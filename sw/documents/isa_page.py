"""``docs/isa.md`` from the instruction table (``python -m kaniwa.documents.isa_page``)."""

from __future__ import annotations

import enum
import inspect
import re
import sys
from collections.abc import Iterable, Sequence

from kaniwa import isa
from kaniwa.isa.formats import HEADER, SHORT_RECORD as _SHORT, formats_table
from kaniwa.isa.modes import AHEAD
from kaniwa.isa.step_lists import CHUNK_BITS as _CHUNK_BITS
from kaniwa.units import register

__all__ = ["isa_page"]

_INTRODUCTION = f"""# Instruction set, version {isa.ISA_VERSION}

This page is made by `python -m kaniwa.documents.isa_page` from the tables in `sw/isa/table.py`,
`sw/isa/formats.py`, `sw/units/vector/isa.py` and `sw/units/cell/isa.py`; a test holds it up to
date. What the fields make the core do, loop by loop, is in [architecture.md](architecture.md).

A program is a sequence of instructions of {isa.INSTRUCTION_BYTES} bytes in device memory, from a
multiple of `read_bytes` on. Each LAYER instruction is a whole layer or a part of one: hardware
loops over output rows, pixels, blocks of output channels, and taps. END waits until every result is
in memory and reports completion. Numbers are little-endian; a field never crosses a 32-bit word;
bits of no field are zero.

Addresses are byte addresses of 32 bits; those with bit 31 set are in outside memory. Tensors are
HWC, int8, channel innermost, with free pitches between rows and pixels.
"""

_REQUANTIZATION = """## Requantization

`q = (v * m + b) >> s`, then the zero point, then the clamp, all of one channel:

| | |
|---|---|
| v | the 32-bit accumulator with its bias |
| m | a multiplier of at most `multiplier_bits` bits (W below) |
| s | a shift of 0..63 |
| b | follows from the rounding, s and the sign of v; 0 for s = 0 |

The result is exact: nothing is rounded twice.

| rounding | v >= 0 | v < 0 |
|---|---|---|
| UP | 2^(s-1) | 2^(s-1) |
| DOUBLE, s > W | 2^(s-1) + 2^(W-1) | 2^(s-1) - 2^(W-1) |
| DOUBLE, s <= W | 2^(s-1) | 2^(s-1) |
| AWAY | 2^(s-1) | 2^(s-1) - 1 |
| EVEN | 2^(s-1) | 2^(s-1) |

EVEN: the product lies exactly between two results where s > 0 and the s low bits of `v * m + b` are
all zero. The lowest bit of q is cleared there.

With `table`, the clamped result y becomes `table 0[y + 128]`. With `add`, the sum
`table 0[y + 128] + table 1[operand + 128]` is requantized once more with the `add_...` fields; with
`multiply` too, their product is, and both entries must be within -256..255.
"""

_WEIGHT_STREAM = """## Weight stream

What the weight unit reads for an instruction: `parameter_bytes` once, then `weight_bytes`
`weight_repeat` times. Both are sequences of blocks. A block is a header of 8 bytes, padded with
zeros to a multiple of `read_bytes`, and a payload, padded likewise.
"""

_WORDS = f"""\
A ring word is `out_lanes` rows of `dot_width` weights, row 0 first. DENSE takes a word a step, in
the order block, kernel row, segment, chunk: row m has the weights of output channel `block *
block_width + m`. DEPTHWISE takes `ceil(steps / dot_width)` words a block: row m has channel m's
taps, `dot_width` in a word.

A ring word comes in chunks of `read_bytes` weights. Chunk c of every word of a PACKED block has
width `c mod E` of the header's eight, of 4 bits each (0..8), the first at bit 24. E is the largest
divisor of a word's chunks that is at most 8. A chunk of width w is w planes of `read_bytes` bits:
bit p of all its weights, in the order of the weights, p = 0 first. Plane w - 1 is the sign. A chunk
of width 0 is zeros and takes no bytes. Where a target has MODES, its planes have 8 bits: a chunk is
groups of 8 weights, and the planes of a group come before those of the next one.

A MODES block is items of 32 weights, in the order of the weights: a byte of modes, then the planes
of each of four groups. A mode has 2 bits, that of the first group is lowest, and names one of the
header's first four widths. The byte has the modes of the item {AHEAD} behind it, and 0 where there
is none. Those of the first {AHEAD} items are behind the header, in bytes 8 to 11 of the same word.

With bit 0 of `arg` a PACKED block of up to 64 words has a map behind its header, in bytes 8 to 15
of the same word, where `read_bytes` is at least 16. Bit w says that word w is all zeros, and that
its planes are left out. Bits beyond `count` do not matter. Such a word takes one cycle of the
decoder, and so does each word of a block whose widths are all 0.

With bit 1 of `arg` the weights of a PACKED or MODES block are codes, where a target has
`codebook_entries`. The low bits of a code, as many as name an entry, say which weight of the
codebook is meant. Words of zeros that are left out are zeros, not codes. A CODEBOOK block before,
in the same sequence of blocks, has the weights; codes where none has come since reset end the run
with BAD_FORMAT. An entry takes a cycle of the decoder.

With `listed` DENSE takes only the steps that a STEPS block names, and ring words of these alone. It
comes with the parameters, in front of them, where a target has `step_entries`. A step is 16 bits:
the number of its chunk in its segment ({_CHUNK_BITS} bits), and whether it is the segment's last
one. Each segment of each block has a step at least, and a segment's steps are in order. The first
word is the number of steps, at most `step_entries` - 2. `block_words` is that number, and `steps`
and `chunks` are as without a list. Weights of other steps are 0.

A parameter word is `requant_lanes` records of 72 bits, LSB first: bias (32), multiplier (31), shift
(6), zeros (3). A short record has {8 * _SHORT.bytes}: bias ({_SHORT.bias}), the multiplier without
its lowest {_SHORT.dropped} bits, which are 0 ({_SHORT.multiplier}), shift ({_SHORT.shift}). A
compact core has no short records. Each block of output channels starts at a new parameter word.
Tables come before the parameters of their instruction, and not into a bank that the
instruction before uses. The stream brings exactly the words that the instruction uses.

## Order

Instructions take effect in order, but the units run ahead: an input is read as soon as its wait
allows, weights, parameters and instructions without any wait. So every program keeps these rules:

- It never writes to where its instructions lie.
- It may write parameters and weights, but no tables, of instructions that come behind a later
  VECTOR or CELL. That VECTOR or CELL waits until all before it is complete.
- Every tensor that an instruction of the program made is waited for.

`wait = w` holds a reader until instruction w - 1 has retired. With its watermark bit the reader may
follow behind the results of that instruction, if that instruction has `store_in_order`.
"""


def isa_page() -> str:
    """The text of ``docs/isa.md``."""
    parts = [
        _INTRODUCTION,
        "## Units\n\nEach gets the fields that it needs, and works on its instructions in order.\n",
        _table(("unit", "does"), isa.UNITS.items()),
        "## Fields\n",
        _table(*isa.LAYER.described()),
        *(_enum(kind) for kind in (isa.Opcode, isa.Mode, isa.Rounding)),
        _REQUANTIZATION,
        _WEIGHT_STREAM,
        "The header:\n",
        _table(*HEADER.described()),
        "The formats, with values one behind the other, little-endian:\n",
        _table(*formats_table()),
        _WORDS,
        "## Registers\n\n32 bits each, by word address.\n",
        _members(isa.Register),
        f"`COUNTER_0` and the {len(isa.COUNTERS) - 1} registers after it: "
        f"{', '.join(isa.COUNTERS)}, cumulative, as they stood when the selected layer last "
        "retired. The causes and `issued` add up to `cycles`.\n",
        _enum(isa.ErrorCode),
        *(unit.docs(_table, _members) for unit in register.UNITS),
    ]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _enum(kind: type[enum.IntEnum]) -> str:
    summary = (kind.__doc__ or "").strip().splitlines()[0]
    return f"## {kind.__name__}\n\n{summary}\n\n" + _members(kind)


def _members(kind: type[enum.IntEnum]) -> str:
    """The members with the comments behind them in the source, which say what they mean."""
    meanings = dict(re.findall(r"^ +(\w+) = \d+ *# (.*)$", inspect.getsource(kind), re.MULTILINE))
    return _table(("value", "name", "meaning"),
                  ((item.value, f"`{item.name}`", meanings.get(item.name, "")) for item in kind))


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(isa_page())
