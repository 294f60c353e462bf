// iCE40's lookup table of four inputs, from Lattice's iCE40 technology library: I0 is the lowest
// bit of the index.

module SB_LUT4 #(parameter [15:0] LUT_INIT = 16'h0000) (input I0, I1, I2, I3, output O);
  assign O = LUT_INIT[{I3, I2, I1, I0}];
endmodule
