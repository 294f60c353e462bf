"""Models of FPGA primitives refuse what they do not model."""

import subprocess

import pytest

from kaniwa.sim.device.toolchain import environment, verilator
from kaniwa.sim.harness.mutants import yosys
from kaniwa.sim.primitives import models
from kaniwa.sim.primitives.models import primitive_models

pytestmark = pytest.mark.rtl

ECP5 = """module dut(input clk, input [17:0] a, output p);
  MULT18X18D #(.{parameter}) block (.CLK0(clk), .CE0(1'b1), .RST0(1'b0), .A0(a[0]), .P0(p));
endmodule
"""
CARRY = """module dut(input [3:0] a, output s, c);
  CCU2C #(.{parameter}) carry (.A0(a[0]), .B0(a[1]), .CIN(a[2]), .S0(s), .COUT(c));
endmodule
"""
ICE40 = """module dut(input clk, input [15:0] a, output [31:0] p);
  SB_MAC16 #(.MODE_8x8(1), .TOPOUTPUT_SELECT(2), .BOTOUTPUT_SELECT(2), .A_SIGNED(1),
    .B_SIGNED(1), .{parameter}) block (.CLK(clk), .CE(1'b1), .A(a), .B(a), .O(p));
endmodule
"""

ODDR = """module dut(input clk, input a, output p, t);
  ODDR #(.{parameter}) pin (.CLK(clk), .D0(a), .D1(1'b0), .TX(1'b0), .Q0(p), .Q1(t));
endmodule
"""
RPLL = """module dut(input clk, output p);
  rPLL #(.{parameter}) clocks (.CLKIN(clk), .CLKOUTP(p));
endmodule
"""


def lint(text, folder):
    """What Verilator says of a module and the models of its primitives; empty if it is legal."""
    path = folder / "dut.v"
    path.write_text(primitive_models(text) + text)
    done = subprocess.run(
        [verilator(), "--lint-only", "-Wno-fatal", "-Wno-lint", "-Werror-USERFATAL",
         "--top-module", "dut", str(path)], env=environment(), capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stderr


@pytest.mark.parametrize(("text", "parameter"), [
    (ECP5, 'REG_INPUTA_CLK("CLK0")'), (ECP5, 'REG_PIPELINE_CLK("NONE")'),
    (CARRY, 'INJECT1_0("NO"), .INJECT1_1("NO")'),
    (ICE40, "A_REG(1)"), (ICE40, "BOT_8x8_MULT_REG(1)"),
    (ODDR, "TXCLK_POL(0)"), (RPLL, 'PSDA_SEL("1110")')])
def test_modelled_parameters_build(tmp_path, text, parameter):
    assert lint(text.format(parameter=parameter), tmp_path) == ""


@pytest.mark.parametrize(("text", "parameter", "message"), [
    (ECP5, 'REG_OUTPUT_CLK("CLK1")', "registers have CLK0 or none"),
    (ECP5, 'REG_INPUTC_CLK("CLK0")', "registers have CLK0 or none"),
    (ECP5, 'REG_PIPELINE_CE("CE1")', "registers have CE0"),
    (ECP5, 'RESETMODE("ASYNC")', "registers have the synchronous RST0"),
    (ECP5, 'MULT_BYPASS("ENABLED")', "does not know"),
    (CARRY, 'INJECT1_0("NO")', "both in the chain only"),
    (ICE40, "NEG_TRIGGER(1)", "does not know"),
    (ICE40, "PIPELINE_16x16_MULT_REG1(1)", "does not know"),
    (ODDR, "TXCLK_POL(1)", "the rising edge only"),
    (RPLL, 'CLKOUTP_BYPASS("true")', "without bypass only")])
def test_other_parameters_stop_the_build(tmp_path, text, parameter, message):
    assert message in lint(text.format(parameter=parameter), tmp_path)


def test_gateware_without_primitives_gets_no_models():
    assert primitive_models("module dut(input clk);\n  Sb_Mac16 block (clk);\nendmodule\n") == ""


SAME_CELL = """
read_verilog model.v cells.v
read_verilog +/lattice/ccu2c_sim.vh
hierarchy
proc
flatten
miter -equiv -flatten gold gate both
sat -verify -prove trigger 0 both
"""
CELLS = """module LUT4(input A, B, C, D, output Z);
  parameter [15:0] INIT = 0;
  assign Z = INIT[{{D, C, B, A}}];
endmodule
module LUT2(input A, B, output Z);
  parameter [3:0] INIT = 0;
  assign Z = INIT[{{B, A}}];
endmodule
module gold(input [8:0] i, output [2:0] o);
  Model #(.INIT0(16'h{table}), .INIT1(16'h{table}), .INJECT1_0("NO"), .INJECT1_1("NO")) carry (
    .CIN(i[8]), .A0(i[0]), .B0(i[1]), .C0(i[2]), .D0(i[3]), .A1(i[4]), .B1(i[5]), .C1(i[6]),
    .D1(i[7]), .S0(o[0]), .S1(o[1]), .COUT(o[2]));
endmodule
module gate(input [8:0] i, output [2:0] o);
  CCU2C #(.INIT0(16'h{table}), .INIT1(16'h{table}), .INJECT1_0("NO"), .INJECT1_1("NO")) carry (
    .CIN(i[8]), .A0(i[0]), .B0(i[1]), .C0(i[2]), .D0(i[3]), .A1(i[4]), .B1(i[5]), .C1(i[6]),
    .D1(i[7]), .S0(o[0]), .S1(o[1]), .COUT(o[2]));
endmodule
"""


@pytest.mark.parametrize("table", ["7888", "96aa", "1234", "fedc"])
def test_the_carry_cell_is_that_of_yosys(tmp_path, table):
    """For the sum of two masked numbers, synthesis' own adder, and any other table."""
    text = (models.FOLDER / "CCU2C.v").read_text().replace("module CCU2C", "module Model")
    (tmp_path / "model.v").write_text(text.replace('"YES"', '"NO"'))    # what is not modelled
    (tmp_path / "cells.v").write_text(CELLS.format(table=table))
    (tmp_path / "run.ys").write_text(SAME_CELL)
    done = subprocess.run([yosys(), "-q", "run.ys"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-600:] + done.stdout[-600:]
