"""Outside memory over AXI4: words, order of reads and writes, bursts, errors, runs that end early.

The memory is cocotbext-axi's slave, with random pauses on every channel.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import cocotb

from kaniwa.config import PRESETS
from kaniwa.isa.bus import BusResponse
from kaniwa.sim.benches.bus.master_world import (
    OUTSIDE,
    AxiWatch,
    CoreSide,
    FirstBeats,
    OutsideBytes,
    axi_slave,
    random_reads,
    random_write,
)
from kaniwa.sim.harness.bench import TALLY, Bench, Dut, Env, check, cover, start
from kaniwa.sim.worlds.memory_ports import config_of

ADDRESS_BITS = 40
BASE = 0x12_3456_7000
WIDE_WORDS = dataclasses.replace(PRESETS["xl"], name="xl")
THIN_WRITES = dataclasses.replace(PRESETS["base"], write_bytes=8, name="thin")
# Config, data_bits, burst_words; those of xl would have more than 256 beats with more words.
WIDTHS = ((PRESETS["small"], 64, 16), (PRESETS["base"], 128, 8), (PRESETS["base"], 32, 8),
          (THIN_WRITES, 128, 8), (WIDE_WORDS, 32, 16))


def _duts() -> list[Dut]:
    from kaniwa.hw.bus.axi_master import AxiMaster

    return [Dut(f"{config.name}_{bits}", AxiMaster(
                    config, address_bits=ADDRESS_BITS, data_bits=bits, burst_words=words),
                config=config)
            for config, bits, words in WIDTHS]


BENCH = Bench("axi_master", _duts, long=("xl_32", "thin_128"), required=[
    "burst_1", "burst_most", "burst_ends_at_page", "reads_outstanding", "writes_outstanding",
    *(f"{channel}_waits" for channel in ("aw", "w", "b", "ar", "r")),
    *(f"{channel}_{code.name}" for channel in "rb" for code in BusResponse),
    "read_beside_writes", "read_behind_write", "read_fault", "write_fault",
    "stale_words", "stale_writes", "stale_fault", "full_rate", "write_rate",
    "reads_beside_writes"])


async def _begin(dut: Any, stall: float) -> tuple[Env, OutsideBytes, Any, AxiWatch, CoreSide]:
    env = await start(dut, BENCH)
    memory = OutsideBytes(env, len(dut.bus__wdata) // 8)
    slave = axi_slave(env, memory, stall)
    most = next(min(words, 256 * bits // (8 * c.read_bytes)) for c, bits, words in WIDTHS
                if f"{c.name}_{bits}" == env.dut_name)
    watch = AxiWatch(env, most)
    return env, memory, slave, watch, CoreSide(env, memory, BASE, stall)


async def _words(dut: Any, stall: float) -> None:
    """Random reads and writes of few words, so that they meet, then of many."""
    env, memory, _, watch, core = await _begin(dut, stall)
    size = max(config_of(env).read_bytes, config_of(env).write_bytes)
    for span, reads, writes in ((4 * size, 200, 200), (16384, 300, 60)):
        core.reads.extend(random_reads(env, reads, span))
        core.writes.extend(random_write(env, span) for _ in range(writes))
        await core.finish()
    check(core.words, 500, "words")
    check(core.faults, [], "faults")
    for address, versions in core.history.items():
        check(memory[BASE + address - OUTSIDE], versions[-1], f"byte {address:#x}")


@cocotb.test()
async def words_in_order(dut: Any) -> None:
    await _words(dut, 0.0)


@cocotb.test()
async def words_in_order_with_pauses(dut: Any) -> None:
    await _words(dut, 0.3)


@cocotb.test()
async def read_waits_for_a_write(dut: Any) -> None:
    """A read of a word that was just written is asked for only when that was answered."""
    env, _, slave, watch, core = await _begin(dut, 0)
    for pause in (0, 7, 30):
        slave.write_if.b_channel.pause = True
        write = random_write(env, 4096)
        size = config_of(env).read_bytes
        core.writes.append(write)
        await env.cycles(2)
        bursts = len(watch.bursts)
        core.reads.append(write[0] // size * size)
        await env.cycles(pause + 12)
        check(len(watch.bursts), bursts, "bursts before the response")
        core.reads.append(OUTSIDE + 8192)
        slave.write_if.b_channel.pause = False
        await core.finish()
        cover("read_behind_write")


@cocotb.test()
async def errors(dut: Any) -> None:
    env, memory, _, watch, core = await _begin(dut, 0.2)
    config, rng = config_of(env), env.rng
    span = 64 * max(config.read_bytes, config.write_bytes)
    for _ in range(30):
        at = BASE + rng.randrange(span // memory.grain) * memory.grain
        code = rng.choice(list(BusResponse)[1:])
        memory.codes = {at: code}
        core.history.clear()
        core.faults.clear()
        core.reads.extend(random_reads(env, 30, span))
        core.writes.extend(random_write(env, span) for _ in range(20))
        read = OUTSIDE + (at - BASE) // config.read_bytes * config.read_bytes
        written = (OUTSIDE + (at - BASE) // config.write_bytes * config.write_bytes, 0,
                   (1 << config.write_bytes) - 1)
        await core.finish()
        for write, address in ((0, read), (1, written[0])):
            told = len(core.faults)
            if write:
                core.writes.append(written)
            else:
                core.reads.append(read)
            await core.finish()
            await env.cycles(2)
            check(core.faults[told:],
                  [(write, code, address)] * (code >= BusResponse.SLVERR), "fault")
        for write, told, address in core.faults:   # words of another size lie in the beat, or it
            size = max(memory.grain, config.write_bytes if write else config.read_bytes)
            check([told, address // size], [code, (at - BASE + OUTSIDE) // size], "fault")
        for write, *_ in core.faults:
            cover("write_fault" if write else "read_fault")


@cocotb.test()
async def runs_that_end_early(dut: Any) -> None:
    """The bus does not answer; the run ends and another one begins before the answers come."""
    env, memory, slave, watch, core = await _begin(dut, 0)
    read, write = slave.read_if, slave.write_if
    for paused in (read.ar_channel, read.r_channel, write.aw_channel, write.b_channel) * 3:
        memory.codes = {BASE + i * memory.grain: BusResponse.DECERR
                        for i in range(4096 // memory.grain)} if env.rng.randrange(2) else {}
        core.history.clear()
        paused.pause = True
        reading = paused in (read.ar_channel, read.r_channel)
        if reading:
            core.reads.extend(OUTSIDE + i * core.read_bytes for i in range(40))
        else:
            core.writes.extend(random_write(env, 4096) for _ in range(5))
        await env.cycles(env.rng.randrange(30, 100))
        await core.run_behind_a_hang(partial(setattr, paused, "pause", False))
        cover("stale_words" if reading else "stale_writes")
        if memory.codes:
            cover("stale_fault")


@cocotb.test()
async def rates(dut: Any) -> None:
    """A memory that is always ready: beats in nearly all cycles."""
    env, memory, slave, watch, core = await _begin(dut, 0)
    config = config_of(env)
    beats = 8 * config.read_bytes // len(dut.bus__rdata)
    words = 1200 // beats
    core.reads.extend(OUTSIDE + i * config.read_bytes for i in range(words))
    await core.finish()
    cycles = watch.beat_cycles[-1] - watch.beat_cycles[0] + 1
    rate = watch.beats / cycles
    assert rate >= 0.95, f"{watch.beats} beats in {cycles} cycles"
    check(watch.beats, words * beats, "beats")
    TALLY.measure("beats a cycle, reads in order", rate)
    cover("full_rate")
    words_first = watch.bursts[0][2]   # it grew for as many cycles
    check(watch.bursts[0][0] - core.read_cycles[0], 3 + words_first, "cycles to the first burst")
    write_beats = max(1, 8 * config.write_bytes // len(dut.bus__wdata))
    core.writes.extend(random_write(env, 1 << 20) for _ in range(600 // write_beats))
    await core.finish()
    cycles = core.write_cycles[-1] - core.write_cycles[0] + 1
    rate = len(core.write_cycles) * write_beats / cycles
    TALLY.measure("beats a cycle, writes", rate)
    assert rate >= 0.9, f"{rate} beats a cycle are written"
    cover("write_rate")


@cocotb.test()
async def reads_beside_writes(dut: Any) -> None:
    """Reads of other words do not wait for writes: a write in eight cycles costs them little."""
    env, _, _, watch, core = await _begin(dut, 0)
    config = config_of(env)
    words = 800 * len(dut.bus__rdata) // (8 * config.read_bytes)
    core.reads.extend(OUTSIDE + i * config.read_bytes for i in range(words))
    while core.reads:
        address, data, mask = random_write(env, 1 << 16)
        core.writes.append((address + (1 << 20), data, mask))
        await env.cycles(8)
    await core.finish()
    rate = watch.beats / (watch.beat_cycles[-1] - watch.beat_cycles[0] + 1)
    TALLY.measure("beats a cycle, reads beside a write in eight cycles", rate)
    assert rate >= 0.95, f"{rate} beats a cycle"
    cover("reads_beside_writes")


@cocotb.test()
async def slow_memory(dut: Any) -> None:
    """Reads in order with the first beat of a burst some cycles after its address."""
    env, memory, slave, watch, core = await _begin(dut, 0)
    slave.read_if.ar_channel.queue_occupancy_limit = 16
    config = config_of(env)
    beats = 8 * config.read_bytes // len(dut.bus__rdata)
    for latency in (10, 20, 40):
        first = watch.beats
        memory.wait = FirstBeats(env, watch, beats, latency)
        words = 800 // beats
        core.reads.extend(OUTSIDE + i * config.read_bytes for i in range(words))
        await core.finish()
        cycles = watch.beat_cycles[-1] - watch.beat_cycles[first] + 1
        TALLY.measure(f"beats a cycle of {env.dut_name} at latency {latency}",
                      words * beats / cycles)
