// iCE40's pin, as an input or as an output that always drives, without registers.

module SB_IO #(
  parameter PIN_TYPE = 6'b000001, parameter PULLUP = 0, parameter IO_STANDARD = "SB_LVCMOS",
  parameter NEG_TRIGGER = 0
) (
  inout PACKAGE_PIN,
  input D_OUT_0, OUTPUT_ENABLE, D_OUT_1, CLOCK_ENABLE, INPUT_CLK, OUTPUT_CLK, LATCH_INPUT_VALUE,
  output D_IN_0, D_IN_1
);
  localparam [5:0] TYPE = PIN_TYPE;
  generate
    if (TYPE == 6'b101001)
      assign PACKAGE_PIN = D_OUT_0;
    else if (TYPE != 6'b000001)
      $fatal(1, "SB_IO: this model knows the pin types 000001 and 101001 only");
    if (TYPE == 6'b101001)
      always @(OUTPUT_ENABLE)
        if (!OUTPUT_ENABLE) $fatal(1, "SB_IO: this model knows outputs that always drive only");
  endgenerate
  assign D_IN_0 = PACKAGE_PIN;
  assign D_IN_1 = 1'b0;
endmodule
