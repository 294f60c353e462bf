"""The host's end of the link over SPI, against a model of the device behind a port of Linux."""

import errno
import fcntl
import functools
import sys
import types

import pytest
from builders.graphs.inferences import wrong_answers_of
from builders.spi_port import FakePort, World

from kaniwa import Session
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver import devices
from kaniwa.driver.frames import Operation, Request
from kaniwa.driver.link import Link, reads, writes
from kaniwa.driver.transports import Address, parse_address
from kaniwa.errors import DeviceError
from kaniwa.sim.board.line_faults import Faults
from kaniwa.sim.board.link_model import EmulatedCore, LinkModel, MemoryCore
from kaniwa.sim.board.spi_model import SpiModel
from kaniwa.sim.worlds.random_graphs import random_graph

CONFIG = PRESETS["small"]
GRAPH = random_graph(3, "conv", macs=1 << 14)
wrong_answers = functools.partial(wrong_answers_of, GRAPH)
FAULTS = {"none": {}, "changed": {"bit_error": 1e-4}, "lost": {"drop": 5e-4},
          "all": dict(bit_error=5e-5, drop=2e-4, duplicate=2e-4, insertion=2e-4, swap=2e-4)}


@pytest.fixture
def make_world(tmp_path, monkeypatch):
    """Function that puts a device behind the port."""
    file = tmp_path / "spidev0.0"
    file.touch()
    worlds = []

    def make(core=None, faults=None, seed=0):
        link = LinkModel(core or EmulatedCore(CONFIG), pace=1_600_000)
        world = World(file, SpiModel(link, faults, seed))
        worlds.append(world)
        monkeypatch.setitem(sys.modules, "spidev", types.SimpleNamespace(
            SpiDev=lambda: FakePort(world)))
        return world

    yield make
    for world in worlds:
        for port in world.ports:
            port.close()


@pytest.fixture(scope="module")
def program():
    return compile(GRAPH, target=CONFIG)


@pytest.mark.parametrize("case", FAULTS)
def test_200_inferences_on_a_bad_line_are_all_right(case, program, make_world):
    world = make_world(faults=Faults(**FAULTS[case]), seed=5)
    with world.board() as device:
        session = Session(program, device)
        assert sum(wrong_answers(session, seed) for seed in range(200)) == 0
        statistics = device.link_statistics
    assert (statistics.repeated > 20) == (case != "none"), statistics
    assert bool(world.model.counts) == (case != "none")
    if case == "none":
        assert not (statistics.damaged or statistics.refused or statistics.timeouts), statistics
    assert world.model.link.core.runs == 200


@pytest.mark.parametrize("hz", [10_000, 100_000, 8_000_000])
def test_waits_are_as_long_as_the_line_is_slow(hz, make_world):
    """The device tells the pace of its highest rate; the host's rate counts."""
    world = make_world(MemoryCore())
    name = f"spi:/dev/spidev0.0?hz={hz}"
    link = Link(world.transport(hz), parse_address(name).pace)
    link.open()
    data = bytes(range(256)) * 16
    link.exchange(writes(link, 0, data))
    assert b"".join(link.exchange(reads(link, 0, len(data)))) == data
    assert link.statistics.timeouts == link.statistics.repeated == 0
    assert max(world.sizes) <= max(16, hz / 8 * 0.01)


def test_a_bulk_transfer_fills_the_line(make_world):
    world = make_world(MemoryCore())
    link = Link(world.transport(), 125_000)
    link.open()
    data = bytes(range(1, 256)) * 80
    for transfer in (writes, reads):
        before = world.model.bytes
        requests = writes(link, 0, data) if transfer is writes else reads(link, 0, len(data))
        link.exchange(requests)
        assert len(data) / (world.model.bytes - before) > 0.75, transfer


def test_only_the_first_of_zeros_in_a_row_is_passed_on(make_world):
    world = make_world()
    answers = [b"\0\0\0", b"\0a\0\0", b"\0\0", b"b", b"\0", b"\0\0c\0\0d\0"]
    transport = world.transport()
    world.model.exchange = lambda data: answers.pop(0) if answers else bytes(len(data))
    for _ in range(6):
        transport.write(b"x")
    assert transport.read(0) == b"a\0b\0c\0d\0"
    assert transport.read(0) == b""


def test_waiting_looks_at_the_line_now_and_then(make_world):
    world = make_world()
    assert world.transport().read(0.5) == b""
    assert 0.5 <= world.clock < 0.51
    assert 200 < len(world.rests) < 300 and max(world.rests) <= 0.002


def test_a_device_of_that_name(program, make_world):
    world = make_world()
    name = "spi:/dev/spidev0.0?hz=4000000"
    with devices.open(name) as device:
        assert isinstance(device, devices.Device) and device.name == name
        assert device.pace == 500_000
        assert not wrong_answers(Session(program, device), 1)
    assert world.opened == ["/dev/spidev0.0"]


@pytest.mark.parametrize("name, address", [
    ("spi:/dev/spidev0.0", Address("spi", "/dev/spidev0.0", pace=125_000)),
    ("spi:/dev/spidev1.2?hz=8000000&core=3",
     Address("spi", "/dev/spidev1.2", pace=1_000_000, core=3, hz=8_000_000)),
    ("spi:x?pace=5", Address("spi", "x", pace=5)),
])
def test_names_of_devices_on_spi(name, address):
    assert parse_address(name) == address


@pytest.mark.parametrize("name, message", [
    ("spi:", "expected serial:PORT[?baud=B], tcp:HOST:PORT, udp:HOST[:PORT] or spi:PATH[?hz=N]"),
    ("spi:x?baud=9600", "after '?' expected hz or pace or core with a number, found 'baud=9600'"),
    ("serial:x?hz=9600", "after '?' expected baud or pace or core with a number, found 'hz=9600'"),
    ("spi:x?hz=9999", "hz must be at least 10000, not 9999"),
    ("spi:x?core=8", "core must be 0..7, not 8"),
])
def test_names_of_the_wrong_form_are_refused(name, message):
    with pytest.raises(DeviceError) as caught:
        devices.open(name)
    assert str(caught.value) == f"device '{name}': {message}"


def test_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "spidev", None)
    with pytest.raises(DeviceError, match=r"^a device on SPI needs spidev: pip install .*\[spi\]"):
        devices.open("spi:/dev/spidev0.0")


@pytest.mark.parametrize("number, message", [
    (errno.ENOENT, "no such SPI port: is SPI switched on (on a Raspberry Pi by raspi-config), "
                   "and the name right?"),
    (errno.EACCES, "no permission: add yourself to the group that owns it (often spi)"),
    (errno.ENOTTY, "not a SPI port that can do mode 0 at 1,000,000 Hz"),
    (errno.EMFILE, "cannot be opened (Too many open files)"),
])
def test_a_port_that_cannot_be_opened(number, message, make_world, monkeypatch):
    make_world()

    def fail(port, path):
        raise OSError(number, "")

    monkeypatch.setattr(FakePort, "open_path", fail)
    with pytest.raises(DeviceError) as caught:
        devices.open("spi:/dev/spidev0.0")
    assert str(caught.value) == f"/dev/spidev0.0: {message}"


def test_one_program_has_the_port(make_world):
    world = make_world()
    with world.file.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DeviceError, match="^/dev/spidev0.0: in use by another program: end"):
            world.transport()
    transport = world.transport()
    with pytest.raises(DeviceError, match="in use by another program"):
        world.transport()
    transport.close()
    transport.close()
    with pytest.raises(DeviceError, match="the port is closed"):
        transport.write(b"x")
    world.transport().close()


def test_a_port_that_fails_is_named_and_opened_anew(program, make_world):
    world = make_world()
    with world.board() as device:
        session = Session(program, device)
        world.broken = True
        with pytest.raises(DeviceError) as caught:
            wrong_answers(session, 1)
        assert str(caught.value) == ("/dev/spidev0.0: the SPI port failed (Input/output error): "
                                     "check its driver, then run again")
        world.broken = False
        assert not wrong_answers(session, 2)


def test_a_device_that_lost_its_power(program, make_world):
    world = make_world()
    with world.board() as device:
        session = Session(program, device)
        assert not wrong_answers(session, 1)
        world.model.link.reset()
        world.model.link.core = EmulatedCore(CONFIG)
        with pytest.raises(DeviceError, match="the device was reset: run again$"):
            wrong_answers(session, 2)
        assert not wrong_answers(session, 3)


def test_nobody_answers(make_world):
    world = make_world()
    world.model.exchange = lambda data: bytes(len(data))
    with pytest.raises(DeviceError, match="^/dev/spidev0.0: no answer: is the device powered"):
        world.board()
    assert world.clock < 10


def test_a_run_that_goes_on_is_looked_at(make_world):
    """A REGISTER and READs of STATUS share the line with nothing else."""
    world = make_world(MemoryCore())
    link = Link(world.transport(), 125_000)
    link.open()
    link.exchange([Request(Operation.REGISTER, 1, 8)])
    assert world.model.link.core.log == [(8, 1)]
