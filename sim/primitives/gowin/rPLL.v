// Gowin's clock generator, for simulation in cycles of the clock that it makes: a cycle of the pin
// stands for one of them. The lock comes some cycles late, as on the device. CLKOUTP has no phase of
// its own: it is for a chip that is not clocked by it here.

module rPLL #(
  parameter FCLKIN = "", parameter IDIV_SEL = 0, parameter FBDIV_SEL = 0, parameter ODIV_SEL = 8,
  parameter DEVICE = "", parameter DYN_IDIV_SEL = "false", parameter DYN_FBDIV_SEL = "false",
  parameter DYN_ODIV_SEL = "false", parameter DYN_DA_EN = "false", parameter PSDA_SEL = "0000",
  parameter DUTYDA_SEL = "1000", parameter CLKFB_SEL = "internal",
  parameter CLKOUT_BYPASS = "false", parameter CLKOUTP_BYPASS = "false",
  parameter CLKOUTD_BYPASS = "false"
) (
  input CLKIN, CLKFB, RESET, RESET_P,
  input [5:0] FBDSEL, IDSEL, ODSEL,
  input [3:0] PSDA, DUTYDA, FDLY,
  output CLKOUT, CLKOUTP, LOCK
);
  generate
    if (CLKFB_SEL != "internal" || CLKOUT_BYPASS != "false" || CLKOUTP_BYPASS != "false")
      $fatal(1, "rPLL: this model knows internal feedback without bypass only");
  endgenerate

  LATE_LOCK lock (.CLK(CLKIN), .LOCK(LOCK));
  assign CLKOUT = CLKIN;
  assign CLKOUTP = CLKIN;
endmodule
