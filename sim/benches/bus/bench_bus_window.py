"""The window of registers and memory behind AXI4-Lite and Wishbone: every access, and interrupts.

The hosts are masters that are not ours: those of cocotbext-axi and cocotbext-wishbone.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import cocotb

from kaniwa.config import PRESETS
from kaniwa.isa import Command, Register, Status
from kaniwa.isa.bus import (
    BUS_VERSION,
    RESPONSE_SHIFT,
    BusError,
    BusRegister,
    BusResponse,
    Feature,
    Interrupt,
    memory_offset,
    window_bytes,
)
from kaniwa.sim.benches.bus.window_world import (
    ADDRESS_BITS,
    AxiHost,
    CoreRegisters,
    WishboneHost,
    check_cycles_of_accesses,
    window_dut,
)
from kaniwa.sim.harness.bench import Bench, Dut, Env, check, cover, start
from kaniwa.sim.worlds.memory_ports import config_of

# A memory that is no power of two, with words of 16 bits written and 64 read; one of 128 bits.
NARROW = dataclasses.replace(PRESETS["nano"], memory_bytes=5 * 1024, name="narrow")
WIDE = dataclasses.replace(PRESETS["base"], memory_bytes=4096, name="wide")
NO_MEMORY = dataclasses.replace(PRESETS["base"], memory_bytes=0, name="no-memory")
WRITABLE = (Register.CONTROL, Register.PROGRAM_ADDRESS, Register.WATCHDOG, Register.COUNTER_TAG)
OKAY, REFUSED = BusResponse.OKAY, BusResponse.SLVERR


def _duts() -> list[Dut]:
    from kaniwa.hw.bus.slaves import AxiLiteSlave, WishboneSlave

    return [Dut(f"{bus}_{config.name}", window_dut(config, slave, outside), config=config)
            for bus, slave, config, outside in (
                ("axi", AxiLiteSlave, NARROW, False), ("axi", AxiLiteSlave, WIDE, True),
                ("axi", AxiLiteSlave, NO_MEMORY, True),
                ("wishbone", WishboneSlave, NARROW, False),
                ("wishbone", WishboneSlave, WIDE, True))]


BENCH = Bench("bus_window", _duts, required=[
    "core_register", "own_register", "unknown_register", "read_only_register", "partial_register",
    "memory_read", "memory_write", "memory_busy", "memory_beyond", "no_strobe",
    *(f"strobe_{strobe:04b}" for strobe in (0b1, 0b10, 0b100, 0b1000, 0b11, 0b1100, 0b110, 0b111,
                                            0b1110, 0b1111)),
    "irq_run", "irq_fault", "irq_masked", "irq_waits_for_writes", "irq_of_a_bad_run",
    "abort", "status_writing", "status_failed", "second_fault", "base_kept", "base_refused",
    "write_data_first", "reads_and_writes", "cycle_left"])


def _at(register: int) -> int:
    return 4 * register


def _has_outside(env: Env) -> bool:
    return hasattr(env.dut, "writing")


async def _begin(dut: Any, stall: float) -> tuple[Env, CoreRegisters, Any]:
    env = await start(dut, BENCH)
    host = (AxiHost if "axi" in env.dut_name else WishboneHost)(env, stall)
    if _has_outside(env):
        env.set("quiet", 1)
    await env.cycles(2)
    return env, CoreRegisters(env), host


@cocotb.test()
async def registers(dut: Any) -> None:
    for_all = {BusRegister.BUS_VERSION: BUS_VERSION, BusRegister.IRQ_STATUS: 0,
               BusRegister.IRQ_ENABLE: 0, BusRegister.BUS_ERROR: 0,
               BusRegister.BUS_ERROR_ADDRESS: 0, BusRegister.OUTSIDE_BASE_LOW: 0,
               BusRegister.OUTSIDE_BASE_HIGH: 0}
    env, core, host = await _begin(dut, 0.3)
    core.words[Register.STATUS] = Status.DONE
    size = config_of(env).memory_bytes
    outside = _has_outside(env)
    values = {**for_all, BusRegister.MEMORY_OFFSET: memory_offset(size),
              BusRegister.FEATURES: Feature.OUTSIDE if outside else 0}
    writable = [*WRITABLE, BusRegister.IRQ_STATUS, BusRegister.IRQ_ENABLE, BusRegister.BUS_ERROR]
    if outside:
        writable += [BusRegister.OUTSIDE_BASE_LOW, BusRegister.OUTSIDE_BASE_HIGH]
    last = window_bytes(size) // 8   # registers take half of the window
    indices = [*range(64), *range(120, 144), 255, 256, 1000 % last, last - 1]
    for index in env.rng.sample(indices, len(indices)):
        expected = core.words[index] if index < 128 else values.get(index, 0)
        word, response = await host.read(_at(index))
        check([word, response], [expected, OKAY], f"register {index}")
        cover("core_register" if index < 128 else "own_register" if index in values
              else "unknown_register")
    for index in env.rng.sample(indices, len(indices)):
        value = env.rng.getrandbits(32)
        before = list(core.written)
        response = await host.write(_at(index), value, 0b0011)
        check(response, REFUSED, f"half of register {index}")
        cover("partial_register")
        check(core.written, before, "registers of the core")
        response = await host.write(_at(index), value)
        check(response, OKAY if index in writable else REFUSED, f"write of register {index}")
        check(core.written, before + ([(index, value)] if index in WRITABLE else []),
              "registers of the core")
        if index not in writable:
            cover("read_only_register" if index in values or index < 24 else "unknown_register")
    if outside:
        check((await host.read(_at(BusRegister.OUTSIDE_BASE_LOW)))[0] & 0xFFF, 0, "low bits")
        check((await host.read(_at(BusRegister.OUTSIDE_BASE_HIGH)))[0] >> (ADDRESS_BITS - 32), 0,
              "high bits")
    check((await host.read(_at(BusRegister.IRQ_ENABLE)))[0] >> 2, 0, "unused bits")


@cocotb.test()
async def memory(dut: Any) -> None:
    """Random accesses, while the core has the memory or not; what was refused changed nothing."""
    env, _, host = await _begin(dut, 0.2)
    config, rng = config_of(env), env.rng
    if not config.memory_bytes:
        return
    offset = memory_offset(config.memory_bytes)
    model = bytearray(config.memory_bytes)
    words = [rng.randrange(config.memory_bytes // 4) for _ in range(20)]
    words += [0, config.memory_bytes // 4 - 1]
    strobes = [0b1, 0b10, 0b100, 0b1000, 0b11, 0b1100, 0b110, 0b111, 0b1110, 0b1111]
    for step in range(600):
        busy = rng.random() < 0.2
        env.set("busy", busy)
        await env.cycles(1)
        beyond = offset > config.memory_bytes and rng.random() < 0.1
        word = (rng.randrange(config.memory_bytes // 4, offset // 4) if beyond
                else rng.choice(words))
        refused = busy or beyond
        if refused:
            cover("memory_beyond" if beyond else "memory_busy")
        if rng.randrange(2):
            got, response = await host.read(offset + 4 * word)
            expected = 0 if refused else int.from_bytes(model[4 * word:4 * word + 4], "little")
            check([got, response], [expected, REFUSED if refused else OKAY], f"read {step}")
            cover("memory_read")
            continue
        value, strobe = rng.getrandbits(32), rng.choice(strobes)
        response = await host.write(offset + 4 * word, value, strobe)
        check(response, REFUSED if refused else OKAY, f"write {step}")
        cover("memory_write")
        cover(f"strobe_{strobe:04b}")
        for byte in range(4):
            if strobe >> byte & 1 and not refused:
                model[4 * word + byte] = value >> 8 * byte & 255
    if "wishbone" in env.dut_name:
        env.set("busy", 0)
        check(await host.write(offset, 1, 0), OKAY, "a write of no byte")
        check((await host.read(offset))[0], int.from_bytes(model[:4], "little"), "word 0")
        cover("no_strobe")


@cocotb.test()
async def latency(dut: Any) -> None:
    """Cycles from an access to its end, as the blocks promise, with those of the slave's own."""
    env, _, host = await _begin(dut, 0)
    config = config_of(env)
    cases = [(lambda: host.read(0), 5), (lambda: host.write(_at(Register.WATCHDOG), 1), 5),
             (lambda: host.write(0, 1), 2)]
    if config.memory_bytes:
        offset = memory_offset(config.memory_bytes)
        cases += [(lambda: host.read(offset), 3 + config.memory_latency),
                  (lambda: host.write(offset, 1), 3 if config.write_bytes >= 4 else 4)]
    await check_cycles_of_accesses(env, cases)


async def _run(env: Env, length: int = 5) -> None:
    """The core is busy for some cycles."""
    env.set("busy", 1)
    await env.cycles(length)
    env.set("busy", 0)
    await env.cycles(1)


async def _fault(env: Env, write: int, code: int, address: int) -> None:
    for name, value in (("valid", 1), ("write", write), ("code", code), ("address", address)):
        env.set(f"fault__{name}", value)
    await env.cycles(1)
    env.set("fault__valid", 0)
    await env.cycles(1)


async def _interrupts(host: Any) -> int:
    return int((await host.read(_at(BusRegister.IRQ_STATUS)))[0])


@cocotb.test()
async def interrupts(dut: Any) -> None:
    env, core, host = await _begin(dut, 0)
    for status in (Status.DONE, Status.ERROR):
        core.words[Register.STATUS] = status
        await host.write(_at(BusRegister.IRQ_ENABLE), Interrupt.BUS_ERROR)
        await _run(env)
        await env.cycles(15)
        check(env.get("irq"), 0, "irq of what is not enabled")
        cover("irq_masked")
        check(await _interrupts(host), int(Interrupt.RUN_ENDED), "IRQ_STATUS")
        await host.write(_at(BusRegister.IRQ_ENABLE), Interrupt.RUN_ENDED)
        await env.cycles(3)
        check(env.get("irq"), 1, "irq once enabled")
        await host.write(_at(BusRegister.IRQ_STATUS), Interrupt.BUS_ERROR)
        await env.cycles(3)
        check(env.get("irq"), 1, "irq after another bit was cleared")
        await host.write(_at(BusRegister.IRQ_STATUS), Interrupt.RUN_ENDED)
        await env.cycles(3)
        check([env.get("irq"), await _interrupts(host)], [0, 0], "irq cleared")
        await _run(env)
        await env.cycles(12)
        check(env.get("irq"), 1, "irq of a run")
        cover("irq_run")
        await host.write(_at(BusRegister.IRQ_STATUS), 3)
    await _run(env, 40)   # accesses of the window while the core is busy do not matter to it


@cocotb.test()
async def outside(dut: Any) -> None:
    """Errors of outside memory, and writes on their way to it after the end of a run."""
    env, core, host = await _begin(dut, 0)
    if not _has_outside(env):
        return
    status = _at(Register.STATUS)
    await host.write(_at(BusRegister.IRQ_ENABLE), 3)

    core.words[Register.STATUS] = Status.DONE
    env.set("writing", 1)
    await _run(env)
    await env.cycles(20)
    check([env.get("irq"), (await host.read(status))[0]], [0, Status.RUNNING], "before the writes")
    cover("status_writing")
    env.set("writing", 0)
    await env.cycles(4)
    check([env.get("irq"), (await host.read(status))[0]], [1, Status.DONE], "after the writes")
    cover("irq_waits_for_writes")
    await host.write(_at(BusRegister.IRQ_STATUS), 3)

    core.words[Register.STATUS] = Status.ERROR
    env.set("writing", 1)
    await _run(env)
    await env.cycles(12)
    check([env.get("irq"), (await host.read(status))[0]], [1, Status.ERROR], "a run that failed")
    cover("irq_of_a_bad_run")
    env.set("writing", 0)
    await host.write(_at(BusRegister.IRQ_STATUS), 3)
    check(core.written, [], "the core's registers")

    for write, code in ((0, 2), (1, 3), (1, 2), (0, 3)):
        core.words[Register.STATUS] = Status.RUNNING
        env.set("busy", 1)
        await env.cycles(3)
        address = 1 << 31 | env.rng.getrandbits(31)
        core.written.clear()
        await _fault(env, write, code, address)
        await env.cycles(6)
        check(core.written, [(Register.CONTROL, Command.ABORT)], "what aborts")
        cover("abort")
        check(env.get("irq"), 1, "irq of a fault")
        cover("irq_fault")
        await _fault(env, 1 - write, 5 - code, address ^ 64)
        cover("second_fault")
        core.words[Register.STATUS] = Status.DONE   # it ended before the abort came
        env.set("busy", 0)
        await env.cycles(10)
        check((await host.read(status))[0], int(Status.ERROR), "STATUS")
        cover("status_failed")
        error = BusError.HELD | write * BusError.WRITE | code << RESPONSE_SHIFT
        check([(await host.read(_at(register)))[0]
               for register in (BusRegister.BUS_ERROR, BusRegister.BUS_ERROR_ADDRESS)],
              [error, address], "the error")
        check(await _interrupts(host), 3, "IRQ_STATUS")
        await host.write(_at(BusRegister.IRQ_STATUS), 3)
        await host.write(_at(BusRegister.BUS_ERROR), 0)
        check([(await host.read(_at(register)))[0]
               for register in (BusRegister.BUS_ERROR, BusRegister.BUS_ERROR_ADDRESS)],
              [0, 0], "the error cleared")
        check((await host.read(status))[0], int(Status.DONE), "STATUS")
    core.written.clear()
    await _fault(env, 0, 2, 0)   # of a run that is over: nothing to abort
    await env.cycles(10)
    check(core.written, [], "the core's registers")


@cocotb.test()
async def base(dut: Any) -> None:
    """OUTSIDE_BASE stays while the core or an access may use it."""
    env, _, host = await _begin(dut, 0)
    if not _has_outside(env):
        return
    low, high = _at(BusRegister.OUTSIDE_BASE_LOW), _at(BusRegister.OUTSIDE_BASE_HIGH)
    expected = 0
    for _ in range(20):
        value = env.rng.getrandbits(64)
        busy, quiet = env.rng.randrange(2), env.rng.randrange(2)
        env.set("busy", busy)
        env.set("quiet", quiet)
        await env.cycles(1)
        free = quiet and not busy
        for register, word in ((low, value & (1 << 32) - 1), (high, value >> 32)):
            check(await host.write(register, word), OKAY if free else REFUSED, "write of the base")
        cover("base_kept" if free else "base_refused")
        if free:
            expected = value & (1 << ADDRESS_BITS) - 4096
        await env.cycles(1)
        check(env.get("base"), expected, "base")
        check([(await host.read(register))[0] for register in (low, high)],
              [expected & (1 << 32) - 1, expected >> 32], "OUTSIDE_BASE")


@cocotb.test()
async def channels(dut: Any) -> None:
    """AXI: reads and writes at once, data before the address; Wishbone: a cycle that is left."""
    env, core, host = await _begin(dut, 0)
    core.words[Register.STATUS] = Status.DONE
    watchdog = _at(Register.WATCHDOG)
    if "axi" in env.dut_name:
        for order in ("aw_channel", "w_channel"):
            getattr(host.master.write_if, order).pause = True
            task = cocotb.start_soon(host.write(watchdog, 7))
            await env.cycles(10)
            check(core.written, [], "a write of which half is there")
            getattr(host.master.write_if, order).pause = False
            check(await task, OKAY, "write")
            check(core.written, [(Register.WATCHDOG, 7)], "the core's registers")
            core.written.clear()
            cover("write_data_first")
        reads = [cocotb.start_soon(host.read(4 * index)) for index in range(16)]
        writes = [cocotb.start_soon(host.write(watchdog, index)) for index in range(16)]
        check([(await task)[0] for task in reads], core.words[:16], "words")
        for task in writes:
            check(await task, OKAY, "write")
        check(core.written, [(Register.WATCHDOG, index) for index in range(16)], "written")
        cover("reads_and_writes")
        return
    for wait in range(1, 8):   # the next cycle gets its own end, not that of the one before
        for name, value in (("cyc", 1), ("stb", 1), ("we", 0), ("adr", 1), ("sel", 15)):
            env.set(f"control__{name}", value)
        await env.cycles(wait)
        env.set("control__cyc", 0)
        env.set("control__stb", 0)
        await env.cycles(1)
        check((await host.read(8))[0], core.words[2], f"after a cycle left after {wait}")
        cover("cycle_left")
