"""CELL instructions on the emulator: the cell unit before the memory of the core."""

from __future__ import annotations

import numpy as np

from kaniwa.emulator.memory import Fault, UnitMemory
from kaniwa.isa import ErrorCode
from kaniwa.units.cell.emulator import input_sums, step, weights_of
from kaniwa.units.cell.isa import PRODUCTS, WORD_BYTES, decode, illegal, stream_words
from kaniwa.units.unit import Values

__all__ = ["run_sequence"]


def run_sequence(memory: UnitMemory, values: Values) -> None:
    """Do a legal CELL instruction. Raises Fault."""
    v = decode(memory.view(values["parameter_address"], values["parameter_bytes"]).tobytes())
    problem = illegal(v)
    if problem is not None:
        raise Fault(ErrorCode.VECTOR, problem)
    cells = v["cells"]
    size = stream_words(v) * WORD_BYTES
    weights = weights_of(v, memory.view(v["weight_address"], size).tobytes())
    rows = v["output_address"] + np.arange(v["steps"]) * v["output_pitch"] & 0xFFFFFFFF
    _check_apart(rows, cells, v["weight_address"], size, "weights")
    h = memory.view(v["first_hidden"], cells).view(np.int8).astype(np.int64)
    c = memory.view(v["first_cell"], 2 * cells).view("<i2").astype(np.int64)
    for number in range(v["steps"]):
        row = v["input_address"] + number * v["input_pitch"] & 0xFFFFFFFF
        first, length = row % WORD_BYTES, PRODUCTS * v["input_words"]
        if not length:      # sums, of whole words
            row, first, length = row - first, 0, cells * WORD_BYTES
        _check_apart(rows[:number], cells, row, length, f"the input of step {number}")
        # Whole words are read.
        whole = memory.view(row - first, -(-(first + length) // WORD_BYTES) * WORD_BYTES)
        h, c = step(v, weights, input_sums(v, weights, whole[first:first + length]), h, c)
        memory.writable(int(rows[number]), cells)[:] = h.astype(np.int8).view(np.uint8)
    memory.writable(v["last_hidden"], cells)[:] = h.astype(np.int8).view(np.uint8)
    memory.writable(v["last_cell"], 2 * cells)[:] = c.astype("<i2").view(np.uint8)


def _check_apart(rows: np.ndarray, cells: int, address: int, size: int, what: str) -> None:
    """Raise Fault where one of ``rows`` is written over what the core may have read by then, or
    not."""
    if np.any((rows < address + size) & (rows + cells > address)):
        raise Fault(ErrorCode.ILLEGAL_FIELD, f"the output of a CELL overlaps {what}")
