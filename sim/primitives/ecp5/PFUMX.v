// ECP5's multiplexers that make larger tables of LUT4s, from Lattice's FPGA libraries reference
// guide.

module PFUMX (input ALUT, BLUT, C0, output Z);
  assign Z = C0 ? ALUT : BLUT;
endmodule

module L6MUX21 (input D0, D1, SD, output Z);
  assign Z = SD ? D1 : D0;
endmodule
