"""The reader of an SPI flash against a model of the chip: bytes, rules of the bus, and cycles."""

from __future__ import annotations

import itertools
from typing import Any

import cocotb

from kaniwa.sim.board.flash_model import FlashChip
from kaniwa.sim.harness.bench import Bench, Dut, Env, Monitor, check, cover, start

ADDRESS, WAIT = 0x12_3480, 64
HALVES = {"half_1": 1, "half_2": 2, "half_5": 5}   # cycles of half a clock


def _duts() -> list[Dut]:
    from kaniwa.hw.standalone.flash_reader import FlashReader

    return [Dut(name, FlashReader(ADDRESS, wait_cycles=WAIT, half_cycles=half))
            for name, half in HALVES.items()]


BENCH = Bench("flash_reader", _duts, required=["held", "again", "paused_high", "full_rate",
                                        "left"])


class Chip:
    """The chip at the reader's pins, and what the reader gives."""

    def __init__(self, env: Env, stall: float | None = 0.0) -> None:
        self.env, self.half = env, HALVES[env.dut_name]
        self.data = env.rng.randbytes(4000)
        self.flash = FlashChip(self.data, ADDRESS, rest=WAIT, half=self.half,
                               late=2 * self.half - 2, noise=env.rng)
        if stall is not None:
            self.monitor = Monitor(env, "o", 8, stall)
        self.selected = 0       # cycle in which cs rose last
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        env, was = self.env, 0
        while True:
            await env.cycles(1)
            cs, sck = env.get("cs"), env.get("sck")
            if cs and not was:
                self.selected = env.cycle
            was = cs
            env.set("cipo", self.flash.cycle(cs, sck, env.get("copi")))
            if sck and env.get("o__valid") and not env.get("o__ready"):
                cover("paused_high")


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.3, 0.97])
async def gives_what_is_there(dut: Any, stall: float) -> None:
    env = await start(dut, BENCH)
    chip = Chip(env, stall)
    env.set("on", 1)
    for count in (1, 7, 300, 40):
        reads = len(chip.flash.reads)
        check(await chip.monitor.take(count), chip.data[:count], "bytes")
        check(chip.flash.reads[reads:], [ADDRESS], "addresses")
        if stall:
            cover("held")
        env.set("on", 0)
        await env.cycles(1 + env.rng.randrange(200))
        chip.monitor.stall = 0.0      # one that was there as it ended is not of the next read
        await env.cycles(20)
        assert not env.get("cs") and not env.get("sck") and not env.get("o__valid")
        await chip.monitor.take(len(chip.monitor.items) - chip.monitor._taken)
        chip.monitor.stall = stall
        env.set("on", 1)
        cover("again")
    assert chip.flash.clocks >= 24


@cocotb.test()
async def ends_where_it_is_told(dut: Any) -> None:
    """``on`` falls for a cycle at any time of a byte."""
    env = await start(dut, BENCH)
    chip = Chip(env)
    env.set("on", 1)
    for number in range(40):
        await chip.monitor.take(1)
        await env.cycles(number * chip.half % (16 * chip.half))
        env.set("on", 0)
        await env.cycles(1)
        env.set("on", 1)
        await env.cycles(2)
        chip.monitor.items.clear()
        chip.monitor._taken = 0
        await env.cycles(10)
        assert not env.get("cs")
        check(await chip.monitor.take(3), chip.data[:3], "bytes after the next command")


@cocotb.test()
async def drops_what_was_not_taken(dut: Any) -> None:
    env = await start(dut, BENCH)
    chip = Chip(env, None)
    env.set("on", 1)
    await env.cycles(2 * WAIT + (64 + 64 + 40) * chip.half + 10)
    assert env.get("o__valid") and env.get("cs")
    env.set("on", 0)
    await env.cycles(2)
    assert not env.get("o__valid") and not env.get("cs")
    env.set("on", 1)
    check(await Monitor(env, "o", 8).take(3), chip.data[:3], "bytes of the next read")
    cover("left")


@cocotb.test()
async def takes_sixteen_halves_a_byte(dut: Any) -> None:
    env = await start(dut, BENCH)
    chip = Chip(env)
    env.set("on", 1)
    await chip.monitor.take(50)
    cycles = chip.monitor.cycles
    check([b - a for a, b in itertools.pairwise(cycles)], [16 * chip.half] * 49,
          "cycles of a byte")
    check(cycles[0] - chip.selected, (64 + 16) * chip.half, "cycles from the command on")
    first = 2 * WAIT + 64 * chip.half
    assert first <= chip.selected <= first + 5, chip.selected
    cover("full_rate")


@cocotb.test()
async def sleeps_until_it_is_wanted(dut: Any) -> None:
    env = await start(dut, BENCH)
    chip = Chip(env)
    await env.cycles(2 * WAIT + 80 * chip.half + 300)
    assert chip.flash.awake and not chip.flash.reads and not env.get("cs")
    env.set("on", 1)
    check(await chip.monitor.take(4), chip.data[:4], "bytes")
