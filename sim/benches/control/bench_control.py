"""Control: registers, the sequence of a run, errors, abort and watchdog."""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.config import PRESETS
from kaniwa.isa import COUNTERS, ISA_VERSION, ErrorCode, Register
from kaniwa.sim.harness.bench import Bench, Dut, Env, check, cover, start

BUILD_ID, CLOCK_HZ = 0x1234_5678, 25_000_000
RUN, ABORT = 1, 2
RUNNING, DONE, ERROR = 1, 2, 4


def _duts() -> list[Dut]:
    from kaniwa.hw.control.registers import Control

    return [Dut(name, Control(PRESETS[name], build_id=BUILD_ID, clock_hz=CLOCK_HZ),
                config=PRESETS[name]) for name in ("nano", "xl")]


BENCH = Bench("control", _duts, required=[
    "identity", "unknown_register", "done", "counters_late", "error", "abort", "abort_when_idle",
    "watchdog", "watchdog_fed", "watchdog_off", "memory_late", "memory_never", "start_ignored",
    "run_after_error", "counter_data", "error_and_done",
])


class Host:
    """Register accesses, and a record of what the datapath saw."""

    def __init__(self, env: Env) -> None:
        self.env = env
        self.events: list[str] = []
        self.running = 0   # cycles of the present run
        cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        """Note each rise of an output, and count the cycles with ``running``."""
        names = ("reset", "start", "running", "hold")
        before = dict.fromkeys(names, 0)
        while True:
            await self.env.cycles(1)
            now = {name: self.env.get(name) for name in names}
            self.events += [name for name in names if now[name] and not before[name]]
            if now["start"]:
                self.running = 0
            self.running += now["running"]
            before = now

    async def write(self, register: int, value: int) -> None:
        self.env.set("csr_address", register)
        self.env.set("csr_write_data", value)
        self.env.set("csr_write", 1)
        await self.env.cycles(1)
        self.env.set("csr_write", 0)

    async def read(self, register: int) -> int:
        self.env.set("csr_address", register)
        await self.env.cycles(3)
        return self.env.get("csr_read_data")

    async def begin(self) -> None:
        """Write the run command and wait until the run proper has begun."""
        self.events.clear()
        await self.write(Register.CONTROL, RUN)
        await self.env.cycles(6)
        check(self.events, ["reset", "start", "running"], "order of a start")
        check(await self.read(Register.STATUS), RUNNING, "status of a run")

    async def ends(self, status: int, code: int, index: int, limit: int = 40) -> None:
        """The run ends with this status within ``limit`` cycles."""
        for _ in range(limit):
            if not await self.read(Register.STATUS) & RUNNING:
                break
        check(await self.read(Register.STATUS), status, "status at the end")
        check(await self.read(Register.ERROR_CODE), code, "error code")
        check(await self.read(Register.ERROR_INSTRUCTION), index, "error instruction")
        check(await self.read(Register.CYCLES), self.running, "cycles of the run")

    async def pulse(self, name: str) -> None:
        self.env.set(name, 1)
        await self.env.cycles(1)
        self.env.set(name, 0)


async def _setup(dut: Any) -> tuple[Env, Host]:
    env = await start(dut, BENCH)
    env.set("memory_idle", 1)
    env.set("counters__idle", 1)
    return env, Host(env)


@cocotb.test()
async def identity(dut: Any) -> None:
    env, host = await _setup(dut)
    config = env.config
    number = int(config.hash, 16)
    expected = {
        Register.MAGIC: 0x4B41_4E49, Register.VERSION: ISA_VERSION,
        Register.CONFIG_HASH_LOW: number % (1 << 32), Register.CONFIG_HASH_HIGH: number >> 32,
        Register.BUILD_ID: BUILD_ID, Register.CLOCK_HZ: CLOCK_HZ,
        Register.SHAPE: int.from_bytes(bytes([config.out_lanes, config.dot_width,
                                              config.requant_lanes, config.requant_cycles]),
                                       "little"),
        Register.MEMORY_BYTES: config.memory_bytes, Register.CONTROL: 0, Register.STATUS: 0,
    }
    for register in env.rng.sample(sorted(expected), len(expected)):
        await host.write(register, 0) if register != Register.CONTROL else None
        check(await host.read(register), expected[register], register.name)
    cover("identity")
    for unknown in (Register.COUNTER_0 + len(COUNTERS), 100, 255):
        check(await host.read(unknown), 0, "unknown register")
        cover("unknown_register")
    for register, width in ((Register.WATCHDOG, 32), (Register.COUNTER_TAG, 11),
                            (Register.PROGRAM_ADDRESS, 32)):
        value = env.rng.getrandbits(32)
        await host.write(register, value)
        kept = value % (1 << width)
        if register == Register.PROGRAM_ADDRESS:
            kept -= kept % config.read_bytes
        check(await host.read(register), kept, register.name)
        if register == Register.PROGRAM_ADDRESS:
            check(env.get("program_address"), kept, "program address of the sequencer")


@cocotb.test()
async def run_to_the_end(dut: Any) -> None:
    env, host = await _setup(dut)
    for late in (0, 30):
        await host.begin()
        await host.write(Register.CONTROL, RUN)
        cover("start_ignored")
        await env.cycles(env.rng.randint(1, 200))
        check(host.events, ["reset", "start", "running"], "a second start is ignored")
        env.set("retired", retired := env.rng.randint(1, 60000))
        env.set("counters__idle", not late)
        await env.cycles(1)
        env.set("done", 1)
        await env.cycles(late)
        if late:
            check(await host.read(Register.STATUS), RUNNING, "status before the last snapshot")
            cover("counters_late")
        env.set("counters__idle", 1)
        await host.ends(DONE, ErrorCode.NONE, 0)
        check(await host.read(Register.RETIRED), retired, "retired")
        assert "hold" not in host.events
        env.set("done", 0)
        cover("done")


@cocotb.test()
async def error_ends_cleanly(dut: Any) -> None:
    env, host = await _setup(dut)
    for wait in (0, 3, 200, None):
        await host.begin()
        await env.cycles(env.rng.randint(0, 50))
        code, index = env.rng.choice([1, 2, 3, 4]), env.rng.randrange(1 << 16)
        env.set("error_code", code)
        env.set("error_instruction", index)
        env.set("memory_idle", wait == 0)
        if wait == 3:
            env.set("done", 1)
            cover("error_and_done")
        host.events.clear()
        await host.pulse("error")
        env.set("done", 0)
        env.set("error_code", 0)
        if wait is None:
            cover("memory_never")
        else:
            await env.cycles(wait)
            assert "reset" not in host.events, "reset before memory is idle"
            env.set("memory_idle", 1)
            cover("memory_late")
        await host.ends(ERROR, code, index, limit=2200)
        check(host.events, ["hold", "reset"], "order of an error's end")
        cover("error")
    env.set("memory_idle", 1)
    await host.begin()
    env.set("done", 1)
    await host.ends(DONE, ErrorCode.NONE, 0)
    cover("run_after_error")


@cocotb.test()
async def abort(dut: Any) -> None:
    env, host = await _setup(dut)
    for _ in range(4):
        await host.begin()
        await env.cycles(env.rng.randint(0, 50))
        env.set("retired", retired := env.rng.randrange(1 << 16))
        host.events.clear()
        await host.write(Register.CONTROL, env.rng.choice([ABORT, ABORT | RUN]))
        await host.ends(ERROR, ErrorCode.ABORTED, retired)
        check(host.events, ["hold", "reset"], "order of an abort")
        cover("abort")
    host.events.clear()
    await host.write(Register.CONTROL, ABORT)
    await env.cycles(20)
    check(host.events, ["hold", "reset"], "order of an abort without a run")
    check(await host.read(Register.STATUS), 0, "an abort clears the status")
    cover("abort_when_idle")


@cocotb.test()
async def watchdog(dut: Any) -> None:
    env, host = await _setup(dut)
    for limit in (1, 10, 100):
        await host.write(Register.WATCHDOG, limit)
        await host.begin() if limit > 10 else await host.write(Register.CONTROL, RUN)
        if limit > 10:
            for _ in range(6):
                await env.cycles(env.rng.randint(1, limit - 5))
                env.set("progress", 1 << env.rng.randrange(6))
                await env.cycles(1)
                env.set("progress", 0)
            check(await host.read(Register.STATUS), RUNNING, "progress feeds the watchdog")
            cover("watchdog_fed")
        env.set("retired", 77)
        cycles = await host.read(Register.CYCLES)
        await env.cycles(limit)
        await host.ends(ERROR, ErrorCode.WATCHDOG, 77)
        assert host.running <= cycles + limit + 4, "the watchdog bites in time"
        cover("watchdog")
    await host.write(Register.WATCHDOG, 0)
    await host.begin()
    await env.cycles(500)
    check(await host.read(Register.STATUS), RUNNING, "watchdog 0 never bites")
    cover("watchdog_off")


@cocotb.test()
async def counter_read_out(dut: Any) -> None:
    env, host = await _setup(dut)
    for _ in range(3):
        tag = env.rng.randrange(1 << 11)
        await host.write(Register.COUNTER_TAG, tag)
        for index in range(len(COUNTERS)):
            env.set("csr_address", Register.COUNTER_0 + index)
            await env.cycles(1)
            # The counters answer in the cycle after the index, like a memory.
            env.set("counters__data", value := env.rng.getrandbits(32))
            await env.cycles(2)
            check(env.get("counters__index"), index, "counter index")
            check(env.get("counters__tag"), tag, "counter tag")
            check(env.get("csr_read_data"), value, "counter data")
            cover("counter_data")
        env.set("csr_address", Register.MAGIC)
        await env.cycles(3)
        check(env.get("csr_read_data"), 0x4B41_4E49, "a register after a counter")
