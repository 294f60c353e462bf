"""Bench of the operands of the compact core's array: padding, dense and depthwise."""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.sim.benches.compact.compact_ports import CONFIGS
from kaniwa.sim.harness.bench import Bench, Dut, check, cover, start
from kaniwa.sim.harness.payload import codec


def _duts() -> list[Dut]:
    from kaniwa.hw.compact.window import CompactWindow

    return [Dut(name, CompactWindow(config), config) for name, config in CONFIGS.items()]


BENCH = Bench("compact_spread", _duts, required=["dense", "depthwise", "padding", "idle"])


@cocotb.test()
async def operands_equal_model(dut: Any) -> None:
    from kaniwa.hw.compact.array import tap_layout
    from kaniwa.hw.interfaces import array_layout

    env = await start(dut, BENCH)
    assert env.config is not None
    config, rng = env.config, env.rng
    pack, unpack = codec(tap_layout())[0], codec(array_layout(config))[1]
    lanes = config.out_lanes
    pad = rng.randrange(-128, 128)
    env.set("pad_value", pad)
    before = None
    for _ in range(1500):
        tap = {"real": rng.choice([15, rng.randrange(16)]), "dense": rng.randrange(2),
               "column": rng.randrange(4), "last": rng.randrange(2)}
        valid = rng.random() < 0.8
        data = [rng.randrange(-128, 128) for _ in range(4)]
        weights = rng.getrandbits(8 * config.tile_bytes)
        env.set("tap", pack(tap))
        env.set("valid", int(valid))
        env.set("bytes", sum((byte & 255) << 8 * j for j, byte in enumerate(data)))
        env.set("weights", weights)
        await env.cycles(1)
        # The tap of the cycle before goes with the bytes of this one.
        check(env.get("o__valid"), int(before is not None), "valid")
        if before is not None:
            got = unpack(env.get("o__payload"))
            masked = [byte if before["real"] >> j & 1 else pad for j, byte in enumerate(data)]
            stored = [[(weights >> 8 * (4 * lane + j) & 255 ^ 128) - 128 for j in range(4)]
                      for lane in range(lanes)]
            if before["dense"]:
                expected = [list(zip(masked, row, strict=True)) for row in stored]
            else:   # byte m alone, with the weight of the column
                expected = [[(masked[lane], row[before["column"]])] if lane < 4 else []
                            for lane, row in enumerate(stored)]
            for lane in range(lanes):
                pairs = zip(got["activations"][lane], got["weights"][lane], strict=True)
                used = [pair for j, pair in enumerate(pairs) if before["dense"] or j == lane]
                check(used, expected[lane], f"operands of lane {lane}")
                others = [] if before["dense"] else [
                    byte for j, byte in enumerate(got["activations"][lane]) if j != lane]
                check(any(others), False, f"bytes of other lanes in lane {lane}")
            check(got["last"], before["last"], "last")
            cover("dense" if before["dense"] else "depthwise")
            cover("padding" if before["real"] != 15 else "idle")
        else:
            cover("idle")
        before = tap if valid else None
