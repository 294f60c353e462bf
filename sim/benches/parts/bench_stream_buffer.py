"""Bench of the stream buffer: order, stalls on both sides, its room, one payload a cycle."""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.sim.harness.bench import Bench, Driver, Dut, Env, Monitor, check, cover, start


def _duts() -> list[Dut]:
    from amaranth.hdl import unsigned

    from kaniwa.hw.parts.stream_buffer import StreamBuffer

    return [Dut("narrow", StreamBuffer(unsigned(3))), Dut("wide", StreamBuffer(unsigned(70)))]


BENCH = Bench("stream_buffer", _duts, required=[
    "full", "empty", "writer stalls", "reader stalls", "moves", "stays"])


def _layout(env: Env) -> Any:
    from amaranth.hdl import unsigned

    return unsigned(len(env.dut.i__payload))


def _values(env: Env, count: int) -> list[int]:
    return [env.rng.getrandbits(len(env.dut.i__payload)) for _ in range(count)]


@cocotb.test()
async def keeps_order_at_any_pace(dut: Any) -> None:
    env = await start(dut, BENCH)
    source, sink = Driver(env, "i", _layout(env)), Monitor(env, "o", _layout(env))
    for load, stall in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5), (0.9, 0.2), (0.2, 0.9)):
        source.stall, sink.stall = load, stall
        if load:
            cover("writer stalls")
        if stall:
            cover("reader stalls")
        values = _values(env, 300)
        source.send(values)
        check(await sink.take(300), values, f"payloads at stalls {load} and {stall}")


@cocotb.test()
async def tells_what_follows(dut: Any) -> None:
    """``following`` is there from the next cycle on where ``moves`` is 1, nothing new elsewhere."""
    env = await start(dut, BENCH)
    source, sink = Driver(env, "i", _layout(env)), Monitor(env, "o", _layout(env))
    source.stall = sink.stall = 0.5
    source.send(_values(env, 300))
    before: tuple[int, int, int, int] | None = None
    while len(sink.cycles) < 300:
        await env.cycles(1)
        there, payload = env.get("o__valid"), env.get("o__payload")
        if before is not None:
            moved, followed, stays, old = before
            check((there, payload if there else 0),
                  (moved or stays, followed if moved else old if stays else 0), "what followed")
            cover("moves" if moved else "stays")
        stays = there and not env.get("o__ready")
        before = env.get("moves"), env.get("following"), stays, payload


@cocotb.test()
async def passes_one_a_cycle_a_cycle_later(dut: Any) -> None:
    env = await start(dut, BENCH)
    source, sink = Driver(env, "i", _layout(env)), Monitor(env, "o", _layout(env))
    values = _values(env, 64)
    source.send(values)
    check(await sink.take(64), values, "payloads")
    check([there - given for given, there in zip(source.cycles, sink.cycles, strict=True)],
          [1] * 64, "latency")
    check(sink.cycles[-1] - sink.cycles[0], 63, "cycles of 64 payloads")


@cocotb.test()
async def takes_two_and_says_so_a_cycle_later(dut: Any) -> None:
    """``ready`` depends on what is there alone: it falls with the second one, and rises the cycle
    after one has left.
    """
    env = await start(dut, BENCH)
    seen = []
    env.set("i__valid", 1)
    for reads in (0, 0, 0, 1, 0, 0, 1, 1, 1):
        env.set("o__ready", reads)
        await env.cycles(1)
        seen.append((env.get("i__ready"), env.get("o__valid")))
        cover("full" if not seen[-1][0] else "empty" if not seen[-1][1] else "one")
    check(seen, [(1, 0), (1, 1), (0, 1), (0, 1), (1, 1), (0, 1), (0, 1), (1, 1), (1, 1)],
          "ready and valid")
