"""The accelerator behind its byte stream, driven by the host's own driver: sessions are exact."""

from __future__ import annotations

import dataclasses
import random

import numpy as np

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver.board_device import BoardDevice
from kaniwa.driver.session import Session
from kaniwa.errors import DeviceError
from kaniwa.program.program import Program
from kaniwa.sim.board.line_faults import Faults, FaultyTransport
from kaniwa.sim.device.stream_device import StreamTransport
from kaniwa.sim.harness.bench import PythonBench
from kaniwa.sim.harness.coverage import Tally
from kaniwa.sim.worlds.random_graphs import random_graph, random_input

INFERENCES = 5
CONFIGS = (
    dataclasses.replace(PRESETS["small"], line_bytes=2048, ring_bytes=2048, parameter_records=64,
                        memory_bytes=8 * 1024, name="stream-small"),
    dataclasses.replace(PRESETS["nano"], memory_bytes=8 * 1024, name="stream-nano"),
)


def run(seed: int, options: dict[str, int]) -> Tally:
    """Sessions on a good line, after a reset of the device, and on a bad line."""
    tally, rng = Tally(), random.Random(seed)
    graph = random_graph(3, "conv", macs=1 << 12)
    for config in CONFIGS:
        _run_sessions(compile(graph, target=config), rng, tally)
        tally.bins["compact" if config.compact else "pipelined"] += 1
    return tally


def _run_sessions(program: Program, rng: random.Random, tally: Tally) -> None:
    transport, graph = StreamTransport(program.config), program.graph
    assert graph is not None
    with BoardDevice("board", target=program.config,
                     connect=lambda: transport) as device:
        session = Session(program, device)
        for _ in range(INFERENCES):
            _check(session, random_input(graph, rng.getrandbits(30)), tally)
        assert not device.link_statistics.repeated
        tally.bins["good_line"] += 1
        transport.reset()
        try:
            _check(session, random_input(graph, 1), tally)
        except DeviceError as error:
            assert "was reset" in str(error), error
        else:
            raise AssertionError("a reset of the device was not noticed")
        _check(session, random_input(graph, 2), tally)
        tally.bins["reset"] += 1

    line = FaultyTransport(transport, Faults(bit_error=1e-4, drop=1e-4, duplicate=1e-4),
                           rng.getrandbits(30))
    with BoardDevice("board", target=program.config, connect=lambda: line) as device:
        session = Session(program, device)
        for _ in range(2 * INFERENCES):
            _check(session, random_input(graph, rng.getrandbits(30)), tally)
        assert device.link_statistics.repeated, line.counts
        tally.bins["faults"] += 1


def _check(session: Session, inputs: dict[str, np.ndarray], tally: Tally) -> None:
    """One inference, exact."""
    assert session.program.graph is not None
    outputs, values = session.run(inputs), golden.run(session.program.graph, inputs)
    for tensor in session.program.outputs:
        wrong = int((outputs[tensor.name] != values[tensor.id]).sum())
        assert not wrong, f"{tensor.name}: {wrong} elements differ"
        tally.checks += outputs[tensor.name].size


BENCH = PythonBench("accelerator", run, required=[
    "good_line", "faults", "reset", "compact", "pipelined"])
