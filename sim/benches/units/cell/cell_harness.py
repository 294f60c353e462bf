"""The cell unit and its pipelines, with multiplier blocks of their own, as benches drive them."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, unsigned
from amaranth.lib.wiring import Component, In, connect, flipped

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.multiplier.plain import WideProduct
from kaniwa.hw.units.cell.function import CellFunction
from kaniwa.hw.units.cell.rescale import CellRescale
from kaniwa.hw.units.cell.unit import CellUnit

__all__ = ["WithBlocks", "cell_unit", "cell_function", "cell_rescale"]

TAG = unsigned(8)


class WithBlocks(Component):
    """All ports of ``unit`` but those to the multiplier blocks, which are of ``wide`` here."""

    def __init__(self, unit: Any, wide: Any = WideProduct):
        self._unit, self._wide = unit, wide
        self._members = {name: member for name, member in unit.signature.members.items()
                         if not name.startswith("block_")}
        super().__init__(self._members)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.unit = unit = self._unit
        for name, member in self._members.items():
            inner, outer = getattr(unit, name), getattr(self, name)
            if not member.is_port:
                connect(m, inner, flipped(outer))
            elif member.flow == In:
                m.d.comb += inner.eq(outer)
            else:
                m.d.comb += outer.eq(inner)
        blocks, factors = len(unit.block_a), len(unit.block_b)
        for number in range(blocks):
            m.submodules[f"block_{number}"] = block = self._wide()
            m.d.comb += [block.enable.eq(1), block.a.eq(unit.block_a[number]),
                         block.b.eq(unit.block_b[number * factors // blocks]),
                         unit.block_p[number].eq(block.p)]
        return m


def cell_unit(config: AcceleratorConfig, wide: Any = WideProduct) -> WithBlocks:
    """The whole unit."""
    return WithBlocks(CellUnit(config, wide), wide)


def cell_function() -> WithBlocks:
    """The functions of its gates and states."""
    return WithBlocks(CellFunction(TAG))


def cell_rescale() -> WithBlocks:
    """The rescaling of its sums."""
    return WithBlocks(CellRescale(TAG))
