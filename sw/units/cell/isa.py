"""What a CELL instruction points to: the descriptor of a sequence, its fields and legal values.

Compiler, emulator, gateware and ``docs/isa.md`` are made from these tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kaniwa.errors import ProgramError

__all__ = ["ALIGNED", "WORD_BYTES", "DESCRIPTOR_BYTES", "MOST_CELLS", "MOST_INPUTS", "PRODUCTS",
           "GATES", "LEFT_SHIFT", "POWERS", "Field", "FIELDS", "encode", "decode", "illegal",
           "frame_words"]

WORD_BYTES = 16            # of a word of weights, and a read of memory
DESCRIPTOR_BYTES = 128
MOST_CELLS, MOST_INPUTS = 256, 4096
PRODUCTS = 4               # weights of each gate in a word
GATES = ("forget", "input", "cell", "output")   # the order of weights, biases and rescalings
LEFT_SHIFT = 3             # of sums, at most
POWERS = (18, 21)          # what i * g is shifted by, for cell states of scale 2^-12 to 2^-9


@dataclass(frozen=True)
class Field:
    """A field of the descriptor: bits ``lsb`` on of its 32-bit word ``word``."""

    name: str
    word: int
    lsb: int
    width: int
    signed: bool
    low: int
    high: int
    meaning: str


def _fields() -> dict[str, Field]:
    fields: list[Field] = []

    def add(word: int, lsb: int, width: int, name: str, meaning: str, low: int | None = None,
            high: int | None = None, signed: bool = False) -> None:
        least = -(1 << width - 1) if signed else 0
        most = (1 << width - signed) - 1
        fields.append(Field(name, word, lsb, width, signed, least if low is None else low,
                            most if high is None else high, meaning))

    add(0, 0, 9, "cells", "cells, and elements of the hidden state", 1, MOST_CELLS)
    add(0, 16, 16, "steps", "steps of the sequence", 1)
    add(1, 0, 11, "input_words", "words of weights of a cell's products with the input: a quarter "
        "of its elements, rounded up", 1, MOST_INPUTS // PRODUCTS)
    add(2, 0, 32, "weight_address", "the weights; a multiple of 16")
    add(3, 0, 32, "input_address", "the input of the first step; a multiple of 4")
    add(4, 0, 32, "input_pitch", "bytes from one step's input to the next; a multiple of 4")
    add(5, 0, 32, "output_address", "the hidden state behind the first step")
    add(6, 0, 32, "output_pitch", "bytes from one step's hidden state to the next")
    add(7, 0, 32, "first_hidden", "int8, before the first step; a multiple of 16")
    add(8, 0, 32, "first_cell", "int16, the cell state before the first step; a multiple of 16")
    add(9, 0, 32, "last_hidden", "int8, behind the last step")
    add(10, 0, 32, "last_cell", "int16, the cell state behind the last step; even")
    add(11, 0, 8, "input_zero", "zero point of the input", signed=True)
    add(11, 8, 8, "hidden_zero", "zero point of the hidden state in the products", signed=True)
    add(11, 16, 8, "output_zero", "what is added to the rescaled hidden state", signed=True)
    add(12, 0, 5, "admit_shift", "what input gate times cell gate is shifted by: 30, and the "
        "power of two of the cell state's scale", *POWERS)
    add(12, 16, 16, "clip", "the largest magnitude of the cell state; 32768 for none", 1, 32768)
    sums = {f"{what}_{gate}": f"the {gate} gate's sums with the {of}"
            for what, of in (("input", "input"), ("hidden", "hidden state")) for gate in GATES}
    for number, (name, of) in enumerate((sums | {"output": "o * tanh(c)"}).items()):
        add(13 + 2 * number, 0, 31, f"multiplier_{name}", f"multiplier of {of}")
        add(14 + 2 * number, 0, 6, f"shift_{name}", "how far to the right they are shifted then, "
            "or to the left before", -LEFT_SHIFT, 31, signed=True)
    return {field.name: field for field in fields}


FIELDS = _fields()
ALIGNED = {"weight_address": 16, "input_address": 4, "input_pitch": 4, "first_hidden": 16,
           "first_cell": 16, "last_cell": 2}


def encode(values: Mapping[str, int]) -> bytes:
    """The bytes of a descriptor; all fields must be there. Raises ProgramError for illegal ones."""
    problem = illegal(values)
    if problem is not None:
        raise ProgramError(problem)
    words = [0] * (DESCRIPTOR_BYTES // 4)
    for field in FIELDS.values():
        words[field.word] |= (values[field.name] & ((1 << field.width) - 1)) << field.lsb
    return b"".join(word.to_bytes(4, "little") for word in words)


def decode(code: bytes) -> dict[str, int]:
    """The fields of a descriptor; bits that belong to none mean nothing."""
    words = [int.from_bytes(code[at:at + 4], "little") for at in range(0, DESCRIPTOR_BYTES, 4)]
    values = {}
    for field in FIELDS.values():
        value = words[field.word] >> field.lsb & ((1 << field.width) - 1)
        if field.signed and value >> (field.width - 1):
            value -= 1 << field.width
        values[field.name] = value
    return values


def illegal(values: Mapping[str, int]) -> str | None:
    """What is wrong with the values of a descriptor, or None."""
    for field in FIELDS.values():
        if not field.low <= values[field.name] <= field.high:
            return (f"{field.name} of a CELL must be {field.low}..{field.high}, "
                    f"not {values[field.name]}")
    for name, size in ALIGNED.items():
        if values[name] % size:
            return f"{name} of a CELL must be a multiple of {size}, not {values[name]}"
    return None


def frame_words(values: Mapping[str, int]) -> tuple[int, int]:
    """Words of weights of a cell: those with the input and their biases, those with the hidden
    state."""
    return 1 + values["input_words"], -(-values["cells"] // PRODUCTS)
