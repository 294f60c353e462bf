"""The vector unit with multiplier blocks of its own, as a bench drives it."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import read_port, write_port
from kaniwa.hw.multiplier import WideProduct
from kaniwa.hw.vector_unit import VectorUnit, command_layout

__all__ = ["VectorHarness"]


class VectorHarness(Component):
    """All ports of ``VectorUnit`` but those to the multiplier blocks, of which it has two a lane.

    ``wide``: what they are made of. While the unit has not been granted the blocks they multiply
    something else, as those that it shares would.
    """

    def __init__(self, config: AcceleratorConfig, wide: Any = WideProduct):
        self._config, self._wide = config, wide
        super().__init__({
            "i": In(stream.Signature(command_layout())),
            "idle": Out(1),
            "error": Out(1),
            "read": Out(read_port(config)),
            "write": Out(write_port(config)),
            "request": Out(1),
            "grant": In(1),
        })

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.unit = unit = VectorUnit(self._config)
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
