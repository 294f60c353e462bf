"""Devices are found by name and say what is wrong with what they are given."""

import dataclasses
import sys

import pytest
from builders.instructions.layer_cases import MEMORY_BYTES, random_case

from kaniwa.boards.board import BOARDS, load_board
from kaniwa.config import PRESETS
from kaniwa.driver import devices
from kaniwa.driver.identity import known_targets
from kaniwa.errors import ConfigError, DeviceError
from kaniwa.isa import OUTSIDE

CONFIG = dataclasses.replace(PRESETS["base"], memory_bytes=MEMORY_BYTES)


@pytest.mark.parametrize("name", ["golden", "emulator"])
def test_devices_keep_the_protocol(name):
    with devices.open(name, target="small") as device:
        assert isinstance(device, devices.Device)
        assert device.name == name
        assert device.config == PRESETS["small"]


@pytest.mark.parametrize("name", BOARDS)
def test_what_a_board_holds_is_known_by_its_hash(name):
    """So a device needs no target to be told."""
    board = load_board(name)
    for target in board.targets:
        config = board.config(target)
        assert known_targets()[config.hash] == config


@pytest.mark.rtl
def test_the_simulated_core_keeps_the_protocol():
    device = devices.open("sim", stalls=0.5, seed=1)
    assert isinstance(device, devices.Device)
    assert device.config is None
    device.close()


@pytest.mark.parametrize("name, message", [
    ("fpga", "unknown device 'fpga': give one of golden, emulator, sim, sim:BOARD, serial:PORT, "
             "tcp:HOST:PORT, udp:HOST, spi:PATH, uio:PATH, mem:ADDRESS"),
    ("sim:ulx4s", "device 'sim:ulx4s': expected "
                  f"sim:BOARD[?baud=B&cores=K&core=C&overlap=1], BOARD one of {', '.join(BOARDS)}"),
    ("sim:icebreaker?pace=3", "device 'sim:icebreaker?pace=3': expected "
                              "sim:BOARD[?baud=B&cores=K&core=C&overlap=1], BOARD one of "
                              f"{', '.join(BOARDS)}"),
    ("serial:", "device 'serial:': expected serial:PORT[?baud=B], tcp:HOST:PORT, "
                "udp:HOST[:PORT] or spi:PATH[?hz=N]"),
    ("tcp:host", "device 'tcp:host': expected serial:PORT[?baud=B], tcp:HOST:PORT, "
                 "udp:HOST[:PORT] or spi:PATH[?hz=N]"),
    ("serial:/dev/ttyUSB0?baud=fast", "device 'serial:/dev/ttyUSB0?baud=fast': after '?' expected "
                                      "baud or pace or core with a number, found 'baud=fast'"),
    ("serial:/dev/no_such_port", "/dev/no_such_port: no such port; `kaniwa devices` lists what is "
                                 "plugged in"),
])
def test_other_names_are_refused_with_the_choices(name, message):
    with pytest.raises(DeviceError) as caught:
        devices.open(name)
    assert str(caught.value) == message


def test_virtual_boards_have_a_target_of_their_own():
    assert devices.target_of("sim:ulx3s_85f") == devices.target_of("sim:ulx3s_85f?baud=9") == "base"
    assert devices.target_of("sim:tang_primer_20k").endswith("tang_primer_20k.toml")
    assert devices.target_of("sim") is devices.target_of("serial:x") is None


def test_unknown_options_are_refused():
    with pytest.raises(DeviceError, match="the device emulator has no option 'stalls'"):
        devices.open("emulator", stalls=0.5)
    with pytest.raises(DeviceError, match="the device sim has no option 'speed': it has stalls"):
        devices.open("sim", speed=2)
    with pytest.raises(DeviceError, match="sim:icebreaker has no option 'stalls': it has watchdog"):
        devices.open("sim:icebreaker", stalls=0.5)


def test_unknown_target_is_refused():
    with pytest.raises(ConfigError, match="unknown target 'huge'"):
        devices.open("emulator", target="huge")


@pytest.mark.parametrize("outside", ["dram", "ideal,bytes=4", "sdram,speed=1", "sdram,bytes=0"])
def test_unknown_outside_memory_is_refused(outside):
    with pytest.raises(ConfigError, match="outside memory must be none, ideal or sdram"):
        devices.open("emulator", outside=outside)


def test_a_missing_simulator_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "amaranth_boards.icebreaker", None)
    with pytest.raises(DeviceError, match=r"needs amaranth-boards: pip install .*\[sim\]'"):
        devices.open("sim:icebreaker")


def test_emulator_runs_an_image():
    case = random_case(4, CONFIG)
    with devices.open("emulator", target=CONFIG) as device:
        for address, data in case.image.items():
            device.write(address, data)
        assert device.run(0, [case.values["tag"]]).retired == 1
        assert all(device.read(address, 1)[0] == value for address, value in case.expected.items())


def test_loading_the_same_target_keeps_the_memory():
    with devices.open("emulator", target="base") as device:
        device.write(16, b"abc")
        device.load_target(PRESETS["base"])
        assert device.read(16, 3) == b"abc"
        device.load_target(PRESETS["large"])
        assert device.read(16, 3) == bytes(3)


@pytest.mark.parametrize("access", [lambda d: d.read(0, 1), lambda d: d.write(0, b"a"),
                                    lambda d: d.run(0)])
def test_emulator_without_target_is_named(access):
    with pytest.raises(DeviceError, match="closed or has no target"):
        access(devices.open("emulator"))


@pytest.mark.parametrize("target, outside, present", [
    ("base", None, False), ("base", "ideal", True), ("base", "sdram,bytes=4,latency=10", True),
    ("xl", None, True), ("xl", "none", False)])
def test_outside_memory_is_there_where_asked_for_or_needed(target, outside, present):
    with devices.open("emulator", target=target, outside=outside) as device:
        if present:
            device.write(OUTSIDE + 5_000_000, b"abc")
            assert device.read(OUTSIDE + 5_000_000, 4) == b"abc\0"
        else:
            with pytest.raises(DeviceError, match="ADDRESS"):
                device.read(OUTSIDE, 1)


def test_golden_has_no_memory():
    with devices.open("golden") as device:
        with pytest.raises(DeviceError, match="golden device has no device memory"):
            device.read(0, 1)
