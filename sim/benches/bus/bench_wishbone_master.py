"""Outside memory over Wishbone: words, order of reads and writes, bursts, errors, early ends.

The memory is a model of this project: that of cocotbext-wishbone answers with data that do not
depend on the address.
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
    CoreSide,
    OutsideBytes,
    random_reads,
    random_write,
)
from kaniwa.sim.benches.bus.wishbone_world import WishboneMemory
from kaniwa.sim.harness.bench import TALLY, Bench, Dut, Env, check, cover, start
from kaniwa.sim.worlds.memory_ports import config_of

ADDRESS_BITS = 32
BASE = 0x4567_8000
THIN_WRITES = dataclasses.replace(PRESETS["base"], write_bytes=8, name="thin")
WIDTHS = ((PRESETS["small"], 32), (PRESETS["base"], 128), (THIN_WRITES, 128),
          (PRESETS["base"], 64))
KINDS = ("registered", "burst", "at_once")


def _duts() -> list[Dut]:
    from kaniwa.hw.bus.wishbone_master import WishboneMaster

    return [Dut(f"{config.name}_{bits}",
                WishboneMaster(config, address_bits=ADDRESS_BITS, data_bits=bits), config=config)
            for config, bits in WIDTHS]


BENCH = Bench("wishbone_master", _duts, required=[
    "burst_1", "burst_most", *(f"{what}_{end}" for what in ("read", "write")
                               for end in ("ack", "err")), "err_and_ack",
    *KINDS, "read_fault", "write_fault", "stale_words", "stale_writes", "stale_fault",
    "full_rate", "write_first"])


async def _begin(dut: Any, kind: str, stall: float, both: bool = False) -> tuple[
        Env, OutsideBytes, WishboneMemory, CoreSide]:
    env = await start(dut, BENCH)
    memory = OutsideBytes(env, len(dut.bus__dat_r) // 8)
    cover(kind)
    return (env, memory, WishboneMemory(env, memory, kind, stall, both),
            CoreSide(env, memory, BASE, stall))


async def _words(dut: Any, kind: str, stall: float) -> None:
    env, memory, slave, core = await _begin(dut, kind, stall)
    config = config_of(env)
    size = max(config.read_bytes, config.write_bytes)
    for span, reads, writes in ((4 * size, 100, 100), (16384, 200, 30)):
        core.reads.extend(random_reads(env, reads, span))
        core.writes.extend(random_write(env, span) for _ in range(writes))
        await core.finish()
    check(core.words, 300, "words")
    check(core.faults, [], "faults")
    for address, versions in core.history.items():
        check(memory[BASE + address - OUTSIDE], versions[-1], f"byte {address:#x}")
    beats = config.read_bytes // memory.grain
    most = 8 * beats
    assert max(slave.bursts) <= most, slave.bursts
    for length, name in ((beats, "burst_1"), (most, "burst_most")):
        if length in slave.bursts:
            cover(name)


@cocotb.test()
async def words_registered(dut: Any) -> None:
    await _words(dut, "registered", 0.2)


@cocotb.test()
async def words_of_bursts(dut: Any) -> None:
    await _words(dut, "burst", 0.1)


@cocotb.test()
async def words_at_once(dut: Any) -> None:
    await _words(dut, "at_once", 0.3)


@cocotb.test()
async def a_write_goes_first(dut: Any) -> None:
    """A write that comes while a burst runs is done before the next burst."""
    env, memory, slave, core = await _begin(dut, "registered", 0)
    core.reads.extend(OUTSIDE + i * core.read_bytes for i in range(24))
    await env.cycles(12)
    write = random_write(env, 4096)
    core.writes.append((write[0], write[1], (1 << core.write_bytes) - 1))
    core.reads.append(write[0] // core.read_bytes * core.read_bytes)
    await core.finish()
    assert len(slave.bursts) > 3
    cover("write_first")


async def _errors(dut: Any, kind: str, both: bool) -> None:
    env, memory, slave, core = await _begin(dut, kind, 0.2, both)
    config, rng = config_of(env), env.rng
    span = 64 * max(config.read_bytes, config.write_bytes)
    for _ in range(15):
        at = BASE + rng.randrange(span // memory.grain) * memory.grain
        memory.codes = {at: BusResponse.SLVERR}
        core.history.clear()
        core.reads.extend(random_reads(env, 30, span))
        core.writes.extend(random_write(env, span) for _ in range(10))
        await core.finish()
        read = OUTSIDE + (at - BASE) // config.read_bytes * config.read_bytes
        address = OUTSIDE + (at - BASE) // config.write_bytes * config.write_bytes
        told = len(core.faults)
        core.reads.append(read)
        await core.finish()
        core.writes.append((address, 0, (1 << config.write_bytes) - 1))
        await core.finish()
        await env.cycles(2)
        check(core.faults[told:], [(0, BusResponse.SLVERR, read),
                                   (1, BusResponse.SLVERR, address)], "faults")
        for write, *_ in core.faults:
            cover("write_fault" if write else "read_fault")


@cocotb.test()
async def errors(dut: Any) -> None:
    await _errors(dut, "registered", False)


@cocotb.test()
async def errors_in_bursts(dut: Any) -> None:
    await _errors(dut, "burst", False)


@cocotb.test()
async def errors_with_ack(dut: Any) -> None:
    await _errors(dut, "at_once", True)


@cocotb.test()
async def runs_that_end_early(dut: Any) -> None:
    """The bus does not answer; the run ends and another one begins before the answers come."""
    env, memory, slave, core = await _begin(dut, "registered", 0)
    for number in range(8):
        memory.codes = {BASE + i * memory.grain: BusResponse.SLVERR
                        for i in range(4096 // memory.grain)} if env.rng.randrange(2) else {}
        core.history.clear()
        reading = number % 2
        slave.silent = True
        if reading:
            core.reads.extend(OUTSIDE + i * core.read_bytes for i in range(20))
        else:
            core.writes.extend(random_write(env, 4096) for _ in range(5))
        await env.cycles(40)
        await core.run_behind_a_hang(partial(setattr, slave, "silent", False))
        cover("stale_words" if reading else "stale_writes")
        if memory.codes:
            cover("stale_fault")


@cocotb.test()
async def rates(dut: Any) -> None:
    """A memory that answers at once: a beat in every cycle but one behind each burst."""
    env, memory, slave, core = await _begin(dut, "burst", 0)
    beats = core.read_bytes // memory.grain
    core.reads.extend(OUTSIDE + i * core.read_bytes for i in range(256))
    await core.finish()
    # The first beat of a burst comes a cycle after it was seen.
    rate = len(slave.beat_cycles) / (slave.beat_cycles[-1] - slave.beat_cycles[0] + 1)
    TALLY.measure(f"beats a cycle of {env.dut_name}, reads in order", rate)
    assert rate >= 0.99 * 8 * beats / (8 * beats + 2), rate
    cover("full_rate")
