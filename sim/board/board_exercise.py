"""Exercises of whole boards' benches at the pins: hello, load, layers, what is refused."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.estimate import estimate
from kaniwa.driver.board_device import BoardDevice
from kaniwa.driver.session import Session
from kaniwa.errors import CompileError, DeviceError
from kaniwa.isa import ISA_VERSION, MAGIC
from kaniwa.program.program import Program
from kaniwa.sim.board.board_design import BoardDesign, board_design
from kaniwa.sim.board.line_faults import Faults, FaultyTransport
from kaniwa.sim.board.pin_transport import PinTransport
from kaniwa.sim.harness.coverage import Tally
from kaniwa.sim.worlds.random_graphs import random_graph, random_input

__all__ = ["BINS", "exercise_board"]

KINDS = ("conv", "depthwise", "fully_connected")   # a layer of each
BINS = ["hello", "memory", "full_rate", *KINDS, "refused", "bad_line", "power"]
BLOCK = 1000   # bytes at both ends of memory
BULK = 8192
FULL_RATE = 0.95   # of the line's bytes are data
MACS = 1 << 15     # of a layer, about, at most
LARGEST_IMAGE = 6000


def exercise_board(name: str, seed: int) -> Tally:
    """Use the board ``name`` as its bitstream is."""
    tally, rng = Tally(), random.Random(seed)
    design = board_design(name)
    line = PinTransport(design)
    _use(line, design, rng, tally)
    bad = FaultyTransport(line, Faults(bit_error=2e-4, drop=2e-4, duplicate=2e-4), seed)
    with BoardDevice(name, target=design.config, connect=lambda: bad) as device:
        while not bad.counts or not device.link_statistics.repeated:
            _check_memory(device, 0, rng, tally)
    tally.bins["bad_line"] += 1
    line.power_cycle()
    with BoardDevice(name, connect=lambda: line) as device:
        _check_memory(device, 0, rng, tally)
        line.power_cycle()
        assert "was reset" in _refusal(lambda: device.read(0, 1))
        _check_memory(device, 0, rng, tally)
    tally.bins["power"] += 1
    return tally


def _use(line: PinTransport, design: BoardDesign, rng: random.Random, tally: Tally) -> None:
    """All that a host does with a board on a good line."""
    config = design.config
    with BoardDevice("board", target=config, connect=lambda: line) as device:
        words = device.capabilities
        assert words["magic"] == MAGIC and words["version"] == ISA_VERSION, words
        assert words["config_hash_high"] << 32 | words["config_hash_low"] == int(config.hash, 16)
        assert words["memory_bytes"] == config.memory_bytes
        assert words["clock_hz"] == round(design.board.clock_mhz(config.name) * 1e6)
        tally.bins["hello"] += 1
        for address in (0, config.memory_bytes - BLOCK):
            _check_memory(device, address, rng, tally)
        tally.bins["memory"] += 1
        _check_rate(line, device, rng, tally)
        tally.bins["full_rate"] += 1

        for kind in KINDS:
            _check_layer(line, device, _draw_layer(kind, config, rng), rng, tally)
            tally.bins[kind] += 1

        device.write(0, b"\7" * config.read_bytes * 8)
        assert "ILLEGAL" in _refusal(lambda: device.run(0))
        tally.bins["refused"] += 1
        statistics = device.link_statistics
        assert not (statistics.repeated or statistics.damaged), statistics


def _draw_layer(kind: str, config: AcceleratorConfig, rng: random.Random) -> Program:
    while True:
        with contextlib.suppress(CompileError):   # it does not fit the board
            program = compile(random_graph(rng.getrandbits(30), kind, MACS), target=config,
                              require_accelerator=True)
            if _image_bytes(program) <= LARGEST_IMAGE:
                return program


def _image_bytes(program: Program) -> int:
    return sum(len(data) for _, data in program.images)


def _check_layer(line: PinTransport, device: BoardDevice, program: Program, rng: random.Random,
                 tally: Tally) -> None:
    """Load a layer and run it twice: the image is there, answers are golden's."""
    graph = program.graph
    assert graph is not None
    before = line.line_cycles
    session = Session(program, device)
    assert all(device.read(address, len(data)) == data for address, data in program.images)
    tally.measure("bytes of an image", _image_bytes(program))
    for _ in range(2):
        inputs = random_input(graph, rng.getrandbits(30))
        outputs, values = session.run(inputs), golden.run(graph, inputs)
        for tensor in program.outputs:
            wrong = int((outputs[tensor.name] != values[tensor.id]).sum())
            assert not wrong, f"{tensor.name}: {wrong} elements differ"
            tally.checks += values[tensor.id].size
    expected = estimate(program).cycles
    assert session.stats is not None
    assert abs(session.stats.cycles - expected) <= 0.01 * expected, (session.stats, expected)
    tally.measure("cycles of a layer", session.stats.cycles)
    tally.measure("cycles at the pins", line.line_cycles - before)


def _check_rate(line: PinTransport, device: BoardDevice, rng: random.Random,
                tally: Tally) -> None:
    data = rng.randbytes(BULK)
    for way, transfer in (("to", lambda: device.write(0, data)),
                          ("from", lambda: device.read(0, BULK))):
        before = line.line_cycles
        transfer()
        rate = BULK * line.byte_cycles / (line.line_cycles - before)
        tally.measure(f"data of the bytes on the line, {way} the board", rate)
        assert rate >= FULL_RATE, (way, rate)


def _check_memory(device: BoardDevice, address: int, rng: random.Random, tally: Tally) -> None:
    data = rng.randbytes(BLOCK)
    device.write(address, data)
    assert device.read(address, BLOCK) == data, f"memory at {address:#x}"
    tally.checks += BLOCK


def _refusal(action: Callable[[], object]) -> str:
    """Message of the device against ``action``."""
    try:
        action()
    except DeviceError as error:
        return str(error)
    raise AssertionError("nothing was refused")
