"""A core on the machine's bus: a session on it, what can go wrong in one line each, and real maps.
"""

import mmap
import re
import struct
from dataclasses import replace

import numpy as np
import pytest
from builders.bus_window import BusWindow

import kaniwa
from kaniwa.config import PRESETS
from kaniwa.driver import devices, mapping
from kaniwa.driver.mapped_device import MappedDevice
from kaniwa.driver.mapping import DmaBuffer, MappedWindow, Mapping, open_window, parse_mapping
from kaniwa.errors import DeviceError
from kaniwa.isa import ISA_VERSION, MAGIC, OUTSIDE, Register, Status
from kaniwa.isa.bus import (
    BASE_ALIGNMENT,
    BUS_VERSION,
    BusError,
    BusRegister,
    Feature,
    memory_offset,
    window_bytes,
)
from kaniwa.isa.sensor import SensorControl, SensorRegister

CONFIG = PRESETS["base_vector"]
RAM_BYTES = 1 << 17


class Ram:
    """Outside memory that the test has."""

    name = "ram"

    def __init__(self, bus_address=0x9000_0000, size=RAM_BYTES):
        self.data, self.bus_address, self.size = bytearray(size), bus_address, size

    def read(self, offset, count):
        return bytes(self.data[offset:offset + count])

    def write(self, offset, data):
        self.data[offset:offset + len(data)] = data

    def close(self):
        pass


class Faked(BusWindow):
    """The window of the emulated core; it can be closed."""

    closed = False

    def close(self):
        self.closed = True


def opened(window, **options):
    return MappedDevice("uio:/dev/uio0", window=window, pause=lambda seconds: None, **options)


@pytest.fixture(scope="module")
def recordings(models):
    return np.load(models / "inputs" / "kws01_1000.npz")["x"]


@pytest.fixture(scope="module")
def spotting(models):
    return kaniwa.compile(models / "mlperf_kws_dscnn.tflite", target="base_vector")


def compare(program, device, recordings, count=12):
    session, wanted = kaniwa.Session(program, device), kaniwa.Session(
        program, kaniwa.open("golden"))
    for recording in recordings[:count]:
        (answer,), (golden,) = (s.run([recording[None]]).values() for s in (session, wanted))
        np.testing.assert_array_equal(answer, golden)
    return session.stats


def test_session_on_a_core_on_the_bus_is_golden(spotting, recordings):
    """Without access to memory in a run; cycles and counters are those of the model."""
    window = Faked(CONFIG)
    with opened(window) as device:
        assert isinstance(device, devices.Device)
        statistics = compare(spotting, device, recordings)
    assert window.faults == [] and window.closed
    estimated = kaniwa.estimate(spotting)
    assert statistics.cycles == estimated.cycles == sum(r["cycles"] for r in statistics.layers)


def test_session_with_outside_memory_is_golden(models, recordings):
    config = replace(CONFIG, memory_bytes=0)
    program = kaniwa.compile(models / "mlperf_kws_dscnn.tflite", target=config, outside="ideal")
    ram = Ram()
    with opened(Faked(config, ram.data, ram.bus_address), target=config, outside=ram) as device:
        assert device.outside
        compare(program, device, recordings, 3)


def test_refused_access_of_the_core_is_told_with_both_addresses(models, recordings):
    config = replace(CONFIG, memory_bytes=0)
    program = kaniwa.compile(models / "mlperf_kws_dscnn.tflite", target=config, outside="ideal")
    ram = Ram()
    window = Faked(config, ram.data, ram.bus_address + BASE_ALIGNMENT)
    session = kaniwa.Session(program, opened(window, target=config, outside=ram))
    with pytest.raises(DeviceError) as caught:
        session.run([recordings[:1]])
    assert str(caught.value) == (
        "uio:/dev/uio0: the bus refused a read of the core at 0x80000000, 0x90000000 on the bus "
        "(DECERR): is there memory for its master?")
    assert not window.running


def test_watchdog_and_errors_of_a_run_are_told_and_the_next_run_works(spotting, recordings):
    window = Faked(CONFIG)
    session = kaniwa.Session(spotting, opened(window))
    window.hangs = True
    with pytest.raises(DeviceError, match="^uio:/dev/uio0: the device ended the run: WATCHDOG at "
                                          "instruction 2$"):
        session.run([recordings[:1]])
    window.hangs = False
    session.run([recordings[:1]])
    assert window.faults == []


def test_bus_error_of_an_earlier_run_is_forgotten(spotting, recordings):
    window = Faked(CONFIG)
    session = kaniwa.Session(spotting, opened(window))
    window.set(BusRegister.BUS_ERROR, BusError.HELD)
    session.run([recordings[:1]])


def test_run_without_end_is_given_up_and_aborted(spotting, recordings):
    window = Faked(CONFIG)
    session = kaniwa.Session(spotting, opened(window, watchdog=0))
    window.hangs = True
    with pytest.raises(DeviceError, match="^uio:/dev/uio0: the run does not end: its cycles stand "
                                          "still at 0: is the core's clock on[?]$"):
        session.run([recordings[:1]])
    assert not window.running


def test_core_that_does_not_stop(spotting):
    window = Faked(CONFIG)
    window.set(Register.STATUS, Status.RUNNING)
    window.write_register = lambda index, value: None
    with pytest.raises(DeviceError, match="the core does not stop: is its clock on[?]$"):
        opened(window)
    assert window.closed


@pytest.mark.parametrize("register, value, message", [
    (Register.MAGIC, 0xFFFF_FFFF, "not a kaniwa device (its first register is 0xffffffff)"),
    (Register.VERSION, ISA_VERSION + 1, "the bitstream has instruction set version"),
    (Register.CONFIG_HASH_LOW, 1, "the bitstream is of an unknown config"),
    (BusRegister.BUS_VERSION, BUS_VERSION + 1, "the bitstream has version 2 of the window")])
def test_other_core_is_told(register, value, message):
    window = Faked(CONFIG)
    window.set(register, value)
    with pytest.raises(DeviceError, match="^uio:/dev/uio0: " + re.escape(message)):
        opened(window)


def test_other_config_is_told():
    with pytest.raises(DeviceError, match="is of config 'base_vector' .* wanted is 'base' "):
        opened(Faked(CONFIG), target="base")
    device = opened(Faked(CONFIG))
    with pytest.raises(DeviceError, match="is of config 'base_vector' .* wanted is 'nano' "):
        device.load_target(PRESETS["nano"])


@pytest.mark.parametrize("size, message", [
    (0x200, "the window of 0x200 bytes is too small: registers take 0x224"),
    (0x2000, "the window of 0x2000 bytes is too small: the core's memory ends at 0x70000")])
def test_small_window_is_told(size, message):
    window = Faked(CONFIG)
    window.size = size
    with pytest.raises(DeviceError, match=re.escape(message)):
        opened(window)


def test_outside_base_is_set_when_an_earlier_run_has_ended():
    """In a run the window refuses it, and Linux would end the process."""
    ram = Ram()
    window = Faked(CONFIG, ram.data, ram.bus_address + BASE_ALIGNMENT)
    window.write32(4 * Register.CONTROL, 1)
    assert window.running
    opened(window, outside=ram)
    assert window.faults == []
    assert window.read32(4 * BusRegister.OUTSIDE_BASE_LOW) == ram.bus_address


def test_ports_for_sensors_are_switched_off_where_there_are_some():
    """They would start runs, and refuse those of a session."""
    window = Faked(CONFIG)
    opened(window)
    assert window.faults == []
    window.set(SensorRegister.SENSOR_VERSION, 1)
    window.set(SensorRegister.SENSOR_CONTROL, SensorControl.ENABLE | SensorControl.RUN)
    opened(window)
    assert window.read32(4 * SensorRegister.SENSOR_CONTROL) == 0


def test_outside_memory_that_cannot_be_is_told():
    ram = Ram()
    with pytest.raises(DeviceError, match="has no port to outside memory: leave out outside="):
        opened(Faked(CONFIG), outside=ram)
    with pytest.raises(DeviceError, match="must be at a multiple of 4096 bytes, not at 0x90000010"):
        opened(Faked(CONFIG, ram.data), outside=Ram(0x9000_0010))


def test_access_beyond_memory_is_told():
    device = opened(Faked(CONFIG))
    with pytest.raises(DeviceError, match="read of 4 bytes at 0x80000000 is outside device memory "
                                          "of 196608 bytes, and 0 outside"):
        device.read(OUTSIDE, 4)
    with pytest.raises(DeviceError, match="write of 2 bytes at 0x2ffff is outside"):
        device.write(CONFIG.memory_bytes - 1, b"12")
    device.close()
    device.close()
    with pytest.raises(DeviceError, match="the device is closed"):
        device.read(0, 4)


@pytest.mark.parametrize("name, parts", [
    ("uio:/dev/uio0", Mapping("/dev/uio0")),
    ("uio:/dev/uio0?outside=udmabuf0", Mapping("/dev/uio0", outside="udmabuf0")),
    ("mem:0x43c00000", Mapping("/dev/mem", 0x43C0_0000)),
    ("mem:43C00000:10000?outside=u", Mapping("/dev/mem", 0x43C0_0000, 0x10000, "u"))])
def test_names_are_taken_apart(name, parts):
    devices.check_name(name)
    assert parse_mapping(name) == parts


@pytest.mark.parametrize("name, message", [
    ("uio:", "expected uio:PATH or mem:ADDRESS[:SIZE], in hexadecimal, and [?outside=UDMABUF]"),
    ("mem:here", "expected uio:PATH"), ("uio:/dev/uio0?inside=1", "expected uio:PATH"),
    ("uio:/dev/uio0?outside=../x/", "expected uio:PATH"),
    ("mem:0x10000001", "the address must be a multiple of 0x1000"),
    ("mem:0x10000000:0", "and the size more than 0")])
def test_other_names_are_refused(name, message):
    with pytest.raises(DeviceError, match=re.escape(message)):
        devices.open(name)


def image(config, path):
    """A file whose bytes are the window of a core that has just ended a run of 1234 cycles."""
    offset = memory_offset(config.memory_bytes)
    words = np.zeros(window_bytes(config.memory_bytes) // 4, np.uint32)
    number = int(config.hash, 16)
    for register, value in (
            (Register.MAGIC, MAGIC), (Register.VERSION, ISA_VERSION),
            (Register.CONFIG_HASH_LOW, number & 0xFFFF_FFFF),
            (Register.CONFIG_HASH_HIGH, number >> 32),
            (Register.MEMORY_BYTES, config.memory_bytes), (Register.STATUS, Status.DONE),
            (Register.CYCLES, 1234), (BusRegister.BUS_VERSION, BUS_VERSION),
            (BusRegister.MEMORY_OFFSET, offset), (BusRegister.FEATURES, Feature.OUTSIDE)):
        words[register] = value
    path.write_bytes(words.tobytes())
    return offset


def test_real_map_of_a_file(tmp_path):
    """Registers and memory, at places of any alignment, are where the file has them."""
    path = tmp_path / "uio0"
    offset = image(CONFIG, path)
    data = bytes(range(1, 24))
    with devices.open(f"uio:{path}", target="base_vector", watchdog=77) as device:
        assert device.config == CONFIG and device.capabilities["memory_bytes"] == 196608
        for address in (0, 1, 2, 7, CONFIG.memory_bytes - len(data)):
            device.write(address, data)
            assert device.read(address, len(data)) == data
            assert path.read_bytes()[offset + address:][:len(data)] == data
        device.write(4, b"")
        assert device.read(4, 0) == b""
        assert device.run(0x100).cycles == 1234
    words = struct.unpack("<137I", path.read_bytes()[:4 * 137])
    assert words[Register.PROGRAM_ADDRESS] == 0x100 and words[Register.WATCHDOG] == 77
    assert words[Register.CONTROL] == 1


def test_accesses_of_a_map_are_of_words_and_bytes(tmp_path):
    path = tmp_path / "map"
    path.write_bytes(bytes(4096))
    window = MappedWindow(str(path), 0, 4096)
    window.write32(8, 0x0403_0201)
    assert window.read_bytes(8, 4) == b"\1\2\3\4" and window.read32(8) == 0x0403_0201
    assert window.read_bytes(9, 2) == b"\2\3" and window.read_bytes(6, 4) == b"\0\0\1\2"
    window.close()
    window.close()


@pytest.fixture
def linux(tmp_path, monkeypatch):
    """Folders in place of /sys/class and /dev."""
    for name in ("sys", "dev"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(mapping, "SYS", tmp_path / "sys")
    monkeypatch.setattr(mapping, "DEV", tmp_path / "dev")
    return tmp_path


def buffer(linux, folder="u-dma-buf", **values):
    place = linux / "sys" / folder / "udmabuf0"
    place.mkdir(parents=True)
    for name, value in ({"size": "65536", "phys_addr": "0x000000001fc00000", "sync_mode": "1"}
                        | values).items():
        (place / name).write_text(f"{value}\n")
    (linux / "dev" / "udmabuf0").write_bytes(bytes(65536))


@pytest.mark.parametrize("folder", ["u-dma-buf", "udmabuf"])
def test_buffer_of_u_dma_buf_is_outside_memory(linux, folder):
    """Its bus address becomes the base of outside memory."""
    buffer(linux, folder)
    path = linux / "uio0"
    image(CONFIG, path)
    name = f"uio:{path}?outside=udmabuf0"
    with devices.open(name, target="base_vector", outside="ideal") as device:
        device.write(OUTSIDE + 5, b"data")
        assert device.read(OUTSIDE + 5, 4) == b"data"
        with pytest.raises(DeviceError, match="and 65536 outside"):
            device.write(OUTSIDE + 65533, b"data")
    assert (linux / "dev" / "udmabuf0").read_bytes()[5:9] == b"data"
    words = struct.unpack("<137I", path.read_bytes()[:4 * 137])
    assert words[BusRegister.OUTSIDE_BASE_LOW] == 0x1FC0_0000


def test_outside_memory_that_is_not_named_is_asked_for(linux):
    path = linux / "uio0"
    image(CONFIG, path)
    with pytest.raises(DeviceError, match=r"outside memory is wanted \(ideal\): name a buffer of "
                                          r"u-dma-buf, as in uio:.*[?]outside=udmabuf0$"):
        devices.open(f"uio:{path}", outside="ideal")


def test_buffer_that_is_not_there_or_cached_is_told(linux):
    with pytest.raises(DeviceError, match="^udmabuf0: no such buffer in .*: load the module"):
        DmaBuffer("udmabuf0")
    buffer(linux, sync_mode=4)
    with pytest.raises(DeviceError, match="^udmabuf0: is cached .*: write 1 to .*/sync_mode$"):
        DmaBuffer("udmabuf0")
    (linux / "sys" / "u-dma-buf" / "udmabuf0" / "size").write_text("many")
    with pytest.raises(DeviceError, match="size: cannot be read [(]no number[)]$"):
        DmaBuffer("udmabuf0")


def test_memory_of_the_machine_is_mapped_as_far_as_the_core_says(linux):
    """Without a size the first page is looked at; with one it is what was told."""
    place = 3 * mmap.PAGESIZE
    path = linux / "window"
    image(CONFIG, path)
    (linux / "dev" / "mem").write_bytes(bytes(place) + path.read_bytes())
    with devices.open(f"mem:{place:#x}") as device:
        assert device.config == CONFIG
        assert device._window.size == memory_offset(CONFIG.memory_bytes) + CONFIG.memory_bytes
    with pytest.raises(DeviceError, match="window of 0x1000 bytes is too small: the core's mem"):
        devices.open(f"mem:{place:#x}:1000")
    with pytest.raises(DeviceError, match=r"not a kaniwa device \(its first register is 0x0\)"):
        devices.open("mem:0")
    with pytest.raises(DeviceError, match=r"0x10000000 bytes at 0x3000 cannot be mapped"):
        devices.open(f"mem:{place:#x}:10000000")


def test_size_of_a_uio_device_is_what_linux_tells(linux, monkeypatch):
    path = linux / "dev" / "uio3"
    offset = image(CONFIG, path)
    monkeypatch.setattr(mapping.stat, "S_ISREG", lambda mode: False)
    with pytest.raises(DeviceError, match="not a UIO device with a map"):
        open_window(Mapping(str(path)))
    folder = linux / "sys" / "uio" / "uio3" / "maps" / "map0"
    folder.mkdir(parents=True)
    (folder / "size").write_text(f"{offset + CONFIG.memory_bytes:#x}\n")
    window = open_window(Mapping(str(path)))
    assert window.size == offset + CONFIG.memory_bytes
    window.close()


@pytest.mark.parametrize("error, message", [
    (FileNotFoundError(2, "x"), "no such file: is the device in the device tree, and its driver"),
    (PermissionError(13, "x"), "no permission: run as root, or let your group have the file"),
    (OSError(6, "No such device or address"), r"cannot be opened \(No such device or address\)")])
def test_file_that_cannot_be_opened_is_told(tmp_path, monkeypatch, error, message):
    path = tmp_path / "uio0"
    path.write_bytes(bytes(4096))

    def refuse(*arguments, **options):
        raise error

    monkeypatch.setattr(mapping.os, "open", refuse)
    with pytest.raises(DeviceError, match=f"^{path}: {message}"):
        devices.open(f"uio:{path}")


def test_missing_file_is_told(tmp_path):
    with pytest.raises(DeviceError, match=f"^{tmp_path}/uio9: no such file"):
        devices.open(f"uio:{tmp_path}/uio9")
