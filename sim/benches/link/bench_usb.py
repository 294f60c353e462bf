"""USB: a host at D+ and D- finds a serial port, with clocks that are off by what is allowed."""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.sim.benches.link.usb_world import World, begin
from kaniwa.sim.harness.bench import Bench, Dut, check, cover
from kaniwa.sim.usb.host import Serial


def _duts() -> list[Dut]:
    from kaniwa.hw.link.usb import UsbSerial

    return [Dut("usb", UsbSerial("a board"))]


BENCH = Bench("usb", _duts, required=["enumerated"])


async def _opened(dut: Any, clock: str = "nominal", stall: float = 0.0, slow: float = 0.0
                  ) -> tuple[World, Serial]:
    world = await begin(dut, BENCH, clock, stall, slow)
    return world, await world.do(world.host.enumerate())


@cocotb.test()
@cocotb.parametrize(clock=["nominal", "fast", "slow"])
async def a_host_finds_a_serial_port(dut: Any, clock: str) -> None:
    world, serial = await _opened(dut, clock)
    check(serial.names, ["kaniwa", "a board"], "names")
    check(serial.device[8:12], (0x1209).to_bytes(2, "little") + (1).to_bytes(2, "little"), "IDs")
    cover("enumerated")
