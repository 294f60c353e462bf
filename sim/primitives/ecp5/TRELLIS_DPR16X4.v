// ECP5's RAM of 16 words of 4 bits in lookup tables, from Lattice's memory guide (FPGA-TN-02204):
// written with the clock, read without one.

module TRELLIS_DPR16X4 #(
  parameter WCKMUX = "WCK", parameter WREMUX = "WRE", parameter [63:0] INITVAL = 64'h0
) (
  input [3:0] DI, WAD, RAD,
  input WRE, WCK,
  output [3:0] DO
);
  generate
    if (WCKMUX != "WCK" || WREMUX != "WRE")
      $fatal(1, "TRELLIS_DPR16X4: this model knows the rising edge and an enable that is 1 only");
  endgenerate

  reg [3:0] words [0:15];

  integer i;
  initial
    for (i = 0; i < 16; i = i + 1) words[i] = INITVAL[4 * i +: 4];

  always @(posedge WCK)
    if (WRE) words[WAD] <= DI;

  assign DO = words[RAD];
endmodule
