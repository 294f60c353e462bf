// iCE40 UltraPlus' multiplier block, from Lattice's description of it (FPGA-TN-02007), as two
// signed multipliers of 8 x 8 bits: registers at the inputs and behind the products as the
// parameters say. Anything else stops the build.

module SB_MAC16 #(
  parameter NEG_TRIGGER = 0,
  parameter A_REG = 0,
  parameter B_REG = 0,
  parameter C_REG = 0,
  parameter D_REG = 0,
  parameter TOP_8x8_MULT_REG = 0,
  parameter BOT_8x8_MULT_REG = 0,
  parameter PIPELINE_16x16_MULT_REG1 = 0,
  parameter PIPELINE_16x16_MULT_REG2 = 0,
  parameter TOPOUTPUT_SELECT = 0,
  parameter BOTOUTPUT_SELECT = 0,
  parameter MODE_8x8 = 0,
  parameter A_SIGNED = 0,
  parameter B_SIGNED = 0
) (
  input CLK, CE,
  input [15:0] A, B, C, D,
  input AHOLD, BHOLD, CHOLD, DHOLD, IRSTTOP, IRSTBOT, ORSTTOP, ORSTBOT, OLOADTOP, OLOADBOT,
    ADDSUBTOP, ADDSUBBOT, OHOLDTOP, OHOLDBOT, CI, ACCUMCI, SIGNEXTIN,
  output [31:0] O
);
  generate
    if (MODE_8x8 != 1 || TOPOUTPUT_SELECT != 2 || BOTOUTPUT_SELECT != 2)
      $fatal(1, "SB_MAC16: this model knows two 8 x 8 products only");
    if (A_SIGNED != 1 || B_SIGNED != 1)
      $fatal(1, "SB_MAC16: this model knows signed operands only");
    if (NEG_TRIGGER != 0 || C_REG != 0 || D_REG != 0 || PIPELINE_16x16_MULT_REG1 != 0
        || PIPELINE_16x16_MULT_REG2 != 0)
      $fatal(1, "SB_MAC16: a parameter has a value that this model does not know");
  endgenerate

  reg [15:0] a_register = 0, b_register = 0;
  reg signed [15:0] top_register = 0, bottom_register = 0;

  wire [15:0] a = A_REG ? a_register : A;
  wire [15:0] b = B_REG ? b_register : B;
  wire signed [15:0] top = $signed(a[15:8]) * $signed(b[15:8]);
  wire signed [15:0] bottom = $signed(a[7:0]) * $signed(b[7:0]);
  assign O = {TOP_8x8_MULT_REG ? top_register : top, BOT_8x8_MULT_REG ? bottom_register : bottom};

  always @(posedge CLK) begin
    if (CE) begin
      a_register <= A;
      b_register <= B;
      top_register <= top;
      bottom_register <= bottom;
    end
    if (AHOLD || BHOLD || IRSTTOP || IRSTBOT)
      $fatal(1, "SB_MAC16: this model does not know hold and reset");
  end
endmodule
