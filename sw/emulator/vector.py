"""VECTOR instructions on the emulator: the vector unit before the memory of the core."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.emulator.memory import EmulatedMemory, Fault
from kaniwa.errors import ProgramError
from kaniwa.isa import ErrorCode
from kaniwa.program.instruction import Values
from kaniwa.units.vector.emulator import VectorEmulator

__all__ = ["DeviceVectorUnit"]

Span = tuple[int, int]  # first address, one past the last


class DeviceVectorUnit(VectorEmulator):
    """What VECTOR instructions run on, for one run: it begins with all words 0.

    ``constants``: the bytes that the program was decoded from; a vector program must not write
    there, for what was decoded stays.
    """

    def __init__(self, config: AcceleratorConfig, memory: EmulatedMemory,
                 constants: Sequence[Span]) -> None:
        super().__init__(config, np.zeros(0, np.uint8))
        self._device = memory
        self._first: list[int] = []     # of the constants, as spans apart from each other
        self._end: list[int] = []
        for first, end in sorted(constants):
            if self._end and first <= self._end[-1]:
                self._end[-1] = max(self._end[-1], end)
            else:
                self._first.append(first)
                self._end.append(end)

    def call(self, values: Values) -> None:
        """Do a legal VECTOR instruction. Raises Fault."""
        code = self._device.view(values["parameter_address"], values["parameter_bytes"])
        try:
            self.run(code.tobytes(), values["block_words"])
        except ProgramError as error:
            raise Fault(ErrorCode.VECTOR, str(error)) from None

    def writable(self, address: int, size: int) -> np.ndarray:
        """Bytes that are not the program's. Raises Fault."""
        return self._view(address, size, write=True)

    def _view(self, address: int, size: int, write: bool = False) -> np.ndarray:
        if write:
            before = bisect_left(self._first, address + size) - 1
            if before >= 0 and self._end[before] > address:
                raise Fault(ErrorCode.ILLEGAL_FIELD, f"byte {address:#x} is written by a VECTOR "
                                                     "or CELL and belongs to the program")
        return self._device.view(address, size)
