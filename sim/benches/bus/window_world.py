"""What surrounds the window of registers and memory, for its bench: the core's side, and a host."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from kaniwa.config import AcceleratorConfig
from kaniwa.isa.bus import BusResponse
from kaniwa.sim.harness.bench import TALLY, Env, check

__all__ = ["window_dut", "CoreRegisters", "AxiHost", "WishboneHost", "check_cycles_of_accesses"]

ADDRESS_BITS = 40   # of outside memory


def window_dut(config: AcceleratorConfig, slave: Any, outside: bool) -> Any:
    """A component of a slave, the window and on-chip memory; the core is left to the bench."""
    from amaranth.hdl import Module
    from amaranth.lib import wiring
    from amaranth.lib.wiring import Out

    from kaniwa.hw.bus.window import BusWindow
    from kaniwa.hw.memory.host_port import HostPort
    from kaniwa.hw.memory.system import OnChipMemory

    window = BusWindow(config, outside=outside, address_bits=ADDRESS_BITS)
    apart = {"access", "answer", "read", "write"}
    own = {name: member for name, member in window.signature.members.items() if name not in apart}

    front = slave(config)

    class WindowDut(wiring.Component):
        def __init__(self) -> None:
            super().__init__({"control": front.signature.members["bus"], **own})

        def elaborate(self, platform: Any) -> Module:
            m = Module()
            m.submodules.slave = front
            m.submodules.window = window
            wiring.connect(m, wiring.flipped(self.control), front.bus)
            wiring.connect(m, front.access, window.access)
            wiring.connect(m, window.answer, front.answer)
            for name, member in own.items():
                outer, inner = getattr(self, name), getattr(window, name)
                if member.is_signature:
                    wiring.connect(m, wiring.flipped(outer), inner)
                elif member.flow == Out:
                    m.d.comb += outer.eq(inner)
                else:
                    m.d.comb += inner.eq(outer)
            if config.memory_bytes:
                m.submodules.memory = memory = OnChipMemory(config)
                m.submodules.port = port = HostPort(config)
                m.d.comb += port.busy.eq(self.busy)
                wiring.connect(m, port.read, memory.read)
                wiring.connect(m, port.write, memory.write)
                wiring.connect(m, window.read, port.host_read)
                wiring.connect(m, window.write, port.host_write)
            return m

    return WindowDut()


class CoreRegisters:
    """The core's registers: 128 words that answer two cycles late, and a log of what is written.

    A write is kept, but that of CONTROL; ``written`` has pairs of index and value.
    """

    def __init__(self, env: Env) -> None:
        import cocotb

        self.env = env
        self.words = [env.rng.getrandbits(32) for _ in range(128)]
        self.written: list[tuple[int, int]] = []
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        late: deque[int] = deque([0])
        while True:
            await self.env.cycles(1)
            index = self.env.get("csr_address")
            if self.env.get("csr_write"):
                self.written.append((index, self.env.get("csr_write_data")))
            late.append(self.words[index & 127])
            self.env.set("csr_read_data", late.popleft())


class AxiHost:
    """cocotbext-axi's AXI4-Lite master; ``stall`` is the chance that a channel pauses."""

    def __init__(self, env: Env, stall: float = 0.0) -> None:
        from cocotbext.axi import AxiLiteBus, AxiLiteMaster

        self.env = env
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(env.dut, "control_"), env.dut.clk)
        if stall:
            for channel in (self.master.write_if.aw_channel, self.master.write_if.w_channel,
                            self.master.write_if.b_channel, self.master.read_if.ar_channel,
                            self.master.read_if.r_channel):
                channel.set_pause_generator(
                    env.rng.random() < stall for _ in itertools.count())

    async def read(self, address: int) -> tuple[int, BusResponse]:
        """A word and its response."""
        answer = await self.master.read(address, 4)
        return int.from_bytes(answer.data, "little"), BusResponse(int(answer.resp))

    async def write(self, address: int, value: int, strobe: int = 0xF) -> BusResponse:
        """Write the bytes of a word that ``strobe`` selects: neighbors, as the master can."""
        first = (strobe & -strobe).bit_length() - 1
        count = strobe.bit_count()
        data = value.to_bytes(4, "little")[first:first + count]
        answer = await self.master.write(address + first, data)
        return BusResponse(int(answer.resp))


class WishboneHost:
    """cocotbext-wishbone's master in a cycle of one transfer each; ``stall`` is the chance of a
    pause before it."""

    SIGNALS = {"cyc": "cyc", "stb": "stb", "we": "we", "adr": "adr", "datwr": "dat_w",
               "datrd": "dat_r", "ack": "ack", "sel": "sel", "err": "err"}

    def __init__(self, env: Env, stall: float = 0.0) -> None:
        from cocotbext.wishbone.driver import WishboneMaster

        self.env, self.stall = env, stall
        self.master = WishboneMaster(env.dut, "control_", env.dut.clk, timeout=200,
                                     signals_dict=self.SIGNALS)

    async def _transfer(self, address: int, value: int | None, strobe: int) -> tuple[int, int]:
        from cocotbext.wishbone.driver import WBOp

        while self.stall and self.env.rng.random() < self.stall:
            await self.env.cycles(1)
        result, = await self.master.send_cycle([WBOp(address // 4, value, sel=strobe)])
        return int(result.datrd), result.ack

    async def read(self, address: int) -> tuple[int, BusResponse]:
        """A word and its response."""
        word, end = await self._transfer(address, None, 0xF)
        return word, BusResponse.OKAY if end == 1 else BusResponse.SLVERR

    async def write(self, address: int, value: int, strobe: int = 0xF) -> BusResponse:
        """Write the bytes of a word that ``strobe`` selects."""
        _, end = await self._transfer(address, value, strobe)
        return BusResponse.OKAY if end == 1 else BusResponse.SLVERR


async def check_cycles_of_accesses(
        env: Env, cases: Sequence[tuple[Callable[[], Coroutine[Any, Any, Any]], int]]) -> None:
    """Do each access and check its cycles, to which the slave's own are added."""
    import cocotb

    axi = "axi" in env.dut_name
    asked = ("awvalid", "arvalid") if axi else ("stb",)
    ended = ("bvalid", "rvalid") if axi else ("ack", "err")
    of_the_slave = 2 if axi else 1
    for number, (access, cycles) in enumerate(cases):
        task = cocotb.start_soon(access())
        began = None
        for _ in range(50):
            await env.cycles(1)
            if began is None and any(env.get(f"control__{name}") for name in asked):
                began = env.cycle
            if any(env.get(f"control__{name}") for name in ended):
                break
        assert began is not None
        check(env.cycle - began, cycles + of_the_slave, f"cycles of case {number}")
        await task
        TALLY.measure("cycles of an access", env.cycle - began)
