"""Checks the bench framework itself on a register stage: rules, stalls, rates."""

from typing import Any

import cocotb

from kaniwa.sim.harness.bench import Bench, Driver, Dut, Monitor, check, cover, start


def _duts() -> list[Dut]:
    from amaranth.hdl import Module, signed, unsigned
    from amaranth.lib import data, fifo, stream, wiring
    from amaranth.lib.wiring import In, Out

    layout = data.StructLayout({"a": signed(9), "b": data.ArrayLayout(unsigned(3), 4)})

    class Stage(wiring.Component):
        def __init__(self) -> None:
            super().__init__({"i": In(stream.Signature(layout)),
                              "o": Out(stream.Signature(layout))})

        def elaborate(self, platform: Any) -> Module:
            m = Module()
            m.submodules.fifo = f = fifo.SyncFIFOBuffered(width=21, depth=3)
            m.d.comb += [
                f.w_data.eq(self.i.payload), f.w_en.eq(self.i.valid), self.i.ready.eq(f.w_rdy),
                self.o.payload.eq(f.r_data), self.o.valid.eq(f.r_rdy), f.r_en.eq(self.o.ready)]
            return m

    component = Stage()
    component.layout = layout
    return [Dut("stage", component)]


BENCH = Bench("selftest", _duts, required=["back_to_back", "stalled"])


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def passes_items_unchanged(dut: Any, stall: float) -> None:
    env = await start(dut, BENCH)
    layout = BENCH.duts()[0].component.layout
    source, sink = Driver(env, "i", layout, stall), Monitor(env, "o", layout, stall)
    items = [{"a": env.rng.randrange(-256, 256), "b": [env.rng.randrange(8) for _ in range(4)]}
             for _ in range(100)]
    source.send(items)
    check(await sink.take(100), items, "items")
    span = sink.cycles[-1] - sink.cycles[0]
    if stall:
        cover("stalled")
        assert span > 120
    else:
        cover("back_to_back")
        assert span == 99
