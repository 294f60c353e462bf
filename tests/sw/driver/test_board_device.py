"""Boards behind the link, over a model of the device: right answers or one clear line."""

import contextlib
import functools
import os
import pty
import random
import select
import socket
import threading
import tty

import numpy as np
import pytest
from builders.graphs.inferences import wrong_answers_of

from kaniwa import Session
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver import devices
from kaniwa.driver.board_device import BoardDevice
from kaniwa.driver.link import Link
from kaniwa.errors import DeviceError
from kaniwa.isa import Register
from kaniwa.sim.board.line_faults import Faults, FaultyTransport
from kaniwa.sim.board.link_model import EmulatedCore, LinkModel
from kaniwa.sim.board.model_transport import ModelTransport
from kaniwa.sim.worlds.random_graphs import random_graph

CONFIG = PRESETS["small"]
GRAPH = random_graph(3, "conv", macs=1 << 14)
wrong_answers = functools.partial(wrong_answers_of, GRAPH)


@pytest.fixture(scope="module")
def program():
    return compile(GRAPH, target=CONFIG)


@pytest.fixture
def model():
    return LinkModel(EmulatedCore(CONFIG))


def board(model, faults=None, seed=0, **options):
    """A device on ``model``; each connection draws its faults anew."""
    seeds = iter(range(seed, seed + 10_000))
    return BoardDevice("board", connect=lambda: FaultyTransport(
        ModelTransport(model), faults or Faults(), next(seeds)), **options)


def test_a_program_runs_as_on_every_other_device(model, program):
    with board(model) as device:
        assert isinstance(device, devices.Device)
        assert device.config == CONFIG
        session = Session(program, device)
        emulated = Session(program, devices.open("emulator"))
        assert not wrong_answers(session, 1)
        assert not wrong_answers(emulated, 1)
        assert session.stats.cycles == emulated.stats.cycles
        assert session.stats.layers == emulated.stats.layers
        assert device.link_statistics.repeated == 0
        assert device.capabilities["memory_bytes"] == CONFIG.memory_bytes


def test_200_inferences_on_a_bad_line_are_all_right(model, program):
    faults = Faults(bit_error=1e-4, drop=1e-4, duplicate=1e-4)
    with board(model, faults, seed=5) as device:
        session = Session(program, device)
        assert sum(wrong_answers(session, seed) for seed in range(200)) == 0
        assert device.link_statistics.repeated > 50
    assert model.core.runs == 200


def test_after_a_disconnect_the_next_run_works(model, program):
    rng = random.Random(1)
    ended = 0
    with contextlib.ExitStack() as stack:
        for attempt in range(30):
            device = stack.enter_context(board(model, Faults(disconnect=2e-5), 100 * attempt))
            try:
                session = Session(program, device)
                for _ in range(5):
                    assert not wrong_answers(session, rng.getrandbits(30))
            except DeviceError as error:
                assert str(error).startswith("model: connection lost: check cable")
                ended += 1
                for _ in range(20):
                    with contextlib.suppress(DeviceError):
                        assert not wrong_answers(Session(program, device), 1)
                        break
                else:
                    raise
    assert ended > 3


def test_a_reset_device_is_named_and_gets_its_image_again(model, program):
    with board(model) as device:
        session = Session(program, device)
        assert not wrong_answers(session, 1)
        model.reset()
        model.core = EmulatedCore(CONFIG)      # its memory is empty
        with pytest.raises(DeviceError, match="^model: the device was reset: run again$"):
            wrong_answers(session, 2)
        assert not wrong_answers(session, 3)


def test_another_bitstream_is_named_by_both_configs(model, program):
    with board(LinkModel(EmulatedCore(PRESETS["base"]))) as device:
        with pytest.raises(DeviceError, match="for target 'small' .* the device is 'base'"):
            Session(program, device)
        with pytest.raises(DeviceError, match="is of config 'base' .* wanted is 'small'"):
            device.load_target(CONFIG)
    with pytest.raises(DeviceError, match="board: the bitstream is of config 'small' .*, wanted "
                                          "is 'base' .*: program that bitstream"):
        board(model, target="base")
    model.core._registers[Register.VERSION] = 99
    with pytest.raises(DeviceError, match="has instruction set version 99, this kaniwa has"):
        board(model)
    model.core._registers[Register.MAGIC] = 5
    with pytest.raises(DeviceError, match="not a kaniwa device"):
        board(model)


def test_an_unknown_config_is_taken_from_the_target_or_named(model):
    config = PRESETS["small"].__class__(**{**PRESETS["small"].as_dict(), "line_bytes": 16384})
    strange = LinkModel(EmulatedCore(config))
    with pytest.raises(DeviceError, match=f"unknown config {config.hash} \\(4 x 8 multipliers\\)"):
        strange.core._registers[Register.SHAPE] = 4 | 8 << 8
        board(strange)
    with board(strange, target=config) as device:
        assert device.config == config


def test_errors_of_a_run_are_those_of_the_device(model):
    with board(model) as device:
        device.write(0, bytes(128 - 1) + b"\1")
        device.write(0, b"\7")
        with pytest.raises(DeviceError, match="ILLEGAL_OPCODE at instruction 0"):
            device.run(0)
        with pytest.raises(DeviceError, match="must start at a multiple of 8"):
            device.run(4)
        with pytest.raises(DeviceError, match="write of 2 bytes at 0xffff is outside device "
                                              "memory of 65536 bytes"):
            device.write(CONFIG.memory_bytes - 1, b"ab")
        with pytest.raises(DeviceError, match="read of 1 bytes at 0x80000000 is outside"):
            device.read(1 << 31, 1)
        assert device.read(CONFIG.memory_bytes - 1, 1) == b"\0"


def test_a_run_left_by_another_host_is_ended(model, program):
    model.core.busy = True
    with board(model) as device:
        assert not wrong_answers(Session(program, device), 4)


def test_an_interrupted_run_is_ended(model, program, monkeypatch):
    def interrupt(link, seconds):
        raise KeyboardInterrupt

    with board(model) as device:
        session = Session(program, device)
        model.core.hangs = True
        with monkeypatch.context() as patch:
            patch.setattr(Link, "pause", interrupt)
            with pytest.raises(KeyboardInterrupt):
                wrong_answers(session, 1)
        assert not model.core.busy
        model.core.hangs = False
        assert not wrong_answers(session, 2)


def test_a_closed_board_says_so(model):
    device = board(model)
    device.close()
    device.close()
    with pytest.raises(DeviceError, match="board: the device is closed"):
        device.read(0, 1)


class Server(threading.Thread):
    """Answers with ``model`` on ``fd`` until it is stopped."""

    def __init__(self, fd, model):
        super().__init__(daemon=True)
        self.fd, self.model, self.stop = fd, model, threading.Event()
        self.start()

    def run(self):
        while not self.stop.is_set():
            with contextlib.suppress(OSError):
                if select.select([self.fd], [], [], 0.05)[0]:
                    data = os.read(self.fd, 4096)
                    os.write(self.fd, self.model.receive(data))

    def end(self):
        self.stop.set()
        self.join()


@pytest.fixture
def port(model):
    """The path of a pseudo-terminal with the model behind it, and how to pull its cable."""
    master, slave = pty.openpty()
    tty.setraw(master)
    path = os.ttyname(slave)
    server = Server(master, model)
    closed = []

    def pull():
        if not closed:
            closed.append(True)
            server.end()
            os.close(slave)
            os.close(master)

    yield path, pull
    pull()


def test_a_pseudo_terminal_is_a_board(port, program):
    path, _ = port
    with devices.open(f"serial:{path}?baud=3000000") as device:
        session = Session(program, device)
        assert not any(wrong_answers(session, seed) for seed in range(3))


def test_one_owner_at_a_time(port):
    path, _ = port
    with devices.open(f"serial:{path}"):
        with pytest.raises(DeviceError) as caught:
            devices.open(f"serial:{path}")
        assert str(caught.value) == f"{path}: in use by another program: end that one first"
    devices.open(f"serial:{path}").close()


def test_a_pulled_cable_is_named(port):
    path, pull = port
    with devices.open(f"serial:{path}") as device:
        device.write(0, bytes(np.arange(100, dtype=np.uint8)))
        pull()
        with pytest.raises(DeviceError, match=f"{path}: connection lost"):
            device.read(0, 100)
        with pytest.raises(DeviceError, match=f"{path}: "):   # still gone
            device.read(0, 100)


def test_a_server_on_tcp_is_a_board(model, program):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        name = f"tcp:127.0.0.1:{listener.getsockname()[1]}"
        servers = []

        def serve():
            connection = listener.accept()[0]
            servers.append((Server(connection.fileno(), model), connection))

        waiter = threading.Thread(target=serve, daemon=True)
        waiter.start()
        with devices.open(name) as device:
            assert not wrong_answers(Session(program, device), 2)
        waiter.join()
        ((server, connection),) = servers
        server.end()      # before its number becomes that of another file
        connection.close()
    with pytest.raises(DeviceError, match="no connection .*: is the device's server running"):
        devices.open(name)
