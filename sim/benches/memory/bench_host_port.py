"""The host's port: whoever has the memory sees it as it is, the other one waits."""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.sim.harness.bench import Bench, Dut, check, cover, start


def _duts() -> list[Dut]:
    from amaranth.hdl import Module
    from amaranth.lib import wiring

    from kaniwa.hw.memory.host_port import HostPort

    class Clocked(wiring.Component):
        """The port with ``busy`` behind a flip-flop, as the core has it."""

        def __init__(self, config: AcceleratorConfig) -> None:
            self._config = config
            super().__init__(HostPort(config).signature)

        def elaborate(self, platform: Any) -> Module:
            m = Module()
            m.submodules.port = port = HostPort(self._config)
            for name in self.signature.members:
                if name != "busy":
                    member = getattr(self, name)
                    inner = getattr(port, name)
                    if name.startswith(("core", "host")):
                        wiring.connect(m, wiring.flipped(member), inner)
                    else:
                        wiring.connect(m, inner, wiring.flipped(member))
            m.d.sync += port.busy.eq(self.busy)
            return m

    return [Dut(name, Clocked(PRESETS[name]), config=PRESETS[name]) for name in ("nano", "base")]


BENCH = Bench("host_port", _duts, required=[
    *(f"{who}_{what}" for who in ("core", "host") for what in ("read", "write", "response")),
    "host_waits"])


@cocotb.test()
async def passes_the_owner_and_keeps_the_other_waiting(dut: Any) -> None:
    env = await start(dut, BENCH)
    rng = env.rng
    sides = ("core", "host")
    busy = False
    for _ in range(3000):
        before, busy = busy, rng.random() < 0.5
        env.set("busy", busy)
        inputs = {}
        for who in sides:
            for port in ("read", "write"):
                payload = f"{who}_{port}__request__payload"
                inputs[payload] = rng.getrandbits(len(getattr(dut, payload)))
                asks = rng.randrange(2) & (who == "host" or before)   # the core only while busy
                inputs[f"{who}_{port}__request__valid"] = asks
        for port in ("read", "write"):
            inputs[f"{port}__request__ready"] = rng.randrange(2)
        inputs["read__response__valid"] = rng.randrange(2)
        inputs["read__response__payload"] = rng.getrandbits(len(dut.read__response__payload))
        for name, value in inputs.items():
            env.set(name, value)
        await env.cycles(1)
        owner, other = sides if before else sides[::-1]
        for port in ("read", "write"):
            for member in ("valid", "payload"):
                check(env.get(f"{port}__request__{member}"),
                      inputs[f"{owner}_{port}__request__{member}"], f"{port} {member}")
            check(env.get(f"{owner}_{port}__request__ready"), inputs[f"{port}__request__ready"],
                  f"{port} ready")
            check(env.get(f"host_{port}__request__ready"),
                  inputs[f"{port}__request__ready"] & (not before), f"{port} ready of the host")
            if inputs[f"{owner}_{port}__request__valid"]:
                cover(f"{owner}_{port}")
            if inputs[f"{other}_{port}__request__valid"]:
                cover(f"{other}_waits")
        check(env.get(f"{owner}_read__response__valid"), inputs["read__response__valid"],
              "response")
        check(env.get(f"{other}_read__response__valid"), 0, "response to the other")
        check(env.get(f"{owner}_read__response__payload"), inputs["read__response__payload"],
              "word")
        if inputs["read__response__valid"]:
            cover(f"{owner}_response")
