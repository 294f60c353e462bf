// iCE40's flip-flops of the rising edge, from Lattice's iCE40 technology library. They begin with
// 0. E: they keep their value where it is 0. R, S: to 0 or 1; at once in DFFR, DFFS, DFFER and
// DFFES, in the others with the clock, and there one with an enable needs it for that as well.

module SB_DFF (input C, D, output reg Q = 1'b0);
  always @(posedge C)
    Q <= D;
endmodule

module SB_DFFE (input C, D, E, output reg Q = 1'b0);
  always @(posedge C)
    if (E) Q <= D;
endmodule

module SB_DFFR (input C, D, R, output reg Q = 1'b0);
  always @(posedge C or posedge R)
    if (R) Q <= 1'b0;
    else Q <= D;
endmodule

module SB_DFFS (input C, D, S, output reg Q = 1'b0);
  always @(posedge C or posedge S)
    if (S) Q <= 1'b1;
    else Q <= D;
endmodule

module SB_DFFSR (input C, D, R, output reg Q = 1'b0);
  always @(posedge C)
    Q <= R ? 1'b0 : D;
endmodule

module SB_DFFSS (input C, D, S, output reg Q = 1'b0);
  always @(posedge C)
    Q <= S ? 1'b1 : D;
endmodule

module SB_DFFER (input C, D, E, R, output reg Q = 1'b0);
  always @(posedge C or posedge R)
    if (R) Q <= 1'b0;
    else if (E) Q <= D;
endmodule

module SB_DFFES (input C, D, E, S, output reg Q = 1'b0);
  always @(posedge C or posedge S)
    if (S) Q <= 1'b1;
    else if (E) Q <= D;
endmodule

module SB_DFFESR (input C, D, E, R, output reg Q = 1'b0);
  always @(posedge C)
    if (E) Q <= R ? 1'b0 : D;
endmodule

module SB_DFFESS (input C, D, E, S, output reg Q = 1'b0);
  always @(posedge C)
    if (E) Q <= S ? 1'b1 : D;
endmodule
