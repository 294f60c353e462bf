"""Whole SoCs by LiteX in Verilator: firmware on a soft CPU runs networks on the accelerator."""

from __future__ import annotations

import dataclasses
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder

from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS, AcceleratorConfig, load_target
from kaniwa.cycles.estimate import estimate
from kaniwa.program.program import Program

pytestmark = [pytest.mark.rtl, pytest.mark.slow]

CONFIG = PRESETS["nano"]
CLIPS = 2
CYCLES = 8_129     # of a run of the core
LIMIT = 2_000_000
ROM_BYTES = 16 << 10


class Example(NamedTuple):
    """The modules of examples/litex_soc."""

    soc: ModuleType
    firmware: ModuleType
    simulation: ModuleType
    network: ModuleType
    keywords: ModuleType


class Simulated(NamedTuple):
    """A SoC of ``nano``, and the program that simulates it with the ROM of the folder it is in."""

    soc: object
    program: Path
    folder: Path


@pytest.fixture(scope="module")
def example(root: Path) -> Iterator[Example]:
    sys.path.insert(0, str(root / "examples" / "litex_soc"))
    try:
        yield Example(*(importlib.import_module(name) for name in Example._fields))
    finally:
        sys.path.pop(0)
        for name in Example._fields:
            sys.modules.pop(name, None)


def network(config: AcceleratorConfig) -> Program:
    """A small network with as many classes as there are words."""
    b = GraphBuilder(7)
    x = b.tensor((1, 9, 7, 5))
    made = b.fully_connected(b.conv(x, 8, (3, 3)), 12)
    return compile(b.graph((x,), (made,)), config, require_accelerator=True)


@pytest.fixture(scope="module")
def clips() -> np.ndarray:
    return np.random.default_rng(1).integers(-128, 128, (CLIPS, 1, 9, 7, 5)).astype(np.int8)


@pytest.fixture(scope="module")
def simulated(example: Example, clips: np.ndarray,
              tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """Verilator takes no warning of the SoC's Verilog but those that LiteX's own lines have."""
    folder = tmp_path_factory.mktemp("soc")
    soc = example.soc.AcceleratorSoC("nano", ROM_BYTES)
    soc.finalize()
    soc.init_rom("rom", example.firmware.build_firmware(
        soc, network(CONFIG), clips, example.keywords.WORDS, folder), auto_size=False)
    files = example.simulation.write_verilog(soc, folder)
    return Simulated(soc, example.simulation.build(files, folder), folder)


def test_uart_tells_what_golden_does(example: Example, simulated: Simulated,
                                     clips: np.ndarray) -> None:
    done = example.simulation.run(simulated.program, simulated.folder, LIMIT)
    lines = example.network.expected(network(CONFIG), clips, example.keywords.WORDS)
    assert done.text.splitlines() == [f"{line} cycles {CYCLES}" for line in lines]
    assert len(set(lines)) == CLIPS and CLIPS * CYCLES < done.cycles < LIMIT


def test_driver_refuses_a_network_for_another_config(
        example: Example, simulated: Simulated, clips: np.ndarray, tmp_path: Path) -> None:
    other = network(dataclasses.replace(CONFIG, memory_bytes=CONFIG.memory_bytes // 2))
    words = example.firmware.build_firmware(simulated.soc, other, clips, example.keywords.WORDS,
                                            tmp_path)
    (tmp_path / "soc_rom.init").write_text("".join(f"{word:08x}\n" for word in words))
    (tmp_path / "soc_sram.init").write_text("")
    done = example.simulation.run(simulated.program, tmp_path, LIMIT)
    assert done.text == "error: the model was compiled for another config\n"


def test_a_firmware_that_does_not_end_is_an_error(example: Example, simulated: Simulated) -> None:
    from kaniwa.errors import BuildError

    with pytest.raises(BuildError, match="no end after 1000 cycles"):
        example.simulation.run(simulated.program, simulated.folder, 1000)


@pytest.mark.long
@pytest.mark.parametrize("standard", ["axi-lite", "axi"])
def test_uart_tells_the_same_behind_axi(standard: str, example: Example, clips: np.ndarray,
                                        tmp_path: Path) -> None:
    """LiteX's own AXI blocks have paths from valid to ready, as Verilator tells (UNOPTFLAT)."""
    program = network(CONFIG)
    soc = example.soc.AcceleratorSoC("nano", ROM_BYTES, bus_standard=standard)
    soc.finalize()
    soc.init_rom("rom", example.firmware.build_firmware(
        soc, program, clips, example.keywords.WORDS, tmp_path), auto_size=False)
    built = example.simulation.build(example.simulation.write_verilog(soc, tmp_path), tmp_path,
                                     (*example.simulation.FOREIGN, "UNOPTFLAT"))
    done = example.simulation.run(built, tmp_path, LIMIT)
    lines = example.network.expected(program, clips, example.keywords.WORDS)
    assert done.text.splitlines() == [f"{line} cycles {CYCLES}" for line in lines]


@pytest.mark.long
@pytest.mark.parametrize("options", [(), ("--outside", "bus"), ("--outside", "sdram")],
                         ids=["on-chip", "bus", "sdram"])
def test_keywords_are_spotted(options: tuple[str, ...], root: Path) -> None:
    done = subprocess.run([sys.executable, root / "examples/litex_soc/keywords.py", *options],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    assert last.startswith(f"spoken: {first.split()[0]}; ") and "all scores equal to golden" in last


def test_a_network_is_taken_where_a_boot_loader_put_it(example: Example, clips: np.ndarray,
                                                       tmp_path: Path) -> None:
    """What is for the SDRAM is not in the ROM, and the CPU does not copy it."""
    target = tmp_path / "less_memory.toml"
    target.write_text('base = "small"\nmemory_bytes = 16384\n')
    b = GraphBuilder(7)
    x = b.tensor((1, 9, 7, 5))
    made = b.fully_connected(b.conv(x, 64, (3, 3)), 12)
    program = compile(b.graph((x,), (made,)), load_target(target),
                      outside="litedram,module=MT48LC4M16", require_accelerator=True)
    contents = example.firmware.sdram_contents(program)
    assert len(contents) > ROM_BYTES
    soc = example.soc.AcceleratorSoC(str(target), ROM_BYTES, "sdram", "axi4", contents)
    done = example.network.simulate(soc, program, clips, example.keywords.WORDS, tmp_path,
                                    LIMIT, in_place=True)
    lines = example.network.expected(program, clips, example.keywords.WORDS)
    assert example.network.differing(done, lines) == 0
    assert done.cycles < 10 * len(contents)      # less than a copy of it takes
    cycles = int(done.text.split()[-1])          # of the core
    assert cycles == pytest.approx(estimate(program).cycles, rel=0.03)


@pytest.fixture(scope="module", params=["160", "224"])
def images(request: pytest.FixtureRequest, root: Path) -> tuple[str, list[str]]:
    """A network of the example, and what it printed."""
    done = subprocess.run([sys.executable, root / "examples/litex_soc/images.py", "--network",
                           request.param], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return request.param, done.stdout.splitlines()


@pytest.mark.long
def test_mobilenet_v2_runs_from_the_sdram(images: tuple[str, list[str]]) -> None:
    _, (scores, cycles) = images
    assert scores.endswith("scores equal to golden") and " cycles of the core" in cycles


@pytest.mark.long
def test_its_cycles_are_within_3_percent_of_the_estimate(images: tuple[str, list[str]]) -> None:
    _, (_, cycles) = images
    found = re.search(r"([+-][\d.]+)% beside the estimate", cycles)
    assert found is not None and abs(float(found[1])) <= 3
