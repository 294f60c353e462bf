"""The generated files, each read by the tool that it is for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from builders.generated_designs import KINDS, design_of

from kaniwa.config import PRESETS
from kaniwa.generate.design import Design
from kaniwa.generate.files import WAIVERS, file_names, generated_files
from kaniwa.generate.registers import words_of
from kaniwa.isa import COUNTERS, ErrorCode, Register
from kaniwa.isa.bus import BusRegister, memory_offset
from kaniwa.isa.sensor import SensorRegister

pytestmark = pytest.mark.rtl
NANO = PRESETS["nano"]
Files = Mapping[str, bytes]
Generated = Callable[[str], Files]


def write(folder: Path, files: Files) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_files_are_known_beforehand(kind: str, generated: Generated) -> None:
    names = file_names(design_of(kind))
    assert list(generated(kind)) == names
    assert ("tiny.svd" in names) == (kind != "stream")
    for name, data in generated(kind).items():
        assert data.endswith(b"\n"), name
        if name != "tiny.v":     # which Yosys lays out
            assert not re.search(rb"[ \t]\n|\n\n\n", data), name


def test_another_process_writes_the_same_bytes(generated: Generated, tmp_path: Path) -> None:
    out = tmp_path / "again"
    subprocess.run([sys.executable, "-m", "kaniwa", "generate", "--target", "nano", "--bus", "axi4",
                    "--name", "tiny", "-o", str(out)], check=True, capture_output=True,
                   env={**os.environ, "PYTHONHASHSEED": "7"})
    assert {name: (out / name).read_bytes() for name in generated("axi4")} == generated("axi4")


@pytest.mark.parametrize("kind", KINDS)
def test_header_compiles_and_has_the_values(kind: str, generated: Generated,
                                            tmp_path: Path) -> None:
    write(tmp_path, {"tiny.h": generated(kind)["tiny.h"]})
    text = generated(kind)["tiny.h"].decode()
    names = re.findall(r"^#define (\w+) ", text, re.MULTILINE)
    assert len(names) == len(set(names))
    checks = [f"TINY_{word.name}_OFFSET == {word.offset}" for word in words_of(design_of(kind))]
    checks += ["TINY_STATUS_DONE_MASK == 2", "TINY_STATUS_DONE_SHIFT == 1",
               "TINY_SHAPE_REQUANT_CYCLES_MASK == 0xFF000000", "TINY_MEMORY_BYTES == 131072",
               f"TINY_CONFIG_HASH == 0x{NANO.hash}",
               f"TINY_ERROR_CODE_CODE_WATCHDOG == {ErrorCode.WATCHDOG}"]
    if kind != "stream":
        checks += ["TINY_IRQ_ENABLE_RUN_ENDED_MASK == 1", "TINY_WINDOW_BYTES == 0x40000",
                   "TINY_MEMORY_OFFSET == 0x20000"]
    (tmp_path / "use.c").write_text('#include <stdint.h>\n#include "tiny.h"\n#include "tiny.h"\n'
                                    "int main(void) { return !(" + " && ".join(checks) + "); }\n")
    subprocess.run(["gcc", "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o", "use",
                    "use.c"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "use"]).returncode == 0


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "stream"])
def test_svd_is_read_back(kind: str, generated: Generated, tmp_path: Path) -> None:
    parser = pytest.importorskip("cmsis_svd.parser")
    write(tmp_path, {"tiny.svd": generated(kind)["tiny.svd"]})
    device = parser.SVDParser.for_xml_file(str(tmp_path / "tiny.svd")).get_device()
    (peripheral,) = device.peripherals
    found = {register.name: register for register in peripheral.registers}
    words = words_of(design_of(kind))
    assert list(found) == [word.name for word in words]
    for word in words:
        register = found[word.name]
        assert register.address_offset == word.offset and register.size == 32
        assert register.reset_value == (word.value or 0)
        assert [(field.name, field.bit_offset, field.bit_width) for field in register.fields] == [
            (bits.name, bits.low, bits.width) for bits in word.bits]
    codes = found["ERROR_CODE"].fields[0].enumerated_values[0].enumerated_values
    assert {code.name: code.value for code in codes} == {c.name: c.value for c in ErrorCode}


def test_registers_are_all_of_those_that_there_are() -> None:
    small = PRESETS["small"]
    counters = {f"COUNTER_{name.upper()}": Register.COUNTER_0 + number
                for number, name in enumerate(COUNTERS)}
    core = {register.name: register.value for register in Register} | counters
    del core["COUNTER_0"]
    bus = {register.name: register.value for register in BusRegister}
    words = {word.name: word.index for word in words_of(Design(small, "axi4", outside=True))}
    assert words == core | bus
    assert {word.name for word in words_of(Design(small, "stream"))} == set(core)
    sensor = {word.name: word.index
              for word in words_of(Design(small, "axi4", outside=True, sensor=True))}
    assert sensor == words | {register.name: register.value for register in SensorRegister}
    assert list(sensor.values()) == sorted(sensor.values())
    without = {word.name for word in words_of(Design(NANO, "axi4"))}
    assert set(words) - without == {"COUNTER_TAG", *counters, "BUS_ERROR", "BUS_ERROR_ADDRESS",
                                    "OUTSIDE_BASE_LOW", "OUTSIDE_BASE_HIGH"}
    assert memory_offset(small.memory_bytes) == next(
        word.value for word in words_of(Design(small, "axi4")) if word.name == "MEMORY_OFFSET")


@pytest.mark.parametrize("kind", KINDS)
def test_verilog_and_testbench_have_no_warnings(kind: str, generated: Generated,
                                                tmp_path: Path) -> None:
    from kaniwa.sim.device.toolchain import environment, verilator

    write(tmp_path, generated(kind))
    for top, sources in (("tiny", ()), ("tiny_tb", ("tb/tiny_tb.sv",))):
        done = subprocess.run(
            [verilator(), "--lint-only", "--timing", "-Wall", "--top-module", top, "tiny.vlt",
             "tiny.v", *sources], cwd=tmp_path, env=environment(), capture_output=True, text=True)
        assert done.returncode == 0 and "%Warning" not in done.stderr, done.stderr


def test_waivers_are_for_generated_lines_alone(generated: Generated, tmp_path: Path) -> None:
    from kaniwa.sim.device.toolchain import environment, verilator

    files = dict(generated("axi4"))
    files["tiny.v"] = files["tiny.v"].replace(b"    tiny_gateware gateware (",
                                              b"    wire lost;\n    tiny_gateware gateware (")
    write(tmp_path, files)
    done = subprocess.run(
        [verilator(), "--lint-only", "-Wall", "--top-module", "tiny", "tiny.vlt", "tiny.v"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode and "'lost'" in done.stderr
    text = files["tiny.vlt"].decode()
    assert text.count("lint_off") == len(WAIVERS) == len(set(WAIVERS.values()))
    assert all(f"// {reason}\nlint_off -rule {rule} " in text for rule, reason in WAIVERS.items())


def test_a_rule_is_waived_only_where_generated_lines_break_it(tmp_path: Path) -> None:
    """On small, which has every block that nano has not."""
    from kaniwa.sim.device.toolchain import environment, verilator

    files = generated_files(Design(PRESETS["small"], "stream", name="tiny"))
    write(tmp_path, files)
    done = subprocess.run(
        [verilator(), "--lint-only", "-Wall", "--top-module", "tiny", "tiny.v", "-Wno-fatal"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert set(re.findall(r"^%Warning-(\w+):", done.stderr, re.MULTILINE)) == set(WAIVERS)


@pytest.mark.parametrize("kind", KINDS)
def test_fusesoc_knows_the_core_and_lints_it(kind: str, generated: Generated,
                                             tmp_path: Path) -> None:
    pytest.importorskip("fusesoc")
    from kaniwa.sim.device.toolchain import environment

    write(tmp_path / "design", generated(kind))
    env = environment() | {"XDG_CONFIG_HOME": str(tmp_path / "config"),
                           "XDG_CACHE_HOME": str(tmp_path / "cache")}
    fusesoc = [sys.executable, "-m", "fusesoc.main", "--cores-root", str(tmp_path / "design")]
    for arguments in (["core", "show", "kaniwa:generated:tiny"],
                      ["run", "--target=lint", "kaniwa:generated:tiny"]):
        done = subprocess.run([*fusesoc, *arguments], cwd=tmp_path, env=env, capture_output=True,
                              text=True)
        told = done.stdout + done.stderr
        assert done.returncode == 0 and "ERROR" not in told and "%Warning" not in told, told


@pytest.mark.parametrize("kind", KINDS)
def test_page_names_every_port_and_register(kind: str, generated: Generated) -> None:
    page = generated(kind)["tiny.md"].decode()
    header = generated(kind)["tiny.v"].decode().partition(");")[0]
    ports = re.findall(r"(?:input|output) wire (?:\[\d+:0\] )?(\w+)", header)
    assert len(ports) > 7
    assert all(f"| `{port}` |" in page and f".{port}({port})" in page for port in ports)
    assert all(f"| {word.name} |" in page for word in words_of(design_of(kind)))
    assert "None" not in page and "{" not in page
