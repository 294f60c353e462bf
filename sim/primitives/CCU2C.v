// Two bits of ECP5's carry chain, from Lattice's description of it (FPGA-TN-02032): a lookup table
// of four inputs says whether a bit passes the carry on, one of two inputs, in the lowest four
// places of the same table, what the carry is where it does not. Other uses stop the build.

module CCU2C #(
  parameter [15:0] INIT0 = 16'h0000,
  parameter [15:0] INIT1 = 16'h0000,
  parameter INJECT1_0 = "YES",
  parameter INJECT1_1 = "YES"
) (
  input CIN, A0, B0, C0, D0, A1, B1, C1, D1,
  output S0, S1, COUT
);

  generate
    if (INJECT1_0 != "NO" || INJECT1_1 != "NO")
      $fatal(1, "CCU2C: this model knows cells whose two bits are both in the chain only");
  endgenerate

  wire pass0 = INIT0[{D0, C0, B0, A0}];
  wire pass1 = INIT1[{D1, C1, B1, A1}];
  wire middle = pass0 ? CIN : INIT0[{2'b00, B0, A0}];

  assign S0 = pass0 ^ CIN;
  assign S1 = pass1 ^ middle;
  assign COUT = pass1 ? middle : INIT1[{2'b00, B1, A1}];

endmodule
