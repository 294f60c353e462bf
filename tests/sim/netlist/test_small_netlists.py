"""Small designs through synthesis and the passes behind it, cell by cell beside their sources."""

import copy
import json

import pytest
from builders.compared_modules import compare

from kaniwa.boards.families.ecp5 import BLOCK_RAM
from kaniwa.boards.flow import tools
from kaniwa.boards.flow.output_registers import fold_output_registers
from kaniwa.errors import BuildError
from kaniwa.sim.netlist.verilog import netlist_verilog

pytestmark = pytest.mark.rtl

# A side of 36 bits, read with an enable and written by the byte; a counter of what was read.
WHOLE = """
module source(input clock, input [47:0] a, output [35:0] q, output [7:0] count);
  (* no_rw_check *) reg [35:0] words [0:511];
  reg [35:0] word, register;
  reg [7:0] counter = 0;
  integer i;
  initial begin
    for (i = 0; i < 512; i = i + 1) words[i] = {i[8:0], 9'h5, ~i[8:0], i[8:0]};
    word = 0;
    register = 0;
  end
  wire [8:0] write = a[8:0], read = {a[17:10], ~a[0]};   // never the same word
  always @(posedge clock) begin
    for (i = 0; i < 4; i = i + 1)
      if (a[19] && a[20 + i]) words[write][9 * i +: 9] <= {4{a[32:24]}} >> i;
    if (a[18]) word <= words[read];
    register <= word;
    counter <= counter + a[18];
  end
  assign q = register;
  assign count = counter;
endmodule
"""
# Sides that both write and read before they write: of 18, of 9 and of 2 bits.
SIDES = """
module source(input clock, input [47:0] a, output [{top}:0] q, output [7:0] count);
  reg [{top}:0] words [0:{last}];
  reg [{top}:0] word = 0, register = 0;
  wire [{high}:0] at = a[{high}:0];
  integer i;
  initial for (i = 0; i <= {last}; i = i + 1) words[i] = i * 37 ^ i >> 3;
  always @(posedge clock) begin
    if (a[16]) begin
      word <= words[at];
      if (a[17]) words[at] <= a[47:20];
    end
    register <= word;
  end
  assign q = register;
  assign count = 0;
endmodule
"""
SHAPES = {18: (17, 1023, 9), 9: (8, 2047, 10), 2: (3, 8191, 12)}
LOGIC = """
module source(input clock, input [47:0] a, output [35:0] q, output [7:0] count);
  reg [15:0] sum = 3, table_of [0:15];
  reg [7:0] counter = 8'h81;
  reg [15:0] found;
  integer i;
  initial for (i = 0; i < 16; i = i + 1) table_of[i] = 0;
  always @(posedge clock) begin
    if (a[0]) sum <= sum + a[16:1] - (a[17] ? a[33:18] : 16'd9);
    if (a[34]) counter <= 8'h81; else if (a[35]) counter <= counter + 1;
    if (a[36]) table_of[a[40:37]] <= a[16:1];
    found <= table_of[a[44:41]] ^ {16{a[45]}};
  end
  assign q = {a[46] & a[20] ^ a[3], found, sum};
  assign count = a[47] ? counter : a[27:20] * 3;
endmodule
"""
SYNTHESIS = {"ecp5": "synth_ecp5 -top source", "ice40": "synth_ice40 -device u -top source"}


def synthesized(text, folder, family="ecp5"):
    (folder / "source.v").write_text(text)
    (folder / "synth.ys").write_text(
        f"read_verilog source.v\n{SYNTHESIS[family]}\nsplitnets\nwrite_json source.json\n")
    log = folder / "yosys.log"
    assert not tools.run(tools.yosys_command("synth.ys"), folder, log), log.read_text()[-2000:]
    return json.loads((folder / "source.json").read_text())["modules"]["source"]


def beside_source(module, text, folder):
    """"same", or the output in which a netlist differs from what it was made from."""
    netlist = netlist_verilog(module, "netlist")
    width = len(module["ports"]["q"]["bits"])
    lines = f"""
  reg [47:0] a = 0;
  always @(negedge clock) a <= {{$urandom, $urandom}};
  wire [{width - 1}:0] q_source, q_netlist;
  wire [7:0] count_source, count_netlist;
  source one (.clock(clock), .a(a), .q(q_source), .count(count_source));
  netlist other (.clock(clock), .a(a), .q(q_netlist), .count(count_netlist));
"""
    return compare(lines, [("q_netlist", "q_source"), ("count_netlist", "count_source")], folder,
                   text, netlist)


def blocks(module):
    return [cell for cell in module["cells"].values() if cell["type"] == "DP16KD"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return synthesized(WHOLE, tmp_path_factory.mktemp("whole"))


def test_a_word_of_36_bits_is_the_same_from_the_blocks_register(whole, tmp_path):
    module = copy.deepcopy(whole)
    assert fold_output_registers(module, BLOCK_RAM) == 36
    (block,) = blocks(module)
    assert block["parameters"]["REGMODE_A"] == block["parameters"]["REGMODE_B"] == "OUTREG"
    assert beside_source(module, WHOLE, tmp_path) == "same"


@pytest.mark.parametrize("width", SHAPES)
def test_a_side_is_the_same_from_the_blocks_register(width, tmp_path):
    top, last, high = SHAPES[width]
    text = SIDES.format(top=top, last=last, high=high)
    module = synthesized(text, tmp_path)
    assert {int(cell["parameters"]["DATA_WIDTH_A"], 2) for cell in blocks(module)} == {width}
    assert fold_output_registers(module, BLOCK_RAM) == top + 1
    assert beside_source(module, text, tmp_path) == "same"


def test_a_block_as_it_was_before_the_pass_is_the_same(whole, tmp_path):
    assert beside_source(whole, WHOLE, tmp_path) == "same"


def test_a_register_in_a_block_whose_word_another_one_reads_is_found(tmp_path):
    """What the pass leaves alone, done by hand: the other reader has the word a cycle late."""
    text = WHOLE.replace("assign count = counter;", "assign count = counter ^ word[7:0];")
    module = synthesized(text, tmp_path)
    assert fold_output_registers(module, BLOCK_RAM) == 0
    (block,) = blocks(module)
    of_word = {bits[0]: pin for pin, bits in block["connections"].items() if pin.startswith("DO")}
    for name, cell in list(module["cells"].items()):
        pin = of_word.get(cell["connections"].get("DI", [None])[0])
        if cell["type"] == "TRELLIS_FF" and pin:
            output = module["cells"].pop(name)["connections"]["Q"]
            for port in module["ports"].values():
                port["bits"] = [block["connections"][pin][0] if bit in output else bit
                                for bit in port["bits"]]
    for side in "AB":
        block["parameters"][f"REGMODE_{side}"] = "OUTREG"
        block["connections"][f"OCE{side}"] = ["1"]
    assert beside_source(module, text, tmp_path) == "count_netlist"


@pytest.mark.parametrize("family", SYNTHESIS)
def test_logic_is_the_same_and_a_flipped_bit_of_a_table_is_found(family, tmp_path):
    module = synthesized(LOGIC, tmp_path, family)
    assert beside_source(module, LOGIC, tmp_path) == "same"
    kind, table = {"ecp5": ("LUT4", "INIT"), "ice40": ("SB_LUT4", "LUT_INIT")}[family]
    used = [bit for port in ("q", "count") for bit in module["ports"][port]["bits"]]
    pin = {"ecp5": "Z", "ice40": "O"}[family]
    cell = next(cell for cell in module["cells"].values()
                if cell["type"] == kind and cell["connections"][pin][0] in used)
    bits = cell["parameters"][table]
    cell["parameters"][table] = bits[:-1] + ("0" if bits[-1] == "1" else "1")
    assert beside_source(module, LOGIC, tmp_path) in ("q_netlist", "count_netlist")


@pytest.mark.parametrize(("change", "message"), [
    (lambda block: block.update(type="PDPW16KD"), "no model of the cell PDPW16KD"),
    (lambda block: block["parameters"].update(FRESH="1"), "DP16KD has no parameter FRESH"),
    (lambda block: block["connections"].update(NEWPIN=["0"]), "DP16KD has no pin NEWPIN")])
def test_what_has_no_model_is_named(whole, change, message):
    module = copy.deepcopy(whole)
    change(blocks(module)[0])
    with pytest.raises(BuildError, match=message):
        netlist_verilog(module, "netlist")


def test_a_value_that_a_model_does_not_know_stops_the_build(whole, tmp_path):
    module = copy.deepcopy(whole)
    blocks(module)[0]["parameters"]["CSDECODE_A"] = "0b001"
    with pytest.raises(AssertionError, match="DP16KD: this model knows neither CSDECODE"):
        beside_source(module, WHOLE, tmp_path)
