"""Check that a program reads only what has been written: the waits of its instructions are enough.

The core's units run ahead of each other, so a forgotten wait shows only by chance there. Here it
is an error every time.
"""

from __future__ import annotations

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.emulator.memory import EmulatedMemory, Fault, strided
from kaniwa.isa import INSTRUCTION_BYTES, ErrorCode, Opcode
from kaniwa.program.instruction import Values, channels, pixels, rows_needed

__all__ = ["HazardCheck"]


class HazardCheck:
    """Follows a program instruction by instruction; ``add`` raises Fault at the first hazard."""

    def __init__(self, config: AcceleratorConfig, outside: bool, program_address: int) -> None:
        self._writer = EmulatedMemory(config, outside, np.int32)  # 1 + a byte's last writer
        self._program_address = program_address
        self._count = 0
        self._settled = 0   # the instructions before this one are done before the next begins

    def add(self, values: Values) -> bool:
        """Check the next instruction, of the array or a unit, whose fields are legal.

        Whether an instruction before writes its parameters or weights.
        """
        if values["opcode"] != Opcode.LAYER:
            self._count += 1
            self._settled = self._count
            return False
        rows = (values["ifm_rows"], values["ifm_row_bytes"])
        self._check_read("ifm", values["ifm_address"], rows, (values["ifm_pitch"], 1),
                         max(values["ifm_wait"], self._settled))
        if values["add"]:
            self._check_read("operand", *pixels(values, "operand"),
                             max(values["operand_wait"], self._settled))
            _check_in_place_operand(values)
        _check_in_place_ifm(values)
        self._count += 1
        strided(self._writer, *pixels(values, "ofm"))[...] = self._count
        return any([self._check_read(which, values[f"{which}_address"],
                                     (values[f"{which}_bytes"],), (1,), self._settled)
                    for which in ("parameter", "weight") if values[f"{which}_bytes"]])

    def finish(self) -> None:
        """Check that no instruction overwrote the program, which is read ahead without waiting."""
        self._check_read("program", self._program_address,
                         ((self._count + 1) * INSTRUCTION_BYTES,), (1,))

    def _check_read(self, what: str, address: int, shape: tuple[int, ...],
                    pitches: tuple[int, ...], wait: int = 0) -> bool:
        """Check a read; True where its data were written before."""
        if wait > self._count:
            raise Fault(ErrorCode.WATCHDOG, f"{what} waits for instruction {wait - 1}, "
                                            "which does not come before")
        needed = int(strided(self._writer, address, shape, pitches).max())
        if needed > wait:
            raise Fault(ErrorCode.ILLEGAL_FIELD,
                        f"{what} is written by instruction {needed - 1} and not waited for")
        return needed > 0


def _check_in_place_operand(v: Values) -> None:
    """A result may only overwrite the operand that it was made of."""
    ofm, operand = pixels(v, "ofm"), pixels(v, "operand")
    same = ofm[0] == operand[0] and all(
        a == b for a, b, size in zip(ofm[2], operand[2], ofm[1], strict=True) if size > 1)
    if not same and _last(*ofm) >= operand[0] and _last(*operand) >= ofm[0]:
        raise Fault(ErrorCode.ILLEGAL_FIELD, "the output overlaps the operand in another place")


def _check_in_place_ifm(v: Values) -> None:
    """A result may not overwrite input that the load unit need not have read yet."""
    address, shape, pitches = pixels(v, "ofm")
    end = v["ifm_address"] + (v["ifm_rows"] - 1) * v["ifm_pitch"] + v["ifm_row_bytes"]
    if _last(address, shape, pitches) < v["ifm_address"] or address >= end:
        return
    x = np.arange(shape[1], dtype=np.int64)
    in_row = np.clip(x * v["pixel_step"] - v["pad_left_bytes"] + v["window_span"], 0,
                     v["ifm_row_bytes"])
    for y in range(shape[0]):
        first = address + y * pitches[0] + x * pitches[1]
        read = v["ifm_address"] + max(rows_needed(v, y) - 1, 0) * v["ifm_pitch"] + in_row
        if np.any((first + channels(v) > read) & (first < end)):
            raise Fault(ErrorCode.ILLEGAL_FIELD, "the output overwrites input not yet read")


def _last(address: int, shape: tuple[int, ...], pitches: tuple[int, ...]) -> int:
    return address + sum((n - 1) * pitch for n, pitch in zip(shape, pitches, strict=True))
