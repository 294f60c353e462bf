"""The vector unit before the memory of the emulated core: what it must not write."""

from __future__ import annotations

import pytest

from kaniwa.config import PRESETS
from kaniwa.emulator.memory import EmulatedMemory, Fault, UnitMemory
from kaniwa.isa import ErrorCode
from kaniwa.units.vector.builder import Builder
from kaniwa.units.vector.device import DeviceVectorUnit
from kaniwa.units.vector.isa import Width

BASE = PRESETS["base_vector"]
SPANS = ((96, 128), (64, 96), (70, 80), (208, 216), (300, 301))     # touching, within, apart


@pytest.mark.parametrize("address", range(0, 320, 8))
def test_what_was_decoded_is_not_written(address: int) -> None:
    k = Builder(BASE)
    value, to = k.vector(), k.pointer(address)
    k.length(8)
    k.constant(value, 1)
    k.store(value, to, Width.INT8)
    memory = EmulatedMemory(BASE, False)
    unit = DeviceVectorUnit(BASE, UnitMemory(memory, SPANS))
    if any(first < address + 8 and address < end for first, end in SPANS):
        with pytest.raises(Fault, match="written by a unit and belongs to "):
            unit.run(k.finish())
        assert not memory.view(address, 8).any()
    else:
        unit.run(k.finish())
        assert memory.view(address, 8).tolist() == [1] * 8


def test_the_fault_has_its_code() -> None:
    unit = DeviceVectorUnit(BASE, UnitMemory(EmulatedMemory(BASE, False), [(0, 8)]))
    k = Builder(BASE)
    value, to = k.vector(), k.pointer(0)
    k.length(1)
    k.store(value, to, Width.INT8)
    with pytest.raises(Fault) as fault:
        unit.run(k.finish())
    assert fault.value.code == ErrorCode.ILLEGAL_FIELD
