"""The vector unit with multiplier blocks of its own, as a bench drives it."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module
from amaranth.lib.wiring import Component, connect, flipped

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.multiplier.plain import WideProduct
from kaniwa.hw.units.vector.unit import VectorUnit

__all__ = ["VectorHarness"]


class VectorHarness(Component):
    """All ports of ``VectorUnit`` but those to the multiplier blocks, of which it has two a lane.

    ``wide``: what they are made of. While the unit has not been granted the blocks they multiply
    something else, as those that it shares would.
    """

    def __init__(self, config: AcceleratorConfig, wide: Any = WideProduct):
        self._config, self._wide = config, wide
        self._unit = VectorUnit(config)
        super().__init__({name: member for name, member in self._unit.signature.members.items()
                          if not name.startswith("block_")})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.unit = unit = self._unit
        connect(m, flipped(self.i), unit.i)
        connect(m, unit.read, flipped(self.read))
        connect(m, unit.write, flipped(self.write))
        m.d.comb += [self.idle.eq(unit.idle), self.error.eq(unit.error),
                     self.request.eq(unit.request), unit.grant.eq(self.grant)]
        own = unit.request & self.grant
        for number in range(2 * self._config.requant_lanes):
            m.submodules[f"block_{number}"] = block = self._wide()
            m.d.comb += [block.enable.eq(own), block.a.eq(unit.block_a[number]),
                         block.b.eq(unit.block_b[number // 2]), unit.block_p[number].eq(block.p)]
        return m
