"""SPI: a master of any rate, phase and duty; bytes that are cut; frames that are made slowly."""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.driver.spi.format import CYCLES_OF_SCK
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

CYCLE_PS = PERIOD_NS * 1000
LIMIT = float(CYCLES_OF_SCK)
RATES = [LIMIT, 6.37, 9.5, 17.3, 100.0]
FRAME_BYTES = 256        # of the longest reply, with its zero
DEPTH = 511              # bytes that wait for the master


def _duts() -> list[Dut]:
    from kaniwa.hw.link.spi import SpiSlave

    return [Dut("spi", SpiSlave(tells=True))]


BENCH = Bench("spi", _duts, required=[
    "fastest", "slowest", "short_high", "short_low", "pause", "cut_byte", "cut_in_frame",
    "cut_filler", "slow_frame", "longest_frame", "full_rate", "full", "overrun", "both_ways",
    "not_selected", "empty_frame", "edge_at_end"])


class Master:
    """Clocks bytes. A period of SCK is ``cycles`` long; ``high`` is the share of its high level.

    COPI is right from 0.2 cycles before a rising edge to 1.1 cycles after it, and else wrong.
    CIPO is taken at the edge, and watched: it changes 2 to 3 cycles behind one.
    """

    def __init__(self, env: Env, cycles: float = LIMIT, high: float = 0.5) -> None:
        self.env, self.dut = env, env.dut
        self.period, self.high = round(cycles * CYCLE_PS), high
        self.rises: list[float] = []     # in cycles, of the eighth edges
        self._rose = self._selected = -1e9
        self._released = -1e8
        self.got: list[int] = []         # whole bytes
        self.parts: list[tuple[int, int]] = []   # of cut bytes: value so far, and bits
        self.dut.cs_n.value = 1

    def watch(self) -> None:
        """From now on, outputs must change at their times."""
        cocotb.start_soon(self._watch_cipo())
        cocotb.start_soon(self._watch_enable())

    @property
    def now(self) -> float:
        """Picoseconds."""
        from cocotb.utils import get_sim_time

        return get_sim_time("ps")

    async def wait(self, ps: float) -> None:
        from cocotb.triggers import Timer

        await Timer(max(1, round(ps)), "ps")

    async def transfer(self, data: bytes, cut: int = 0, pauses: float = 0.0) -> list[int]:
        """Send ``data`` and read as many bytes; of the last one only ``cut`` bits, if not 0."""
        rng = self.env.rng
        await self.wait(rng.uniform(0.01, 1) * CYCLE_PS)      # any phase of the clock
        self.dut.cs_n.value = 0
        self._selected = self.now
        await self.wait(rng.uniform(4.01, 8) * CYCLE_PS - 0.2 * CYCLE_PS)
        first = len(self.got)
        for index, value in enumerate(data):
            bits = cut if cut and index == len(data) - 1 else 8
            got = 0
            for bit in range(bits):
                got = got << 1 | await self._bit(value >> 7 - bit & 1, bit == 7)
            if bits == 8:
                self.got.append(got)
            else:
                self.parts.append((got, bits))
            if rng.random() < pauses:
                await self.wait(rng.uniform(1, 90) * CYCLE_PS)
                cover("pause")
        self.dut.cs_n.value = 1
        self._released = self.now
        if cut and rng.random() < 0.5:    # an edge that comes with the end takes no bit
            cover("edge_at_end")
            self.dut.sck.value = 1
            await self.wait(1.5 * CYCLE_PS)
            self.dut.sck.value = 0
        await self.wait(rng.uniform(2.01, 10) * CYCLE_PS)
        return self.got[first:]

    async def _bit(self, value: int, last: bool) -> int:
        """From 0.2 cycles before the rising edge to as much before the end of the period."""
        before, hold = round(0.2 * CYCLE_PS), round(1.1 * CYCLE_PS)
        duty = self.high + self.env.rng.uniform(-0.05, 0.05) * (self.high == 0.5)
        up = round(self.period * duty)
        self.dut.copi.value = value
        await self.wait(before)
        got = self.env.get("cipo")
        check(self.env.get("cipo_enable"), 1, "cipo_enable at an edge")
        self.dut.sck.value = 1
        self._rose = self.now
        if last:
            self.rises.append((self.now / 1000 - self.env.start_ns) / PERIOD_NS)
        turns = sorted([(hold, self.dut.copi, 1 - value), (up, self.dut.sck, 0)],
                       key=lambda turn: turn[0])
        at = 0
        for time, handle, level in turns:
            if time > at:
                await self.wait(time - at)
                at = time
            handle.value = level
        await self.wait(self.period - before - at)
        return got

    async def _watch_cipo(self) -> None:
        from cocotb.triggers import ValueChange

        while True:
            await ValueChange(self.dut.cipo)
            since = (self.now - self._rose) / CYCLE_PS
            begun = (self.now - self._selected) / CYCLE_PS
            at_rest = self._released > self._selected
            assert at_rest or 2 < since <= 3.001 or begun <= 3.001, (
                f"CIPO changes {since:.3f} cycles behind an edge of SCK")

    async def _watch_enable(self) -> None:
        from cocotb.triggers import ValueChange

        while True:
            await ValueChange(self.dut.cipo_enable)
            edge = self._selected if self.env.get("cipo_enable") else self._released
            since = (self.now - edge) / CYCLE_PS
            assert 2 < since <= 3.001, f"cipo_enable changes {since:.3f} cycles behind CS"


async def _setup(dut: Any, cycles: float = LIMIT, high: float = 0.5, stall: float = 0.0,
                 slow: float = 0.0) -> tuple[Env, Master, Monitor, Driver]:
    env = await start(dut, BENCH)
    master = Master(env, cycles, high)
    await env.cycles(8)
    master.watch()
    return env, master, Monitor(env, "o", 8, stall), Driver(env, "i", 8, slow)


def _frame(env: Env, size: int) -> bytes:
    return bytes(env.rng.randrange(1, 256) for _ in range(size)) + b"\0"


def _frames_of(data: list[int]) -> list[bytes]:
    """What is between zeros; the last part must have ended."""
    *frames, rest = bytes(data).split(b"\0")
    assert not rest, "a frame without end"
    return [frame for frame in frames if frame]


async def _read_on(master: Master, frames: list[bytes], most: int) -> None:
    """Clock zeros until the frames have come, and some more."""
    wanted = [frame[:-1] for frame in frames]
    while len(master.got) < most and b"".join(frames) != bytes(value for value in master.got):
        await master.transfer(bytes(8))
        if _whole(master.got) >= len(wanted):
            break
    await master.transfer(bytes(8))
    check(_frames_of(master.got), wanted, "frames")


def _whole(data: list[int]) -> int:
    return sum(1 for part in bytes(data).split(b"\0")[:-1] if part)


@cocotb.test()
@cocotb.parametrize(cycles=RATES)
async def bytes_go_both_ways_at_every_rate(dut: Any, cycles: float) -> None:
    env, master, monitor, driver = await _setup(dut, cycles, stall=0.4, slow=0.5)
    cover("fastest" if cycles == LIMIT else "slowest" if cycles == RATES[-1] else "both_ways")
    total = 60 if cycles > 50 else 500
    frames = [_frame(env, env.rng.choice([1, 2, 7, 30, 60])) for _ in range(total // 40)]
    driver.send(b"".join(frames))
    sent = bytes([0, 255, 0x55, 0xAA, 1, 128]) + env.rng.randbytes(total)
    at = 0
    while at < len(sent):
        size = env.rng.choice([1, 2, 5, 40])
        await master.transfer(sent[at:at + size], pauses=0.1)
        at += size
    await driver.drain()
    await _read_on(master, frames, 20 * total)
    received = await monitor.take(len(sent))
    check(received, sent, "bytes to the device")
    check(set(monitor.items[len(sent):]), {0}, "bytes behind")


@cocotb.test()
@cocotb.parametrize(high=[0.19, 0.81])
async def a_level_may_be_little_longer_than_a_cycle(dut: Any, high: float) -> None:
    env, master, monitor, driver = await _setup(dut, LIMIT, high)
    cover("short_high" if high < 0.5 else "short_low")
    frames = [_frame(env, 50)]
    driver.send(frames[0])
    sent = env.rng.randbytes(150)
    await env.cycles(110)
    check((await master.transfer(sent))[:51], frames[0], "frame")
    check(await monitor.take(150), sent, "bytes to the device")


@cocotb.test()
@cocotb.parametrize(slow=[0.0, 0.9])
async def a_byte_that_is_cut_comes_again(dut: Any, slow: float) -> None:
    env, master, monitor, driver = await _setup(dut, slow=slow)
    frames = [_frame(env, env.rng.randrange(1, 20)) for _ in range(24)]
    driver.send(b"".join(frames))
    sent = bytearray()
    for _ in range(150):
        data = env.rng.randbytes(env.rng.randrange(1, 6))
        cut = env.rng.choice([0, *range(1, 8)])
        before = len(master.got)
        await master.transfer(data, cut)
        sent += data[:-1] if cut else data
        if cut:
            cover("cut_byte")
            value, bits = master.parts[-1]
            check(len(master.got) - before, len(data) - 1, "whole bytes")
            if value:
                cover("cut_in_frame")
            elif bits > 4:
                cover("cut_filler")
    await driver.drain()
    await _read_on(master, frames, 5000)
    check(await monitor.take(len(sent)), sent, "bytes to the device")


@cocotb.test()
@cocotb.parametrize(gap=[1, 47, 48, 49, 130])
async def no_zero_comes_in_the_midst_of_a_frame(dut: Any, gap: int) -> None:
    """A byte of a frame is made in ``gap`` cycles; the master needs 48 for one."""
    env, master, _, driver = await _setup(dut)
    frames = [_frame(env, env.rng.randrange(1, 24)) for _ in range(8)]
    for frame in frames:
        for value in frame:
            driver.send([value, *[None] * (gap - 1)])
    while driver.pending:
        await master.transfer(bytes(16))
    cover("slow_frame")
    await _read_on(master, frames, 5000)


@cocotb.test()
async def the_longest_frames_fill_the_line(dut: Any) -> None:
    """Once they have begun, no byte is between them; a byte to the device comes after 3 cycles."""
    env, master, monitor, driver = await _setup(dut)
    frames = [_frame(env, FRAME_BYTES - 1) for _ in range(5)]
    driver.send(b"".join(frames))
    while driver.sent < FRAME_BYTES:
        await env.cycles(1)
    check(driver.cycles[-1] - driver.cycles[0], 2 * (FRAME_BYTES - 1), "cycles of a frame")
    await env.cycles(4)      # from its zero to its first bit
    sent = env.rng.randbytes(5 * FRAME_BYTES)
    got = await master.transfer(sent)
    check(got, b"".join(frames), "bytes without a gap")
    check(await monitor.take(len(sent)), sent, "bytes to the device")
    late = [cycle - rise for cycle, rise in zip(monitor.cycles, master.rises, strict=True)]
    assert 2 < min(late) and max(late) <= 4.001, (min(late), max(late))
    cover("full_rate")
    cover("longest_frame")
    check(set(await master.transfer(bytes(9))), {0}, "behind them")


@cocotb.test()
async def what_has_no_room_waits(dut: Any) -> None:
    env, master, _, driver = await _setup(dut)
    frames = [_frame(env, size) for size in (255, 255, 255, 3)]
    driver.send(b"".join(frames))
    await env.cycles(1200)
    check(driver.sent, DEPTH + 2, "bytes that were taken")   # two are on their way
    cover("full")
    await _read_on(master, frames, 3000)


@cocotb.test()
async def a_byte_that_is_not_taken_stays_and_the_next_is_lost(dut: Any) -> None:
    env, master, monitor, _ = await _setup(dut, stall=1.0)
    await master.transfer(bytes([17, 18, 19]))
    monitor.stall = 0.0
    await env.cycles(2)
    await master.transfer(bytes([20]))
    await env.cycles(4)
    check(monitor.items, [17, 20], "bytes")
    cover("overrun")


@cocotb.test()
async def a_device_that_is_not_selected_does_nothing(dut: Any) -> None:
    """The lines belong to another device of the bus; then empty frames go, which mean nothing."""
    env, master, monitor, driver = await _setup(dut)
    check(env.get("sending"), 0, "sending, before anything")
    driver.send(b"\0\0")
    frame = _frame(env, 9)
    driver.send(frame)
    await env.cycles(60)
    for _ in range(100):
        dut.sck.value = env.rng.randrange(2)
        dut.copi.value = env.rng.randrange(2)
        await env.cycles(env.rng.randrange(1, 5))
        check((env.get("cipo_enable"), env.get("sending")), (0, 1), "cipo_enable and sending")
    dut.sck.value = 0
    await env.cycles(4)
    check(monitor.items, [], "bytes")
    cover("not_selected")
    got = await master.transfer(bytes([7] * 12))
    check(got, b"\0\0" + frame, "bytes from the device")
    cover("empty_frame")
    check(await monitor.take(12), [7] * 12, "bytes to the device")
    check(env.get("sending"), 0, "sending, behind all")
    for value in frame:      # it has begun once the first byte is here, and ends with the last
        driver.send([value])
        await driver.drain()
        await env.cycles(4)
        check(env.get("sending"), 1, "sending, while a frame is made")
    for at in range(1, len(frame) + 1):
        check(await master.transfer(b"\0"), frame[at - 1:at], "byte")
        check(env.get("sending"), at < len(frame), "sending, while a frame goes")
