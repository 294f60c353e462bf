"""Parts of a block bench: its devices under test, clock and reset, drivers and monitors.

A bench is a module ``bench_NAME`` below ``kaniwa.sim.benches`` with a ``BENCH`` and cocotb tests.
The runner (``kaniwa.sim.harness.run_benches``) builds each ``Dut`` and runs the tests on it in
Verilator.
"""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from kaniwa.config import AcceleratorConfig
from kaniwa.sim.harness.coverage import Tally
from kaniwa.sim.harness.payload import codec

__all__ = ["Bench", "Dut", "PythonBench", "Env", "Driver", "Monitor", "start", "cover", "check"]

PERIOD_NS = 10
TALLY = Tally()


@dataclass(frozen=True)
class Dut:
    """A device under test: a gateware component and the config it was made for."""

    name: str
    component: Any
    config: AcceleratorConfig | None = None


@dataclass(frozen=True)
class Bench:
    """A cocotb bench. ``duts`` makes the devices; every bin in ``required`` must be hit.

    ``optimized``: small devices are compiled with optimization too, for tests of millions of cycles
    without a line of Python. ``long``: names of devices that `make test` leaves to `make long`; the
    others must hit the required bins without them.
    """

    name: str
    duts: Callable[[], Sequence[Dut]]
    required: Sequence[str] = ()
    optimized: bool = False
    long: Collection[str] = ()


@dataclass(frozen=True)
class PythonBench:
    """A bench that runs in its own process without cocotb.

    ``run(seed, options)`` raises on a failure and returns a ``Tally``. ``long``: `make test` leaves
    it to `make long`.
    """

    name: str
    run: Callable[[int, dict[str, int]], Tally]
    required: Sequence[str] = ()
    long: bool = False


def cover(name: str) -> None:
    """Count a hit of a coverage bin."""
    TALLY.bins[name] += 1


def check(got: Any, expected: Any, what: str) -> None:
    """Compare two values or sequences; a difference fails with its first index."""
    TALLY.checks += 1
    got_list = list(got) if isinstance(got, Iterable) and not isinstance(got, dict | str) else [got]
    expected_list = (list(expected)
                     if isinstance(expected, Iterable) and not isinstance(expected, dict | str)
                     else [expected])
    for index, (a, b) in enumerate(zip(got_list, expected_list, strict=False)):
        same = a == b
        if not (same if isinstance(same, bool) else all(same)):
            raise AssertionError(f"{what}: item {index} is {a}, expected {b}")
    assert len(got_list) == len(expected_list), (
        f"{what}: {len(got_list)} items, expected {len(expected_list)}")


@dataclass
class Env:
    """A running device under test: handle, config, and a seeded source of randomness."""

    dut: Any
    dut_name: str
    config: Any   # the AcceleratorConfig of the Dut, or None
    rng: random.Random
    np_rng: Any
    start_ns: float = 0.0
    monitors: list[Monitor] = field(default_factory=list)
    _ports: dict[str, Any] = field(default_factory=dict)

    @property
    def cycle(self) -> int:
        """Cycles since the end of reset."""
        from cocotb.utils import get_sim_time

        return round((get_sim_time("ns") - self.start_ns) / PERIOD_NS)

    def _port(self, name: str) -> Any:
        """The handle of a port, kept: to look it up takes longer than to read it."""
        if name not in self._ports:
            self._ports[name] = getattr(self.dut, name)
        return self._ports[name]

    def get(self, name: str) -> int:
        """The unsigned value of a port."""
        return int(self._port(name).value)

    def set(self, name: str, value: int) -> None:
        """Drive an input port (negative values wrap to two's complement)."""
        handle = self._port(name)
        handle.value = int(value) & ((1 << len(handle)) - 1)

    @cached_property
    def edge(self) -> Any:
        """The trigger of a clock edge."""
        from cocotb.triggers import RisingEdge

        return RisingEdge(self.dut.clk)

    async def cycles(self, count: int = 1) -> None:
        """Wait for ``count`` clock edges."""
        edge = self.edge
        for _ in range(count):
            await edge


class Input:
    """An input port, or part of one, that one task drives each cycle.

    A value that it has already is not written again: a write takes longer than a cycle's
    simulation.
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._value: int | None = None

    def set(self, value: int) -> None:
        """Drive the port from now on."""
        if value != self._value:
            self._handle.value = self._value = value


async def start(dut: Any, bench: Bench) -> Env:
    """Start the clock, hold reset for two cycles and return the environment of this test."""
    import cocotb
    import numpy as np
    from cocotb.clock import Clock

    name = os.environ["KANIWA_DUT"]
    spec = next(d for d in bench.duts() if d.name == name)
    seed = cocotb.RANDOM_SEED
    env = Env(dut, name, spec.config, random.Random(seed), np.random.default_rng(seed))
    for handle in dut:
        if getattr(handle, "_path", "").count(".") == 1 and _is_input(handle):
            handle.value = 0
    if "KANIWA_MUTANT" in os.environ:
        dut.mutsel.value = int(os.environ["KANIWA_MUTANT"])
        _stop_at_first_failure()
    dut.clk.value = 0
    dut.rst.value = 1
    Clock(dut.clk, PERIOD_NS, unit="ns").start()
    cocotb.start_soon(_save_tally())
    await env.cycles(3)
    dut.rst.value = 0
    await env.cycles(1)
    from cocotb.utils import get_sim_time

    env.start_ns = get_sim_time("ns")
    return env


def _stop_at_first_failure() -> None:
    """End the process when a test has failed: a mutant needs to be killed only once."""
    import logging

    class Stop(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "failed" in record.getMessage():
                os._exit(3)

    regression = logging.getLogger("cocotb.regression")
    if not any(handler.__class__.__name__ == "Stop" for handler in regression.handlers):
        regression.addHandler(Stop())


def _is_input(handle: Any) -> bool:
    """True where a top-level handle is an input port, by the list that the runner passes on."""
    return handle._name in os.environ.get("KANIWA_INPUTS", "").split(",")


async def _save_tally() -> None:
    """Write the tally when the test ends and its tasks are canceled."""
    from cocotb.triggers import Event

    try:
        await Event().wait()
    finally:
        TALLY.save(Path(os.environ["KANIWA_TALLY"]))


class Driver:
    """Feeds items into a stream input; ``stall`` is the chance of an idle cycle before each."""

    def __init__(self, env: Env, prefix: str, layout: Any, stall: float = 0.0) -> None:
        import cocotb

        self.env, self.stall = env, stall
        self._pack = codec(layout)[0]
        self._payload = Input(getattr(env.dut, f"{prefix}__payload"))
        self._valid = Input(getattr(env.dut, f"{prefix}__valid"))
        self._ready = getattr(env.dut, f"{prefix}__ready", None)
        self._queue: deque[Any] = deque()
        self.sent = 0
        self.cycles: list[int] = []
        cocotb.start_soon(self._run())

    def send(self, items: Iterable[Any]) -> None:
        """Queue items; they are packed when their turn comes. None is an idle cycle."""
        self._queue.extend(items)

    @property
    def pending(self) -> int:
        """Items queued but not yet accepted."""
        return len(self._queue)

    async def drain(self, timeout: int = 100000) -> None:
        """Wait until everything queued was accepted."""
        for _ in range(timeout):
            if not self._queue:
                return
            await self.env.cycles(1)
        raise AssertionError(f"{len(self._queue)} items not accepted within {timeout} cycles")

    async def _run(self) -> None:
        edge, rng = self.env.edge, self.env.rng
        self._valid.set(0)
        while True:
            while not self._queue or (self.stall and rng.random() < self.stall):
                self._valid.set(0)
                await edge
            if self._queue[0] is None:
                self._valid.set(0)
                await edge
                self._queue.popleft()
                continue
            self._payload.set(self._pack(self._queue[0]))
            self._valid.set(1)
            while True:
                await edge
                if self._ready is None or self._ready.value:
                    break
            self._queue.popleft()
            self.sent += 1
            self.cycles.append(self.env.cycle)


class Monitor:
    """Takes items from a stream output, ready at random, and checks the stream's rules.

    ``stall`` is the chance that ready is low in a cycle.
    """

    def __init__(self, env: Env, prefix: str, layout: Any, stall: float = 0.0) -> None:
        import cocotb

        self.env, self.prefix, self.stall = env, prefix, stall
        self._unpack = codec(layout)[1]
        self._payload = getattr(env.dut, f"{prefix}__payload")
        self._valid = getattr(env.dut, f"{prefix}__valid")
        ready = getattr(env.dut, f"{prefix}__ready", None)
        self._ready = None if ready is None else Input(ready)
        self.items: list[Any] = []
        self.cycles: list[int] = []
        self._taken = 0
        self._task = cocotb.start_soon(self._run())

    @property
    def waiting(self) -> int:
        """Items that came and were not taken yet."""
        return len(self.items) - self._taken

    async def take(self, count: int, timeout: int = 100000) -> list[Any]:
        """Wait for ``count`` more items and return them; fails after ``timeout`` cycles."""
        end = self._taken + count
        for _ in range(timeout):
            if len(self.items) >= end:
                break
            if self._task.done():
                self._task.result()
            await self.env.cycles(1)
        else:
            raise AssertionError(f"{self.prefix}: {self.waiting} of {count} items "
                                 f"within {timeout} cycles")
        taken, self._taken = self.items[self._taken:end], end
        return taken

    async def _run(self) -> None:
        edge, rng = self.env.edge, self.env.rng
        held: int | None = None
        while True:
            ready = self._ready is None or not self.stall or rng.random() >= self.stall
            if self._ready is not None:
                self._ready.set(int(ready))
            await edge
            valid = bool(self._valid.value)
            if held is not None:
                assert valid, f"{self.prefix}: valid withdrawn before the transfer"
            if not valid:
                continue
            bits = int(self._payload.value)
            assert held is None or held == bits, f"{self.prefix}: payload changed while stalled"
            held = None if ready else bits
            if ready:
                self.items.append(self._unpack(bits))
                self.cycles.append(self.env.cycle)
