"""The whole accelerator behind a bus: programs with outside memory, equal to the emulator's.

The masters are those of cocotbext-axi and cocotbext-wishbone, outside memory is cocotbext-axi's
AxiRam or slave, or this project's model of a Wishbone memory.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import cocotb
import numpy as np

from kaniwa.config import PRESETS
from kaniwa.emulator.core import Emulator
from kaniwa.graph import Graph
from kaniwa.isa import OUTSIDE, Command, ErrorCode, Register, Status
from kaniwa.isa.bus import (
    RESPONSE_SHIFT,
    BusError,
    BusRegister,
    BusResponse,
    Interrupt,
    memory_offset,
)
from kaniwa.program.program import Program, TensorInfo
from kaniwa.sim.benches.bus.master_world import OutsideBytes, axi_slave
from kaniwa.sim.benches.bus.window_world import AxiHost, WishboneHost
from kaniwa.sim.benches.bus.wishbone_world import WishboneMemory
from kaniwa.sim.harness.bench import TALLY, Bench, Dut, Env, check, cover, start
from kaniwa.sim.worlds.random_graphs import random_graph, random_input

CONFIG = dataclasses.replace(PRESETS["small"], line_bytes=2048, ring_bytes=2048,
                             parameter_records=64, memory_bytes=1024, name="bus-small")
BASE = 0x4000_3000
RAM_BYTES = 1 << 20
WATCHDOG = 3000
CYCLE_LIMIT = 40_000


def _duts() -> list[Dut]:
    from kaniwa.hw.bus.bus_accelerator import BusAccelerator

    return [Dut(bus, BusAccelerator(CONFIG, bus, outside=True, data_bits=bits), config=CONFIG)
            for bus, bits in (("axi4", 64), ("wishbone", 32))]


BENCH = Bench("bus_accelerator", _duts, long=("wishbone",), required=[
    "whole_run", "second_run", "uses_both_memories", "read_error", "write_error", "hang",
    "run_behind_a_hang"])


@functools.cache
def _program() -> tuple[Graph, Program]:
    """A small convolution whose image has parts in both memories."""
    from kaniwa.compiler.pipeline import compile

    graph = random_graph(1, "conv", macs=1 << 12)
    return graph, compile(graph, target=CONFIG, outside="ideal")


class System:
    """The accelerator with a host and outside memory that holds ``bytes``, by bus address."""

    def __init__(self, env: Env) -> None:
        self.env = env
        self.axi = env.dut_name == "axi4"
        self.host = (AxiHost if self.axi else WishboneHost)(env)
        self.outside = OutsideBytes(env, len(
            env.dut.memory__rdata if self.axi else env.dut.memory__dat_r) // 8)
        self.memory: Any = None

    def attach(self) -> None:
        """Outside memory that may fail or be silent."""
        self.memory = (axi_slave(self.env, self.outside, prefix="memory_") if self.axi
                       else WishboneMemory(self.env, self.outside, "burst", 0, prefix="memory_"))

    def silence(self, silent: bool) -> None:
        """Have the memory answer no read."""
        if self.axi:
            self.memory.read_if.r_channel.pause = silent
        else:
            self.memory.silent = silent

    async def set(self, register: int, value: int) -> None:
        """Write a register."""
        check(await self.host.write(4 * register, value), BusResponse.OKAY, f"write {register}")

    async def get(self, register: int) -> int:
        """Read a register."""
        word, response = await self.host.read(4 * register)
        check(response, BusResponse.OKAY, f"read {register}")
        return int(word)

    async def store(self, address: int, data: bytes) -> None:
        """Bytes to device memory, outside memory at once."""
        if address >= OUTSIDE:
            for index, byte in enumerate(data):
                self.outside.bytes[BASE + address - OUTSIDE + index] = byte
            return
        for index, byte in enumerate(data):
            at = address + index
            strobe = 1 << at % 4
            await self.host.write(memory_offset(CONFIG.memory_bytes) + at // 4 * 4,
                                  byte << 8 * (at % 4), strobe)

    async def load(self, address: int, count: int) -> bytes:
        """Bytes of device memory."""
        if address >= OUTSIDE:
            return bytes(self.outside[BASE + address - OUTSIDE + i] for i in range(count))
        first, end = address // 4, (address + count + 3) // 4
        words = [(await self.host.read(memory_offset(CONFIG.memory_bytes) + 4 * word))[0]
                 for word in range(first, end)]
        data = b"".join(word.to_bytes(4, "little") for word in words)
        return data[address % 4:address % 4 + count]

    async def begin(self, program: Program) -> None:
        """Set up the registers, and images of the program."""
        check(await self.get(BusRegister.MEMORY_OFFSET), memory_offset(CONFIG.memory_bytes),
              "MEMORY_OFFSET")
        await self.set(BusRegister.OUTSIDE_BASE_LOW, BASE)
        await self.set(BusRegister.IRQ_ENABLE, Interrupt.RUN_ENDED)
        await self.set(Register.WATCHDOG, WATCHDOG)
        await self.set(Register.PROGRAM_ADDRESS, program.address_of(program.runs[0]))
        for address, data in program.images:
            await self.store(address, data)

    async def run(self) -> int:
        """Run to the interrupt; STATUS."""
        await self.set(Register.CONTROL, Command.RUN)
        for _ in range(CYCLE_LIMIT):
            if self.env.get("irq"):
                break
            await self.env.cycles(1)
        else:
            raise AssertionError("no interrupt")
        status = await self.get(Register.STATUS)
        await self.set(BusRegister.IRQ_STATUS, Interrupt.RUN_ENDED)
        return status


def _address(tensor: TensorInfo) -> int:
    """Where the device has a tensor."""
    assert tensor.address is not None
    return tensor.address


async def _infer(system: System, graph: Graph, program: Program, inputs: Mapping[str, Any]) -> None:
    """One inference: everything in memory that the emulator wrote is the same here."""
    emulator = Emulator(CONFIG, "ideal")
    for address, data in program.images:
        emulator.write(address, data)
    for tensor in program.inputs:
        data = tensor.to_device(np.asarray(inputs[tensor.name]))
        emulator.write(_address(tensor), data)
        await system.store(_address(tensor), data)
    emulator.run(program.address_of(program.runs[0]))
    check(await system.run(), int(Status.DONE), "STATUS")
    for tensor in program.outputs:
        got = await system.load(_address(tensor), tensor.bytes)
        check(list(got), list(emulator.read(_address(tensor), tensor.bytes)), tensor.name)
    TALLY.measure(f"cycles of the run, {system.env.dut_name}", await system.get(Register.CYCLES))


@cocotb.test()
async def whole_runs(dut: Any) -> None:
    env = await start(dut, BENCH)
    graph, program = _program()
    system = System(env)
    if system.axi:
        from cocotbext.axi import AxiBus, AxiRam

        ram = AxiRam(AxiBus.from_prefix(dut, "memory_"), dut.clk, size=RAM_BYTES)
        system.outside.bytes = RamBytes(ram)
    else:
        system.attach()
    await system.begin(program)
    sides = {address >> 31 for address, _ in program.images}
    sides |= {_address(tensor) >> 31 for tensor in (*program.inputs, *program.outputs)}
    if sides == {0, 1}:
        cover("uses_both_memories")
    for name in ("whole_run", "second_run"):
        inputs = random_input(graph, env.rng.getrandbits(30))
        await _infer(system, graph, program, inputs)
        cover(name)


class RamBytes(dict[int, int]):
    """An AxiRam as the bytes of an ``OutsideBytes``."""

    def __init__(self, ram: Any) -> None:
        self._ram = ram

    def get(self, address: int, default: Any = None) -> Any:
        return self._ram.read(address % RAM_BYTES, 1)[0]

    def __setitem__(self, address: int, value: int) -> None:
        self._ram.write(address % RAM_BYTES, bytes([value]))


@cocotb.test()
async def errors(dut: Any) -> None:
    """Each error ends the run, is told, and leaves the accelerator fit for the next one."""
    env = await start(dut, BENCH)
    graph, program = _program()
    system = System(env)
    system.attach()
    await system.begin(program)
    output = next(a for a in map(_address, program.outputs) if a >= OUTSIDE)
    image = next(address for address, _ in program.images if address >= OUTSIDE)
    for write, address in ((0, image), (1, output)):
        size = CONFIG.write_bytes if write else CONFIG.read_bytes
        bus_address = BASE + address - OUTSIDE
        grain = system.outside.grain
        system.outside.codes = {bus_address // grain * grain: BusResponse.SLVERR}
        check(await system.run(), int(Status.ERROR), "STATUS")
        error = await system.get(BusRegister.BUS_ERROR)
        check(error, int(BusError.HELD | write * BusError.WRITE
                         | BusResponse.SLVERR << RESPONSE_SHIFT), "BUS_ERROR")
        told = await system.get(BusRegister.BUS_ERROR_ADDRESS)
        check(told // max(size, grain), address // max(size, grain), "BUS_ERROR_ADDRESS")
        check(await system.get(BusRegister.IRQ_STATUS), int(Interrupt.BUS_ERROR), "IRQ_STATUS")
        code = await system.get(Register.ERROR_CODE)
        check(code in (ErrorCode.ABORTED, ErrorCode.NONE), True, f"ERROR_CODE {code}")
        cover("write_error" if write else "read_error")
        system.outside.codes = {}
        await system.set(BusRegister.BUS_ERROR, 0)
        await system.set(BusRegister.IRQ_STATUS, 3)
        await _infer(system, graph, program, random_input(graph, 5))


@cocotb.test()
async def a_bus_that_does_not_answer(dut: Any) -> None:
    """The watchdog ends the run; registers and memory answer; later runs wait, and are exact."""
    env = await start(dut, BENCH)
    graph, program = _program()
    system = System(env)
    system.attach()
    await system.begin(program)
    system.silence(True)
    for _ in range(2):   # the second one cannot begin
        check(await system.run(), int(Status.ERROR), "STATUS")
        check(await system.get(Register.ERROR_CODE), int(ErrorCode.WATCHDOG), "ERROR_CODE")
        check(await system.get(BusRegister.BUS_ERROR), 0, "BUS_ERROR")
        address = memory_offset(CONFIG.memory_bytes)
        word, response = await system.host.read(address)
        check(response, BusResponse.OKAY, "memory")
        check(await system.host.write(address, word), BusResponse.OKAY, "memory")
        check(await system.host.write(4 * BusRegister.OUTSIDE_BASE_LOW, 0), BusResponse.SLVERR,
              "a base that is in use")
        cover("hang")
    task = cocotb.start_soon(_infer(system, graph, program, random_input(graph, 6)))
    await env.cycles(WATCHDOG // 2)
    system.silence(False)
    await task
    cover("run_behind_a_hang")
