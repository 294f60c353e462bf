"""What `kaniwa generate` refuses, and the networks of its testbenches."""

from __future__ import annotations

import dataclasses

import pytest

from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.errors import ConfigError
from kaniwa.generate.design import Design
from kaniwa.generate.vectors import Vectors, vectors_of
from kaniwa.isa import OUTSIDE

NANO, SMALL, XL = (PRESETS[name] for name in ("nano", "small", "xl"))


@pytest.mark.parametrize(("config", "bus", "options", "says"), [
    (NANO, "pci", {}, "unknown bus 'pci': give one of axi4, wishbone, stream"),
    (NANO, "axi4", {"name": "2fast"}, "name '2fast' is no module name"),
    (NANO, "axi4", {"name": "a-b"}, "name 'a-b' is no module name"),
    (NANO, "axi4", {"name": "Module"}, "name 'Module' is no module name"),
    (NANO, "axi4", {"name": "signal"}, "name 'signal' is no module name"),
    (NANO, "axi4", {"name": "é"}, "name 'é' is no module name"),
    (NANO, "axi4", {"name": "a" * 65}, "is no module name"),
    (NANO, "axi4", {"clock_hz": -1}, "clock_hz must be 0..4294967295, not -1"),
    (NANO, "axi4", {"outside": True}, "target 'nano' has no way to outside memory: leave "
     "--outside out, or take a target with outside_bits"),
    (SMALL, "stream", {"outside": True}, "bus 'stream' has no port for outside memory"),
    (SMALL, "axi4", {"data_bits": 32}, "data_bits is the width of the port for outside memory"),
    (SMALL, "axi4", {"outside": True, "data_bits": 128},
     "data_bits must be 32, 64 for target 'small', not 128"),
    (XL, "axi4", {}, "target 'xl' has no memory on chip: give --outside"),
    (NANO, "stream", {"sensor": True}, "bus 'stream' has no ports for sensors"),
    (XL, "axi4", {"sensor": True, "outside": True},
     "target 'xl' has no memory on chip, where the tensors of sensors are"),
    (NANO, "axi4", {"sensor_buffer": 8}, "sensor_buffer is of the ports for sensors"),
    (NANO, "axi4", {"sensor": True, "sensor_buffer": 131073},
     "sensor_buffer must be 0..131072 for target 'nano', not 131073"),
    (NANO, "axi4", {"sensor": True, "sensor_buffer": -1}, "must be 0..131072"),
])
def test_a_bad_design_is_told_in_a_line(config: AcceleratorConfig, bus: str,
                                        options: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError) as error:
        Design(config, bus, **options)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_widths_of_the_port_are_those_of_the_gateware() -> None:
    pytest.importorskip("amaranth")
    from kaniwa.generate.design import DATA_BITS
    from kaniwa.hw.bus import bus_accelerator

    assert DATA_BITS == bus_accelerator.DATA_BITS
    for bits in (32, 64):
        assert Design(SMALL, "axi4", outside=True, data_bits=bits).data_bits == bits


def test_a_target_without_room_for_a_network_is_told() -> None:
    config = dataclasses.replace(NANO, memory_bytes=1024, name="tiny")
    with pytest.raises(ConfigError, match="^target 'tiny' fits no network of the testbench"):
        vectors_of(Design(config, "axi4"))


def read_back(vectors: Vectors, part: str) -> list[tuple[int, int, int]]:
    """Mask, address and data of each line, as $readmemh has them."""
    return [(int(mask, 16), int(address, 16), int(data, 16)) for mask, address, data in (
        line.split("_") for line in vectors.text(part).splitlines())]


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "xl"])
def test_every_target_has_a_testbench_on_chip(name: str) -> None:
    vectors = vectors_of(Design(PRESETS[name], "axi4"))
    assert len(vectors.runs) == 2 and vectors.index.count("\n") == 2
    for part in ("writes", "checks"):
        for mask, address, data in read_back(vectors, part):
            assert 0 < mask < 16 and address % 4 == 0
            assert address + 4 <= PRESETS[name].memory_bytes
            assert data & sum(255 << 8 * byte for byte in range(4) if not mask >> byte & 1) == 0
    assert any(word.data for run in vectors.runs for word in run.checks)


@pytest.mark.parametrize("config", [
    dataclasses.replace(config, outside_bits=16 * config.compact) for config in PRESETS.values()
], ids=lambda config: config.name)
def test_with_memory_outside_some_runs_are_wholly_there(config: AcceleratorConfig) -> None:
    vectors = vectors_of(Design(config, "axi4", outside=True))
    outside = [run for run in vectors.runs if run.program_address & OUTSIDE]
    assert len(outside) == 2
    for run in outside:
        assert all(word.address & OUTSIDE for word in (*run.writes, *run.checks))


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "xl"])
def test_with_a_sensor_frames_come_to_the_results_of_the_network(name: str) -> None:
    vectors = vectors_of(Design(PRESETS[name], "axi4", sensor=True))
    sensor = vectors.sensor
    assert sensor is not None and vectors_of(Design(PRESETS[name], "axi4")).sensor is None
    (given, length), (result, offered) = sensor.tensors
    assert max(given + length, result + offered) <= PRESETS[name].memory_bytes
    assert sensor.program_address == vectors.runs[0].program_address
    whole = [frame for number, frame in enumerate(sensor.frames) if number not in sensor.short]
    assert {len(frame) for frame in whole} == {length} and len(whole) == len(sensor.results)
    assert {len(answer) for answer in sensor.results} == {offered}
    assert 0 < sensor.dropped < length
    for text, packets in ((sensor.samples, sensor.frames), (sensor.bytes_offered, sensor.results)):
        lines = [int(line, 16) for line in text.splitlines()]
        assert sum(line >> 8 for line in lines) == len(packets)
        assert len(lines) == sum(map(len, packets))
    assert [int(line, 16) & 255 ^ 0x80 for line in sensor.samples.splitlines()] == [
        *b"".join(sensor.frames)]


def test_name_of_a_target_cannot_end_a_comment_or_a_string() -> None:
    config = dataclasses.replace(NANO, name='a */ "b"\n`c')
    assert Design(config, "axi4").target == "a_____b___c"
