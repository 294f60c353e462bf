// iCE40's clock generator at a pin, for simulation in cycles of the clock that it makes: a cycle of
// the pin stands for one of them. The lock comes some cycles late, as on the device.

module SB_PLL40_PAD #(
  parameter DIVR = 0, parameter DIVF = 0, parameter DIVQ = 0, parameter FILTER_RANGE = 0,
  parameter FEEDBACK_PATH = "SIMPLE", parameter PLLOUT_SELECT = "GENCLK"
) (
  input PACKAGEPIN, RESETB, BYPASS,
  output PLLOUTGLOBAL, LOCK
);
  generate
    if (FEEDBACK_PATH != "SIMPLE" || PLLOUT_SELECT != "GENCLK")
      $fatal(1, "SB_PLL40_PAD: this model knows simple feedback and the clock itself only");
  endgenerate

  LATE_LOCK lock (.CLK(PACKAGEPIN), .LOCK(LOCK));
  assign PLLOUTGLOBAL = PACKAGEPIN;
endmodule
