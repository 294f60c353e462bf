"""Several cores behind one link, over the Python model: each a device, on a line that all share."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from builders.pseudo_board import PseudoBoard

import kaniwa
from kaniwa import Pipeline, Pool, Session, golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver import devices
from kaniwa.driver.board_device import BoardDevice
from kaniwa.driver.cores.line import TURN_REQUESTS, SharedLine, Turns
from kaniwa.driver.frames import (
    CORE_BIT,
    INDEX_CORE_BIT,
    MOST_CORES,
    Operation,
    Request,
    check_cores,
)
from kaniwa.driver.link import Link
from kaniwa.driver.transports import parse_address
from kaniwa.errors import ConfigError, DeviceError
from kaniwa.importers import load_model
from kaniwa.isa import COUNTERS, Command, Register
from kaniwa.pool import split
from kaniwa.sim.board.link_model import EmulatedCore, LinkModel, MemoryCore
from kaniwa.sim.board.model_transport import ModelTransport
from kaniwa.sim.worlds.random_graphs import random_graph, random_input

CONFIG = PRESETS["small"]
GRAPHS = [random_graph(3, "conv", macs=1 << 14), random_graph(5, "depthwise", macs=1 << 14)]


@pytest.fixture(scope="module")
def programs():
    return [compile(graph, target=CONFIG) for graph in GRAPHS]


class Cable(ModelTransport):
    """A line that can be cut."""

    cut = False

    def read(self, seconds):
        if self.cut:
            raise DeviceError("board: connection lost")
        return super().read(seconds)


class Board:
    """``count`` emulated cores, the line to them, and how it is opened."""

    def __init__(self, count=2, core=EmulatedCore):
        self.cores = [core(CONFIG) for _ in range(count)]
        self.model = LinkModel(*self.cores)
        self.opened = 0
        self.cable = None
        self.line = SharedLine(self.connect)

    def connect(self):
        self.opened += 1
        self.cable = Cable(self.model, seed=self.opened)
        return self.cable

    def device(self, core, **options):
        return BoardDevice(f"board?core={core}", CONFIG, line=self.line, core=core, **options)

    def devices(self):
        return [self.device(core) for core in range(len(self.cores))]


def check(session, seed):
    graph = session.program.graph
    inputs = random_input(graph, seed)
    outputs, values = session.run(inputs), golden.run(graph, inputs)
    for tensor in session.program.outputs:
        np.testing.assert_array_equal(outputs[tensor.name], values[tensor.id])


def at_once(*works):
    """Do each of ``works`` in a thread of its own; the first error, if any."""
    with ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(work) for work in works]:
            done.result()


def test_two_programs_run_at_once_over_one_line(programs):
    board = Board()
    sessions = [Session(program, device) for program, device in
                zip(programs, board.devices(), strict=True)]
    at_once(*(lambda s=s: [check(s, seed) for seed in range(6)] for s in sessions))
    assert board.opened == 1
    assert [core.runs for core in board.cores] == [6, 6]


def test_a_core_that_runs_is_left_alone_by_the_others_hello_and_end(programs):
    board = Board()
    board.cores[0].hangs = True
    first = board.device(0)
    Session(programs[0], first)
    first._exchange([first._set(Register.CONTROL, Command.RUN)])
    assert board.cores[0].busy
    with board.device(1) as second:
        check(Session(programs[1], second), 1)
        assert board.cores[0].busy and not board.cores[1].busy
        second.reset()
        assert board.cores[0].busy
    assert board.cores[0].busy and board.opened == 1
    first.abort()
    assert not board.cores[0].busy


def test_an_error_of_one_core_is_its_own(programs):
    board = Board()
    first, second = board.devices()
    session = Session(programs[1], second)

    def refused():
        first.write(0, bytes([7]) * 8 * CONFIG.read_bytes)
        for _ in range(5):
            with pytest.raises(DeviceError, match=r"^board\?core=0: .*ILLEGAL_OPCODE at"):
                first.run(0)

    at_once(refused, lambda: [check(session, seed) for seed in range(5)])
    assert board.opened == 1


def test_the_line_is_lost_for_all_and_images_are_loaded_again(programs):
    board = Board()
    sessions = [Session(program, device) for program, device in
                zip(programs, board.devices(), strict=True)]
    for session in sessions:
        check(session, 1)
    board.cable.cut = True
    with pytest.raises(DeviceError, match="connection lost"):
        check(sessions[0], 2)
    board.model.cores[:] = [EmulatedCore(CONFIG) for _ in range(2)]      # power was lost too
    check(sessions[0], 3)
    assert board.opened == 2
    with pytest.raises(DeviceError, match="connection lost"):     # its memory may not be trusted
        check(sessions[1], 3)
    for session in sessions:
        check(session, 4)
    assert board.opened == 2


def test_the_line_is_closed_with_its_last_device():
    board = Board()
    first, second = board.devices()
    first.close()
    second.write(0, b"still there")
    assert second.read(0, 11) == b"still there" and board.opened == 1
    with pytest.raises(DeviceError, match="the device is closed"):
        first.read(0, 1)
    second.close()
    with board.device(0) as again:
        assert board.opened == 2 and again.cores == 2


def test_a_core_that_is_not_there_is_an_error():
    board = Board()
    with pytest.raises(DeviceError, match=r"^board\?core=2: there is no core 2: the device has 2, "
                                          "numbered from 0$"):
        board.device(2)
    link = Link(ModelTransport(LinkModel(MemoryCore(), MemoryCore())))
    link.open()
    assert link.cores == 2
    for request in (Request(Operation.READ, 2 << CORE_BIT, 1),
                    Request(Operation.READ, 2 << CORE_BIT | 1 << 30, 4),
                    Request(Operation.WRITE, 15 << CORE_BIT, 1, b"x"),
                    Request(Operation.REGISTER, 1, 7 << INDEX_CORE_BIT | Register.CONTROL)):
        with pytest.raises(DeviceError):
            link.exchange([request])


def test_each_core_has_its_own_addresses():
    board = Board(8, lambda config: MemoryCore(1 << 16))
    link = Link(ModelTransport(board.model))
    link.open()
    assert link.cores == 8
    link.exchange([Request(Operation.WRITE, core << CORE_BIT, 1, bytes([core + 1]))
                   for core in range(8)])
    link.exchange([Request(Operation.REGISTER, 100 + core, core << INDEX_CORE_BIT | 12)
                   for core in range(8)])
    assert [core.memory[0] for core in board.cores] == list(range(1, 9))
    assert [core.registers[12] for core in board.cores] == list(range(100, 108))


def test_every_register_leaves_the_bits_of_the_core_free():
    assert Register.COUNTER_0 + len(COUNTERS) <= 1 << INDEX_CORE_BIT
    assert MOST_CORES - 1 << INDEX_CORE_BIT <= 255


@pytest.mark.parametrize("arguments, message", [
    ((0, 1024, False), "cores must be 1..8, not 0"),
    ((9, 1024, False), "cores must be 1..8, not 9"),
    ((2, 1024, True), "2 cores cannot have outside memory: build for a board without, or one core"),
    ((2, (1 << 24) + 1, False), "memory_bytes of 2 cores must be 1..16777216 each, not 16777217: "
                                "the link has no more addresses for a core"),
    ((2, 0, False), "memory_bytes of 2 cores must be 1..16777216 each, not 0: the link has no more "
                    "addresses for a core"),
])
def test_cores_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ConfigError) as caught:
        check_cores(*arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize("users, sizes", [(1, [100]), (2, [TURN_REQUESTS] * 3 + [4])])
def test_others_get_a_turn_within_a_long_transfer(users, sizes, monkeypatch):
    board, seen = Board(), []
    opened = [board.device(core) for core in range(users)]
    exchange = Link.exchange
    monkeypatch.setattr(Link, "exchange", lambda link, requests, report=None: (
        seen.append(len(requests)), exchange(link, requests, report))[1])
    data = np.random.default_rng(1).bytes(100 * 244 - 9)
    heard = []
    opened[0].progress = lambda stage: heard.append(stage.done)
    opened[0].write(0, data)
    assert seen == sizes and heard[-1] == len(data) and heard == sorted(heard)
    assert opened[0].read(0, len(data)) == data


def test_turns_come_in_the_order_of_asking():
    turns, order, asked = Turns(), [], []

    def take(number):
        with turns:
            order.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(5)]
    with turns:
        for number, thread in enumerate(threads):
            thread.start()
            while len(turns._waiting) < number + 2:     # until it is in the row
                asked.append(number)
    for thread in threads:
        thread.join()
    assert order == list(range(5))


def test_a_turn_that_is_given_up_keeps_nobody(monkeypatch):
    turns, taken = Turns(), []

    def interrupted(*_):
        raise KeyboardInterrupt

    with turns:
        with monkeypatch.context() as patch:
            patch.setattr(turns._changed, "wait", interrupted)
            with pytest.raises(KeyboardInterrupt), turns:
                pass
    with turns:
        taken.append(1)
    assert taken == [1] and not turns._waiting


@contextlib.contextmanager
def port(tmp_path, cores):
    board = PseudoBoard(tmp_path / "port", cores=cores)
    try:
        yield board, f"serial:{board.path}"
    finally:
        board.unplug()


def test_open_cores_opens_a_port_once(tmp_path, programs):
    with port(tmp_path, 3) as (board, name):
        opened = kaniwa.open_cores(name)
        assert [device.name for device in opened] == [f"{name}?core={core}" for core in range(3)]
        for refused in (name, f"{name}?core=1"):     # another opener, of this process too
            with pytest.raises(DeviceError, match="in use by another program"):
                devices.open(refused)
        check(Session(programs[0], opened[2]), 1)
        assert [core.runs for core in board.model.cores] == [0, 0, 1]
        for device in opened:
            device.close()
        with devices.open(f"{name}?core=1&baud=3000000") as one:
            check(Session(programs[1], one), 2)
        assert [core.runs for core in board.model.cores] == [0, 1, 1]


def test_one_core_has_its_plain_name(tmp_path):
    with port(tmp_path, 1) as (_, name):
        (device,) = kaniwa.open_cores(name)
        assert device.name == name
        device.close()


def test_a_pool_has_every_core_of_a_port(tmp_path, programs):
    inputs = [random_input(GRAPHS[0], seed) for seed in range(8)]
    with port(tmp_path, 2) as (board, name), Pool([name], programs[0]) as pool:
        for arrays, outputs in zip(inputs, pool.map(inputs), strict=True):
            values = golden.run(GRAPHS[0], arrays)
            for tensor in programs[0].outputs:
                np.testing.assert_array_equal(outputs[tensor.name], values[tensor.id])
        assert [s.name for s in pool.stats] == [f"device 0 ({name}?core={core})" for core in (0, 1)]
        assert sum(core.runs for core in board.model.cores) == 8


def test_a_pipeline_has_a_stage_on_each_core(models):
    graph = load_model(models / "mlperf_kws_dscnn.tflite")
    stages = split(graph, 2, target=CONFIG)
    board = Board()
    inputs = [random_input(graph, seed) for seed in range(3)]
    with Pipeline(board.devices(), [s.program for s in stages]) as pipeline:
        for arrays, outputs in zip(inputs, pipeline.map(inputs), strict=True):
            values = golden.run(graph, arrays)
            for tensor in graph.outputs:
                name = next(t.name for t in graph.tensors if t.id == tensor)
                np.testing.assert_array_equal(outputs[name], values[tensor])
    assert [core.runs for core in board.cores] == [3, 3]


@pytest.mark.parametrize("name, message", [
    ("emulator", "open_cores takes a board without core=C"),
    ("serial:/dev/ttyUSB0?core=1", "open_cores takes a board without core=C"),
    ("serial:/dev/ttyUSB0?core=8", "core must be 0..7, not 8"),
    ("sim:icebreaker?cores=9", "cores must be 1..8, and core one of them, numbered from 0"),
    ("sim:icebreaker?cores=0", "cores must be 1..8, and core one of them, numbered from 0"),
    ("sim:icebreaker?cores=2&core=2", "cores must be 1..8, and core one of them"),
    ("sim:icebreaker?cores=2?core=1", "expected sim:BOARD"),
    ("sim:icebreaker&cores=2", "expected sim:BOARD"),
    ("sim:icebreaker?cores=2&cores=2", "expected sim:BOARD"),
])
def test_names_that_are_none_are_refused(name, message):
    with pytest.raises(DeviceError, match=message):
        kaniwa.open_cores(name)


def test_names_of_cores():
    assert parse_address("serial:/dev/x?baud=9600&core=3").core == 3
    assert parse_address("tcp:host:1?core=0").core == parse_address("tcp:host:1").core == 0
    virtual = devices.parse_virtual("sim:ulx3s_85f?cores=2&baud=3000000&core=1")
    assert (virtual.board.name, virtual.baud, virtual.cores, virtual.core) == (
        "ulx3s_85f", 3_000_000, 2, 1)
    assert devices.target_of("sim:ulx3s_85f?cores=2").endswith("half.toml")
    assert devices.target_of("sim:ulx3s_85f?cores=3") == "base"
