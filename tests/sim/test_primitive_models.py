"""Models of FPGA primitives refuse what they do not model."""

import subprocess

import pytest

from kaniwa.sim.device.toolchain import environment, verilator
from kaniwa.sim.primitives.models import primitive_models

pytestmark = pytest.mark.rtl

ECP5 = """module dut(input clk, input [17:0] a, output p);
  MULT18X18D #(.{parameter}) block (.CLK0(clk), .CE0(1'b1), .RST0(1'b0), .A0(a[0]), .P0(p));
endmodule
"""
ICE40 = """module dut(input clk, input [15:0] a, output [31:0] p);
  SB_MAC16 #(.MODE_8x8(1), .TOPOUTPUT_SELECT(2), .BOTOUTPUT_SELECT(2), .A_SIGNED(1),
    .B_SIGNED(1), .{parameter}) block (.CLK(clk), .CE(1'b1), .A(a), .B(a), .O(p));
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
    (ICE40, "A_REG(1)"), (ICE40, "BOT_8x8_MULT_REG(1)")])
def test_modelled_parameters_build(tmp_path, text, parameter):
    assert lint(text.format(parameter=parameter), tmp_path) == ""


@pytest.mark.parametrize(("text", "parameter", "message"), [
    (ECP5, 'REG_OUTPUT_CLK("CLK1")', "registers have CLK0 or none"),
    (ECP5, 'REG_INPUTC_CLK("CLK0")', "registers have CLK0 or none"),
    (ECP5, 'REG_PIPELINE_CE("CE1")', "registers have CE0"),
    (ECP5, 'RESETMODE("ASYNC")', "registers have the synchronous RST0"),
    (ECP5, 'MULT_BYPASS("ENABLED")', "does not know"),
    (ICE40, "NEG_TRIGGER(1)", "does not know"),
    (ICE40, "PIPELINE_16x16_MULT_REG1(1)", "does not know")])
def test_other_parameters_stop_the_build(tmp_path, text, parameter, message):
    assert message in lint(text.format(parameter=parameter), tmp_path)


def test_gateware_without_primitives_gets_no_models():
    assert primitive_models("module dut(input clk);\n  Sb_Mac16 block (clk);\nendmodule\n") == ""
