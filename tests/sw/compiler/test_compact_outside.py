"""Programs of a compact core with outside memory: exact, within its addresses, refused beyond."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from builders.graphs.graph_builder import GraphBuilder
from builders.graphs.inferences import wrong_answers_of
from builders.instructions.places import PLACES, places_of

from kaniwa.compiler.added_memory import compile_with_memory
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.emulator.core import Emulator
from kaniwa.errors import CompileError, ConfigError, DeviceError, MemoryTooSmallError, ProgramError
from kaniwa.graph import Graph
from kaniwa.importers import load_model
from kaniwa.isa import OUTSIDE
from kaniwa.program.check import check
from kaniwa.program.program import Program
from kaniwa.sim.worlds.random_graphs import KINDS, random_graph

NANO = PRESETS["nano"]
BOARD = replace(NANO, memory_bytes=64 << 10, count_bits=16, outside_bits=23, name="board")
SMALL = replace(NANO, memory_bytes=1024, ring_bytes=256, outside_bits=20, name="small_nano")
PART = "sdram,part=EM638325,clock=41"


def wrong(graph: Graph, program: Program, seed: int) -> int:
    with devices.open("emulator", program.config, outside=program.outside) as device:
        return wrong_answers_of(graph, Session(program, device), seed)


def test_random_networks_in_both_memories_are_exact() -> None:
    """Each thing that a program has is on chip in one and outside in another."""
    places: set[tuple[str, bool]] = set()
    for seed in range(3):
        for kind in KINDS:
            graph = random_graph(seed, kind, macs=1 << 14)
            program = compile(graph, SMALL, outside="sdram,bytes=4,latency=10")
            assert wrong(graph, program, seed) == 0, (kind, seed)
            places |= places_of(program)
    assert places == PLACES


@pytest.mark.parametrize("name", ["mlperf_ic_resnet8", "mlperf_ad_fc_ae"])
def test_models_beyond_a_boards_block_ram_are_exact(name: str, models: Path) -> None:
    graph = load_model(models / f"{name}.tflite")
    with pytest.raises(MemoryTooSmallError, match="64 KiB on chip; give it --outside sdram, or"):
        compile(graph, BOARD)
    program = compile_with_memory(graph, BOARD, PART)
    assert program.outside == f"{PART},ratio=1"
    assert 0 < program.local_bytes <= 64 << 10 and program.outside_bytes > 0
    assert wrong(graph, program, 3) == 0


def test_weights_that_come_again_for_each_pixel_are_on_chip() -> None:
    """They are 36 KiB of a block's words that the ring does not hold; a map goes outside."""
    b = GraphBuilder(1)
    x = b.tensor((1, 16, 16, 32))
    graph = b.graph((x,), (b.conv(b.conv(x, 128, (1, 1)), 32, (3, 3), (2, 2)),))
    program = compile(graph, BOARD, outside=PART)
    again = [i for i in program.instructions if i["weights_stream"] and i["weight_repeat"] > 1]
    assert again and not any(i["weight_address"] & OUTSIDE for i in again)
    assert any(i["ofm_address"] & OUTSIDE for i in program.instructions)
    everything = compile(graph, replace(BOARD, memory_bytes=1 << 20))
    assert estimate(program).cycles < 1.05 * estimate(everything).cycles
    assert wrong(graph, program, 1) == 0


def test_a_program_ends_where_addresses_do(models: Path) -> None:
    graph = load_model(models / "mlperf_ad_fc_ae.tflite")
    config = replace(BOARD, outside_bits=17, name="page")
    with pytest.raises(CompileError, match="needs 209 KiB of outside memory, target 'page' "
                                           "addresses at most 128 KiB; use a target with more "
                                           "outside_bits or a smaller model"):
        compile(graph, config, outside="ideal")
    program = compile(graph, BOARD, outside="ideal")
    assert check(program, "all") is program
    with pytest.raises(ProgramError, match="bytes of outside memory, the target addresses 131072"):
        check(replace(program, config=config), "page")


def test_the_emulator_ends_where_addresses_do() -> None:
    emulator = Emulator(SMALL, "ideal")
    last = OUTSIDE + (1 << 20) - 8
    emulator.write(last, bytes(8))
    with pytest.raises(DeviceError, match="ADDRESS: bytes .* leave the 0x100000 bytes of outside"):
        emulator.write(last + 1, bytes(8))
    with pytest.raises(DeviceError, match="ADDRESS at instruction 0: bytes"):
        emulator.run(last)
    with pytest.raises(DeviceError, match="are outside memory, and there is none"):
        Emulator(NANO, "ideal").read(OUTSIDE, 1)


def test_without_outside_bits_nothing_is_added(models: Path) -> None:
    for added in (None, PART):
        with pytest.raises(MemoryTooSmallError, match="128 KiB on chip; take a target with more"):
            compile_with_memory(load_model(models / "mlperf_ad_fc_ae.tflite"), NANO, added)
    with pytest.raises(CompileError, match="no way to outside memory; leave --outside out, or take "
                                           "a target with outside_bits"):
        compile(models / "mlperf_ad_fc_ae.tflite", NANO, outside="ideal")


@pytest.mark.parametrize("config, bits, says", [
    (NANO, 11, "outside_bits must be 0, or 12 to 24 in a compact core, not 11"),
    (NANO, 25, "outside_bits must be 0..24, not 25"),
    (PRESETS["small"], 20, "outside_bits must be 0 without a compact core, not 20"),
])
def test_outside_bits_that_no_core_has_are_told(config: object, bits: int, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        replace(config, outside_bits=bits)
