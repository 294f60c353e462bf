"""What surrounds the sensor ports, for their benches: window, memory, a core, and streams."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from kaniwa.config import AcceleratorConfig
from kaniwa.isa import Register, Status
from kaniwa.isa.bus import BusResponse
from kaniwa.isa.sensor import TABLE_INDEX_SHIFT, SensorControl, SensorRegister
from kaniwa.sim.benches.bus.window_world import AxiHost, WishboneHost
from kaniwa.sim.harness.bench import Env, check
from kaniwa.sim.harness.payload import codec
from kaniwa.sim.worlds.memory_ports import config_of

__all__ = ["sensor_dut", "result_of", "SmallCore", "World"]


def sensor_dut(config: AcceleratorConfig, slave: Any, buffer_bytes: int) -> Any:
    """A component of slave, sensor ports, window and memory; the core is left to the bench."""
    from amaranth.hdl import Module
    from amaranth.lib import wiring
    from amaranth.lib.wiring import In, Out, connect, flipped

    from kaniwa.hw.bus.signatures import axi_stream
    from kaniwa.hw.bus.window import BusWindow
    from kaniwa.hw.interfaces import read_port, write_port
    from kaniwa.hw.memory.host_port import HostPort
    from kaniwa.hw.memory.system import OnChipMemory
    from kaniwa.hw.sensor.ports import SensorPorts

    front = slave(config)

    class SensorDut(wiring.Component):
        def __init__(self) -> None:
            super().__init__({
                "control": front.signature.members["bus"],
                "sample": In(axi_stream(8)), "result": Out(axi_stream(8)), "irq": Out(1),
                "csr_address": Out(8), "csr_write": Out(1), "csr_write_data": Out(32),
                "csr_read_data": In(32), "busy": In(1),
                "core_read": In(read_port(config)), "core_write": In(write_port(config))})

        def elaborate(self, platform: Any) -> Module:
            m = Module()
            m.submodules.slave = front
            m.submodules.window = window = BusWindow(config, outside=False)
            m.submodules.ports = ports = SensorPorts(config, buffer_bytes)
            m.submodules.memory = memory = OnChipMemory(config)
            m.submodules.host_port = port = HostPort(config)
            connect(m, flipped(self.control), front.bus)
            connect(m, front.access, ports.host_access)
            connect(m, ports.host_answer, front.answer)
            connect(m, ports.access, window.access)
            connect(m, window.answer, ports.answer)
            connect(m, flipped(self.sample), ports.sample)
            connect(m, ports.result, flipped(self.result))
            connect(m, flipped(self.core_read), port.core_read)
            connect(m, flipped(self.core_write), port.core_write)
            connect(m, window.read, port.host_read)
            connect(m, window.write, port.host_write)
            connect(m, port.read, ports.others_read)
            connect(m, port.write, ports.others_write)
            connect(m, ports.read, memory.read)
            connect(m, ports.write, memory.write)
            m.d.comb += [
                self.irq.eq(window.irq | ports.irq),
                self.csr_address.eq(window.csr_address),
                self.csr_write.eq(window.csr_write),
                self.csr_write_data.eq(window.csr_write_data),
                window.csr_read_data.eq(self.csr_read_data),
                *(block.busy.eq(self.busy) for block in (window, port, ports)),
            ]
            return m

    return SensorDut()


def result_of(tensor: Sequence[int], count: int) -> bytes:
    """What the bench's core makes of an input tensor: any of its bytes may change any result."""
    total, mixed = 0, []
    for number, value in enumerate(tensor):
        total = (5 * total + value + number + 1) & 0xFFFF
        mixed.append(total)
    seen = mixed or [0]
    return bytes((seen[-1 - number % len(seen)] + (seen[-1] >> 3) + 7 * number) & 255
                 for number in range(count))


class SmallCore:
    """The core's registers, and runs that read one tensor and write another in on-chip memory.

    A run lasts ``pause`` cycles more than its accesses, which have to be ready at once. It ends
    with ``status``, and writes no result unless that is DONE. ``runs`` counts them. ``input`` and
    ``output`` are pairs of address and length.
    """

    def __init__(self, env: Env) -> None:
        import cocotb

        from kaniwa.hw.interfaces import write_port

        self.env, self.config = env, config_of(env)
        self._pack = codec(write_port(self.config).members["request"].signature
                           .members["payload"].shape)[0]
        self.input = self.output = (0, 0)
        self.pause, self.runs = 0, 0
        self.status = Status.DONE
        self.words = {int(Register.STATUS): 0}
        cocotb.start_soon(self._answer())
        cocotb.start_soon(self._watch())

    async def _answer(self) -> None:
        late = 0
        while True:
            await self.env.cycles(1)
            index = self.env.get("csr_address")
            self.env.set("csr_read_data", late)
            late = self.words.get(index, 0)

    async def _watch(self) -> None:
        while True:
            await self.env.cycles(1)
            if self.env.get("csr_write") and self.env.get("csr_address") == Register.CONTROL:
                await self.env.cycles(1)
                await self._run()

    async def _run(self) -> None:
        self.env.set("busy", 1)
        self.words[Register.STATUS] = Status.RUNNING
        await self.env.cycles(4)
        address, length = self.input
        tensor = (await self.read(address, length)) if length else b""
        await self.env.cycles(self.pause)
        if self.status == Status.DONE:
            await self.write(self.output[0], result_of(tensor, self.output[1]))
        self.words[Register.STATUS] = self.status
        await self.env.cycles(1)
        self.runs += 1
        self.env.set("busy", 0)

    async def read(self, address: int, length: int) -> bytes:
        """Bytes of memory, a word a cycle."""
        env, size = self.env, self.config.read_bytes
        first = address // size * size
        words: list[int] = []
        places = list(range(first, address + length, size))
        for place in [*places, *[None] * (self.config.memory_latency + 1)]:
            env.set("core_read__request__valid", place is not None)
            env.set("core_read__request__payload", place or 0)
            await env.cycles(1)
            check(env.get("core_read__request__ready"), 1, "the core's read does not wait")
            if env.get("core_read__response__valid"):
                words.append(env.get("core_read__response__payload"))
        check(len(words), len(places), "words for the core")
        data = b"".join(word.to_bytes(size, "little") for word in words)
        return data[address - first:][:length]

    async def write(self, address: int, data: bytes) -> None:
        """Write bytes to memory, a word a cycle."""
        env, size = self.env, self.config.write_bytes
        for place in range(address // size * size, address + len(data), size):
            part = {i: data[place + i - address] for i in range(size)
                    if 0 <= place + i - address < len(data)}
            env.set("core_write__request__payload", self._pack(
                {"address": place, "mask": sum(1 << i for i in part),
                 "data": sum(value << 8 * i for i, value in part.items())}))
            env.set("core_write__request__valid", 1)
            await env.cycles(1)
            check(env.get("core_write__request__ready"), 1, "the core's write does not wait")
        env.set("core_write__request__valid", 0)


class World:
    """The ports with a host, a core, and cocotbext-axi's source and sink of streams."""

    def __init__(self, env: Env, stall: float = 0.0) -> None:
        from cocotbext.axi import AxiStreamBus, AxiStreamSink, AxiStreamSource

        self.env, self.rng = env, env.rng
        self.host = (AxiHost if "axi" in env.dut_name else WishboneHost)(env, stall)
        self.core = SmallCore(env)
        dut = env.dut
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "sample_"), dut.clk)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "result_"), dut.clk)
        self.table = list(range(256))

    def stall(self, source: float, sink: float) -> None:
        """Chances of a cycle in which the source has nothing, and the sink takes nothing."""
        for end, chance in ((self.source, source), (self.sink, sink)):
            end.clear_pause_generator()
            end.pause = False
            if chance:
                end.set_pause_generator(
                    self.rng.random() < chance for _ in itertools.count())

    async def get(self, register: int) -> int:
        """Read a register."""
        word, response = await self.host.read(4 * register)
        check(response, BusResponse.OKAY, f"read {register}")
        return int(word)

    async def set(self, register: int, value: int) -> None:
        """Write a register."""
        check(await self.host.write(4 * register, value), BusResponse.OKAY, f"write {register}")

    async def refused(self, register: int, value: int, strobe: int = 0xF) -> None:
        """Write a register, which is refused."""
        check(await self.host.write(4 * register, value, strobe), BusResponse.SLVERR,
              f"write {register}")

    async def load_table(self, entries: int) -> None:
        """Give so many random entries of the table other values."""
        for index in self.rng.sample(range(256), entries):
            self.table[index] = self.rng.randrange(256)
        for index, value in enumerate(self.table):
            await self.set(SensorRegister.SENSOR_TABLE, index << TABLE_INDEX_SHIFT | value)

    async def enable(self, control: SensorControl, given: tuple[int, int],
                     result: tuple[int, int]) -> None:
        """Set the tensors, each an address and a length, and enable the ports."""
        of = SensorRegister
        self.core.input, self.core.output = given, result
        for register, value in ((of.SENSOR_INPUT_ADDRESS, given[0]),
                                (of.SENSOR_INPUT_LENGTH, given[1]),
                                (of.SENSOR_OUTPUT_ADDRESS, result[0]),
                                (of.SENSOR_OUTPUT_LENGTH, result[1])):
            await self.set(register, value)
        await self.set(of.SENSOR_EVENTS, 31)
        await self.set(of.SENSOR_CONTROL, control | SensorControl.ENABLE)

    async def disable(self) -> None:
        """Disable the ports."""
        await self.set(SensorRegister.SENSOR_CONTROL, 0)

    async def wait(self, register: int, value: int, patience: int = 4000) -> None:
        """Wait until a register has a value."""
        for _ in range(patience):
            if await self.get(register) == value:
                return
        raise AssertionError(f"register {register} is {await self.get(register)}, not {value}")

    async def results(self, count: int) -> list[bytes]:
        """The next results; each within 20,000 cycles."""
        from cocotb.triggers import with_timeout

        return [bytes((await with_timeout(self.sink.recv(), 200_000, "ns")).tdata)
                for _ in range(count)]
