"""Boards over UDP: real sockets of this machine, with the Python model of a device behind one."""

import functools
import socket
import threading
from contextlib import closing

import pytest
from builders.graphs.inferences import wrong_answers_of

from kaniwa import Session, cli
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver import devices
from kaniwa.driver.bridge import Bridge
from kaniwa.driver.datagrams import transport, udp_socket
from kaniwa.driver.datagrams.format import PORT
from kaniwa.driver.transports import Address, parse_address
from kaniwa.errors import DeviceError
from kaniwa.sim.board.datagram_faults import DatagramFaults, FaultyPath
from kaniwa.sim.board.link_model import EmulatedCore, LinkModel
from kaniwa.sim.board.udp_model import DatagramModel, UdpBoard
from kaniwa.sim.worlds.random_graphs import random_graph

CONFIG = PRESETS["small"]
GRAPH = random_graph(3, "conv", macs=1 << 14)
wrong_answers = functools.partial(wrong_answers_of, GRAPH)
LOCAL = "127.0.0.1"


@pytest.fixture(scope="module")
def program():
    return compile(GRAPH, target=CONFIG)


def model(cores=1):
    return DatagramModel(LinkModel(*(EmulatedCore(CONFIG) for _ in range(cores))))


@pytest.fixture
def board():
    with UdpBoard(model()) as made:
        yield made


@pytest.fixture
def port():
    """Where a socket of another program waits, and that socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((LOCAL, 0))
        yield other.getsockname()[1], other


def test_200_inferences_over_udp(board, program):
    with devices.open(board.name) as device:
        session = Session(program, device)
        assert not any(wrong_answers(session, seed) for seed in range(200))
        assert device.link_statistics.damaged == 0
        assert device.pace == 300_000
    assert board.device.link.core.runs == 200


def test_datagrams_that_are_lost_doubled_and_late(program):
    faults = DatagramFaults(lost=0.01, doubled=0.05, delayed=0.01, garbage=0.02)
    with UdpBoard(model(), FaultyPath(DatagramFaults(doubled=0.05)),
                  FaultyPath(faults, 1)) as board, devices.open(board.name) as device:
        session = Session(program, device)
        assert not any(wrong_answers(session, seed) for seed in range(50))
        assert device.link_statistics.repeated > 0


def test_the_next_program_opens_the_device_anew(board, program):
    for seed in range(3):
        with devices.open(board.name) as device:
            assert not wrong_answers(Session(program, device), seed)


def test_a_device_that_lost_its_power(board, program):
    with devices.open(board.name) as device:
        session = Session(program, device)
        assert not wrong_answers(session, 1)
        with board.lock:
            board.device.reset()
            board.device.link.core = EmulatedCore(CONFIG)
        with pytest.raises(DeviceError, match=f"^{board.name}: the device was reset: run again$"):
            wrong_answers(session, 2)
        assert not wrong_answers(session, 3)


def test_a_port_and_its_options_are_those_of_the_name(program):
    with UdpBoard(model(cores=2)) as board, devices.open(
            f"{board.name}?core=1&pace=123456") as device:
        assert device.pace == 123456
        assert not wrong_answers(Session(program, device), 1)
        assert [core.runs for core in board.device.link.cores] == [0, 1]


@pytest.mark.parametrize("name, address", [
    ("udp:board", Address("udp", f"board:{PORT}")),
    ("udp:192.168.1.50:99?pace=5&core=2", Address("udp", "192.168.1.50:99", pace=5, core=2)),
])
def test_names_of_devices_over_udp(name, address):
    assert parse_address(name) == address


FORM = "expected serial:PORT[?baud=B], tcp:HOST:PORT, udp:HOST[:PORT] or spi:PATH[?hz=N]"


@pytest.mark.parametrize("name, message", [
    ("udp:", FORM), ("udp:host:", FORM), ("udp:host:x", FORM), ("udp:::1", FORM),
    ("udp:[::1]:7413", FORM),
    ("udp:host:0", "the port must be 1..65535, not 0"),
    ("udp:host:65536", "the port must be 1..65535, not 65536"),
    ("udp:host?core=8", "core must be 0..7, not 8"),
    ("udp:host?baud=9600", "after '?' expected pace or core with a number, found 'baud=9600'"),
    ("udp:host?token-file=x", "after '?' expected pace or core with a number, found "
                              "'token-file=x'"),
])
def test_names_of_the_wrong_form_are_refused(name, message):
    with pytest.raises(DeviceError) as caught:
        devices.open(name)
    assert str(caught.value) == f"device '{name}': {message}"


def test_a_port_where_nobody_listens(port, capsys):
    number, other = port
    other.close()
    with pytest.raises(SystemExit) as stopped:
        cli.main(["selftest", "--device", f"udp:{LOCAL}:{number}"])
    assert stopped.value.code == 1
    assert capsys.readouterr().err == (
        f"kaniwa: udp:{LOCAL}:{number}: nobody listens at that port (Connection refused): check "
        "the address, then run again\n")


def test_a_port_where_nobody_answers(port, monkeypatch):
    monkeypatch.setattr(transport, "PROBE_WAITS", (0.001, 0.001))
    with pytest.raises(DeviceError) as caught:
        devices.open(f"udp:{LOCAL}:{port[0]}")
    assert str(caught.value) == (
        f"udp:{LOCAL}:{port[0]}: no answer: is the device powered, programmed and on this "
        "network, and the address right?")


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a..b", "255.255.255.255"])
def test_a_host_that_is_none(host):
    with pytest.raises(DeviceError, match=f"^udp:{host}:7413: no way to the device .*: check the "
                                          "address and this machine's network$"):
        devices.open(f"udp:{host}")


def test_a_third_party_is_not_heard(board, program, port):
    """The datagrams of another port do not reach the host, right as they may be."""
    made = udp_socket.UdpSocket(LOCAL, board.port)
    with closing(made):
        port[1].sendto(bytes(8), made._open().getsockname())
        assert made.receive(0.0) is None
        made.send(bytes(4))
        assert made.receive(5.0) == bytes([1]) + bytes(7)


def test_a_datagram_that_is_too_long_for_the_network():
    """Nor does one that no network takes."""
    made = udp_socket.UdpSocket(LOCAL, 9)
    with closing(made), pytest.raises(DeviceError, match=(
            "^udp:127.0.0.1:9: the network takes no datagrams of 1,472 bytes: its MTU must be "
            "1,500 at least$")):
        made.send(bytes(70_000))


def test_a_device_that_goes_away(program):
    with UdpBoard(model()) as board:
        device = devices.open(board.name)
    with closing(device), pytest.raises(DeviceError, match=(
            f"^{board.name}: nobody listens at that port .Connection refused.: ")):
        Session(program, device)


def test_a_closed_socket_says_so(board):
    made = transport.UdpTransport(LOCAL, board.port)
    made.close()
    made.close()
    for use in (lambda: made.write(b"a\0"), lambda: made.read(0.0)):
        with pytest.raises(DeviceError, match=f"^{board.name}: connection lost .Bad file"):
            use()
    with pytest.raises(OSError):
        made.fileno()


def test_a_bridge_offers_a_device_over_udp(board, program):
    with closing(Bridge(lambda: transport.UdpTransport(LOCAL, board.port), LOCAL, 0)) as bridge:
        thread = threading.Thread(target=bridge.serve, daemon=True)
        thread.start()
        with devices.open(f"tcp:{bridge.place}") as device:
            session = Session(program, device)
            assert not any(wrong_answers(session, seed) for seed in range(5))
        bridge.stop()
        thread.join()
