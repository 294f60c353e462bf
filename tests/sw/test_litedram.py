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
     "litedram,module=IS42S16160,bytes=8,clock=80", 128 << 20)])
def test_the_name_of_a_module_is_completed_and_read_again(text, whole, size):
    memory = parse_outside(text)
    assert str(memory) == whole and memory.size == size
    assert parse_outside(whole) == memory


@pytest.mark.parametrize("settings, says", [
    ("", "unknown module ''; the modules are IS42S16160, MT48LC4M16,"),
    (",module=MT41K64M16", "unknown module 'MT41K64M16'"),
    (",module=MT48LC4M16,latency=3", "takes module, bytes, clock, once each, not 'latency=3'"),
    (",clock=50,clock=50", "once each, not 'clock=50'"),
    (",module=MT48LC4M16,bytes=2", "must be one of 4, 8, 16, not '2'"),
    (",module=MT48LC4M16,clock=134", "the clock of LiteDRAM must be 10 to 133 MHz, not '134'")])
def test_wrong_settings_end_in_one_line(settings, says):
    with pytest.raises(CompileError) as error:
        parse_outside(f"litedram{settings}")
    assert says in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("config, width", [
    (replace(PRESETS["nano"], outside_bits=23), 4), (PRESETS["small"], 16)])
def test_what_its_model_does_not_know_is_refused(config, width):
    with pytest.raises(CompileError, match="is not estimated with litedram,module=MT48LC4M16"):
        compile(random_graph(1), config, outside=f"litedram,module=MT48LC4M16,bytes={width}")


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


def test_weights_outside_come_at_the_pace_of_the_bus_less_its_rows_and_refresh():
    b = GraphBuilder(3)
    x = b.tensor((1, 1024))
    program = compile(b.graph((x,), (b.fully_connected(x, 256),)), PRESETS["small"],
                      outside="litedram,module=MT48LC4M16")
    beats = program.weight_bytes // TIMING.width
    assert beats < estimate(program).cycles < 1.2 * beats
