// ECP5's 18 x 18 multiplier block, from Lattice's description of it (FPGA-TN-02205): signed
// operands, and registers that CLK0 and CE0 drive, at the inputs, in the middle and at the output
// as the parameters say. Anything else stops the build.

module MULT18X18D #(
  parameter REG_INPUTA_CLK = "NONE",
  parameter REG_INPUTA_CE = "CE0",
  parameter REG_INPUTA_RST = "RST0",
  parameter REG_INPUTB_CLK = "NONE",
  parameter REG_INPUTB_CE = "CE0",
  parameter REG_INPUTB_RST = "RST0",
  parameter REG_INPUTC_CLK = "NONE",
  parameter REG_PIPELINE_CLK = "NONE",
  parameter REG_PIPELINE_CE = "CE0",
  parameter REG_PIPELINE_RST = "RST0",
  parameter REG_OUTPUT_CLK = "NONE",
  parameter REG_OUTPUT_CE = "CE0",
  parameter REG_OUTPUT_RST = "RST0",
  parameter CLK0_DIV = "ENABLED",
  parameter HIGHSPEED_CLK = "NONE",
  parameter GSR = "ENABLED",
  parameter CAS_MATCH_REG = "FALSE",
  parameter SOURCEB_MODE = "B_SHIFT",
  parameter MULT_BYPASS = "DISABLED",
  parameter RESETMODE = "SYNC"
) (
  input
    A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
  input
    B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
  input
    C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
  input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0,
  output
    P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
    P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);

  localparam A_REGISTER = REG_INPUTA_CLK == "CLK0";
  localparam B_REGISTER = REG_INPUTB_CLK == "CLK0";
  localparam MIDDLE_REGISTER = REG_PIPELINE_CLK == "CLK0";
  localparam OUTPUT_REGISTER = REG_OUTPUT_CLK == "CLK0";

  generate
    if ((!A_REGISTER && REG_INPUTA_CLK != "NONE") || (!B_REGISTER && REG_INPUTB_CLK != "NONE")
        || (!MIDDLE_REGISTER && REG_PIPELINE_CLK != "NONE")
        || (!OUTPUT_REGISTER && REG_OUTPUT_CLK != "NONE") || REG_INPUTC_CLK != "NONE")
      $fatal(1, "MULT18X18D: registers have CLK0 or none, and C has none");
    if (REG_INPUTA_CE != "CE0" || REG_INPUTB_CE != "CE0" || REG_PIPELINE_CE != "CE0"
        || REG_OUTPUT_CE != "CE0")
      $fatal(1, "MULT18X18D: registers have CE0");
    if (REG_INPUTA_RST != "RST0" || REG_INPUTB_RST != "RST0" || REG_PIPELINE_RST != "RST0"
        || REG_OUTPUT_RST != "RST0" || RESETMODE != "SYNC")
      $fatal(1, "MULT18X18D: registers have the synchronous RST0");
    if (CLK0_DIV != "ENABLED" || HIGHSPEED_CLK != "NONE" || CAS_MATCH_REG != "FALSE"
        || SOURCEB_MODE != "B_SHIFT" || MULT_BYPASS != "DISABLED")
      $fatal(1, "MULT18X18D: a parameter has a value that this model does not know");
  endgenerate

  wire signed [17:0] a = {
    A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0
  };
  wire signed [17:0] b = {
    B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0
  };
  reg signed [17:0] a_register = 0, b_register = 0;
  reg signed [35:0] middle_register = 0, output_register = 0;

  wire signed [17:0] a_used = A_REGISTER ? a_register : a;
  wire signed [17:0] b_used = B_REGISTER ? b_register : b;
  wire signed [35:0] product = a_used * b_used;
  wire signed [35:0] middle = MIDDLE_REGISTER ? middle_register : product;
  assign {
    P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
    P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
  } = OUTPUT_REGISTER ? output_register : middle;

  always @(posedge CLK0) begin
    if (RST0) begin
      a_register <= 0;
      b_register <= 0;
      middle_register <= 0;
      output_register <= 0;
    end else if (CE0) begin
      a_register <= a;
      b_register <= b;
      middle_register <= product;
      output_register <= middle;
    end
    if (!SIGNEDA || !SIGNEDB || SOURCEA || SOURCEB)
      $fatal(1, "MULT18X18D: only signed operands, from the ports A and B");
  end
endmodule
