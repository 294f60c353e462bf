"""Boards with Ethernet: their address, the two clocks of their design, what is refused."""

import ipaddress
import re
from typing import Any

import pytest

from kaniwa import cli
from kaniwa.boards.board import load_board
from kaniwa.boards.flow import top
from kaniwa.boards.flow.build import TOP, design_files
from kaniwa.boards.flow.timing import read_timing
from kaniwa.errors import ConfigError
from kaniwa.hw.ethernet.ethernet_link import EthernetLink
from kaniwa.sim.worlds.serial_config import TINY

BOARD = load_board("ecpix5_85f")
MAC = 0x026B_C0A8_0132


def test_the_line_is_as_fast_as_the_links_end_in_the_core() -> None:
    assert BOARD.pace == 100_000_000 // 9


def test_the_design_stands_between_the_core_and_the_pins_of_the_phy() -> None:
    files = design_files(BOARD, TINY, BOARD.clock_mhz(""))
    modules = set(re.findall(r"^module \\top\.(\w+)$", files[f"{TOP}.il"], re.MULTILINE))
    assert {"ethernet", "phy"} <= modules and "uart" not in modules
    constraints = files[f"{TOP}.lpf"]
    assert 'FREQUENCY PORT "eth_rgmii_0__rx_clk__io" 125000000.0 HZ' in constraints
    for pin in ("rx_clk", "rx_ctrl", "rx_data", "tx_clk", "tx_ctrl", "tx_data", "rst"):
        assert f"eth_rgmii_0__{pin}__io" in constraints


def test_the_address_is_in_the_design_and_in_its_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, int]] = []

    def link(mac: int, address: int, **sizes: int) -> EthernetLink:
        made.append((mac, address))
        return EthernetLink(mac, address, **sizes)

    monkeypatch.setattr(top, "EthernetLink", link)
    design_files(BOARD.with_address("10.1.2.3"), TINY, BOARD.clock_mhz(""))
    assert made == [(0x026B_0A01_0203, int(ipaddress.IPv4Address("10.1.2.3")))]


@pytest.mark.parametrize("address, message", [
    ("10.1.2", "address '10.1.2': expected one of IPv4, like 192.168.1.50"),
    ("board.lan", "address 'board.lan': expected one of IPv4, like 192.168.1.50"),
    ("224.0.0.1", "address '224.0.0.1' is not one of a single device"),
    ("127.0.0.1", "address '127.0.0.1' is not one of a single device"),
    ("0.0.0.0", "address '0.0.0.0' is not one of a single device"),
    ("255.255.255.255", "address '255.255.255.255' is not one of a single device"),
])
def test_an_address_that_no_board_has_is_refused(
        address: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bitstream", "--board", "ecpix5_85f", "--address", address])
    assert stopped.value.code == 1
    assert capsys.readouterr().err == f"kaniwa: {message}\n"


@pytest.mark.parametrize("arguments, message", [
    (["--board", "icebreaker", "--address", "10.0.0.2"],
     "icebreaker has no Ethernet, so it takes no address"),
    (["--board", "ecpix5_85f", "--check-netlist"],
     "--check-netlist: netlists are checked at the pins of a UART, which ecpix5_85f does not use"),
    (["--board", "ulx3s_85f", "--cores", "2", "--check-netlist"],
     "--check-netlist: netlists of one core are checked; leave out --cores"),
])
def test_what_a_board_cannot_do_is_refused(arguments: list[str], message: str,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bitstream", *arguments])
    assert stopped.value.code == 1
    assert capsys.readouterr().err == f"kaniwa: {message}\n"


@pytest.mark.parametrize("given, message", [
    ({"mac": 1 << 48}, "MAC 0x1000000000000 is not one of a single device"),
    ({"mac": 0x0101_0000_0000}, "MAC 0x010100000000 is not one of a single device"),
    ({"address": 0xE000_0001}, "224.0.0.1 is not the address of a single device"),
    ({"address": 0x7F00_0001}, "127.0.0.1 is not the address of a single device"),
    ({"port": 0}, "the UDP port must be 1..65535, not 0"),
    ({"ring_bytes": 1024}, "ring_bytes must be a power of two above 1472, not 1024"),
    ({"ring_bytes": 3000}, "ring_bytes must be a power of two above 1472, not 3000"),
    ({"bank_bytes": 256}, "bank_bytes must be a power of two of at least 512, not 256"),
    ({"bank_bytes": 1000}, "bank_bytes must be a power of two of at least 512, not 1000"),
])
def test_a_block_checks_its_parameters(given: dict[str, int], message: str) -> None:
    EthernetLink._MustUse__silence = True   # one that is refused is not used
    with pytest.raises(ConfigError, match=re.escape(message)):
        EthernetLink(**{"mac": MAC, "address": 0xC0A8_0132, "ring_bytes": 2048,
                        "bank_bytes": 1024} | given)


@pytest.mark.parametrize("core, line, told", [
    (104.0, 150.0, 104.0),    # the core's is nearer to what it is asked for
    (130.0, 130.0, 104.0),    # the line's is, by 4 %
    (130.0, 120.0, 96.0),     # the line misses its own
])
def test_the_slower_of_two_clocks_tells(core: float, line: float, told: float) -> None:
    report: dict[str, Any] = {
        "fmax": {"core": {"achieved": core, "constraint": 100.0},
                 "line": {"achieved": line, "constraint": 125.0}},
        "utilization": {}, "critical_paths": []}
    assert read_timing(report, str, 100.0).mhz == pytest.approx(told)
