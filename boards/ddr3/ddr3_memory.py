"""DDR3 memory behind the accelerator's ports for outside memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from kaniwa.boards.ddr3.memory_core import MODULE, MemoryCore
from kaniwa.config import AcceleratorConfig
from kaniwa.hw.bus.axi_master import AxiMaster
from kaniwa.hw.ddr3.signatures import ADDRESS_BITS
from kaniwa.hw.ddr3.start import Ddr3Start
from kaniwa.hw.interfaces import read_port, write_port

__all__ = ["CLOCK_INIT", "CLOCK_TWICE", "Ddr3Memory"]

CLOCK_TWICE = "ddr3_twice"    # of the chips: two cycles in one of the controller
CLOCK_INIT = "ddr3_init"      # of what starts the clocks
NOT_THERE = ("lock", "cache", "prot", "qos")     # fields of AXI4 that LiteDRAM has not


class Ddr3Memory(Component):
    """LiteDRAM's controller, started and calibrated, behind a master of AXI4.

    ``ready``: the chips are; accesses wait until then. ``failed``: their calibration did. Then
    writes are lost and reads get some word, so that nobody waits for ever.
    ``stop`` and ``reset`` are for the cells that make the clocks.
    ``pads``: what is at the pads of the module, by name. Runs in the domains ``sync``, CLOCK_TWICE
    and CLOCK_INIT.
    """

    def __init__(self, config: AcceleratorConfig, core: MemoryCore,
                 pads: Mapping[str, Any]) -> None:
        self._config, self._core, self._pads = config, core, pads
        super().__init__({
            "read": In(read_port(config)), "write": In(write_port(config)),
            "ready": Out(1), "failed": Out(1), "stop": Out(1), "reset": Out(1),
        })

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        core = self._core
        m.submodules.start = start = Ddr3Start(core.shape, core.steps, **core.times)
        m.submodules.master = master = AxiMaster(
            self._config, address_bits=ADDRESS_BITS, data_bits=core.shape.burst_bits)
        m.d.comb += [
            master.busy.eq(1),       # the ports are the host's between runs, too
            self.ready.eq(start.done),
            self.failed.eq(start.failed),
        ]
        for port, behind in ((self.read.request, master.read.request),
                             (self.write.request, master.write.request)):
            m.d.comb += [
                behind.valid.eq(port.valid & start.done),
                behind.payload.eq(port.payload),
                port.ready.eq(Mux(start.done, behind.ready, start.failed)),
            ]
        response, lost = self.read.response, Signal()
        m.d.sync += lost.eq(self.read.request.valid & start.failed)
        m.d.comb += [
            response.valid.eq(master.read.response.valid | lost),
            response.payload.eq(master.read.response.payload),
        ]
        ports: dict[str, Any] = {f"io_pad_{name}": pad for name, pad in self._pads.items()}
        for name, member in start.pins.signature.members.items():
            way = "i" if member.flow is Out else "o"
            ports[f"{way}_start_{name}"] = getattr(start.pins, name)
        for name, member in master.bus.signature.members.items():
            if not name.endswith(NOT_THERE):
                way = "i" if member.flow is Out else "o"
                ports[f"{way}_axi_{name}"] = getattr(master.bus, name)
        for prefix, domain in (("sys", "sync"), ("sys2x", CLOCK_TWICE), ("init", CLOCK_INIT)):
            ports[f"i_{prefix}_clk"] = ClockSignal(domain)
            ports[f"i_{prefix}_rst"] = ResetSignal(domain)
        m.submodules.core = Instance(MODULE, **ports, o_stop=self.stop, o_reset=self.reset)
        return m
