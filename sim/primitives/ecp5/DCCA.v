// ECP5's clock buffer with an enable, from Lattice's clock guide (FPGA-TN-02200); always enabled.

module DCCA (input CLKI, input CE = 1'b1, output CLKO);
  always @(CE)
    if (!CE) $fatal(1, "DCCA: this model knows clocks that are always enabled only");
  assign CLKO = CLKI;
endmodule
