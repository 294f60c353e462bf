// iCE40's clock generator as nextpnr packs it, for simulation in cycles of the clock that it makes,
// as SB_PLL40_PAD is. Its reference comes from the pin beside it, its clock leaves it over a global
// buffer; where the netlist has no wire for these, one is put in before (hidden_wires.py).

module ICESTORM_PLL #(
  parameter PLLTYPE = 0, parameter [2:0] FEEDBACK_PATH = 0, parameter PLLOUT_SELECT = "GENCLK",
  parameter PLLOUT_SELECT_A = 0, parameter PLLOUT_SELECT_B = 0,
  parameter DIVR = 0, parameter DIVF = 0, parameter DIVQ = 0, parameter FILTER_RANGE = 0,
  parameter TEST_MODE = 0, parameter SHIFTREG_DIVMODE = 0, parameter ENABLE_ICEGATE_PORTA = 0,
  parameter ENABLE_ICEGATE_PORTB = 0, parameter FDA_RELATIVE = 0, parameter FDA_FEEDBACK = 0,
  parameter DELAY_ADJMODE_REL = 0, parameter DELAY_ADJMODE_FB = 0
) (
  input REFERENCECLK, RESETB, BYPASS, EXTFEEDBACK, LATCHINPUTVALUE, SCLK, SDI,
  input DYNAMICDELAY_7, DYNAMICDELAY_6, DYNAMICDELAY_5, DYNAMICDELAY_4, DYNAMICDELAY_3,
    DYNAMICDELAY_2, DYNAMICDELAY_1, DYNAMICDELAY_0,
  output PLLOUT_A, PLLOUT_A_GLOBAL, LOCK, SDO
);
  generate
    if (PLLTYPE != 2)
      $fatal(1, "ICESTORM_PLL: this model knows the reference from the pin beside it only");
    if (FEEDBACK_PATH != 1 || PLLOUT_SELECT != "GENCLK" || PLLOUT_SELECT_A != 0 || TEST_MODE != 0
        || ENABLE_ICEGATE_PORTA != 0)
      $fatal(1, "ICESTORM_PLL: this model knows simple feedback and the clock itself only");
  endgenerate

  SB_PLL40_PAD made (
    .PACKAGEPIN(REFERENCECLK), .RESETB(RESETB), .BYPASS(BYPASS), .PLLOUTGLOBAL(PLLOUT_A_GLOBAL),
    .LOCK(LOCK)
  );
  assign PLLOUT_A = PLLOUT_A_GLOBAL;
  assign SDO = 1'b0;
endmodule
