"""Models of cells against the bodies that yosys has for them, in Verilator.

Each model is beside yosys' cell with the same inputs: all of them where they are up to twelve and
there is no clock, random ones for thousands of cycles elsewhere.
"""

import re
import subprocess
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kaniwa.sim.device.toolchain import environment, verilator
from kaniwa.sim.primitives.models import cell_models, primitive_models

pytestmark = pytest.mark.rtl
BODIES = Path(sysconfig.get_paths()["purelib"]) / "pyosys" / "share"
CYCLES = 20_000
MAIN = """#include "Vbench.h"
int main() {
    VerilatedContext context;
    Vbench bench(&context);
    while (!context.gotFinish()) {
        bench.clock = !bench.clock;
        bench.eval();
    }
}
"""


@dataclass
class Cell:
    """A cell with parameters; ports by width. ``tied``: inputs that are an expression of others."""

    type: str
    inputs: dict
    outputs: dict
    parameters: dict = field(default_factory=dict)
    clocks: tuple = ()
    tied: dict = field(default_factory=dict)


def bits(*names):
    return dict.fromkeys(names, 1)


def vector(name, width):
    """A vector with a pin for each bit."""
    return bits(*(f"{name}_{bit}" for bit in range(width)))


def flip_flops():
    for suffix in ("", "E", "R", "S", "SR", "SS", "ER", "ES", "ESR", "ESS"):
        inputs = [pin for pin in ("E", "R", "S") if pin in
                  {"E": "E", "ER": "ER", "ES": "ES", "R": "R", "S": "S", "SR": "R", "SS": "S",
                   "ESR": "ER", "ESS": "ES"}.get(suffix, "")]
        yield Cell(f"SB_DFF{suffix}", bits("D", *inputs), bits("Q"), clocks=("C",))


def rams():
    contents = {f"INIT_{digit:X}": f"256'h{0x1F3A5C7E9B2D4608 * (digit + 3) ** 9:x}"
                for digit in range(16)}
    for mode in (0, 1):
        for other in (0, 1):
            yield Cell("SB_RAM40_4K", {"RCLKE": 1, "RE": 1, "WCLKE": 1, "WE": 1, "WADDR": 11,
                                       "MASK": 16, "WDATA": 16, "high": 11}, {"RDATA": 16},
                       contents | {"READ_MODE": mode, "WRITE_MODE": other}, ("RCLK", "WCLK"),
                       # never the word that is written
                       {"RADDR": "{high[10:1], ~WADDR[0]}"})
    # yosys' cell has no contents
    yield Cell("ICESTORM_RAM", bits("RCLKE", "RE", "WCLKE", "WE") | vector("WADDR", 11)
               | vector("MASK", 16) | vector("WDATA", 16)
               | {f"RADDR_{bit}": 1 for bit in range(1, 11)}, vector("RDATA", 16),
               clocks=("RCLK", "WCLK"), tied={"RADDR_0": "~WADDR_0"})


def logic_cells():
    for table in ("96a5", "8f1c"):
        for carry, constant, level in ((0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 1)):
            outputs = bits("LO", "O", *(["COUT"] if carry else []))
            parameters = {"LUT_INIT": f"16'h{table}", "CARRY_ENABLE": carry,
                          "CIN_CONST": constant, "CIN_SET": level}
            for flip_flop, level, at_once in ((0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 0, 1)):
                yield Cell("ICESTORM_LC", bits("I0", "I1", "I2", "I3", "CIN", "CEN", "SR"), outputs,
                           parameters | {"DFF_ENABLE": flip_flop, "SET_NORESET": level,
                                         "ASYNC_SR": at_once}, ("CLK",))


def multipliers():
    zeros = dict.fromkeys(("AHOLD", "BHOLD", "CHOLD", "DHOLD", "IRSTTOP", "IRSTBOT", "ORSTTOP",
                           "ORSTBOT", "OLOADTOP", "OLOADBOT", "ADDSUBTOP", "ADDSUBBOT",
                           "OHOLDTOP", "OHOLDBOT", "CI", "ACCUMCI", "SIGNEXTIN"), "1'b0")
    for inputs, products in ((0, 0), (0, 1), (1, 0), (1, 1)):
        yield Cell("SB_MAC16", {"A": 16, "B": 16, "C": 16, "D": 16, "CE": 1}, {"O": 32},
                   {"A_REG": inputs, "B_REG": inputs, "TOP_8x8_MULT_REG": products,
                    "BOT_8x8_MULT_REG": products, "TOPOUTPUT_SELECT": 2, "BOTOUTPUT_SELECT": 2,
                    "MODE_8x8": 1, "A_SIGNED": 1, "B_SIGNED": 1}, ("CLK",), zeros)


def tables(kind, parameter, pins, output):
    """One bit of the table at a time, and a mixed one: the output is linear in the table."""
    for table in [1 << bit for bit in range(16)] + [0x6B2D]:
        yield Cell(kind, bits(*pins), bits(output), {parameter: f"16'h{table:x}"})


def combs():
    pins = bits("A", "B", "C", "D", "M", "FCI", "F1", "FXA", "FXB")
    idle = dict.fromkeys(("WD", "WAD0", "WAD1", "WAD2", "WAD3", "WRE", "WCK"), "1'b0")
    for table in ("96a5", "8f1c", "7888"):
        for upper in ("1'b0", "1'b1"):
            values = {"INITVAL": f"16'h{table}", "IS_Z1": upper}
            yield Cell("TRELLIS_COMB", pins, bits("F", "OFX"), values, tied=idle)
            yield Cell("TRELLIS_COMB", pins, bits("F", "OFX"), values | {"MODE": '"CCU2"'},
                       tied=idle)
    yield Cell("TRELLIS_COMB", bits("A", "B", "C", "D", "WD", "WAD0", "WAD1", "WAD2", "WAD3",
                                    "WRE"), bits("F"),
               {"INITVAL": "16'h5b39", "MODE": '"DPRAM"', "IS_Z1": "1'b0"}, ("WCK",),
               dict.fromkeys(("M", "FCI", "F1", "FXA", "FXB"), "1'b0"))


def ecp5_flip_flops():
    for enable in ("CE", "INV", "1", "0"):
        for mode in ("LSR_OVER_CE", "ASYNC"):
            for level, source in (("SET", "LSR"), ("RESET", "INV"), ("RESET", "LSR")):
                yield Cell("TRELLIS_FF", bits("LSR", "CE", "DI", "M"), bits("Q"),
                           {"GSR": '"DISABLED"', "CEMUX": f'"{enable}"', "SRMODE": f'"{mode}"',
                            "REGSET": f'"{level}"', "LSRMUX": f'"{source}"'}, ("CLK",))


ICE40 = [*tables("SB_LUT4", "LUT_INIT", ("I0", "I1", "I2", "I3"), "O"),
         Cell("SB_CARRY", bits("I0", "I1", "CI"), bits("CO")),
         Cell("SB_GB", bits("USER_SIGNAL_TO_GLOBAL_BUFFER"), bits("GLOBAL_BUFFER_OUTPUT")),
         *flip_flops(), *rams(), *logic_cells(), *multipliers()]
ECP5 = [*tables("LUT4", "INIT", ("A", "B", "C", "D"), "Z"),
        Cell("PFUMX", bits("ALUT", "BLUT", "C0"), bits("Z")),
        Cell("L6MUX21", bits("D0", "D1", "SD"), bits("Z")),
        Cell("TRELLIS_DPR16X4", {"DI": 4, "WAD": 4, "RAD": 4, "WRE": 1}, {"DO": 4},
             {"INITVAL": "64'h0123456789abcdef"}, ("WCK",)),
        *combs(), *ecp5_flip_flops()]


def bench(cells):
    """A module that drives each cell's two forms and says where they differ."""
    lines = ["module bench(input clock);", "  reg [31:0] cycle = 0;",
             "  always @(negedge clock) cycle <= cycle + 1;"]
    checks = []
    for number, cell in enumerate(cells):
        lines.append(f"  // {number}: {cell.type} {cell.parameters}")
        count = sum(cell.inputs.values())
        whole = f"all_{number}"
        lines.append(f"  reg [{max(count, 1) - 1}:0] {whole} = 0;")
        chunks = ", ".join(["$urandom"] * ((count + 31) // 32))
        step = (f"{whole} + 1'b1" if not cell.clocks and count <= 12 else f"{{{chunks}}}")
        lines.append(f"  always @(negedge clock) {whole} <= {step};")
        at = 0
        own = {}
        for name, width in cell.inputs.items():
            own[name] = f"{name}_{number}x"
            lines.append(f"  wire [{width - 1}:0] {own[name]} = {whole}[{at} +: {width}];")
            at += width
        for name, text in cell.tied.items():
            own[name] = f"{name}_{number}x"
            for other in sorted(cell.inputs, key=len, reverse=True):
                text = re.sub(rf"\b{other}\b", f"{other}_{number}x", text)
            width = 11 if name in ("RADDR",) else 1
            lines.append(f"  wire [{width - 1}:0] {own[name]} = {text};")
        pins = [f".{name}({wire})" for name, wire in own.items() if name != "high"]
        pins += [f".{name}(clock)" for name in cell.clocks]
        values = ", ".join(f".{name}({value})" for name, value in cell.parameters.items())
        for kind in ("model_", ""):
            outs = []
            for name, width in cell.outputs.items():
                lines.append(f"  wire [{width - 1}:0] {kind}{name}_{number}y;")
                outs.append(f".{name}({kind}{name}_{number}y)")
            lines.append(f"  {kind}{cell.type} #({values}) {kind}cell_{number} "
                         f"({', '.join(pins + outs)});")
        for name in cell.outputs:
            checks.append(f"    if (model_{name}_{number}y !== {name}_{number}y) begin "
                          f'$display("DIFFERS {number} {cell.type} {name}"); $finish; end')
    lines += ["  always @(posedge clock) begin", *checks, "  end",
              "  always @(negedge clock) begin", *checks,
              f'    if (cycle == {CYCLES}) begin $display("SAME"); $finish; end', "  end",
              "endmodule"]
    return "\n".join(lines) + "\n"


def run(cells, library, folder, change=lambda text: text):
    """What the bench says: SAME, or which cell differs in which output first."""
    types = {cell.type for cell in cells}
    models = change(primitive_models("", types))
    for name in sorted(cell_models(), key=len, reverse=True):
        models = re.sub(rf"^( *(?:module )?){name}\b(?= [#(\w])", rf"\1model_{name}", models,
                        flags=re.MULTILINE)
    (folder / "bench.v").write_text(f"`timescale 1ps / 1ps\n{models}\n{bench(cells)}")
    (folder / "main.cpp").write_text(MAIN)
    done = subprocess.run(
        [verilator(), "--cc", "--exe", "--build", "--no-timing", "-O3", "--x-initial", "0", "--x-assign", "0",
         "-Wno-fatal", "-Wno-lint", "-Werror-USERFATAL", "--top-module", "bench", "-DNO_INCLUDES",
         "-DNO_ICE40_DEFAULT_ASSIGNMENTS",
         f"-I{library.parent}", "-Mdir", "made", "-MAKEFLAGS", "OPT_FAST=-O1 OPT_SLOW=-O0",
         "-o", "bench", "bench.v", str(library), "main.cpp"],
        cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-2000:]
    shown = subprocess.run([folder / "made" / "bench"], capture_output=True, text=True, check=True)
    return [line for line in shown.stdout.splitlines() if line.startswith(("SAME", "DIFFERS"))]


@pytest.mark.parametrize(("cells", "library"), [
    (ICE40, BODIES / "ice40" / "cells_sim.v"), (ECP5, BODIES / "ecp5" / "cells_sim.v")],
    ids=["ice40", "ecp5"])
def test_models_do_what_yosys_cells_do(cells, library, tmp_path):
    assert run(cells, library, tmp_path) == ["SAME"]
