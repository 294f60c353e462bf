// iCE40's way to configure itself anew. Who simulates it looks at `leave` and `slot` in here.

module SB_WARMBOOT (input BOOT, S0, S1);
  wire leave = BOOT;
  wire [1:0] slot = {S1, S0};
endmodule
