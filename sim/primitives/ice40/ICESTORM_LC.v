// A logic cell of iCE40 as nextpnr packs it: lookup table, carry and flip-flop of Lattice's
// technology library in one cell. An input without a wire is 0, the enable 1.

module ICESTORM_LC #(
  parameter [15:0] LUT_INIT = 16'h0000,
  parameter CARRY_ENABLE = 0, parameter CIN_CONST = 0, parameter CIN_SET = 0,
  parameter DFF_ENABLE = 0, parameter SET_NORESET = 0, parameter ASYNC_SR = 0,
  parameter NEG_CLK = 0
) (
  input I0, I1, I2, I3, CIN, CLK, SR, input CEN = 1'b1,
  output LO, O, COUT
);
  generate
    if (NEG_CLK != 0) $fatal(1, "ICESTORM_LC: this model knows the rising edge only");
  endgenerate

  wire table_output = LUT_INIT[{I3, I2, I1, I0}];
  wire carry = CIN_CONST != 0 ? CIN_SET != 0 : CIN;
  reg register = 1'b0;

  generate
    if (DFF_ENABLE != 0) begin : flip_flop
      if (ASYNC_SR != 0) begin : at_once
        always @(posedge CLK or posedge SR)
          if (SR) register <= SET_NORESET != 0;
          else if (CEN) register <= table_output;
      end else begin : with_the_clock
        always @(posedge CLK)
          if (CEN) register <= SR ? SET_NORESET != 0 : table_output;
      end
    end
  endgenerate

  assign LO = table_output;
  assign O = DFF_ENABLE != 0 ? register : table_output;
  assign COUT = CARRY_ENABLE != 0 && ((I1 & I2) | (carry & (I1 | I2)));
endmodule
