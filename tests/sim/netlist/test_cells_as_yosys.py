"""Models of cells against the bodies that yosys has for them, in Verilator.

Each model is beside yosys' cell with the same inputs: all of them where they are up to twelve and
there is no clock, random ones for thousands of cycles elsewhere.
"""

import re
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from builders.compared_modules import compare

from kaniwa.sim.primitives.models import cell_models, primitive_models

pytestmark = pytest.mark.rtl
BODIES = Path(sysconfig.get_paths()["purelib"]) / "pyosys" / "share"


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
    """A bench's inside that drives each cell's two forms, and the pairs of their outputs."""
    lines, pairs = [], []
    for number, cell in enumerate(cells):
        count = sum(cell.inputs.values())
        every = f"all_{number}"
        random = ", ".join(["$urandom"] * -(-count // 32))
        following = f"{every} + 1'b1" if not cell.clocks and count <= 12 else f"{{{random}}}"
        lines += [f"  reg [{count - 1}:0] {every} = 0;",
                  f"  always @(negedge clock) {every} <= {following};"]
        own, at = {}, 0
        for name, width in cell.inputs.items():
            own[name] = f"{name}_{number}"
            lines.append(f"  wire [{width - 1}:0] {own[name]} = {every}[{at} +: {width}];")
            at += width
        for name, text in cell.tied.items():
            own[name] = f"{name}_{number}"
            for other in cell.inputs:
                text = re.sub(rf"\b{other}\b", f"{other}_{number}", text)
            lines.append(f"  wire [{10 if name == 'RADDR' else 0}:0] {own[name]} = {text};")
        pins = [f".{name}({wire})" for name, wire in own.items() if name != "high"]
        pins += [f".{name}(clock)" for name in cell.clocks]
        values = ", ".join(f".{name}({value})" for name, value in cell.parameters.items())
        for kind in ("model", "yosys"):
            outputs = []
            for name, width in cell.outputs.items():
                wire = f"{kind}_{cell.type}_{name}_{number}"
                lines.append(f"  wire [{width - 1}:0] {wire};")
                outputs.append(f".{name}({wire})")
            form = cell.type if kind == "yosys" else f"model_{cell.type}"
            lines.append(f"  {form} #({values}) {kind}_{number} ({', '.join(pins + outputs)});")
        pairs += [(f"model_{cell.type}_{name}_{number}", f"yosys_{cell.type}_{name}_{number}")
                  for name in cell.outputs]
    return "\n".join(lines), pairs


def run(cells, family, folder, fault=("", "")):
    """What a bench of cells says; ``fault``: a text in their models, and what is there instead."""
    models = primitive_models("", {cell.type for cell in cells})
    assert fault[0] in models
    models = models.replace(*fault)
    for name in sorted(cell_models(), key=len, reverse=True):
        models = re.sub(rf"^( *(?:module )?){name}\b(?= [#(\w])", rf"\1model_{name}", models,
                        flags=re.MULTILINE)
    # No wire is open here, and Verilator knows none inside. It finds no files in another folder.
    bodies = re.sub(r"\(\w+ === 1'bz\)", "1'b0", (BODIES / family / "cells_sim.v").read_text())
    bodies = re.sub(r'^`include "(\w+\.vh)"', lambda at: (BODIES / family / at[1]).read_text(),
                    bodies, flags=re.MULTILINE)
    lines, pairs = bench(cells)
    return compare(lines, pairs, folder, models, bodies)


@pytest.mark.parametrize(("family", "cells"), [("ice40", ICE40), ("ecp5", ECP5)])
def test_models_do_what_yosys_cells_do(family, cells, tmp_path):
    assert run(cells, family, tmp_path) == "same"


@pytest.mark.parametrize(("family", "kind", "fault"), [
    ("ice40", "ICESTORM_LC", ("carry & (I1 | I2)", "carry & I1")),
    ("ice40", "SB_RAM40_4K", ("RADDR[8] ? seen >> 1 : seen", "seen")),
    ("ecp5", "TRELLIS_COMB", ("{A, C, B, D}", "{D, C, B, A}"))])
def test_a_wrong_model_is_found(family, kind, fault, tmp_path):
    cells = [cell for cell in {"ice40": ICE40, "ecp5": ECP5}[family] if cell.type == kind]
    assert run(cells, family, tmp_path, fault).startswith(f"model_{kind}_")
