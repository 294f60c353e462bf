"""UART: lines that are fast, slow, noisy or broken; bytes without a gap."""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.sim.harness.bench import (
    PERIOD_NS,
    Bench,
    Driver,
    Dut,
    Env,
    Monitor,
    check,
    cover,
    start,
)

CYCLES = {"5": 5.0, "6_75": 6.75, "8": 8.0, "33_33": 100 / 3}   # a bit


def _duts() -> list[Dut]:
    from kaniwa.hw.link.uart import Uart

    return [Dut(name, Uart(round(3_000_000 * cycles), 3_000_000, tells=True))
            for name, cycles in CYCLES.items()]


BENCH = Bench("uart", _duts, required=[
    "slow_line", "fast_line", "back_to_back", "gap", "glitch_in_bit", "glitch_in_idle",
    "no_stop_bit", "overrun", "full_rate", "transmit_gap", "idle_between"])


class Line:
    """Drives ``rx`` with bits of any length, in picoseconds."""

    def __init__(self, env: Env, speed: float = 1.0) -> None:
        self.env = env
        self.bit_ps = round(CYCLES[env.dut_name] * PERIOD_NS * 1000 / speed)

    async def level(self, value: int, bits: float) -> None:
        from cocotb.triggers import Timer

        self.env.dut.rx.value = value
        await Timer(round(bits * self.bit_ps), "ps")

    async def byte(self, value: int, stop: int = 1, glitch: int | None = None) -> None:
        """A byte; ``glitch``: this bit (0 = start) is wrong for a cycle at a random place."""
        for index, bit in enumerate([0, *(value >> i & 1 for i in range(8)), stop]):
            if index != glitch:
                await self.level(bit, 1)
                continue
            at, length = self.env.rng.uniform(0.2, 0.7), PERIOD_NS * 1000 / self.bit_ps
            await self.level(bit, at)
            await self.level(1 - bit, length)
            await self.level(bit, 1 - at - length)


async def _setup(dut: Any, speed: float = 1.0, stall: float = 0.0) -> tuple[Env, Line, Monitor]:
    env = await start(dut, BENCH)
    env.set("rx", 1)
    monitor = Monitor(env, "o", 8)
    await env.cycles(round(12 * CYCLES[env.dut_name]))   # the line was low during reset
    monitor.items.clear()
    monitor.stall = stall
    return env, Line(env, speed), monitor


@cocotb.test()
@cocotb.parametrize(speed=[0.97, 1.0, 1.03])
async def receives_lines_three_percent_off(dut: Any, speed: float) -> None:
    env, line, monitor = await _setup(dut, speed, stall=0.3)
    cover("slow_line" if speed < 1 else "fast_line" if speed > 1 else "back_to_back")
    values = [0, 255, 0x55, 0xAA, 1, 128] + [env.rng.randrange(256) for _ in range(150)]
    for value in values:
        await line.byte(value)
        if env.rng.random() < 0.2:
            await line.level(1, env.rng.uniform(0.1, 3))
            cover("gap")
    await line.level(1, 2)
    check(await monitor.take(len(values)), values, "bytes")


@cocotb.test()
async def one_wrong_sample_in_a_bit_does_not_matter(dut: Any) -> None:
    env, line, monitor = await _setup(dut)
    if CYCLES[env.dut_name] < 8:
        return
    values = [env.rng.randrange(256) for _ in range(100)]
    for value in values:
        await line.byte(value, glitch=env.rng.randrange(1, 9))
        cover("glitch_in_bit")
        await line.level(1, 1.3)
        await line.level(0, PERIOD_NS * 1000 / line.bit_ps)   # begins no byte
        cover("glitch_in_idle")
        await line.level(1, 1.3)
    check(await monitor.take(len(values)), values, "bytes")
    check(len(monitor.items), len(values), "bytes in all")


@cocotb.test()
async def a_byte_without_stop_bit_is_dropped(dut: Any) -> None:
    env, line, monitor = await _setup(dut)
    good = []
    for _ in range(30):
        value = env.rng.randrange(256)
        broken = env.rng.random() < 0.5
        await line.byte(value, stop=0 if broken else 1)
        if broken:
            await line.level(0, env.rng.uniform(0, 15))
            await line.level(1, 1)
            cover("no_stop_bit")
        else:
            good.append(value)
    await line.level(1, 2)
    check(monitor.items, good, "bytes")


@cocotb.test()
async def a_byte_that_is_not_taken_stays_and_the_next_is_lost(dut: Any) -> None:
    env, line, monitor = await _setup(dut, stall=1.0)
    for value in (17, 18, 19):
        await line.byte(value)
    monitor.stall = 0.0
    await line.byte(20)
    await line.level(1, 2)
    check(monitor.items, [17, 20], "bytes")
    cover("overrun")


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.9])
async def transmits_at_the_full_rate(dut: Any, stall: float) -> None:
    env = await start(dut, BENCH)
    cycles = CYCLES[env.dut_name]
    driver = Driver(env, "i", 8, stall)
    values = [0, 255, 0x55] + [env.rng.randrange(256) for _ in range(60)]
    received = []

    async def listen() -> None:
        while True:
            while env.get("tx"):
                await env.cycles(1)
            began, byte = env.cycle, 0
            for index in range(10):
                await env.cycles(round(began + (index + 0.5) * cycles) - env.cycle)
                byte |= env.get("tx") << index
            assert byte & 1 == 0 and byte >> 9 == 1, f"start and stop bit: {byte:010b}"
            received.append(byte >> 1 & 255)

    async def watch_sending() -> None:
        """It is 1 from a byte on for its ten bits, and 0 else."""
        while True:
            await env.cycles(1)
            since = env.cycle - (driver.cycles[-1] if driver.cycles else -1e9)
            if env.get("sending"):
                assert since <= 10 * cycles + 2, f"sending {since} cycles behind a byte"
            else:
                assert not 1 < since < 10 * cycles - 2, f"not sending {since} cycles behind a byte"
                if 0 < driver.sent < len(values):
                    cover("idle_between")

    cocotb.start_soon(listen())
    cocotb.start_soon(watch_sending())
    driver.send(values)
    await driver.drain()
    await env.cycles(round(11 * cycles))
    check(received, values, "bytes")
    span = driver.cycles[-1] - driver.cycles[0]
    if stall:
        cover("transmit_gap")
    else:
        exact = (len(values) - 1) * 10 * cycles
        assert abs(span - exact) <= 0.003 * exact + 1, (span, exact)
        cover("full_rate")
