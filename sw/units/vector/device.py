"""VECTOR instructions on the emulator: the vector unit before the memory of the core."""

from __future__ import annotations

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.emulator.memory import Fault, UnitMemory
from kaniwa.errors import ProgramError
from kaniwa.isa import ErrorCode
from kaniwa.units.unit import Values
from kaniwa.units.vector.emulator import VectorEmulator

__all__ = ["DeviceVectorUnit"]


class DeviceVectorUnit(VectorEmulator):
    """The unit of an emulated core for one run, which begins with all words 0."""

    def __init__(self, config: AcceleratorConfig, memory: UnitMemory) -> None:
        super().__init__(config, np.zeros(0, np.uint8))
        self._device = memory

    def call(self, values: Values) -> None:
        """Do a legal VECTOR instruction. Raises Fault."""
        code = self._device.view(values["parameter_address"], values["parameter_bytes"])
        try:
            self.run(code.tobytes(), values["block_words"])
        except ProgramError as error:
            raise Fault(ErrorCode.VECTOR, str(error)) from None

    def _view(self, address: int, size: int, write: bool = False) -> np.ndarray:
        return (self._device.writable if write else self._device.view)(address, size)
