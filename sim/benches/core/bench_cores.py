"""Several cores behind one link, driven by the host's own driver: each exact, in its own cycles."""

from __future__ import annotations

import contextlib
import dataclasses
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.driver.board_device import BoardDevice
from kaniwa.driver.cores.line import SharedLine
from kaniwa.driver.session import Session
from kaniwa.errors import CompileError, DeviceError
from kaniwa.isa import Command, Register, Status
from kaniwa.program.program import Program
from kaniwa.sim.board.line_faults import Faults, FaultyTransport
from kaniwa.sim.device.stream_device import StreamTransport
from kaniwa.sim.harness.bench import PythonBench
from kaniwa.sim.harness.coverage import Tally
from kaniwa.sim.worlds.random_graphs import random_graph, random_input

CORES = 3
INFERENCES = 5
KINDS = ("conv", "depthwise", "fully_connected")   # of the programs, one a core
MACS = 1 << 11
LONG_MACS = 1 << 17      # of a run during which other cores are used
CONFIG = dataclasses.replace(PRESETS["nano"], memory_bytes=8 * 1024, name="cores-nano")


def run(seed: int, options: dict[str, int]) -> Tally:
    """Programs at once on a good line and on a bad one; a core with an error beside others."""
    tally, rng = Tally(), random.Random(seed)
    programs = [_draw(kind, rng) for kind in KINDS]
    transport = StreamTransport(CONFIG, cores=CORES)
    line = SharedLine(lambda: transport)
    devices = [BoardDevice(f"core {core}", CONFIG, line=line, core=core) for core in range(CORES)]
    assert devices[0].cores == CORES
    sessions = [Session(program, device)
                for program, device in zip(programs, devices, strict=True)]
    alone = {session: _cycles_alone(session) for session in sessions}
    _at_once([_inferences(session, rng.getrandbits(30), tally) for session in sessions])
    assert {session: _cycles(session) for session in sessions} == alone
    assert not devices[0].link_statistics.repeated
    tally.bins["at_once"] += 1
    _run_beside_an_error(devices, sessions, rng, tally)
    _move_beside_a_run(devices, Session(_draw("conv", rng, LONG_MACS), devices[0]), rng, tally)
    for device in devices:
        device.close()

    bad = FaultyTransport(transport, Faults(bit_error=1e-4, drop=1e-4, duplicate=1e-4),
                          rng.getrandbits(30))
    line = SharedLine(lambda: bad)
    devices = [BoardDevice(f"core {core}", CONFIG, line=line, core=core) for core in range(CORES)]
    sessions = [Session(program, device)
                for program, device in zip(programs, devices, strict=True)]
    while not devices[0].link_statistics.repeated:
        _at_once([_inferences(session, rng.getrandbits(30), tally) for session in sessions])
    tally.bins["faults"] += 1
    return tally


def _draw(kind: str, rng: random.Random, macs: int = MACS) -> Program:
    """A layer that fits a core."""
    while True:
        with contextlib.suppress(CompileError):
            program = compile(random_graph(rng.getrandbits(30), kind, macs=macs), target=CONFIG,
                              require_accelerator=True)
            if estimate(program).cycles > macs // 32:    # of 16 multipliers
                return program


def _run_beside_an_error(devices: Sequence[BoardDevice], sessions: Sequence[Session],
                         rng: random.Random, tally: Tally) -> None:
    """The first core refuses what is no program, again and again, while the others run."""
    def refused() -> None:
        devices[0].write(0, b"\7" * CONFIG.read_bytes * 8)
        for _ in range(INFERENCES):
            try:
                devices[0].run(0)
            except DeviceError as error:
                assert "ILLEGAL" in str(error), error
            else:
                raise AssertionError("nothing was refused")

    _at_once([refused, *(_inferences(session, rng.getrandbits(30), tally)
                         for session in sessions[1:])])
    sessions[0]._residents.forget()      # the image was written over
    tally.bins["error"] += 1


def _move_beside_a_run(devices: Sequence[BoardDevice], session: Session, rng: random.Random,
                       tally: Tally) -> None:
    """Memory of other cores is used while one runs."""
    graph = session.program.graph
    assert graph is not None
    session.write_inputs(random_input(graph, 1))
    first, others = devices[0], devices[1:]
    step = next(step for step in session.program.steps if step.where == "device")
    first._exchange([first._set(Register.PROGRAM_ADDRESS, session.program.address_of(step)),
                     first._set(Register.CONTROL, Command.RUN)])
    data = rng.randbytes(5)
    at = CONFIG.memory_bytes - len(data)
    for device in others:
        device.write(at, data)
        assert device.read(at, len(data)) == data
    (status,) = first._registers(Register.STATUS, 1)
    assert status == Status.RUNNING, status
    first._wait_for_end()
    (cycles,) = first._registers(Register.CYCLES, 1)
    assert cycles == _cycles_alone(session), cycles
    tally.bins["transfers_beside_a_run"] += 1


def _inferences(session: Session, seed: int, tally: Tally) -> Callable[[], None]:
    """Inferences of a session, exact and in the same cycles."""
    def work() -> None:
        graph = session.program.graph
        assert graph is not None
        found = set()
        for number in range(INFERENCES):
            inputs = random_input(graph, seed + number)
            outputs, values = session.run(inputs), golden.run(graph, inputs)
            for tensor in session.program.outputs:
                np.testing.assert_array_equal(outputs[tensor.name], values[tensor.id])
                tally.checks += outputs[tensor.name].size
            found.add(_cycles(session))
        assert len(found) == 1, found

    return work


def _cycles_alone(session: Session) -> int:
    """Cycles of an inference while all other cores rest."""
    assert session.program.graph is not None
    session.run(random_input(session.program.graph, 1))
    return _cycles(session)


def _cycles(session: Session) -> int:
    """Cycles of the last inference."""
    assert session.stats is not None
    return session.stats.cycles


def _at_once(works: Sequence[Callable[[], None]]) -> None:
    """Do each of ``works`` in a thread of its own; raises the first error."""
    with ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(work) for work in works]:
            done.result()


BENCH = PythonBench("cores", run, required=[
    "at_once", "error", "transfers_beside_a_run", "faults"])
