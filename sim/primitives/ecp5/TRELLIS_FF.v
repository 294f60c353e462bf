// ECP5's flip-flop as yosys and nextpnr name it; the parts of a slice are those of Lattice's data
// sheet of the family (FPGA-DS-02012). LSR sets or clears it, with the clock or at once, and needs
// no enable. CEMUX says whether the enable is a wire, its complement or always 1, SD whether the
// data come from the lookup table (DI) or from outside the slice (M). LSR without a wire is 0.

module TRELLIS_FF #(
  parameter GSR = "ENABLED", parameter CEMUX = "1", parameter CLKMUX = "CLK",
  parameter LSRMUX = "LSR", parameter LSRMODE = "LSR", parameter SRMODE = "LSR_OVER_CE",
  parameter REGSET = "RESET", parameter SD = "1"
) (
  input CLK, LSR, CE, DI, M,
  output Q
);
  localparam SET = REGSET == "SET";

  generate
    if (GSR != "DISABLED" || CLKMUX != "CLK" || LSRMODE != "LSR")
      $fatal(1, "TRELLIS_FF: this model knows the rising edge only, no global reset, no preload");
    if (CEMUX != "CE" && CEMUX != "INV" && CEMUX != "1" && CEMUX != "0")
      $fatal(1, "TRELLIS_FF: this model does not know that CEMUX");
    if (LSRMUX != "LSR" && LSRMUX != "INV")
      $fatal(1, "TRELLIS_FF: this model does not know that LSRMUX");
    if (SRMODE != "LSR_OVER_CE" && SRMODE != "ASYNC")
      $fatal(1, "TRELLIS_FF: this model does not know that SRMODE");
    if (REGSET != "SET" && REGSET != "RESET")
      $fatal(1, "TRELLIS_FF: this model does not know that REGSET");
  endgenerate

  wire enable = CEMUX == "CE" ? CE : CEMUX == "INV" ? !CE : CEMUX == "1";
  wire set_or_clear = LSRMUX == "INV" ? !LSR : LSR;
  wire data = SD == "0" ? M : DI;
  reg register = SET;
  assign Q = register;

  generate
    if (SRMODE == "ASYNC") begin : at_once
      always @(posedge CLK or posedge set_or_clear)
        if (set_or_clear) register <= SET;
        else if (enable) register <= data;
    end else begin : with_the_clock
      always @(posedge CLK)
        if (set_or_clear) register <= SET;
        else if (enable) register <= data;
    end
  endgenerate
endmodule
