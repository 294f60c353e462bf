// iCE40's carry, from Lattice's iCE40 technology library: 1 where two of three inputs are.

module SB_CARRY (input I0, I1, CI, output CO);
  assign CO = (I0 & I1) | (CI & (I0 | I1));
endmodule
