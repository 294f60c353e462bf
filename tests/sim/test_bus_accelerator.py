"""The accelerator behind a bus: what there is none of, and the names of its ports."""

from __future__ import annotations

import gc
import re
from typing import Any

import pytest

from kaniwa.config import PRESETS
from kaniwa.errors import ConfigError
from kaniwa.hw.bus.bus_accelerator import BusAccelerator
from kaniwa.hw.bus.gather import Gather
from kaniwa.hw.bus.signatures import bus_ports
from kaniwa.isa.bus import CORE_REGISTERS, BusRegister, memory_offset, window_bytes
from kaniwa.isa.sensor import SENSOR_REGISTERS, SensorRegister
from kaniwa.isa.table import COUNTERS, Register

SMALL, NANO = PRESETS["small"], PRESETS["nano"]
# The channels of AXI as Arm IHI 0022 names them, without the signals of users and regions.
LITE = {"aw": "addr prot valid ready", "w": "data strb valid ready", "b": "resp valid ready",
        "ar": "addr prot valid ready", "r": "data resp valid ready"}
ADDRESS = "id addr len size burst lock cache prot qos valid ready"
FULL = {"aw": ADDRESS, "w": "data strb last valid ready", "b": "id resp valid ready",
        "ar": ADDRESS, "r": "id data resp last valid ready"}
WISHBONE = "cyc stb we adr dat_w dat_r sel ack err"


# What is refused is a component that was begun, and Amaranth asks for the use of each.
pytestmark = pytest.mark.filterwarnings("ignore:.*created but never used")


def _quiet(accelerator: BusAccelerator) -> BusAccelerator:
    accelerator._MustUse__silence = True   # only its ports are looked at
    return accelerator


@pytest.mark.parametrize("config, options, message", [
    (SMALL, {"bus": "axi"}, "bus must be axi4 or wishbone, not 'axi'"),
    (NANO, {"outside": True}, "outside must be false for a compact core without"),
    (PRESETS["xl"], {}, "outside must be true where memory_bytes is 0"),
    (SMALL, {"address_bits": 24}, "address_bits must be 32..64, not 24"),
    (SMALL, {"address_bits": 65}, "address_bits must be 32..64, not 65"),
    (SMALL, {"data_bits": 128}, "data_bits must be 32, 64 with read_bytes 8, not 128"),
    (SMALL, {"data_bits": 16}, "data_bits must be 32, 64 with read_bytes 8, not 16"),
    (PRESETS["xl"], {"outside": True, "sensor": 0}, "sensor must be None where memory_bytes is 0"),
    (NANO, {"sensor": -1}, "sensor must be None or 0..131072 (memory_bytes), not -1"),
    (NANO, {"sensor": 131073}, "sensor must be None or 0..131072 (memory_bytes), not 131073"),
])
def test_refuses_what_there_is_none_of(config: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match="^" + re.escape(message)):
        BusAccelerator(config, **options)
    gc.collect()


def test_refuses_bursts_beyond_a_page() -> None:
    for words in (0, 17):
        with pytest.raises(ConfigError, match=f"burst_words must be 1..16, not {words}"):
            Gather(SMALL, words)
    gc.collect()


def _axi(prefix: str, channels: dict[str, str]) -> set[str]:
    return {prefix + channel + name for channel, names in channels.items()
            for name in names.split()}


def test_names_of_ports() -> None:
    axi = bus_ports(_quiet(BusAccelerator(SMALL, "axi4", outside=True, address_bits=40)))
    assert set(axi) == _axi("s_axi_", LITE) | _axi("m_axi_", FULL) | {"irq"}
    assert [len(axi[name][0]) for name in ("m_axi_araddr", "m_axi_rdata", "s_axi_awaddr")] == [
        40, 64, 17]
    wishbone = bus_ports(_quiet(BusAccelerator(SMALL, "wishbone", outside=True, data_bits=32)))
    slave = {f"s_wb_{name}" for name in WISHBONE.split()}
    assert set(wishbone) == slave | {f"m_wb_{name}" for name in f"{WISHBONE} cti bte".split()} | {
        "irq"}
    assert [len(wishbone[name][0]) for name in ("m_wb_adr", "s_wb_adr")] == [30, 15]
    assert set(bus_ports(_quiet(BusAccelerator(NANO, "wishbone")))) == slave | {"irq"}
    sensor = bus_ports(_quiet(BusAccelerator(NANO, "wishbone", sensor=0)))
    streams = {f"{side}_{name}" for side in ("s_axis_sample", "m_axis_result")
               for name in "tdata tlast tvalid tready".split()}
    assert set(sensor) == slave | {"irq"} | streams


@pytest.mark.parametrize("size, offset, window", [
    (0, 0, 8192), (64, 4096, 8192), (4096, 4096, 8192), (4104, 8192, 16384),
    (192 << 10, 256 << 10, 512 << 10)])
def test_window(size: int, offset: int, window: int) -> None:
    assert (memory_offset(size), window_bytes(size)) == (offset, window)


def test_registers_of_bus_and_core_are_apart() -> None:
    assert max(Register) + len(COUNTERS) <= CORE_REGISTERS == min(BusRegister)
    assert max(BusRegister) < min(SensorRegister) == SENSOR_REGISTERS
    assert 4 * max(SensorRegister) < 4096


def test_every_preset_has_a_bus() -> None:
    for config in PRESETS.values():
        for bus in ("axi4", "wishbone"):
            outside = not config.compact
            assert _quiet(BusAccelerator(config, bus, outside)).data_bits <= 8 * config.read_bytes
