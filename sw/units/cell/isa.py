"""Descriptor of a sequence, which a CELL instruction points to: its fields and legal values.

Compiler, emulator, gateware and ``docs/isa.md`` are made from these tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kaniwa.isa.bit_table import BitTable, Field

__all__ = ["WORD_BYTES", "DESCRIPTOR_BYTES", "MOST_CELLS", "MOST_INPUTS", "PRODUCTS",
           "GATES", "LEFT_SHIFT", "POWERS", "DESCRIPTOR", "FIELDS", "ALIGNED", "encode", "decode",
           "illegal", "frame_words", "stream_words"]

WORD_BYTES = 16            # of a word of weights, and a read of memory
DESCRIPTOR_BYTES = 128
MOST_CELLS, MOST_INPUTS = 1024, 4096
PRODUCTS = 4               # weights of each gate in a word
GATES = ("forget", "input", "cell", "output")   # the order of weights, biases and rescalings
LEFT_SHIFT = 30            # of sums, at most: LiteRT's largest
POWERS = (15, 21)          # what i * g is shifted by, for cell states of scale 2^-15 to 2^-9


def _fields() -> Iterator[Field]:
    def field(word: int, lsb: int, width: int, name: str, meaning: str, low: int | None = None,
              high: int | None = None, signed: bool = False, multiple: int = 1) -> Field:
        return Field.of(name, width, meaning, low=low, high=high, signed=signed, word=word,
                        lsb=lsb, multiple=multiple)

    yield field(0, 0, 11, "cells", "cells, and elements of the hidden state", 1, MOST_CELLS)
    yield field(0, 16, 16, "steps", "steps of the sequence", 1)
    yield field(1, 0, 11, "input_words", "words of weights of a cell's products with the input: a "
                "quarter of its elements, rounded up; 0: the input's rows are sums already", 0,
                MOST_INPUTS // PRODUCTS)
    yield field(2, 0, 32, "weight_address", "the weights; a multiple of 16", multiple=16)
    yield field(3, 0, 32, "input_address", "the input of the first step; a multiple of 4",
                multiple=4)
    yield field(4, 0, 32, "input_pitch", "bytes from one step's input to the next; a multiple of 4",
                multiple=4)
    yield field(5, 0, 32, "output_address", "the hidden state behind the first step")
    yield field(6, 0, 32, "output_pitch", "bytes from one step's hidden state to the next")
    yield field(7, 0, 32, "first_hidden", "int8, before the first step; a multiple of 16",
                multiple=16)
    yield field(8, 0, 32, "first_cell", "int16, the cell state before the first step; a multiple "
                "of 16", multiple=16)
    yield field(9, 0, 32, "last_hidden", "int8, behind the last step")
    yield field(10, 0, 32, "last_cell", "int16, the cell state behind the last step; even",
                multiple=2)
    yield field(11, 0, 8, "input_zero", "zero point of the input", signed=True)
    yield field(11, 8, 8, "hidden_zero", "zero point of the hidden state in the products",
                signed=True)
    yield field(11, 16, 8, "output_zero", "what is added to the rescaled hidden state", signed=True)
    yield field(12, 0, 5, "admit_shift", "what input gate times cell gate is shifted by: 30, and "
                "the power of two of the cell state's scale", *POWERS)
    yield field(12, 16, 16, "clip", "the largest magnitude of the cell state; 32768 for none", 1,
                32768)
    sums = {f"{what}_{gate}": f"the {gate} gate's sums with the {of}"
            for what, of in (("input", "input"), ("hidden", "hidden state")) for gate in GATES}
    for number, (name, of) in enumerate((sums | {"output": "o * tanh(c)"}).items()):
        yield field(13 + 2 * number, 0, 31, f"multiplier_{name}", f"multiplier of {of}")
        yield field(14 + 2 * number, 0, 6, f"shift_{name}", "how far to the right they are shifted "
                    "then, or to the left before", -LEFT_SHIFT, 31, signed=True)


DESCRIPTOR = BitTable("a CELL", DESCRIPTOR_BYTES, _fields())
FIELDS: dict[str, Field] = DESCRIPTOR.fields
encode, decode, illegal = DESCRIPTOR.encode, DESCRIPTOR.decode, DESCRIPTOR.illegal
ALIGNED = {field.name: field.multiple for field in FIELDS.values() if field.multiple > 1}


def frame_words(values: Mapping[str, int]) -> tuple[int, int]:
    """Words of weights of a cell: those with the input and their biases, those with the hidden
    state."""
    return 1 + values["input_words"], -(-values["cells"] // PRODUCTS)


def stream_words(values: Mapping[str, int]) -> int:
    """Words of weights of all cells."""
    of_input, of_hidden = frame_words(values)
    return values["cells"] * (of_hidden + (of_input if values["input_words"] else 0))
