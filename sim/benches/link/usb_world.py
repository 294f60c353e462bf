"""The line between a host of USB and a device: edges of any phase, and what the device drives."""

from __future__ import annotations

from typing import Any

from kaniwa.sim.harness.bench import PERIOD_NS, TALLY, Bench, Driver, Env, Monitor, check, start
from kaniwa.sim.usb.host import Exchange, Faults, Idle, Reset, Serial, Steps, T, UsbHost
from kaniwa.sim.usb.line import (
    BIT_HZ,
    GAP_BITS,
    SE0,
    TIMEOUT_BITS,
    J,
    decode,
    encode,
)

__all__ = ["IO_PS", "World", "begin"]

BIT_PS = round(1e12 / BIT_HZ)
# Of usb_io: the nominal clock, and 0.25 % off it, what full speed allows (USB 2.0, 7.1.11).
IO_PS = {"nominal": 20832, "fast": 20780, "slow": 20884}
JITTER_PS = 3000         # of an edge of the host, and between its D+ and D-
# Of an answer, in bits behind the end of the host's packet. Hosts wait for 16 (7.1.18.1). A device
# should take 6.5; LUNA's clock crossings take more than twice as many, so none are left for hubs.
LEAST_ANSWER, MOST_ANSWER = 2.0, 16.0
SETTLED = 5000           # cycles until what was given has been taken


class World:
    """Does the steps of a host on the pins of the device."""

    def __init__(self, env: Env, io_ps: int, stall: float, slow: float) -> None:
        import cocotb

        self.env, self.dut = env, env.dut
        self.rng = env.rng
        self.device_bit = 4 * io_ps
        self.monitor = Monitor(env, "o", 8, stall)
        self.driver = Driver(env, "i", 8, slow)
        self.host = UsbHost(env.rng.randrange(1 << 30))
        self.answers: list[float] = []      # bits until each one
        self._runs: list[tuple[float, int]] = []     # when the device changed the line, to what
        self._driven = False
        self._host_drives = False
        cocotb.start_soon(self._watch())

    @property
    def now(self) -> float:
        """Picoseconds."""
        from cocotb.utils import get_sim_time

        return get_sim_time("ps")

    def faults(self, **chances: float) -> None:
        """What goes wrong from now on."""
        self.host.faults = Faults(**chances)

    async def do(self, steps: Steps[T]) -> T:
        """Run the host's steps; gives what they do."""
        answer: bytes | None = None
        try:
            while True:
                step = steps.send(answer)
                answer = await self._step(step)
        except StopIteration as end:
            return end.value

    async def answer(self, data: bytes) -> None:
        """Give the device bytes for the host, and time to take them."""
        self.driver.send(data)
        await self.env.cycles(SETTLED)

    async def settle(self, serial: Serial) -> tuple[bytes, bytes]:
        """All that is on its way at its place: what came at ``o``, and to the host now."""
        stalls = self.monitor.stall, self.driver.stall
        self.monitor.stall = self.driver.stall = 0.0
        rest, empty = b"", 0
        while empty < 3:
            got = await self.do(serial.poll())
            rest += got
            empty = 0 if got else empty + 1
            await self.env.cycles(SETTLED // 3)
        came = await self.monitor.take(self.monitor.waiting)
        self.monitor.stall, self.driver.stall = stalls
        return bytes(came), rest

    async def nothing_more(self, serial: Serial) -> None:
        """Neither at ``o`` nor for the host."""
        check(await self.settle(serial), (b"", b""), "bytes that nobody sent")

    async def hold_part(self, packet: bytes) -> None:
        """The first half of a packet; the line does not go idle behind it."""
        await self.hold(encode(packet)[:len(packet) * 4])

    async def _step(self, step: Exchange | Idle | Reset) -> bytes | None:
        if isinstance(step, Idle):
            await self.wait(step.bits * BIT_PS)
        elif isinstance(step, Reset):
            await self.hold([SE0], step.bits)
        else:
            for packet in step.packets:
                await self.wait((GAP_BITS + self.rng.random()) * BIT_PS)
                await self.hold(encode(packet))
            if step.awaited:
                return await self._answer()
        return None

    async def wait(self, ps: float) -> None:
        """Let time pass."""
        from cocotb.triggers import Timer

        await Timer(max(1, round(ps)), "ps")

    async def hold(self, states: list[int], bits: int = 1) -> None:
        """Drive the line: each state for so many bits, the edges of both wires a little off."""
        self._host_drives = True
        began, now = self.now, 0
        level = J
        for number, state in enumerate(states):
            if state != level:
                wires = [(self.dut.d_p_in, state & 1), (self.dut.d_n_in, state >> 1)]
                self.rng.shuffle(wires)
                for wire, value in wires:
                    at = number * bits * BIT_PS + self.rng.randrange(JITTER_PS)
                    if at > now:
                        await self.wait(began + at - self.now)
                        now = at
                    wire.value = value
                level = state
        await self.wait(began + len(states) * bits * BIT_PS - self.now)
        self._host_drives = False
        self._release()

    def _release(self) -> None:
        pulled = self.env.get("pull_up")
        self.dut.d_p_in.value, self.dut.d_n_in.value = pulled, 0

    async def _answer(self) -> bytes | None:
        """The packet that the device sends now, or None."""
        from cocotb.triggers import First, Timer

        ended = self.now - BIT_PS        # of the two bits of SE0
        if not self._driven:
            timeout = Timer(round(TIMEOUT_BITS * BIT_PS), "ps")
            await First(self._started.wait(), timeout)
        if not self._driven:
            return None
        late = next(at for at, state in self._runs if state not in (J, SE0)) - ended
        self.answers.append(late / BIT_PS)
        assert LEAST_ANSWER <= self.answers[-1] <= MOST_ANSWER, (
            f"an answer {self.answers[-1]:.2f} bits behind")
        TALLY.measure("bits until an answer", round(self.answers[-1], 2))
        await self._ended.wait()
        runs = self._runs
        while runs[0][1] == J:
            runs.pop(0)
        lengths = [(state, (after - at) / self.device_bit)
                   for (at, state), (after, _) in zip(runs, runs[1:], strict=False)]
        return decode(lengths)

    async def _watch(self) -> None:
        """Keep what the device drives, and put it on the line, which the device hears itself."""
        from cocotb.triggers import Event, First, ValueChange

        self._started, self._ended = Event(), Event()
        dut = self.dut
        while True:
            await First(ValueChange(dut.drive), ValueChange(dut.d_p_out), ValueChange(dut.d_n_out),
                        ValueChange(dut.pull_up))
            driven, state = self.env.get("drive"), (
                self.env.get("d_p_out") | self.env.get("d_n_out") << 1)
            if driven and not self._driven:
                self._runs.clear()
                self._ended.clear()
                self._started.set()
            if driven or self._driven:
                assert not self._host_drives, "the device drives while the host does"
                self._runs.append((self.now, state))
            ended = self._driven and not driven
            self._driven = bool(driven)
            if driven:
                dut.d_p_in.value, dut.d_n_in.value = state & 1, state >> 1
            elif not self._host_drives:
                self._release()
            if ended:
                self._started.clear()
                self._ended.set()


async def begin(dut: Any, bench: Bench, clock: str = "nominal", stall: float = 0.0,
                slow: float = 0.0) -> World:
    """The device behind its resets, with its clocks."""
    from cocotb.clock import Clock
    from cocotb.triggers import Timer

    env = await start(dut, bench)
    dut.rst.value = dut.usb_rst.value = dut.usb_io_rst.value = 1
    dut.d_p_in.value = 1
    io_ps = IO_PS[clock]
    # 12 MHz and 48 MHz of one PLL, in step.
    Clock(dut.usb_io_clk, io_ps, unit="ps").start()
    Clock(dut.usb_clk, 4 * io_ps, unit="ps").start()
    await Timer(20 * PERIOD_NS * 4, "ns")
    dut.rst.value = dut.usb_rst.value = dut.usb_io_rst.value = 0
    world = World(env, io_ps, stall, slow)
    await Timer(2, "us")
    assert env.get("pull_up"), "no pull-up at D+"
    return world
