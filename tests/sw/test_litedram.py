"""LiteDRAM as outside memory: its names on the command line, who takes it, and its cycles."""

from dataclasses import replace

import pytest
from builders.graphs.graph_builder import GraphBuilder

from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.cycles.litedram import LiteDram
from kaniwa.errors import CompileError, ConfigError
from kaniwa.litedram_modules import MODULES, LiteDramTiming
from kaniwa.outside import parse_outside
from kaniwa.sim.device.simulated_core import SimDevice
from kaniwa.sim.worlds.random_graphs import random_graph

TIMING = LiteDramTiming.of(MODULES["MT48LC4M16"], 50, 4)
ROW = TIMING.row_bytes


@pytest.mark.parametrize("text, whole, size", [
    ("litedram,module=MT48LC4M16", "litedram,module=MT48LC4M16,bytes=4,clock=50", 16 << 20),
    ("litedram,clock=80,bytes=8,module=IS42S16160",
     "litedram,module=IS42S16160,bytes=8,clock=80", 128 << 20),
    ("litedram,module=MT41K256M16,phy=ecp5",
     "litedram,module=MT41K256M16,phy=ecp5,bytes=2,clock=50", 512 << 20),
    ("litedram,module=MT41K256M8,phy=s7,bytes=1,clock=100",
     "litedram,module=MT41K256M8,phy=s7,bytes=1,clock=100", 256 << 20)])
def test_the_name_of_a_module_is_completed_and_read_again(text, whole, size):
    memory = parse_outside(text)
    assert str(memory) == whole and memory.size == size
    assert parse_outside(whole) == memory


@pytest.mark.parametrize("settings, says", [
    ("", "unknown module ''; the modules are IS42S16160, MT48LC4M16,"),
    (",module=MT46V32M16", "unknown module 'MT46V32M16'"),
    (",module=MT48LC4M16,latency=3", "takes module, phy, bytes, clock, once each, not 'latency=3'"),
    (",module=MT41K64M16", "must be one of ecp5, s7 for it, which is not there"),
    (",module=MT41K64M16,phy=us", "must be one of ecp5, s7 for it, not 'us'"),
    (",module=MT48LC4M16,phy=s7", "MT48LC4M16 is SDR, which takes no phy"),
    (",module=MT41K64M16,phy=s7,bytes=4", "must be one of 1, 2, not '4'"),
    (",clock=50,clock=50", "once each, not 'clock=50'"),
    (",module=MT48LC4M16,bytes=2", "must be one of 4, 8, 16, not '2'"),
    (",module=MT48LC4M16,clock=134", "the clock of LiteDRAM must be 10 to 133 MHz, not '134'")])
def test_wrong_settings_end_in_one_line(settings, says):
    with pytest.raises(CompileError) as error:
        parse_outside(f"litedram{settings}")
    assert says in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("config, settings", [
    (replace(PRESETS["nano"], outside_bits=23), "module=MT48LC4M16"),
    (PRESETS["small"], "module=MT48LC4M16,bytes=16"),
    (PRESETS["small"], "module=MT41K64M16,phy=s7,bytes=2")])
def test_what_its_model_does_not_know_is_refused(config, settings):
    with pytest.raises(CompileError, match=f"is not estimated with litedram,{settings}"):
        compile(random_graph(1), config, outside=f"litedram,{settings}")


def test_a_simulated_core_has_none():
    with pytest.raises(ConfigError, match="has no LiteDRAM, which is simulated in a SoC by LiteX"):
        SimDevice(outside="litedram,module=MT48LC4M16")


def test_a_simulated_core_is_not_given_one_by_a_program():
    device = SimDevice()
    with pytest.raises(ConfigError, match="has no LiteDRAM, which is simulated in a SoC by LiteX"):
        device.add_outside("litedram,module=MT48LC4M16")
    SimDevice(outside="ideal").add_outside("litedram,module=MT48LC4M16")


def test_beats_of_an_open_row_follow_each_other():
    dram = LiteDram(TIMING)
    dram.beat(10, 0, False)
    first = dram.answered
    for beat in range(1, 64):
        dram.beat(10, 4 * beat, False)
        assert dram.answered == first + beat


@pytest.mark.parametrize("phy, cycles", [("ecp5", 2), ("s7", 1)])
def test_bursts_of_ddr3_take_as_many_cycles_as_four_clocks_of_the_chip(phy, cycles):
    timing = LiteDramTiming.of(MODULES["MT41K256M16"], 75, 2, phy)
    dram = LiteDram(timing)
    dram.beat(10, 0, False)
    first = dram.answered
    for beat in range(1, 64):
        dram.beat(10, timing.width * beat, False)
        assert dram.answered == first + cycles * beat


def test_a_port_waits_where_it_goes_to_another_bank():
    """The crossbar locks the bank until its last command has gone."""
    same, other = LiteDram(TIMING), LiteDram(TIMING)
    for dram, second in ((same, 4), (other, ROW)):
        dram.beat(10, 0, False)
        dram.beat(10, second, False)
    assert other.answered > same.answered + TIMING.rcd


def test_turns_between_reads_and_writes_cost_cycles():
    reads, turns = LiteDram(TIMING), LiteDram(TIMING)
    for beat in range(32):
        reads.beat(0, 4 * beat, False)
        turns.beat(0, 4 * beat, beat % 2 == 1)
    assert turns.answered > reads.answered + 32 * 3


def test_a_refresh_is_waited_for():
    dram = LiteDram(TIMING)
    dram.beat(TIMING.refi + 1, 0, False)
    late = dram.answered
    dram = LiteDram(TIMING)
    dram.beat(0, 0, False)
    assert late - (TIMING.refi + 1) > dram.answered + TIMING.rfc


@pytest.mark.parametrize("timing", [
    TIMING, LiteDramTiming.of(MODULES["MT41K256M16"], 75, 2, "ecp5")])
def test_refreshes_while_nothing_is_asked_for_cost_one_opening(timing):
    """A row is opened once behind the last of them, and not behind each."""
    latencies = set()
    for refreshes in (2, 3, 1000):
        dram = LiteDram(timing)
        dram.beat(0, 0, False)
        at = refreshes * timing.refi + timing.refi // 2
        dram.beat(at, timing.width, False)
        latencies.add(dram.answered - at)
    assert len(latencies) == 1


# Refreshes alone take 18 % of the last one's cycles: 104 of every 586.
@pytest.mark.parametrize("target, settings, bytes_a_cycle, most", [
    ("small", "module=MT48LC4M16", 4, 1.2),
    ("base", "module=MT41K256M16,phy=ecp5,clock=75", 8, 1.3)])
def test_weights_outside_come_at_the_pace_of_the_bus_less_its_rows_and_refresh(
        target, settings, bytes_a_cycle, most):
    b = GraphBuilder(3)
    x = b.tensor((1, 1024))
    program = compile(b.graph((x,), (b.fully_connected(x, 256),)), PRESETS[target],
                      outside=f"litedram,{settings}")
    least = program.weight_bytes // bytes_a_cycle
    assert least < estimate(program).cycles < most * least
