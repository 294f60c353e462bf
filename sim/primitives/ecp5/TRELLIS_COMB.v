// A lookup table of ECP5 as nextpnr packs it (its source, ecp5/cells.cc), with the carry chain, the
// RAM and the multiplexers of the slice that Lattice's data sheet of the family shows
// (FPGA-DS-02012). An input of the table without a wire is 1. A RAMW_BLOCK is a table whose inputs
// a write port uses.

module TRELLIS_COMB #(
  parameter MODE = "LOGIC", parameter [15:0] INITVAL = 16'h0000,
  parameter CCU2_INJECT1 = "NO", parameter WREMUX = "WRE", parameter WCKMUX = "WCK",
  parameter IS_Z1 = 0
) (
  input A = 1'b1, B = 1'b1, C = 1'b1, D = 1'b1, M = 1'b1,
  input FCI, F1, FXA, FXB, WD, WAD0, WAD1, WAD2, WAD3, WRE, WCK,
  output F, FCO, OFX
);
  generate
    if (MODE != "LOGIC" && MODE != "CCU2" && MODE != "DPRAM" && MODE != "RAMW_BLOCK")
      $fatal(1, "TRELLIS_COMB: this model does not know that MODE");
    if (CCU2_INJECT1 != "NO" && (CCU2_INJECT1 != "YES" || INITVAL != 16'hFFFF))
      $fatal(1, "TRELLIS_COMB: a cell before the carry chain hands the carry on in this model");
    if (WREMUX != "WRE" || WCKMUX != "WCK")
      $fatal(1, "TRELLIS_COMB: this model knows the rising edge and an enable that is 1 only");

    if (MODE == "DPRAM") begin : ram
      reg [15:0] words = INITVAL;
      always @(posedge WCK)
        if (WRE) words[{WAD3, WAD2, WAD1, WAD0}] <= WD;
      assign F = words[{A, C, B, D}];
      assign FCO = 1'b0;
    end else begin : lookup
      wire passes = INITVAL[{D, C, B, A}];
      assign F = MODE == "CCU2" && CCU2_INJECT1 == "NO" ? passes ^ FCI : passes;
      assign FCO = MODE == "CCU2" ? (passes ? FCI : INITVAL[{2'b00, B, A}]) : 1'b0;
    end
  endgenerate

  assign OFX = IS_Z1 != 0 ? (M ? FXB : FXA) : (M ? F1 : F);
endmodule
