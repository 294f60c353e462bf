"""Memory that the host uses during runs: its data and the run's results exact, cycles bounded."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from functools import partial

import numpy as np

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.driver.board_device import BoardDevice
from kaniwa.driver.cores.line import SharedLine
from kaniwa.driver.frames import Request
from kaniwa.driver.link import reads, writes
from kaniwa.driver.session import Session
from kaniwa.errors import DeviceError
from kaniwa.graph import Graph
from kaniwa.isa import Command, Register, Status
from kaniwa.program.program import Program
from kaniwa.sim.device.stream_device import StreamTransport
from kaniwa.sim.harness.bench import PythonBench
from kaniwa.sim.harness.coverage import Tally
from kaniwa.sim.worlds.random_graphs import random_graph, random_input

CORES = 2
RUNS = 6
STREAM = 6               # double-buffered inferences
SPACING = 10             # cycles a byte of the host's: faster than any UART
BURST = 24               # requests in a row
SCRATCH = 4 * 1024       # the last bytes of memory: the host's alone
CONFIGS = (
    dataclasses.replace(PRESETS["small"], line_bytes=2048, ring_bytes=2048, parameter_records=64,
                        memory_bytes=32 * 1024, name="overlap-small"),
    dataclasses.replace(PRESETS["nano"], memory_bytes=32 * 1024, name="overlap-nano"),
)


class Host:
    """A host that writes and reads bytes of its own while ``session``'s program runs."""

    def __init__(self, session: Session, device: BoardDevice, rng: random.Random,
                 tally: Tally) -> None:
        self.session, self.device, self.rng, self.tally = session, device, rng, tally
        self.base = session.program.config.memory_bytes - SCRATCH
        self.memory = bytearray(rng.randbytes(SCRATCH))
        device.write(self.base, bytes(self.memory))
        self.moved = 0

    def burst(self) -> list[int]:
        """Some requests in a row, then STATUS to RETIRED; all that is read is as it was written."""
        device, rng = self.device, self.rng
        link = device._require()
        requests: list[Request] = []
        wanted: list[bytes] = []     # answers; none to a WRITE
        for _ in range(rng.randrange(1, BURST)):
            count = rng.choice([1, 2, 7, rng.randrange(1, 200)])
            at = rng.randrange(SCRATCH - count)
            self.moved += count
            if rng.random() < 0.5:
                data = rng.randbytes(count)
                self.memory[at:at + count] = data
                requests += writes(link, device._own(self.base + at), data)
                wanted.append(b"")
                self.tally.bins["write"] += 1
            else:
                requests += reads(link, device._own(self.base + at), count)
                wanted.append(bytes(self.memory[at:at + count]))
                self.tally.bins["read"] += 1
        look = device._get(Register.STATUS, Register.RETIRED - Register.STATUS + 1)
        *answers, registers = device._exchange([*requests, look])
        for answer, data in zip(answers, wanted, strict=True):
            # A READ with a WRITE behind it may be missed.
            assert answer in (data, None), "data of the host"
            self.tally.checks += len(data)
        assert registers is not None
        return [int.from_bytes(registers[i:i + 4], "little") for i in range(0, len(registers), 4)]

    def run(self, alone: int) -> None:
        """A run with the host beside it: results, data and cycles."""
        session, device = self.session, self.device
        graph = session.program.graph
        assert graph is not None
        inputs = random_input(graph, self.rng.getrandbits(30))
        session.write_inputs(inputs)
        (step,) = session.program.runs
        device.start(session.program.address_of(step))
        self.moved = 0
        while self.burst()[0] & Status.RUNNING:
            if self.rng.random() < 0.5:
                self._disturb()
        cycles = device.finish().cycles
        values = golden.run(graph, inputs)
        for i in step.gives:
            np.testing.assert_array_equal(session.read(session.program.tensor(i)), values[i])
        assert alone <= cycles <= alone + self.moved, (alone, cycles, self.moved)
        self.tally.bins["waited" if cycles > alone else "not_waited"] += 1
        assert device.read(self.base, SCRATCH) == self.memory

    def _disturb(self) -> None:
        """What would disturb the run is refused, if there still is one."""
        register, value = self.rng.choice([
            (Register.CONTROL, Command.RUN), (Register.PROGRAM_ADDRESS, 0),
            (Register.WATCHDOG, 1)])
        device = self.device
        (status,) = device._registers(Register.STATUS, 1)
        (cycles,) = device._registers(Register.CYCLES, 1)
        if not status & Status.RUNNING or cycles > 0.8 * estimate(self.session.program).cycles:
            return
        link = device._require()
        try:
            link.exchange([device._set(register, value)])
        except DeviceError as error:
            assert "still running a program" in str(error), error
        else:
            raise AssertionError(f"{register.name} was written during a run")
        self.tally.bins[f"refused_{register.name.lower()}"] += 1


def run(seed: int, options: dict[str, int]) -> Tally:
    """Runs with random traffic beside them, on one core and on one of several; then a stream."""
    tally, rng = Tally(), random.Random(seed)
    graph = random_graph(4, "conv", macs=1 << 18)
    for config in CONFIGS:
        program = compile(graph, target=config, double_buffered=True)
        assert program.local_bytes <= config.memory_bytes - SCRATCH
        transport = StreamTransport(config, spacing=SPACING, overlap=True)
        with BoardDevice("board", config, connect=partial(_same, transport)) as device:
            _run_beside(Session(program, device), device, rng, tally)
            _stream(Session(program, device), device, graph, tally)
        tally.bins["compact" if config.compact else "pipelined"] += 1
    _several(compile(graph, target=CONFIGS[1]), rng, tally)
    return tally


def _same(line: StreamTransport) -> StreamTransport:
    return line


def _run_beside(session: Session, device: BoardDevice, rng: random.Random, tally: Tally) -> None:
    assert device.serves and session.program.graph is not None
    session.run(random_input(session.program.graph, 1))
    assert session.stats is not None
    host = Host(session, device, rng, tally)
    for _ in range(RUNS):
        host.run(session.stats.cycles)


def _several(program: Program, rng: random.Random, tally: Tally) -> None:
    transport = StreamTransport(program.config, cores=CORES, spacing=SPACING, overlap=True)
    line = SharedLine(lambda: transport)
    devices = [BoardDevice(f"core {core}", program.config, line=line, core=core)
               for core in range(CORES)]
    for device in devices:
        _run_beside(Session(program, device), device, rng, tally)
        tally.bins["several"] += 1
    for device in devices:
        device.close()


def _stream(session: Session, device: BoardDevice, graph: Graph, tally: Tally) -> None:
    """Double-buffered inferences in a row, exact."""
    given: Sequence[dict[str, np.ndarray]] = [random_input(graph, seed) for seed in range(STREAM)]
    for inputs, outputs in zip(given, session.map(given), strict=True):
        values = golden.run(graph, inputs)
        for tensor in session.program.outputs:
            np.testing.assert_array_equal(outputs[tensor.name], values[tensor.id])
            tally.checks += outputs[tensor.name].size
        tally.bins["stream"] += device.under_way is not None


BENCH = PythonBench("overlap", run, required=[
    "read", "write", "waited", "stream", "compact", "pipelined", "several",
    "refused_control", "refused_program_address", "refused_watchdog"])
