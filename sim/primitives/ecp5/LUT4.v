// ECP5's lookup table of four inputs, from Lattice's FPGA libraries guide: A is the lowest bit of
// the index.

module LUT4 #(parameter [15:0] INIT = 16'h0000) (input A, B, C, D, output Z);
  assign Z = INIT[{D, C, B, A}];
endmodule
