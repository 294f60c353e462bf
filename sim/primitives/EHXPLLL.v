// ECP5's clock generator, for simulation in cycles of the clock that it makes: a cycle of the pin
// stands for one of them. The lock comes some cycles late, as on the device. CLKOS has no phase
// of its own: it is for a chip that is not clocked by it here, or as fast as CLKOP. CLKOS2 is CLKOS
// divided; its edges are where CLKOS falls, so that none meets what changes with CLKOS.

module EHXPLLL #(
  parameter PLLRST_ENA = "DISABLED", parameter INTFB_WAKE = "DISABLED",
  parameter STDBY_ENABLE = "DISABLED", parameter DPHASE_SOURCE = "DISABLED",
  parameter OUTDIVIDER_MUXA = "DIVA", parameter OUTDIVIDER_MUXB = "DIVB",
  parameter OUTDIVIDER_MUXC = "DIVC", parameter OUTDIVIDER_MUXD = "DIVD",
  parameter CLKI_DIV = 1, parameter CLKFB_DIV = 1, parameter FEEDBK_PATH = "CLKOP",
  parameter CLKOP_ENABLE = "ENABLED", parameter CLKOP_DIV = 8, parameter CLKOP_CPHASE = 0,
  parameter CLKOP_FPHASE = 0, parameter CLKOS_ENABLE = "DISABLED", parameter CLKOS_DIV = 8,
  parameter CLKOS_CPHASE = 0, parameter CLKOS_FPHASE = 0,
  parameter CLKOS2_ENABLE = "DISABLED", parameter CLKOS2_DIV = 8, parameter CLKOS2_CPHASE = 0,
  parameter CLKOS2_FPHASE = 0
) (
  input CLKI, CLKFB, RST, STDBY, PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG,
    PLLWAKESYNC, ENCLKOP,
  output CLKOP, CLKOS, CLKOS2, LOCK
);
  generate
    if (FEEDBK_PATH != "CLKOP" || CLKOP_ENABLE != "ENABLED")
      $fatal(1, "EHXPLLL: this model knows CLKOP with feedback from itself only");
  endgenerate

  LATE_LOCK lock (.CLK(CLKI), .LOCK(LOCK));
  assign CLKOP = CLKI;
  assign CLKOS = CLKI;

  generate
    if (CLKOS2_ENABLE == "ENABLED") begin
      reg [7:0] phase = 0;
      reg divided = 0;
      always @(negedge CLKI) begin
        phase <= phase + 1;
        if (phase == CLKOS2_DIV / CLKOS_DIV / 2 - 1) begin
          phase <= 0;
          divided <= !divided;
        end
      end
      assign CLKOS2 = divided;
    end else
      assign CLKOS2 = 1'b0;
  endgenerate
endmodule
